//! What became of the rows of a batch, one by one and counted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Its turn has not come.
    Pending,
    /// The track was added.
    Added,
    /// In a dry run: it would be.
    WouldAdd,
    /// The very track was in the playlist before.
    AlreadyThere,
    /// The same recording or song was in the playlist before, under another id.
    AlreadyThereAsAnother,
    /// The same row, or another that came to the same song, stands before it in the source.
    Repeated,
    /// There is a possible match, and none that is good enough.
    Uncertain,
    /// There are possible matches, and the user is asked which it is.
    WaitingForReview,
    /// The user said that none of the possible matches is it.
    Declined,
    /// Spotify has no such track.
    NotFound,
    /// It could not be searched or added, or not be taken out again.
    Failed,
    /// It had been added, and was taken out again.
    TakenOut,
}

impl Fate {
    /// All, with the letter by which a history names each.
    const LETTERS: [(Self, char); 12] = [
        (Self::Pending, '.'),
        (Self::Added, '+'),
        (Self::WouldAdd, 'w'),
        (Self::AlreadyThere, '='),
        (Self::AlreadyThereAsAnother, '~'),
        (Self::Repeated, 'r'),
        (Self::Uncertain, '?'),
        (Self::WaitingForReview, 'v'),
        (Self::Declined, 'n'),
        (Self::NotFound, '0'),
        (Self::Failed, '!'),
        (Self::TakenOut, '-'),
    ];

    /// The letter by which a history names it.
    pub fn letter(self) -> char {
        let known = Self::LETTERS.iter().find(|(fate, _)| *fate == self);
        known.map_or('.', |(_, letter)| *letter)
    }

    /// Whether a track that the user wanted is missing for good.
    pub(crate) fn is_miss(self) -> bool {
        matches!(
            self,
            Self::Uncertain | Self::Declined | Self::NotFound | Self::Failed
        )
    }

    /// The fate of this letter.
    pub fn of_letter(letter: char) -> Self {
        let known = Self::LETTERS.iter().find(|(_, known)| *known == letter);
        known.map_or(Self::Pending, |(fate, _)| *fate)
    }
}

/// How many rows came to what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Rows of the source.
    pub total: u32,
    /// Added to the playlist.
    pub added: u32,
    /// In a dry run: would be added.
    pub would_add: u32,
    /// In the playlist before, also as the same song under another id.
    pub already_there: u32,
    /// Repeated in the source.
    pub repeated: u32,
    /// With a possible match, and none that is good enough.
    pub uncertain: u32,
    /// Waiting for the user's word in a review.
    #[serde(default)]
    pub waiting_for_review: u32,
    /// None of the possible matches was right, as the user said.
    #[serde(default)]
    pub declined: u32,
    /// Not on Spotify.
    pub not_found: u32,
    /// Could not be searched or added.
    pub failed: u32,
    /// Added, and taken out again.
    pub taken_out: u32,
    /// Not done yet, or never, if the batch ended before.
    pub pending: u32,
}

impl Counts {
    /// Rows whose track is not in the playlist.
    pub fn missed(&self) -> u32 {
        self.uncertain
            + self.waiting_for_review
            + self.declined
            + self.not_found
            + self.failed
            + self.taken_out
            + self.pending
    }

    /// Counts the letters of the rows that are done.
    pub fn of(total: u32, fates: &str) -> Self {
        let mut counts = Self {
            total,
            ..Self::default()
        };
        let mut done = 0;
        for letter in fates.chars() {
            let count = match Fate::of_letter(letter) {
                Fate::Pending => continue,
                Fate::Added => &mut counts.added,
                Fate::WouldAdd => &mut counts.would_add,
                Fate::AlreadyThere | Fate::AlreadyThereAsAnother => &mut counts.already_there,
                Fate::Repeated => &mut counts.repeated,
                Fate::Uncertain => &mut counts.uncertain,
                Fate::WaitingForReview => &mut counts.waiting_for_review,
                Fate::Declined => &mut counts.declined,
                Fate::NotFound => &mut counts.not_found,
                Fate::Failed => &mut counts.failed,
                Fate::TakenOut => &mut counts.taken_out,
            };
            *count += 1;
            done += 1;
        }
        counts.pending = total.saturating_sub(done);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fate_has_a_letter_of_its_own() {
        for (fate, letter) in Fate::LETTERS {
            assert_eq!((fate.letter(), Fate::of_letter(letter)), (letter, fate));
        }
    }

    #[test]
    fn counts_add_up_to_the_total() {
        let counts = Counts::of(14, "++=~r?0!-w.vn");
        assert_eq!((counts.added, counts.already_there), (2, 2));
        assert_eq!((counts.waiting_for_review, counts.declined), (1, 1));
        assert_eq!(counts.pending, 2, "one that is named, and one that is not");
        let Counts {
            total,
            added,
            would_add,
            already_there,
            repeated,
            ..
        } = counts;
        let there = added + would_add + already_there + repeated;
        assert_eq!(there + counts.missed(), total);
    }
}
