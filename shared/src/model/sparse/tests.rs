//! The promises of sections without their zeros.

use proptest::prelude::*;
use safetensors::Dtype;

use super::*;
use crate::model::aligned;

const TYPES: [(Dtype, usize); 4] = [(Dtype::I8, 1), (Dtype::F16, 2), (Dtype::F32, 4), (Dtype::F64, 8)];

fn sparse(dtype: Dtype, count: usize) -> Sparse {
    Sparse { dtype, shape: vec![count] }
}

/// As it is stored, whether that is shorter or not.
fn encoded(elements: &[u8], width: usize) -> Vec<u8> {
    match width {
        1 => encode(elements.as_chunks::<1>().0),
        2 => encode(elements.as_chunks::<2>().0),
        4 => encode(elements.as_chunks::<4>().0),
        _ => encode(elements.as_chunks::<8>().0),
    }
}

/// The bytes of some elements, most of which may be zero, with runs of either kind.
fn elements(width: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = (0u8..4, 1usize..200, any::<u64>());
    prop::collection::vec(run, 0..20).prop_map(move |runs| {
        let mut bytes = Vec::new();
        for (kind, length, mut state) in runs {
            for _ in 0..length {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let shown = kind == 1 || (kind > 1 && state >> 63 == 1);
                let element = (if shown { state >> 7 } else { 0 }).to_le_bytes();
                bytes.extend_from_slice(&element[..width]);
            }
        }
        bytes
    })
}

fn typed_elements() -> impl Strategy<Value = (Dtype, usize, Vec<u8>)> {
    prop::sample::select(&TYPES[..])
        .prop_flat_map(|(dtype, width)| elements(width).prop_map(move |bytes| (dtype, width, bytes)))
}

proptest! {
    #[test]
    fn whatever_is_left_out_comes_back((dtype, width, elements) in typed_elements()) {
        let stored = encoded(&elements, width);
        let sparse = sparse(dtype, elements.len() / width);
        let decoded = sparse.decode(&stored, aligned).unwrap();
        prop_assert_eq!(&decoded[..], &elements[..]);
        prop_assert!((decoded.as_ptr() as usize).is_multiple_of(64));
        let zeros = elements.chunks(width).filter(|element| element.iter().all(|byte| *byte == 0)).count();
        let share = zeros as f64 / (elements.len() / width).max(1) as f64;
        prop_assert!(elements.is_empty() || (sparse.zeros(stored.len()).unwrap() - share).abs() < 1e-12);
    }

    #[test]
    fn a_changed_mask_is_refused_or_still_marks_as_many(
        (dtype, width, elements) in typed_elements(),
        place in any::<prop::sample::Index>(),
        change in 1u8..,
    ) {
        let mut stored = encoded(&elements, width);
        let count = elements.len() / width;
        prop_assume!(count > 0);
        let place = place.index(mask_bytes(count));
        let before = stored[place].count_ones();
        stored[place] ^= change;
        let decoded = sparse(dtype, count).decode(&stored, aligned);
        let is_beyond = (0..8).any(|bit| change >> bit & 1 == 1 && 8 * place + bit >= count);
        prop_assert_eq!(decoded.is_ok(), stored[place].count_ones() == before && !is_beyond);
    }

    #[test]
    fn no_bytes_and_no_shape_make_a_panic(
        stored in prop::collection::vec(any::<u8>(), 0..200),
        shape in prop::collection::vec(prop_oneof![0usize..30, Just(usize::MAX), Just(1 << 60)], 0..4),
        dtype in prop::sample::select(&[Dtype::BOOL, Dtype::F4, Dtype::BF16, Dtype::U32, Dtype::C64][..]),
    ) {
        let sparse = Sparse { dtype, shape };
        let _ = sparse.zeros(stored.len());
        if let Ok(elements) = sparse.decode(&stored, aligned) {
            prop_assert_eq!(elements.len(), sparse.count().unwrap() * dtype.bitsize() / 8);
        }
    }
}

