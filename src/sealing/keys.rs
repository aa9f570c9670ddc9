//! The keys: a file for its owner alone, with the key that encrypts and those that once did.

use std::{fmt, path::PathBuf};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::private_file;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Random bytes of a key's id.
const ID_BYTES: usize = 6;
/// Keys that a file may have: a new one every month for eighty years.
const MOST_KEYS: usize = 1_000;
/// Bytes of a key's id, which may be chosen by hand.
const LONGEST_ID: usize = 100;
/// Bytes of the file.
const LONGEST_FILE: u64 = 1 << 20;

/// A file of keys, which may not exist.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
}

/// What is told of a key: not the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id, which stands beside all that it has sealed.
    pub id: String,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it is the one that encrypts.
    pub encrypts: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    /// The id of the key that encrypts.
    current: String,
    keys: Vec<Kept>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    id: String,
    created: Timestamp,
    /// The key, in base64.
    #[serde(serialize_with = "exposed")]
    key: SecretString,
}

fn exposed<S: serde::Serializer>(key: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.expose_secret())
}

/// Keys, ready for use. The one that encrypts is the first.
#[derive(Default)]
pub(super) struct Keys(Vec<Key>);

/// A key, ready for use.
pub(super) struct Key {
    pub(super) id: String,
    pub(super) key: LessSafeKey,
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.0.iter().map(|key| &key.id);
        formatter.debug_list().entries(ids).finish()
    }
}

impl Keys {
    /// The key that encrypts.
    pub(super) fn current(&self) -> Option<&Key> {
        self.0.first()
    }

    /// The key of this id.
    pub(super) fn find(&self, id: &[u8]) -> Option<&Key> {
        self.0.iter().find(|key| key.id.as_bytes() == id)
    }
}

impl KeyFile {
    /// The file at this path.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// The keys in it; none if there is no file.
    pub(super) fn read(&self) -> anyhow::Result<Keys> {
        match self.contents()? {
            Some(contents) => contents.into_keys().with_context(|| self.damaged()),
            None => Ok(Keys::default()),
        }
    }

    /// The keys in it, of which there is one at least.
    pub(super) fn read_some(&self) -> anyhow::Result<Keys> {
        let keys = self.read()?;
        if keys.current().is_none() {
            bail!(
                "there is no key in {}; copy the file of another worker there, or make the first key \
                 (segue key new)",
                self.path.display()
            );
        }
        Ok(keys)
    }

    /// The keys in it, and a new one if there is no file. Of two processes that find none at once, both
    /// come back with the same.
    pub(super) fn read_or_create(&self) -> anyhow::Result<Keys> {
        if !self.path.exists() {
            let first = Kept::new()?;
            let contents = Contents {
                current: first.id.clone(),
                keys: vec![first],
            };
            private_file::create(&self.path, &serde_json::to_vec_pretty(&contents)?)?;
        }
        self.read_some()
    }

    /// Adds a new key, which encrypts from now on unless it is to stand by: then every worker can be given
    /// the file before anything is sealed by it.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn add(&self, stands_by: bool) -> anyhow::Result<KeyInfo> {
        let _lock = private_file::lock(&self.path)?;
        let new = Kept::new()?;
        let mut info = KeyInfo {
            id: new.id.clone(),
            created: new.created,
            encrypts: true,
        };
        let contents = match self.contents()? {
            Some(mut contents) => {
                if contents.keys.len() >= MOST_KEYS {
                    bail!("there are {MOST_KEYS} keys in {}", self.path.display());
                }
                info.encrypts = !stands_by;
                if info.encrypts {
                    contents.current.clone_from(&new.id);
                }
                contents.keys.push(new);
                contents
            }
            None => Contents {
                current: new.id.clone(),
                keys: vec![new],
            },
        };
        self.write(&contents)?;
        Ok(info)
    }

    /// Lets this key encrypt from now on.
    ///
    /// # Errors
    /// There is no such key, or the file cannot be read or written.
    pub fn choose(&self, id: &str) -> anyhow::Result<()> {
        let _lock = private_file::lock(&self.path)?;
        let contents = self.contents()?;
        let Some(mut contents) = contents.filter(|known| known.keys.iter().any(|k| k.id == id))
        else {
            bail!("there is no such key; the ids are shown by: segue key list");
        };
        id.clone_into(&mut contents.current);
        self.write(&contents)
    }

    /// What is told of the keys, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<KeyInfo>> {
        let Some(contents) = self.contents()? else {
            return Ok(Vec::new());
        };
        let told = |key: &Kept| KeyInfo {
            encrypts: key.id == contents.current,
            id: key.id.clone(),
            created: key.created,
        };
        Ok(contents.keys.iter().map(told).collect())
    }

    fn contents(&self) -> anyhow::Result<Option<Contents>> {
        let Some(bytes) = private_file::read(&self.path, LONGEST_FILE)? else {
            return Ok(None);
        };
        // The parser's words may quote what it has read.
        let contents: Contents =
            serde_json::from_slice(&bytes).map_err(|_| anyhow!(self.damaged()))?;
        Ok(Some(contents))
    }

    fn write(&self, contents: &Contents) -> anyhow::Result<()> {
        private_file::replace(&self.path, &serde_json::to_vec_pretty(contents)?)?;
        Ok(())
    }

    fn damaged(&self) -> String {
        format!(
            "{} is damaged; put a copy of it back: without its keys, what they have sealed cannot be read",
            self.path.display()
        )
    }
}

