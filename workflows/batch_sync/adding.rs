//! The part of a batch that changes the playlist: pages go in, and out again if it was to be all or nothing.

use std::collections::BTreeSet;

use temporalio_sdk::{WorkflowCancellationToken, WorkflowContext};

use super::{BatchSync, CHANGE};
use crate::{
    activities::{BatchActivities, PagePlacement},
    batch::{Fate, Phase, Pick, ROWS_A_PAGE},
    error::{ErrorCode, SyncError},
    names,
    place_page::{PagePlaced, PlacePage, PlacePageInput},
    step::{StepFailure, run_step},
    turn::{of_child, start_in_turn},
};

/// Entries that Spotify allows in a playlist.
const PLAYLIST_HOLDS: u32 = 10_000;

/// Characters of one of Spotify's ids.
const ID_LENGTH: usize = 22;

impl BatchSync {
    /// Adds what is to be added of these rows of a page, when its turn has come.
    pub(super) async fn place(
        ctx: &WorkflowContext<Self>,
        page: u32,
        rows: &[u32],
        fates: &mut [Fate],
        picks: &[(usize, Pick)],
    ) -> Result<(), StepFailure> {
        let picks = ctx.state_mut(|batch| batch.what_fits(page, fates, picks));
        let (options, input) = ctx.state(|batch| {
            let input = PlacePageInput {
                playlist_id: batch.so_far.playlist_id.clone(),
                track_uris: picks
                    .iter()
                    .map(|(_, pick)| pick.track.uri.clone())
                    .collect(),
                from: batch.so_far.entries,
                add_duplicates: batch.input.options.add_duplicates,
                look_first: true,
            };
            (batch.input.options, input)
        });
        let in_vain = options.atomic
            && (fates.iter().any(|fate| fate.is_miss()) || ctx.state(Self::has_missed));
        if options.dry_run || picks.is_empty() || in_vain {
            return Ok(());
        }
        let id = names::place_page_id(&input.playlist_id);
        let started = start_in_turn(ctx, || PlacePage::run, &input, &id, None).await?;
        ctx.state_mut(|batch| batch.placing = Some(id));
        let placed = started.result().await;
        ctx.state_mut(|batch| batch.placing = None);
        let placed = placed.map_err(|error| {
            ctx.state_mut(|batch| batch.so_far.unsure = true);
            of_child(&error)
        })?;
        for ((place, _), letter) in picks.iter().zip(placed.fates.chars()) {
            fates[*place] = Fate::of_letter(letter);
        }
        ctx.state_mut(|batch| batch.take_in((page, rows), &placed, picks));
        match placed.error {
            _ if placed.cancelled => Err(StepFailure::Cancelled { tried: true }),
            // One that is about the playlist, and not about a track, would meet every page.
            Some(error) if !is_about_a_track(&error) => Err(StepFailure::Failed(error)),
            _ => Ok(()),
        }
    }

