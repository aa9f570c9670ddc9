//! What the engine keeps of our work is sealed: inputs, results, memos, failures and heartbeats are
//! encrypted before they leave the process. The key lies in the home, for its owner alone.
//!
//! The managed engine listens on a loopback port without authentication, so that another user of the
//! machine could ask it for everything it has. With the key elsewhere, what they get says nothing.

mod codec;
pub mod keys;

use std::path::PathBuf;

use temporalio_common::data_converters::{
    DataConverter, DefaultFailureConverter, PayloadConverter,
};

use self::{codec::Codec, keys::KeyFile};
use crate::{engine::EngineKind, home::Home};

/// Whether payloads are encrypted, and by which keys.
#[derive(Debug, Clone, Default)]
pub struct Sealing {
    /// Whether they are. Unset: on the managed engine they are, on an external one if `key_file` is set.
    pub encrypt: Option<bool>,
    /// The file with the keys. Unset: the home's.
    pub key_file: Option<PathBuf>,
}

impl Sealing {
    /// The file with the keys.
    #[must_use]
    pub fn keys(&self, home: &Home) -> KeyFile {
        let path = self.key_file.clone();
        KeyFile::at(path.unwrap_or_else(|| home.payload_keys_file()))
    }

    /// Whether payloads are encrypted on this kind of engine.
    #[must_use]
    pub fn encrypts(&self, kind: EngineKind) -> bool {
        self.encrypt.unwrap_or(match kind {
            EngineKind::Managed => true,
            EngineKind::External => self.key_file.is_some(),
        })
    }

    /// What turns values into what the engine keeps, and back. What was sealed before can be read as long
    /// as its key is in the file, also when nothing more is sealed.
    ///
    /// A key is made for the managed engine if there is none. For an external one it must be there: each
    /// of several machines would make its own.
    ///
    /// # Errors
    /// The keys cannot be read or made.
    pub fn converter(&self, home: &Home, kind: EngineKind) -> anyhow::Result<DataConverter> {
        let encrypts = self.encrypts(kind);
        let file = self.keys(home);
        let keys = match (encrypts, kind) {
            (true, EngineKind::Managed) => file.read_or_create()?,
            (true, EngineKind::External) => file.read_some()?,
            (false, _) => file.read()?,
        };
        Ok(DataConverter::new(
            PayloadConverter::default(),
            // A failure's message and trace are payloads, too, or they would stay readable.
            DefaultFailureConverter::new(encrypts),
            Codec::new(file, keys, encrypts),
        ))
    }
}
