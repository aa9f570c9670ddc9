//! Looking, adding and seeing in one attempt: three steps at the price of one, when nothing is in the way.
//!
//! What makes them three is that each must not be forgotten when the process is killed: an add may be undone only if
//! the track is known to have been absent before. Here the engine is told that in a heartbeat, and has it on its disk
//! before the add begins. If the attempt is lost, the engine hands the heartbeat to the workflow.
//!
//! It is not tried again. Whatever is in the way, the workflow goes on from there step by step.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use temporalio_client::{ActivityIdentifier, RpcOptions};
use temporalio_common::protos::TaskToken;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::time::Instant;

use super::{
    Activities, Placement,
    attempt::{Attempted, HEARTBEAT, now, reading, since, writing_on},
};
use crate::{
    gate::Pass,
    upstream::{Presence, UpstreamError},
};

/// Time for the look and for the leave to add. Within it no heartbeat of the SDK's has been sent, and so none can
/// overtake the one that is a note; a playlist that takes longer to look through is added to in a step of its own.
const QUICK: Duration = Duration::from_millis(800);
const _: () = assert!(QUICK.as_millis() < HEARTBEAT.as_millis());

/// Time for the engine to keep the note.
const NOTING: Duration = Duration::from_secs(3);

/// Time in which an add that is done sees its track. Beyond that the look is a step of its own, with attempts of its
/// own.
const SEEING: Duration = Duration::from_secs(5);

/// What is known before the add begins: the track is absent. Another field needs a default: a note that cannot be read
/// counts as none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noted {
    /// Offset of the entry that the add makes.
    pub end: u32,
}

/// How far one attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "came_to")]
pub enum Placing {
    /// The track was in the playlist before.
    AlreadyThere,
    /// It was not, and is not now: the look took long, or leave to add was not to be had at once.
    Absent {
        /// Offset of the entry that an add makes.
        end: u32,
    },
    /// It was not, and whether the add has happened is not known.
    Tried {
        /// Offset of the entry that the add makes.
        end: u32,
    },
    /// It was not, and was added, but was not seen at once.
    Added {
        /// Offset of the entry that the add has made.
        end: u32,
    },
    /// It was not, and was added, and seen.
    Seen {
        /// Offset of its entry.
        end: u32,
    },
}

impl Activities {
    /// Looks, and adds what is absent, and sees it there.
    pub(super) async fn all_at_once(
        &self,
        ctx: &ActivityContext,
        place: &Placement,
    ) -> Result<Attempted<Placing>, ActivityError> {
        // An operator may have it begun anew.
        if let Ok(Some(Noted { end })) = ctx.heartbeat_details().deserialize() {
            let (value, attempt) = (Placing::Tried { end }, ctx.info().attempt);
            return Ok(Attempted { value, attempt });
        }
        let (begun, begun_at) = (Instant::now(), now());
        let looked = reading(ctx, &self.stopping, async {
            let alone = self.adds.alone_at(place.key()).await;
            let seen = self.present(place).await?;
            let leave = match seen.present {
                true => None,
                false => {
                    self.leave_within(QUICK.saturating_sub(begun.elapsed()))
                        .await
                }
            };
            Ok((alone, seen, leave))
        })
        .await?;
        let ((_alone, seen, leave), attempt) = (looked.value, looked.attempt);
        let came_to = |value| Ok(Attempted { value, attempt });
        if seen.present {
            return came_to(Placing::AlreadyThere);
        }
        let end = seen.total.unwrap_or(0);
        let Some(leave) = leave.filter(|_| begun.elapsed() < HEARTBEAT) else {
            return came_to(Placing::Absent { end });
        };
        match note(ctx, Noted { end }).await {
            // A process that was frozen meanwhile is taken for lost, and another may be adding.
            Note::Kept if since(begun_at) > QUICK + NOTING => {
                return came_to(Placing::Absent { end });
            }
            Note::Kept => {}
            Note::Cancelled => return Err(ActivityError::cancelled()),
            Note::Unsure => return came_to(Placing::Absent { end }),
        }
        writing_on(ctx, || Noted { end }, self.add_and_see(leave, place, end)).await
    }

    /// Leave to add, if it is to be had in this time.
    async fn leave_within(&self, time: Duration) -> Option<Pass> {
        if time.is_zero() {
            return None;
        }
        let leave = tokio::time::timeout(time, self.upstream.leave_to_change());
        leave.await.ok()?.ok()
    }

    async fn add_and_see(
        &self,
        leave: Pass,
        place: &Placement,
        end: u32,
    ) -> Result<Placing, UpstreamError> {
        let track = [&*place.track_uri];
        match self.upstream.add(leave, &place.playlist_id, &track).await {
            Ok(()) => {}
            // A refusal is an answer; of a failure nobody knows what happened before it.
            Err(error) if error.may_have_happened() && error.code.is_retryable() => {
                return Ok(Placing::Tried { end });
            }
            Err(error) => return Err(error),
        }
        let added = Placement {
            look_from: end,
            ..place.clone()
        };
        let seen = tokio::time::timeout(SEEING, self.present(&added)).await;
        Ok(match seen {
            Ok(Ok(Presence { present: true, .. })) => Placing::Seen { end },
            // Whatever else comes of this look: the add itself is done.
            _ => Placing::Added { end },
        })
    }
}

/// What became of a note.
enum Note {
    /// The engine has it.
    Kept,
    /// The engine has it, and says that the work is cancelled.
    Cancelled,
    /// The engine may not have it.
    Unsure,
}

/// Tells the engine, and waits for its answer: the SDK's own heartbeats go out at some time, and unheard.
async fn note(ctx: &ActivityContext, noted: Noted) -> Note {
    let token = TaskToken::from(ctx.info().task_token.clone());
    let activity = ActivityIdentifier::from_task_token(token);
    let handle = ctx.client().get_async_activity_handle(activity);
    let told = handle.heartbeat(Some(noted), RpcOptions::default());
    match tokio::time::timeout(NOTING, told).await {
        Ok(Ok(answer)) if answer.cancel_requested => Note::Cancelled,
        Ok(Ok(_)) => Note::Kept,
        Ok(Err(_)) | Err(_) => Note::Unsure,
    }
}