    /// Those of the tracks for which the playlist has room; the others have failed.
    fn what_fits<'a>(
        &mut self,
        page: u32,
        fates: &mut [Fate],
        picks: &'a [(usize, Pick)],
    ) -> &'a [(usize, Pick)] {
        let room = PLAYLIST_HOLDS.saturating_sub(self.so_far.entries) as usize;
        let (fitting, too_many) = picks.split_at(room.min(picks.len()));
        if !too_many.is_empty() && !self.input.options.dry_run {
            for (place, _) in too_many {
                fates[*place] = Fate::Failed;
            }
            let full = format!(
                "the playlist is full: Spotify allows {PLAYLIST_HOLDS} songs in one; sync the rest to another"
            );
            let full = SyncError::new(ErrorCode::InvalidRequest, full);
            self.so_far.page_errors.push((page, full));
        }
        fitting
    }

    /// Takes in what came of a page in the playlist.
    fn take_in(
        &mut self,
        (page, rows): (u32, &[u32]),
        placed: &PagePlaced,
        picks: &[(usize, Pick)],
    ) {
        let so_far = &mut self.so_far;
        so_far.entries = placed.entries;
        so_far.known.merge_but(&placed.known, &so_far.ours);
        so_far.retry_count += placed.retries;
        so_far.unsure |= placed.unsure;
        if let Some(error) = &placed.error {
            so_far.page_errors.push((page, error.clone()));
        }
        if self.input.options.atomic {
            for ((place, pick), letter) in picks.iter().zip(placed.fates.chars()) {
                if Fate::of_letter(letter) == Fate::Added {
                    so_far.added.push_str(&pick.track.id);
                    so_far.added_rows.extend(rows.get(*place));
                }
            }
        }
    }

    /// Whether what was added is to be taken out again.
    pub(super) fn is_to_be_undone(&self, ended_well: bool) -> bool {
        let something_missed = !ended_well || self.has_missed();
        self.input.options.atomic && something_missed && !self.so_far.added.is_empty()
    }

    /// Takes out what was added, the last first.
    pub(super) async fn undo(ctx: &WorkflowContext<Self>) {
        Self::enter(ctx, Phase::Undo);
        // A token of its own, or the undo would be cancelled with the rest.
        let token = WorkflowCancellationToken::new();
        let (playlist_id, added, rows) = ctx.state(|batch| {
            let so_far = &batch.so_far;
            let (added, rows) = (so_far.added.clone(), so_far.added_rows.clone());
            (so_far.playlist_id.clone(), added, rows)
        });
        let ids: Vec<String> = added
            .as_bytes()
            .chunks(ID_LENGTH)
            .map(|id| format!("spotify:track:{}", String::from_utf8_lossy(id)))
            .collect();
        // An older build kept no rows.
        let rows = Some(rows).filter(|rows| rows.len() == ids.len());
        let mut rows = rows.as_deref().unwrap_or_default().rchunks(ROWS_A_PAGE);
        for track_uris in ids.rchunks(ROWS_A_PAGE) {
            let activity = || BatchActivities::take_out_page;
            let taken = run_step(ctx, CHANGE, &token, activity, |_| {
                PagePlacement::to_take_out(playlist_id.clone(), track_uris.to_vec())
            })
            .await;
            let rows = rows.next().unwrap_or_default();
            if let Err(StepFailure::Failed(error)) = taken {
                ctx.state_mut(|batch| batch.miss(rows, &error));
                ctx.state_mut(|batch| batch.so_far.undo_error = Some(error));
                return;
            }
            ctx.state_mut(|batch| {
                for row in rows {
                    batch.set_fate(*row, Fate::TakenOut);
                }
            });
        }
        ctx.state_mut(|batch| {
            let taken_out = Fate::TakenOut.letter().to_string();
            let so_far = &mut batch.so_far;
            so_far.fates = so_far.fates.replace(Fate::Added.letter(), &taken_out);
            so_far.added.clear();
            so_far.added_rows.clear();
        });
    }

    /// The tracks of these rows may still be in the playlist: a retry looks for them.
    fn miss(&mut self, rows: &[u32], error: &SyncError) {
        let mut error = error.clone();
        error.message = format!(
            "it may still be in the playlist, for taking it out again failed: {}",
            error.message
        );
        let pages: BTreeSet<u32> = rows.iter().map(|row| row / ROWS_A_PAGE as u32).collect();
        for row in rows {
            self.set_fate(*row, Fate::Failed);
        }
        // Before what else a page has met: it is these rows' own reason.
        let errors = pages.into_iter().map(|page| (page, error.clone()));
        self.so_far.page_errors.splice(0..0, errors);
    }
}

fn is_about_a_track(error: &SyncError) -> bool {
    matches!(
        error.code,
        ErrorCode::InvalidRequest | ErrorCode::NotVerified
    )
}
