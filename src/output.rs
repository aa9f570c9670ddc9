//! What a command says on stdout. `serve` and `spotify` say nothing there: it is the protocol's.

use std::io::{self, Write};

/// Writes a line and sends it off at once.
///
/// # Errors
/// Nobody reads.
pub(crate) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}
