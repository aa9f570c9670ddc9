//! Tracks by the rows they were chosen for, packed where they are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::Error as _, ser::Error as _};

use super::{Packed, Pick};

/// The tracks that the user's word gave to rows, by the place of the row. A few of these are a few
/// hundred bytes; a thousand have to fit beside all else that a batch takes along.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Picks(BTreeMap<u32, Pick>);

impl Picks {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Gives a track to a row.
    pub fn insert(&mut self, row: u32, pick: Pick) {
        self.0.insert(row, pick);
    }

    /// Those of the rows from one on, so many of them.
    pub fn of_page(&self, first: u32, rows: u32) -> Self {
        let page = self.0.range(first..first.saturating_add(rows));
        Self(page.map(|(row, pick)| (*row, pick.clone())).collect())
    }

    /// Takes in those of another page.
    pub fn extend(&mut self, page: Self) {
        self.0.extend(page.0);
    }

    /// The track of this row, if it has one.
    pub fn get(&self, row: u32) -> Option<&Pick> {
        self.0.get(&row)
    }
}

impl Serialize for Picks {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let packed = Packed::of(&self.0).map_err(S::Error::custom)?;
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Picks {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let packed = Packed::<BTreeMap<u32, Pick>>::deserialize(deserializer)?;
        packed.unpack().map(Self).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matching::MatchMethod, track::Candidate};

    #[test]
    fn they_are_the_same_after_they_were_packed() {
        let mut picks = Picks::default();
        for row in [3, 19_999] {
            picks.insert(
                row,
                Pick {
                    track: Candidate {
                        id: format!("{row:022}"),
                        ..Candidate::default()
                    },
                    confidence_score: 0.7,
                    match_method: MatchMethod::Review,
                },
            );
        }
        let json = serde_json::to_string(&picks).expect("written");
        let read: Picks = serde_json::from_str(&json).expect("read");
        assert_eq!(read, picks);
        assert!(read.get(3).is_some() && read.get(4).is_none());
        let page = read.of_page(0, 100);
        assert!(page.get(3).is_some() && page.get(19_999).is_none());
        assert!(serde_json::from_str::<Picks>("\"%\"").is_err());
    }
}
