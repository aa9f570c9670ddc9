//! The codec: AES-256-GCM with a random nonce for each payload, in the form of Temporal's own samples, so
//! that a codec server which knows the key can show what is sealed.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};

use futures::{FutureExt, future, future::BoxFuture};
use prost::Message;
use ring::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce},
    rand::{SecureRandom, SystemRandom},
};
use temporalio_common::{
    data_converters::{PayloadCodec, PayloadConversionError, SerializationContextData},
    protos::temporal::api::common::v1::Payload,
};

use super::keys::{Key, KeyFile, Keys};

/// The entry of a payload's metadata that says how it is written.
const ENCODING: &str = "encoding";
/// What it says of one that is sealed.
const SEALED: &[u8] = b"binary/encrypted";
/// The entry that names the key.
const KEY_ID: &str = "encryption-key-id";
/// Time between two looks at the file for a key that is not known.
const PAUSE: Duration = Duration::from_secs(1);

/// Seals payloads, and opens them. Those that were never sealed pass as they are: they are of a time
/// before there was a key.
#[derive(Debug)]
pub(super) struct Codec(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    file: KeyFile,
    keys: RwLock<Keys>,
    looked: Mutex<Option<Instant>>,
    encrypts: bool,
    random: SystemRandom,
}

/// A payload cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error("the system gives no random numbers")]
    NoRandom,
    #[error("there is no key to encrypt by")]
    NoKey,
    #[error("a payload is sealed by the key {id:?}, which is not in {file}; put that key back")]
    UnknownKey { id: String, file: String },
    #[error("a sealed payload was changed, or its key is another one of the same id")]
    Broken,
}

impl From<SealError> for PayloadConversionError {
    fn from(error: SealError) -> Self {
        Self::EncodingError(Box::new(error))
    }
}

impl Codec {
    pub(super) fn new(file: KeyFile, keys: Keys, encrypts: bool) -> Self {
        Self(Arc::new(Parts {
            file,
            keys: RwLock::new(keys),
            looked: Mutex::default(),
            encrypts,
            random: SystemRandom::new(),
        }))
    }
}

impl PayloadCodec for Codec {
    fn encode(
        &self,
        _context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let sealed = match self.0.encrypts {
            true => payloads.into_iter().map(|one| self.0.seal(one)).collect(),
            false => Ok(payloads),
        };
        future::ready(sealed).boxed()
    }

    fn decode(
        &self,
        _context: &SerializationContextData,
        payloads: Vec<Payload>,
    ) -> BoxFuture<'static, Result<Vec<Payload>, PayloadConversionError>> {
        let opened = payloads.into_iter().map(|one| self.0.open(one)).collect();
        future::ready(opened).boxed()
    }
}

