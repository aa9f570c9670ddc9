//! What is to become of the rows of a page that has been searched.

use temporalio_sdk::WorkflowContext;

use super::BatchSync;
use crate::batch::{BatchOptions, Fate, Found, OnAmbiguous, Pick, Row, SoFar, There};

impl BatchSync {
    /// What is to become of each row, and what is to be added: the places of the rows in the page, and
    /// their tracks.
    pub(super) fn decide(
        ctx: &WorkflowContext<Self>,
        rows: &[Row],
    ) -> (Vec<Fate>, Vec<(usize, Pick)>) {
        ctx.state_mut(|batch| {
            let options = batch.input.options;
            let mut picks = Vec::new();
            let mut fates = Vec::new();
            for (place, row) in rows.iter().enumerate() {
                let picked = pick_of(&row.found, &options).map_err(|fate| match fate {
                    Fate::WaitingForReview if !batch.may_ask() => Fate::Uncertain,
                    fate => fate,
                });
                if picked == Err(Fate::WaitingForReview) {
                    batch.so_far.asked += 1;
                }
                let fate = match picked {
                    Err(fate) => fate,
                    Ok(pick) => batch.so_far.take(pick, &options).unwrap_or_else(|fate| {
                        picks.push((place, pick.clone()));
                        fate
                    }),
                };
                fates.push(fate);
            }
            (fates, picks)
        })
    }
}

impl SoFar {
    /// What becomes of a row with this track without anything being added; an error, with its fate
    /// until then, if the track is to be added.
    pub(super) fn take(&mut self, pick: &Pick, options: &BatchOptions) -> Result<Fate, Fate> {
        match self.meets(pick) {
            Some(fate) if !options.add_duplicates => Ok(fate),
            _ => {
                self.ours.remember(&pick.track);
                Err(match options.dry_run {
                    true => Fate::WouldAdd,
                    false => Fate::Pending,
                })
            }
        }
    }

    /// How the track is met again: earlier in this batch, or in the playlist.
    fn meets(&self, pick: &Pick) -> Option<Fate> {
        if self.ours.look_for(&pick.track).is_some() {
            return Some(Fate::Repeated);
        }
        Some(match self.known.look_for(&pick.track)? {
            There::Track => Fate::AlreadyThere,
            There::Recording | There::Song => Fate::AlreadyThereAsAnother,
        })
    }
}

/// The track to take for a row, or what becomes of a row that has none.
fn pick_of<'a>(found: &'a Found, options: &BatchOptions) -> Result<&'a Pick, Fate> {
    match (found, options.on_ambiguous) {
        (Found::Match(pick), _) => Ok(pick),
        (Found::Unsure(picks), OnAmbiguous::Best) => picks.first().ok_or(Fate::NotFound),
        // A dry run asks nobody.
        (Found::Unsure(_), OnAmbiguous::Review) if !options.dry_run => Err(Fate::WaitingForReview),
        // What the model has decided is a match by now.
        (Found::Unsure(_), OnAmbiguous::Skip | OnAmbiguous::Review | OnAmbiguous::Ai) => {
            Err(Fate::Uncertain)
        }
        (Found::Nothing, _) => Err(Fate::NotFound),
        (Found::Declined, _) => Err(Fate::Declined),
        (Found::Failed(_), _) => Err(Fate::Failed),
        (Found::Repeated, _) => Err(Fate::Repeated),
    }
}
