//! What is remembered of the export from which a batch was read: what could not be, and on which line
//! each row stands.
//!
//! It is in the memo of the workflow from its start on, so that it can be read while the batch runs
//! without asking it. A memo is small: of the databases that an engine may stand on, MySQL keeps
//! 64 kB of it, of which the letters of 20,000 rows take half.

use serde::{Deserialize, Serialize};

use super::{NotPacked, Packed};
use crate::imports::{Format, UnreadableRow};

/// Bytes that the packed unreadable rows may have.
const MOST_UNREADABLE: usize = 20_000;
/// Bytes that the packed lines may have: 20,000 rows, most of which follow one another.
const MOST_LINES: usize = 8_000;
/// Unreadable rows that are packed at most, before it is seen how large they are.
const MOST_AT_FIRST: usize = 2_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// The form in which the file was read.
    pub format: Format,
    /// How many rows could not be read.
    pub unreadable: u32,
    /// The first of them, as many as there is room for.
    rows: Packed<Vec<UnreadableRow>>,
    /// How far the line of each row is from that of the row before it, if there is room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<Packed<Vec<i64>>>,
}

impl Imported {
    /// What is remembered of a file of this form, of whose rows these could not be read and the others
    /// stand on these lines.
    ///
    /// # Errors
    /// Never, unless rows have no form in JSON.
    pub fn new(
        format: Format,
        unreadable: &[UnreadableRow],
        lines: &[u32],
    ) -> Result<Self, NotPacked> {
        let steps: Vec<i64> = [0]
            .iter()
            .chain(lines)
            .zip(lines)
            .map(|(before, line)| i64::from(*line) - i64::from(*before))
            .collect();
        let steps = Packed::of(&steps)?;
        Ok(Self {
            format,
            unreadable: u32::try_from(unreadable.len()).unwrap_or(u32::MAX),
            rows: first_of(unreadable)?,
            steps: Some(steps).filter(|steps| steps.size() <= MOST_LINES),
        })
    }

    /// The first rows that could not be read.
    ///
    /// # Errors
    /// They were not packed by [`Imported::new`].
    pub fn rows(&self) -> Result<Vec<UnreadableRow>, NotPacked> {
        self.rows.unpack()
    }

    /// The lines of the rows, in the order of the source; nothing if they are not known.
    ///
    /// # Errors
    /// They were not packed by [`Imported::new`].
    pub fn lines(&self) -> Result<Vec<u32>, NotPacked> {
        let Some(steps) = &self.steps else {
            return Ok(Vec::new());
        };
        let mut line = 0_i64;
        let steps = steps.unpack()?.into_iter();
        Ok(steps
            .map(|step| {
                line = line.saturating_add(step);
                u32::try_from(line).unwrap_or_default()
            })
            .collect())
    }
}

/// As many of the rows as there is room for.
fn first_of(rows: &[UnreadableRow]) -> Result<Packed<Vec<UnreadableRow>>, NotPacked> {
    let mut most = rows.len().min(MOST_AT_FIRST);
    loop {
        let packed = Packed::of(&rows[..most].to_vec())?;
        if packed.size() <= MOST_UNREADABLE {
            return Ok(packed);
        }
        // A little less than would fit, if all rows were packed alike.
        most = most * MOST_UNREADABLE / packed.size() * 9 / 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u32, text: String) -> UnreadableRow {
        UnreadableRow {
            line,
            playlist: None,
            text,
            reason: "It has no title.".to_owned(),
        }
    }

    #[test]
    fn lines_and_rows_are_kept_as_they_were() {
        let rows = vec![row(3, "a".to_owned()), row(9, "b".to_owned())];
        // Of two playlists in a file without lines, the second begins anew.
        let lines = vec![2, 4, 5, 1, 2, 70];
        let kept = Imported::new(Format::Json, &rows, &lines).expect("packed");
        let written = serde_json::to_string(&kept).expect("written");
        let read: Imported = serde_json::from_str(&written).expect("read");
        assert_eq!((read.rows(), read.lines()), (Ok(rows), Ok(lines)));
        let nothing = Imported::new(Format::Csv, &[], &[]).expect("packed");
        assert_eq!((nothing.rows(), nothing.lines()), (Ok(vec![]), Ok(vec![])));
    }

    #[test]
    fn a_memo_has_room_for_it_whatever_the_file() {
        // Numbers without a pattern, so that nothing is packed well.
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let rows: Vec<UnreadableRow> = (0..50_000)
            .map(|n| row(n, (0..12).map(|_| format!("{:010}", next())).collect()))
            .collect();
        let wild: Vec<u32> = (0..20_000).map(|_| next() as u32).collect();
        let kept = Imported::new(Format::Csv, &rows, &wild).expect("packed");
        assert_eq!(kept.unreadable, 50_000);
        let some = kept.rows().expect("unpacked");
        assert!((100..50_000).contains(&some.len()), "{}", some.len());
        assert_eq!(some, rows[..some.len()]);
        assert_eq!(kept.lines(), Ok(vec![]), "they are left out");
        assert!(serde_json::to_string(&kept).expect("written").len() < 29_000);

        // Of an ordinary file all lines are kept: here every tenth row or so could not be read.
        let mut line = 1;
        let usual: Vec<u32> = (0..20_000)
            .map(|_| {
                line += 1 + u32::from(next() % 10 == 0);
                line
            })
            .collect();
        let kept = Imported::new(Format::Csv, &[], &usual).expect("packed");
        assert_eq!(kept.lines(), Ok(usual));
    }
}
