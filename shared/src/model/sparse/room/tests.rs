//! The promises of the memory that sections are expanded into.

use safetensors::Dtype;

use super::*;

fn sparse(count: usize) -> Sparse {
    Sparse { dtype: Dtype::F32, shape: vec![count] }
}

#[test]
fn sections_lie_side_by_side_and_one_too_many_has_memory_of_its_own() {
    let sections = [sparse(20), sparse(3)];
    let room = Room::of(sections.iter().map(|sparse| (sparse, 100)));
    let (first, second) = (room.take(80), room.take(12));
    assert_eq!((first.len(), second.len()), (80, 12));
    assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 128);
    let third = room.take(12);
    assert_eq!(third[..], [0; 12]);
    assert!([first, second, third].iter().all(|memory| (memory.as_ptr() as usize).is_multiple_of(LINE)));
}

#[test]
fn sizes_that_a_damaged_manifest_states_take_no_memory() {
    let absurd = [sparse(usize::MAX), sparse(1 << 60), Sparse { dtype: Dtype::F4, shape: vec![4] }];
    let room = Room::of(absurd.iter().map(|sparse| (sparse, 1000)));
    assert!(room.0.into_inner().unwrap().is_empty());
}