#[test]
fn the_mask_has_the_first_element_in_the_lowest_bit_and_whole_words() {
    let mut elements = [0u8; 70];
    (elements[0], elements[9], elements[65]) = (7, 8, 9);
    let mut expected = vec![0; 16];
    (expected[0], expected[1], expected[8]) = (0b1, 0b10, 0b10);
    expected.extend([7, 8, 9]);
    assert_eq!(encoded(&elements, 1), expected);
}

#[test]
fn a_negative_zero_is_kept() {
    let elements = [0.0f32, -0.0, 1.0].map(f32::to_le_bytes).concat();
    let stored = encoded(&elements, 4);
    assert_eq!(stored[0], 0b110);
    assert_eq!(sparse(Dtype::F32, 3).decode(&stored, aligned).unwrap(), elements);
}

#[test]
fn zeros_stay_where_little_is_spared() {
    let numbers = |count: usize, zeros: usize| [vec![0u8; zeros], vec![1; count - zeros]].concat();
    let stored = |elements: Vec<u8>| sparse(Dtype::I8, elements.len()).without_zeros(&elements);
    assert_eq!(stored(numbers(8192, 4096 + 1023)), None, "less than 4 KiB");
    assert_eq!(stored(numbers(8192, 4096 + 1024)).map(|stored| stored.len()), Some(4096));
    assert_eq!(stored(numbers(1 << 20, (1 << 18) - 1)), None, "less than a quarter");
    assert!(stored(numbers(1 << 20, 1 << 18)).is_some());
    assert_eq!(stored(numbers(1 << 20, 0)), None);
}

#[test]
fn indices_and_masks_are_stored_as_they_are() {
    let zeros = vec![0; 1 << 16];
    let is_shorter = |dtype| Sparse { dtype, shape: vec![1 << 13] }.without_zeros(&zeros).is_some();
    assert!([Dtype::F64, Dtype::F32, Dtype::F16, Dtype::U16, Dtype::I8].into_iter().all(is_shorter));
    assert!(![Dtype::I64, Dtype::U32, Dtype::I32, Dtype::U8, Dtype::BOOL].into_iter().any(is_shorter));
}

#[test]
fn what_is_no_mask_is_told() {
    let refused = |count: usize, stored: &[u8]| sparse(Dtype::F16, count).decode(stored, aligned).unwrap_err();
    let shape = |count| vec![count];
    assert_eq!(refused(65, &[0; 9]), SparseError::Mask { expected: 16, shape: shape(65), got: 9 });
    assert_eq!(refused(usize::MAX, &[0; 9]), SparseError::Mask { expected: 1 << 61, shape: shape(usize::MAX), got: 9 });
    assert_eq!(refused(5, &[0x20, 0, 0, 0, 0, 0, 0, 0, 1, 1]), SparseError::Beyond(shape(5)));
    let (marked, expected) = (2, 4);
    assert_eq!(refused(5, &[3, 0, 0, 0, 0, 0, 0, 0, 1]), SparseError::Present { marked, expected, got: 1 });
    assert_eq!(refused(5, &[3, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]), SparseError::Present { marked, expected, got: 5 });
    assert_eq!(sparse(Dtype::F4, 4).decode(&[0; 8], aligned), Err(SparseError::Type(Dtype::F4)));
    assert_eq!(
        Sparse { dtype: Dtype::I8, shape: vec![2, usize::MAX] }.decode(&[0; 8], aligned),
        Err(SparseError::Shape(vec![2, usize::MAX]))
    );
}

#[test]
fn many_parts_are_spread_as_one() {
    let count = 3 * PART_WORDS * WORD + 77;
    let elements: Vec<u8> = (0..count).map(|i| if i % 3 == 0 { (i % 251) as u8 } else { 0 }).collect();
    let sparse = sparse(Dtype::I8, count);
    assert_eq!(sparse.decode(&sparse.without_zeros(&elements).unwrap(), aligned).unwrap(), elements);
}
