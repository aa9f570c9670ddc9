//! Identifiers in Spotify's shape: 22 base-62 characters for an object, opaque strings for the rest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rand::Rng as _;
use rand::distr::Alphanumeric;
use sha2::{Digest as _, Sha256};

/// The length of the id of a track, album, artist or playlist.
const ID_LENGTH: usize = 22;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A fresh object id.
pub(crate) fn random_id() -> String {
    random_text(ID_LENGTH)
}

/// A fresh client id: 32 hexadecimal digits.
pub(crate) fn random_client_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// `length` characters of base 62: tokens and codes.
pub(crate) fn random_text(length: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(length)
        .map(char::from)
        .collect()
}

/// The id of something the catalogue only names (an album, an artist): the same name has the same
/// id in every run.
pub(crate) fn id_from_name(kind: &str, name: &str) -> String {
    let digest = Sha256::new()
        .chain_update(kind)
        .chain_update([0])
        .chain_update(name)
        .finalize();
    digest
        .iter()
        .take(ID_LENGTH)
        .map(|byte| char::from(BASE_62[usize::from(*byte) % 62]))
        .collect()
}

/// Whether `text` could be the id of an object.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == ID_LENGTH && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The snapshot id of a playlist at its `revision`: unique and opaque, as on Spotify.
pub(crate) fn snapshot_id(revision: usize) -> String {
    STANDARD.encode(format!("{revision},{}", random_text(ID_LENGTH)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_spotifys_shape() {
        assert!(is_id(&random_id()));
        assert!(is_id(&id_from_name("artist", "Björk")));
        assert!(!is_id("short"));
        assert!(!is_id("spotify:track:4iV5W9uY"));
    }

    #[test]
    fn the_same_name_has_the_same_id_and_another_kind_another() {
        assert_eq!(
            id_from_name("artist", "Garbage"),
            id_from_name("artist", "Garbage")
        );
        assert_ne!(
            id_from_name("artist", "Garbage"),
            id_from_name("album", "Garbage")
        );
    }

    #[test]
    fn snapshot_ids_never_repeat() {
        assert_ne!(snapshot_id(1), snapshot_id(1));
    }
}
