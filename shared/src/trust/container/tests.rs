//! The promises of encrypted packages: they read back, nothing in them can be changed, and no bytes make a panic.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::trust::package_key::PackageKey;

static KEY: LazyLock<PackageKey> = LazyLock::new(|| PackageKey::generate().unwrap());

fn package(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at as u32).wrapping_mul(0x9e37_79b9).to_le_bytes()[3]).collect()
}

fn model() -> ModelName {
    "sample".parse().unwrap()
}

fn seal(package: &[u8]) -> Vec<u8> {
    Keeper::of(&KEY).unwrap().seal(&model(), package).unwrap()
}

/// What a reader makes of a file that is in memory.
fn open(file: Vec<u8>) -> Result<(PackageBytes, Option<Sealed>), TrustError> {
    let container = Container::read(&file)?;
    let secret = KEY.unwrap(&container.wrapped()?);
    let secret = secret.ok_or_else(|| TrustError::WrappedKey { key: container.key().clone() })?;
    let digest = Digest::of(&file);
    let mut memory = aligned(file.len());
    memory.copy_from_slice(&file);
    container.open(memory.freeze().into(), digest, container.cipher(&secret)?)
}

/// The size of the header with its tags, of a package of so many bytes.
fn head(file: &[u8]) -> usize {
    Container::read(file).unwrap().body.start
}

#[test]
fn a_package_reads_back_and_can_be_written_as_it_was() {
    for bytes in [1, 63, 65_536, 65_537, 5 * 65_536, (3 << 20) + 17] {
        let (package, file) = (package(bytes), seal(&package(bytes)));
        let (opened, sealed) = open(file.clone()).unwrap();
        assert_eq!(*opened, *package, "{bytes} bytes");
        let sealed = sealed.unwrap();
        assert_eq!(sealed.pieces().collect::<Vec<_>>().concat(), file);
        assert_eq!((sealed.len(), *sealed.digest()), (file.len(), Digest::of(&file)));
    }
}

#[test]
fn it_is_decrypted_where_it_lies_at_a_cache_line() {
    let file = seal(&package(200_000));
    let mut memory = aligned(file.len());
    memory.copy_from_slice(&file);
    let (container, bytes) = (Container::read(&file).unwrap(), PackageBytes::from(memory.freeze()));
    let place = bytes.as_ptr() as usize + container.body.start;
    let cipher = container.cipher(&KEY.unwrap(&container.wrapped().unwrap()).unwrap()).unwrap();
    let (opened, _) = container.open(bytes, Digest::of(&file), cipher).unwrap();
    assert_eq!((opened.as_ptr() as usize, place % 64), (place, 0));
}

#[test]
fn a_file_is_decrypted_beside_itself_and_stays_as_it_is() {
    let (package, file) = (package(3 << 20), seal(&package(3 << 20)));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sealed.ember");
    std::fs::write(&path, &file).unwrap();
    let container = Container::read(&file).unwrap();
    let cipher = container.cipher(&KEY.unwrap(&container.wrapped().unwrap()).unwrap()).unwrap();
    let (opened, sealed) = container.open(PackageBytes::map(&path).unwrap(), Digest::of(&file), cipher).unwrap();
    assert_eq!((*opened == *package, opened.as_ptr() as usize % 64), (true, 0));
    assert!(sealed.is_none(), "the file is there already");
    assert_eq!(std::fs::read(&path).unwrap(), file);
}

#[test]
fn equal_packages_make_different_files() {
    let package = package(1000);
    let (one, other) = (seal(&package), seal(&package));
    assert_ne!(one[head(&one)..], other[head(&other)..]);
}

#[test]
fn nothing_of_a_package_shows_in_its_file() {
    let file = seal(&[7; 200_000]);
    assert!(!file.windows(32).any(|window| window == [7; 32]));
}