impl Parts {
    fn seal(&self, payload: Payload) -> Result<Payload, PayloadConversionError> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Key { id, key } = keys.current().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_LEN];
        let filled = self.random.fill(&mut nonce);
        filled.map_err(|_| SealError::NoRandom)?;
        let length = payload.encoded_len();
        let mut data = Vec::with_capacity(NONCE_LEN + length + AES_256_GCM.tag_len());
        data.extend_from_slice(&nonce);
        payload.encode(&mut data).map_err(|_| SealError::Broken)?;
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::empty(),
                &mut data[NONCE_LEN..],
            )
            .map_err(|_| SealError::Broken)?;
        data.extend_from_slice(tag.as_ref());
        let metadata = [
            (ENCODING.to_owned(), SEALED.to_vec()),
            (KEY_ID.to_owned(), id.clone().into_bytes()),
        ];
        Ok(Payload {
            metadata: metadata.into(),
            data,
            ..Payload::default()
        })
    }

    fn open(&self, payload: Payload) -> Result<Payload, PayloadConversionError> {
        if payload.metadata.get(ENCODING).map(Vec::as_slice) != Some(SEALED) {
            return Ok(payload);
        }
        let id = payload.metadata.get(KEY_ID).cloned().unwrap_or_default();
        if !self.knows(&id) {
            self.look_again();
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let Key { key, .. } = keys.find(&id).ok_or_else(|| SealError::UnknownKey {
            id: String::from_utf8_lossy(&id).chars().take(100).collect(),
            file: self.file.path().display().to_string(),
        })?;
        let mut data = payload.data;
        let (nonce, sealed) = data
            .split_first_chunk_mut::<NONCE_LEN>()
            .ok_or(SealError::Broken)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = key
            .open_in_place(nonce, Aad::empty(), sealed)
            .map_err(|_| SealError::Broken)?;
        Ok(Payload::decode(&*opened).map_err(|_| SealError::Broken)?)
    }

    fn knows(&self, id: &[u8]) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.find(id).is_some()
    }

    /// Reads the file again: another process may have begun with a new key.
    fn look_again(&self) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        *looked = Some(Instant::now());
        match self.file.read() {
            Ok(keys) if keys.current().is_some() => {
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
            }
            Ok(_) => tracing::error!("the file with the keys of payloads is gone"),
            Err(error) => tracing::error!("the keys of payloads cannot be read anew: {error:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"\"Lullaby for a Killed Process\"";

    fn plain() -> Payload {
        Payload {
            metadata: [(ENCODING.to_owned(), b"json/plain".to_vec())].into(),
            data: SECRET.to_vec(),
            ..Payload::default()
        }
    }

    fn codec(encrypts: bool) -> (tempfile::TempDir, KeyFile, Codec) {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("payload-keys.json"));
        let keys = file.read_or_create().unwrap();
        let codec = Codec::new(file.clone(), keys, encrypts);
        (folder, file, codec)
    }

    async fn sealed(codec: &Codec) -> Payload {
        let context = SerializationContextData::None;
        let mut sealed = codec.encode(&context, vec![plain()]).await.unwrap();
        sealed.remove(0)
    }

    async fn opened(codec: &Codec, payload: Payload) -> Result<Payload, PayloadConversionError> {
        let context = SerializationContextData::None;
        let mut opened = codec.decode(&context, vec![payload]).await?;
        Ok(opened.remove(0))
    }

    #[tokio::test]
    async fn what_is_sealed_says_nothing_and_comes_back_the_same() {
        let (_folder, _file, codec) = codec(true);
        let one = sealed(&codec).await;
        assert_eq!(one.metadata[ENCODING], SEALED);
        let inside = |hay: &[u8]| {
            hay.windows(8)
                .any(|part| SECRET.windows(8).any(|s| s == part))
        };
        assert!(!inside(&one.encode_to_vec()));
        assert!(inside(&plain().encode_to_vec()));
        // The same twice is not seen to be the same.
        assert_ne!(sealed(&codec).await.data, one.data);
        assert_eq!(opened(&codec, one).await.unwrap(), plain());
    }

    #[tokio::test]
    async fn what_was_never_sealed_is_read_as_it_is() {
        let (_folder, _file, codec) = codec(true);
        assert_eq!(opened(&codec, plain()).await.unwrap(), plain());
        assert_eq!(
            opened(&codec, Payload::default()).await.unwrap(),
            Payload::default()
        );
    }

    #[tokio::test]
    async fn without_encryption_old_payloads_are_read_and_new_ones_are_plain() {
        let (_folder, file, encrypting) = codec(true);
        let old = sealed(&encrypting).await;
        let off = Codec::new(file.clone(), file.read().unwrap(), false);
        assert_eq!(sealed(&off).await, plain());
        assert_eq!(opened(&off, old).await.unwrap(), plain());
    }

    #[tokio::test]
    async fn a_key_that_another_process_began_with_is_found() {
        let (_folder, file, codec) = codec(true);
        let old = sealed(&codec).await;
        file.add(false).unwrap();
        let newer = Codec::new(file.clone(), file.read().unwrap(), true);
        let new = sealed(&newer).await;
        assert_ne!(new.metadata[KEY_ID], old.metadata[KEY_ID]);
        assert_eq!(opened(&codec, new).await.unwrap(), plain());
        assert_eq!(opened(&newer, old).await.unwrap(), plain());
    }

    #[tokio::test]
    async fn what_was_changed_or_is_of_a_lost_key_is_refused() {
        let (_folder, file, codec) = codec(true);
        let good = sealed(&codec).await;
        for at in [0, NONCE_LEN, good.data.len() - 1] {
            let mut changed = good.clone();
            changed.data[at] ^= 1;
            assert!(opened(&codec, changed).await.is_err());
        }
        for length in [0, 5, NONCE_LEN, good.data.len() - 1] {
            let mut short = good.clone();
            short.data.truncate(length);
            assert!(opened(&codec, short).await.is_err());
        }
        let mut foreign = good.clone();
        foreign.metadata.insert(KEY_ID.to_owned(), b"lost".to_vec());
        let error = opened(&codec, foreign).await.unwrap_err().to_string();
        assert!(
            error.contains("\"lost\"") && error.contains("put that key back"),
            "{error}"
        );
        let mut unnamed = good;
        unnamed.metadata.remove(KEY_ID);
        assert!(opened(&codec, unnamed).await.is_err());
        drop(file);
    }
}
