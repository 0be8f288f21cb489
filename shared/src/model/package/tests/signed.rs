//! The promises of signatures in a package.

use std::sync::LazyLock;

use super::*;
use crate::trust::SigningKey;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn signed() -> Vec<u8> {
    Package::open(written().into()).unwrap().signed(&KEY).unwrap()
}

#[test]
fn a_signed_package_is_the_same_package_with_its_signatures() {
    let other = SigningKey::generate().unwrap();
    let once = Package::open(signed().into()).unwrap();
    let twice = Package::open(once.signed(&other).unwrap().into()).unwrap();
    let mut expected = [KEY.public().unwrap(), other.public().unwrap()];
    expected.sort();
    assert_eq!(twice.signatures().iter().map(|signature| signature.key).collect::<Vec<_>>(), expected);
    let unsigned = Package::open(written().into()).unwrap();
    assert_eq!((twice.manifest_digest(), twice.manifest()), (unsigned.manifest_digest(), unsigned.manifest()));
    assert_eq!(twice.sections().map(|section| section.data.to_vec()).collect::<Vec<_>>(), {
        unsigned.sections().map(|section| section.data.to_vec()).collect::<Vec<_>>()
    });
}

#[test]
fn signing_again_with_the_same_key_changes_nothing() {
    let bytes = signed();
    assert_eq!(Package::open(bytes.clone().into()).unwrap().signed(&KEY).unwrap(), bytes);
}

#[test]
fn a_signed_package_is_a_safetensors_file_with_aligned_sections() {
    let bytes = signed();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let start = file.tensor("weight").unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    assert_eq!(start % 64, 0);
}

#[test]
fn the_signature_of_another_package_is_refused() {
    let other = Manifest { description: "Another.".to_owned(), ..manifest() };
    let other = Package::open(write_manifest(&other).into()).unwrap().signed(&KEY).unwrap();
    let mut package = Package::open(signed().into()).unwrap();
    package.signatures = Package::open(other.into()).unwrap().signatures;
    // The key that signs now stands beside the signature that was moved.
    let moved = package.signed(&SigningKey::generate().unwrap()).unwrap();
    let key = KEY.public().unwrap().to_string();
    assert_eq!(Package::open(moved.into()).unwrap_err(), PackageError::Signature(key));
}

#[test]
fn a_section_that_was_exchanged_is_found_though_the_file_has_the_digest_it_is_named_by() {
    let mut bytes = signed();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let digest = Digest::of(&bytes);
    let package = Package::open_as(bytes.into(), &digest).unwrap();
    assert!(matches!(package.check_sections(), Err(PackageError::Section { name, .. }) if name == "weight"));
    assert!(package.signed(&KEY).is_err(), "what does not hold is not signed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_changed_byte_of_a_signed_package_is_refused(place in any::<prop::sample::Index>(), change in 1u8..) {
        let mut bytes = signed();
        let place = place.index(bytes.len());
        bytes[place] = bytes[place].wrapping_add(change);
        prop_assert!(Package::open(bytes.into()).is_err());
    }
}
