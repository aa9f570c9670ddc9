//! Bearer tokens of our own: made, listed and revoked by `segue token`, and looked up for each call.
//!
//! A token is `segue_ID_SECRET`. The id finds it in the file; the secret has 256 random bits, so that a
//! plain hash keeps it: there is nothing to guess that a slow hash would make slower.

use std::{
    fs,
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, anyhow, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use segue_workflows::upstream::clean;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::private_file;

/// What every token begins with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "segue_";
/// Hexadecimal digits of an id.
const ID_DIGITS: usize = 12;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Tokens that one home may have.
const MOST_TOKENS: usize = 10_000;
/// Bytes of the file: some 300 a token.
const LONGEST_FILE: u64 = 8 << 20;
/// Bytes of a note.
const LONGEST_NOTE: usize = 200;
/// Time between two looks at the file: what a revoke takes to be seen.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A token as it is kept: not the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// By which it is listed and revoked.
    pub id: String,
    /// Whose calls it is for.
    pub user: String,
    /// SHA-256 of the whole token, as hexadecimal digits.
    hash: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself. Unset: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Kept {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_expired(&self) -> bool {
        self.expires.is_some_and(|end| end <= Timestamp::now())
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Contents {
    tokens: Vec<Kept>,
}

/// The file of tokens, to be changed.
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
}

impl TokenFile {
    /// The file at this path, which may not exist.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Makes a token for a user, and gives it: nobody can see it again.
    ///
    /// # Errors
    /// The note is too long, there are too many tokens, or the file cannot be read or written.
    pub fn create(
        &self,
        user: &str,
        note: Option<&str>,
        expires: Option<Timestamp>,
    ) -> anyhow::Result<(String, Kept)> {
        if let Some(note) = note
            && (note.len() > LONGEST_NOTE || clean(note) != note)
        {
            bail!("the note must be plain text of {LONGEST_NOTE} bytes at most");
        }
        let _lock = private_file::lock(&self.path)?;
        let mut contents = self.contents()?.unwrap_or_default();
        if contents.tokens.len() >= MOST_TOKENS {
            bail!("there are {MOST_TOKENS} tokens; revoke some that are not in use");
        }
        let mut id = [0; ID_DIGITS / 2];
        let mut secret = [0; SECRET_BYTES];
        let random = SystemRandom::new();
        for bytes in [&mut id[..], &mut secret[..]] {
            random
                .fill(bytes)
                .map_err(|_| anyhow!("the system gives no random numbers"))?;
        }
        let id = hex(&id);
        let token = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        let kept = Kept {
            hash: hash(&token),
            id,
            user: user.to_owned(),
            created: Timestamp::now(),
            expires,
            note: note.map(str::to_owned),
        };
        contents.tokens.push(kept.clone());
        self.write(&contents)?;
        Ok((token, kept))
    }

    /// All tokens, the oldest first.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn list(&self) -> anyhow::Result<Vec<Kept>> {
        Ok(self.contents()?.unwrap_or_default().tokens)
    }

    /// Ends a token, named by its id or by itself; whether there was one. The file stays when it was the
    /// last, so that a server which needs tokens goes on to need them.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn revoke(&self, id: &str) -> anyhow::Result<bool> {
        let id = id_of(id).unwrap_or(id);
        let _lock = private_file::lock(&self.path)?;
        let mut contents = self.contents()?.unwrap_or_default();
        let before = contents.tokens.len();
        contents.tokens.retain(|token| token.id != id);
        if contents.tokens.len() == before {
            return Ok(false);
        }
        self.write(&contents)?;
        Ok(true)
    }

    fn contents(&self) -> anyhow::Result<Option<Contents>> {
        let Some(bytes) = private_file::read(&self.path, LONGEST_FILE)? else {
            return Ok(None);
        };
        let contents = serde_json::from_slice(&bytes);
        let contents = contents.with_context(|| {
            let path = self.path.display();
            format!("{path} is damaged; remove it, and make the tokens anew")
        })?;
        Ok(Some(contents))
    }

    fn write(&self, contents: &Contents) -> anyhow::Result<()> {
        private_file::replace(&self.path, &serde_json::to_vec_pretty(contents)?)?;
        Ok(())
    }
}