#[test]
fn chunks_in_another_order_or_of_another_file_are_refused_by_their_number() {
    let (file, other) = (seal(&package(4 * 65_536)), seal(&package(4 * 65_536)));
    let (start, tags) = (head(&file), Container::read(&file).unwrap().tags.start);
    let chunk = |index: usize| start + index * 65_536..start + (index + 1) * 65_536;
    let tag = |index: usize| tags + index * TAG_BYTES..tags + (index + 1) * TAG_BYTES;

    let mut swapped = file.clone();
    for (one, two) in [(chunk(1), chunk(2)), (tag(1), tag(2))] {
        let kept = swapped[one.clone()].to_vec();
        swapped.copy_within(two.clone(), one.start);
        swapped[two].copy_from_slice(&kept);
    }
    assert_eq!(open(swapped).unwrap_err(), TrustError::Chunk { chunk: 2, chunks: 4 });

    let mut mixed = file;
    for range in [chunk(3), tag(3)] {
        mixed[range.clone()].copy_from_slice(&other[range]);
    }
    assert_eq!(open(mixed).unwrap_err(), TrustError::Chunk { chunk: 4, chunks: 4 });
}

#[test]
fn a_file_that_is_cut_at_a_chunk_and_says_so_is_refused() {
    let file = seal(&package(4 * 65_536));
    let container = Container::read(&file).unwrap();
    let header = Header { package_bytes: 3 * 65_536, ..container.header.clone() };
    let mut cut = header.to_bytes();
    let tags = container.tags.start;
    assert_eq!(cut.len(), tags);
    cut.extend_from_slice(&file[tags..tags + 3 * TAG_BYTES]);
    cut.resize(cut.len().next_multiple_of(ALIGNMENT), 0);
    cut.extend_from_slice(&file[container.body.start..container.body.start + 3 * 65_536]);
    assert!(matches!(open(cut).unwrap_err(), TrustError::Chunk { .. }));
}

#[test]
fn a_newer_layout_is_refused_by_its_number() {
    let mut file = seal(&package(100));
    file[8] = 9;
    assert_eq!(Container::read(&file).unwrap_err(), TrustError::Version { found: 9 });
}

#[test]
fn sizes_that_make_no_sense_are_refused_before_memory_is_asked_for() {
    let header = Container::read(&seal(&package(100))).unwrap().header;
    for (chunk_bytes, package_bytes) in [(0, 100), (1000, 100), (1 << 31, 100), (4096, 0), (4096, u64::MAX)] {
        let file = Header { chunk_bytes, package_bytes, ..header.clone() }.to_bytes();
        assert_eq!(Container::read(&file).unwrap_err(), TrustError::Container("its sizes make no sense"));
    }
    let file = Header { package_bytes: 1 << 50, ..header }.to_bytes();
    assert_eq!(Container::read(&file).unwrap_err(), TrustError::Container("the file is not as long as it says"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_changed_byte_is_refused(bytes in 1usize..200_000, place in any::<prop::sample::Index>(), change in 1u8..) {
        let mut file = seal(&package(bytes));
        let place = place.index(file.len());
        file[place] = file[place].wrapping_add(change);
        prop_assert!(open(file).is_err());
    }

    #[test]
    fn any_changed_byte_of_the_header_is_refused(place in 0usize..512, change in 1u8..) {
        let mut file = seal(&package(3000));
        let place = place % head(&file);
        file[place] = file[place].wrapping_add(change);
        prop_assert!(open(file).is_err());
    }

    #[test]
    fn any_truncation_and_any_tail_is_refused(bytes in 1usize..200_000, at in any::<prop::sample::Index>(), tail: Vec<u8>) {
        let mut file = seal(&package(bytes));
        let longer = [&file[..], &tail].concat();
        prop_assert!(tail.is_empty() || open(longer).is_err());
        file.truncate(at.index(file.len()));
        prop_assert!(open(file).is_err());
    }

    #[test]
    fn no_bytes_at_all_make_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(open(bytes.clone()).is_err());
        let length = (bytes.len() as u32).to_le_bytes();
        prop_assert!(open([&MAGIC[..], &1u32.to_le_bytes(), &length, &bytes].concat()).is_err());
    }
}
