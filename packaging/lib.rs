//! What brings Segue to its users: the bundle for assistants, the entry in the MCP registry, and the install
//! guides. It makes files out of what is in the repository, and knows nothing of the program but where it is.

mod bundle;
mod guides;
mod packer;
mod registry;

use std::path::Path;

pub use bundle::{Bundle, STAGED_PROGRAM};
pub use guides::{Guide, Source};
pub use packer::Packer;

/// The folder of the repository.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
