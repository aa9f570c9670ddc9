//! Rows in a form small enough for a history.
//!
//! A batch of 20,000 songs is 3 MB of JSON, and an engine takes 2 MB at most in one piece. Packed, a
//! song is about 60 bytes.

use std::{
    io::{Read, Write},
    marker::PhantomData,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// What a packed value may unpack to at most, in bytes. A page of the longest songs has 300 kB.
const LARGEST: u64 = 4_000_000;

/// A value, packed: JSON, deflated, in base 64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Packed<T> {
    text: String,
    #[serde(skip)]
    what: PhantomData<fn() -> T>,
}

/// A packed value that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("packed rows could not be read: {0}")]
pub struct NotPacked(String);

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value.
    ///
    /// # Errors
    /// The value has no form in JSON.
    pub fn of(value: &T) -> Result<Self, NotPacked> {
        let json = serde_json::to_vec(value).map_err(|error| NotPacked(error.to_string()))?;
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let packed = encoder
            .write_all(&json)
            .and_then(|()| encoder.finish())
            .map_err(|error| NotPacked(error.to_string()))?;
        Ok(Self {
            text: STANDARD_NO_PAD.encode(packed),
            what: PhantomData,
        })
    }

    /// The value.
    ///
    /// # Errors
    /// It was not packed by [`Packed::of`], or is larger than a page can be.
    pub fn unpack(&self) -> Result<T, NotPacked> {
        let packed = STANDARD_NO_PAD
            .decode(&self.text)
            .map_err(|error| NotPacked(error.to_string()))?;
        let mut json = Vec::new();
        DeflateDecoder::new(&*packed)
            .take(LARGEST + 1)
            .read_to_end(&mut json)
            .map_err(|error| NotPacked(error.to_string()))?;
        if json.len() as u64 > LARGEST {
            return Err(NotPacked(format!("more than {LARGEST} bytes")));
        }
        serde_json::from_slice(&json).map_err(|error| NotPacked(error.to_string()))
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.text.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked() {
        let rows: Vec<String> = (0..100).map(|n| format!("Song {n} – é")).collect();
        let packed = Packed::of(&rows).expect("packed");
        assert!(packed.size() < 700, "{}", packed.size());
        assert_eq!(packed.unpack(), Ok(rows));
    }

    #[test]
    fn what_is_not_packed_is_an_error_and_a_bomb_does_not_go_off() {
        let told = |text: &str| Packed::<Vec<String>> {
            text: text.to_owned(),
            what: PhantomData,
        };
        assert!(told("%%%").unpack().is_err());
        assert!(told("AAAA").unpack().is_err());
        let bomb = Packed::of(&"0".repeat(5_000_000)).expect("packed");
        assert!(bomb.size() < 10_000);
        assert!(bomb.unpack().is_err());
    }
}