impl Contents {
    fn into_keys(self) -> anyhow::Result<Keys> {
        if self.keys.len() > MOST_KEYS {
            bail!("it has more than {MOST_KEYS} keys");
        }
        let mut keys = Vec::with_capacity(self.keys.len());
        for kept in self.keys {
            let is_current = kept.id == self.current;
            let at = if is_current { 0 } else { keys.len() };
            keys.insert(at, kept.into_key()?);
        }
        match keys.first() {
            Some(first) if first.id == self.current => Ok(Keys(keys)),
            _ => bail!("it says of no key of its own that it encrypts"),
        }
    }
}

impl Kept {
    fn new() -> anyhow::Result<Self> {
        let mut bytes = [0; ID_BYTES + KEY_BYTES];
        let filled = SystemRandom::new().fill(&mut bytes);
        filled.map_err(|_| anyhow!("the system gives no random numbers"))?;
        let (id, key) = bytes.split_at(ID_BYTES);
        Ok(Self {
            id: id.iter().map(|byte| format!("{byte:02x}")).collect(),
            created: Timestamp::now(),
            key: STANDARD.encode(key).into(),
        })
    }

    fn into_key(self) -> anyhow::Result<Key> {
        let bytes = STANDARD.decode(self.key.expose_secret()).ok();
        let key = bytes.and_then(|bytes| UnboundKey::new(&AES_256_GCM, &bytes).ok());
        let is_id = (1..=LONGEST_ID).contains(&self.id.len());
        match key {
            Some(key) if is_id => Ok(Key {
                id: self.id,
                key: LessSafeKey::new(key),
            }),
            _ => bail!("one of its keys does not have {KEY_BYTES} bytes in base64, or no id"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, KeyFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("payload-keys.json"));
        (folder, file)
    }

    #[test]
    fn processes_that_start_at_once_come_to_the_same_key() {
        let (_folder, file) = file();
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || {
                    let keys = file.read_or_create().unwrap();
                    keys.current().unwrap().id.clone()
                })
            })
            .collect();
        let mut ids: Vec<_> = makers.into_iter().map(|m| m.join().unwrap()).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1);
        assert_eq!(file.list().unwrap().len(), 1);
    }

    #[test]
    fn a_new_key_encrypts_and_the_old_ones_stay() {
        let (_folder, file) = file();
        let one = file.add(true).unwrap();
        assert!(one.encrypts, "the first has nothing to stand by for");
        let two = file.add(false).unwrap();
        let three = file.add(true).unwrap();
        let keys = file.read().unwrap();
        assert_eq!(keys.current().unwrap().id, two.id);
        for key in [&one, &two, &three] {
            assert!(keys.find(key.id.as_bytes()).is_some());
        }
        file.choose(&three.id).unwrap();
        assert_eq!(file.read().unwrap().current().unwrap().id, three.id);
        file.choose("another").unwrap_err();
        let listed = file.list().unwrap();
        let encrypts: Vec<bool> = listed.iter().map(|key| key.encrypts).collect();
        assert_eq!(encrypts, [false, false, true]);
    }

    #[test]
    fn a_file_that_is_damaged_is_never_replaced_and_tells_no_key() {
        let (_folder, file) = file();
        let key = STANDARD.encode([7; KEY_BYTES]);
        for text in [
            String::new(),
            format!("{{\"keys\": \"{key}\"}}"),
            format!(
                "{{\"current\": \"b\", \"keys\": [{{\"id\": \"a\", \"created\": \"2026-01-01T00:00:00Z\", \"key\": \"{key}\"}}]}}"
            ),
            "{\"current\": \"a\", \"keys\": [{\"id\": \"a\", \"created\": \"2026-01-01T00:00:00Z\", \"key\": \"AAAA\"}]}".to_owned(),
        ] {
            private_file::replace(&file.path, text.as_bytes()).unwrap();
            let error = format!("{:#}", file.read_or_create().unwrap_err());
            assert!(error.contains("damaged"), "{error}");
            assert!(!error.contains(&key), "{error}");
            let kept = std::fs::read_to_string(&file.path).unwrap();
            assert_eq!(kept, text);
        }
    }

    #[test]
    fn without_a_file_nothing_is_made_that_was_not_asked_for() {
        let (_folder, file) = file();
        assert!(file.read().unwrap().current().is_none());
        file.read_some().unwrap_err();
        assert!(!file.path.exists());
    }
}