/// The tokens as a server knows them: the file, looked at again and again.
#[derive(Debug)]
pub(super) struct Tokens {
    file: TokenFile,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    looked: Option<Instant>,
    stamp: Option<Stamp>,
    tokens: Vec<Kept>,
    in_use: bool,
    unreadable: bool,
}

/// By what a file is told from the one that was there before: it is never changed, but replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    number: u64,
}

impl Tokens {
    /// The tokens of this file, which may not exist.
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let file = TokenFile::at(path);
        let stamp = stamp(&file.path);
        let contents = file.contents()?;
        let seen = Seen {
            looked: Some(Instant::now()),
            stamp,
            in_use: contents.is_some(),
            unreadable: false,
            tokens: contents.unwrap_or_default().tokens,
        };
        Ok(Self {
            file,
            seen: Mutex::new(seen),
        })
    }

    /// Whether calls need a token. Once they do, they do to the end of the process: a file that is gone
    /// must not open the door.
    pub(super) fn are_in_use(&self) -> bool {
        self.seen().in_use
    }

    /// Whose token it is, if it is good.
    pub(super) fn user_of(&self, token: &str) -> Option<String> {
        let id = id_of(token)?;
        let given = hash(token);
        let seen = self.seen();
        let kept = seen.tokens.iter().find(|kept| kept.id == id)?;
        let same = bool::from(kept.hash.as_bytes().ct_eq(given.as_bytes()));
        (same && !kept.has_expired()).then(|| kept.user.clone())
    }

    /// Whether the token of this id is still good.
    pub(super) fn is_good(&self, id: &str) -> bool {
        let seen = self.seen();
        let kept = seen.tokens.iter().find(|kept| kept.id == id);
        kept.is_some_and(|kept| !kept.has_expired())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.looked.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.look(&mut seen);
        }
        seen
    }

    fn look(&self, seen: &mut Seen) {
        let stamp = stamp(&self.file.path);
        seen.looked = Some(Instant::now());
        if stamp == seen.stamp && !seen.unreadable {
            return;
        }
        seen.stamp = stamp;
        // What is wrong may be mended without a change of the file itself, such as by chmod.
        let told = std::mem::take(&mut seen.unreadable);
        match self.file.contents() {
            Ok(contents) => {
                seen.in_use |= contents.is_some();
                seen.tokens = contents.unwrap_or_default().tokens;
            }
            // Which token is still good cannot be known, so none is.
            Err(error) => {
                if !told {
                    tracing::error!("no token is taken until this is mended: {error:#}");
                }
                seen.unreadable = true;
                seen.in_use = true;
                seen.tokens.clear();
            }
        }
    }
}

/// The id in a text that has the form of a token of ours.
pub(super) fn id_of(token: &str) -> Option<&str> {
    let (id, secret) = token.strip_prefix(PREFIX)?.split_once('_')?;
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && !secret.is_empty()).then_some(id)
}

fn hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

