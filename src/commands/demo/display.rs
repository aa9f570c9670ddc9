//! The display: a block of lines that is drawn over itself on a terminal, or a line a change.

use std::io::{self, IsTerminal, Write};

/// Where the demo is shown.
pub(super) struct Display {
    moves: bool,
    shown: Vec<String>,
}

impl Display {
    /// On a terminal the block moves, unless it is to be plain.
    pub(super) fn new(plain: bool) -> Self {
        Self {
            moves: !plain && io::stdout().is_terminal(),
            shown: Vec::new(),
        }
    }

    /// A line that stays; the block starts anew below it.
    pub(super) fn say(&mut self, line: &str) -> io::Result<()> {
        self.shown.clear();
        crate::output::line(line)
    }

    /// The block as it is now.
    pub(super) fn show(&mut self, block: Vec<String>) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.moves {
            if !self.shown.is_empty() {
                // Up to the first line of the block; each line is cleared as it is drawn.
                write!(stdout, "\x1b[{}A", self.shown.len())?;
            }
            for line in &block {
                writeln!(stdout, "\x1b[2K{line}")?;
            }
        } else {
            for (at, line) in block.iter().enumerate() {
                if self.shown.get(at) != Some(line) {
                    writeln!(stdout, "{line}")?;
                }
            }
        }
        stdout.flush()?;
        self.shown = block;
        Ok(())
    }
}