/// The bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(&metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some(Stamp {
        modified: metadata.modified().ok(),
        length: metadata.len(),
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> (tempfile::TempDir, TokenFile) {
        let folder = tempfile::tempdir().unwrap();
        let file = TokenFile::at(folder.path().join("tokens.json"));
        (folder, file)
    }

    #[test]
    fn a_token_stands_for_its_user_until_it_is_revoked() {
        let (_folder, file) = file();
        let (ann, kept) = file.create("ann", Some("phone"), None).unwrap();
        let (bob, _) = file.create("bob", None, None).unwrap();
        let tokens = Tokens::open(file.path.clone()).unwrap();
        assert_eq!(tokens.user_of(&ann).as_deref(), Some("ann"));
        assert_eq!(tokens.user_of(&bob).as_deref(), Some("bob"));
        assert!(file.revoke(&kept.id).unwrap());
        assert!(!file.revoke(&kept.id).unwrap());
        std::thread::sleep(LOOK_EVERY);
        assert_eq!(tokens.user_of(&ann), None);
        assert!(!tokens.is_good(&kept.id));
        assert_eq!(tokens.user_of(&bob).as_deref(), Some("bob"));
        // Named by itself, as who has leaked one does.
        assert!(file.revoke(&bob).unwrap());
        std::thread::sleep(LOOK_EVERY);
        assert_eq!(tokens.user_of(&bob), None);
        assert!(tokens.are_in_use());
    }

    #[test]
    fn no_token_is_in_the_file_and_none_is_like_another() {
        let (_folder, file) = file();
        let (one, _) = file.create("ann", None, None).unwrap();
        let (two, _) = file.create("ann", None, None).unwrap();
        assert_ne!(one, two);
        let kept = fs::read_to_string(&file.path).unwrap();
        for token in [&one, &two] {
            let secret = &token[PREFIX.len() + ID_DIGITS + 1..];
            assert_eq!(secret.len(), 43);
            assert!(!kept.contains(secret));
        }
    }

    #[test]
    fn whatever_is_not_exactly_the_token_is_nobodys() {
        let (_folder, file) = file();
        let (token, kept) = file.create("ann", None, None).unwrap();
        let tokens = Tokens::open(file.path.clone()).unwrap();
        let mut other = token.clone();
        let last = if other.pop() == Some('A') { 'B' } else { 'A' };
        other.push(last);
        for wrong in [
            String::new(),
            PREFIX.to_owned(),
            format!("{PREFIX}{}_", kept.id),
            format!("{PREFIX}{}_{}", kept.id, kept.hash),
            format!("{PREFIX}000000000000_{}", "A".repeat(43)),
            token.to_uppercase(),
            format!("{token}A"),
            other,
            kept.hash,
        ] {
            assert_eq!(tokens.user_of(&wrong), None, "{wrong}");
        }
        assert!(tokens.user_of(&token).is_some());
    }

    #[test]
    fn a_token_ends_when_its_time_is_over() {
        let (_folder, file) = file();
        let soon = Timestamp::now() + Duration::from_millis(600);
        let (token, kept) = file.create("ann", None, Some(soon)).unwrap();
        let tokens = Tokens::open(file.path.clone()).unwrap();
        assert!(tokens.user_of(&token).is_some());
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(tokens.user_of(&token), None);
        assert!(!tokens.is_good(&kept.id));
    }

    #[test]
    fn a_file_that_is_damaged_open_or_gone_lets_nobody_in() {
        let (_folder, file) = file();
        let (token, _) = file.create("ann", None, None).unwrap();
        let tokens = Tokens::open(file.path.clone()).unwrap();
        private_file::replace(&file.path, b"{\"tokens\": [").unwrap();
        std::thread::sleep(LOOK_EVERY);
        assert_eq!(tokens.user_of(&token), None);
        assert!(tokens.are_in_use());
        Tokens::open(file.path.clone()).unwrap_err();
        fs::remove_file(&file.path).unwrap();
        std::thread::sleep(LOOK_EVERY);
        assert!(tokens.are_in_use());
        // A server that starts without the file does not know that there was one.
        assert!(!Tokens::open(file.path.clone()).unwrap().are_in_use());
    }

    #[test]
    fn tokens_made_at_once_are_all_kept() {
        let (_folder, file) = file();
        let makers: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                std::thread::spawn(move || file.create("ann", None, None).unwrap())
            })
            .collect();
        for maker in makers {
            maker.join().unwrap();
        }
        assert_eq!(file.list().unwrap().len(), 8);
    }
}
