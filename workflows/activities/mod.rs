//! The activities: every call of an upstream that a workflow makes, one method each.
//!
//! They share one [`GatedUpstream`], and each does at most one thing that has an effect. When an
//! attempt may be repeated, how often and how soon, is not theirs to say: the policy stands beside
//! the step in the workflow.

mod at_once;
mod attempt;
mod batch;
mod engine;
mod in_flight;
mod mcp;
mod model;
mod notice;
mod schedule;
mod search_at_once;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use self::{
    at_once::{Noted, Placing},
    attempt::{Attempted, FailedAttempt},
    batch::{
        BatchActivities, NewPlaylist, PageAdded, PagePlacement, PageSeen, PlaylistRead, SearchRows,
        Searched,
    },
    engine::{AskedBefore, EngineActivities, Recalled},
    mcp::{CallInSession, McpActivities, McpCall, McpSession, SessionActivities},
    model::{Disambiguate, Disambiguated, Invoke, ModelActivities, Payer},
    notice::NoticeActivities,
    schedule::{LettersRetried, ReadFile, ReadSource, ScheduleActivities},
    search_at_once::AtOnce,
};
pub(crate) use self::{attempt::KEEPING, mcp::Sessions};
use self::{
    attempt::{reading, writing},
    in_flight::InFlight,
};
use crate::{
    error::ErrorCode,
    matching::Query,
    track::Candidate,
    upstream::{GatedUpstream, Playlist, Presence, UpstreamError},
};

/// The activities, on one upstream server.
pub struct Activities {
    upstream: GatedUpstream,
    adds: InFlight,
    searches_at_once: Semaphore,
    stopping: CancellationToken,
}

impl Activities {
    /// The activities on this upstream, of a worker that ends when `stopping` is cancelled.
    pub fn new(upstream: GatedUpstream, stopping: CancellationToken) -> Self {
        Self {
            upstream,
            adds: InFlight::default(),
            searches_at_once: Semaphore::new(search_at_once::MOST),
            stopping,
        }
    }
}

/// A track and the playlist it is to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Spotify's URI of the track.
    pub track_uri: String,
    /// Where to look first: the offset of the entry that is, or would be, the track.
    #[serde(default)]
    pub look_from: u32,
    /// An add was tried before, and its answer may have been lost: look before adding, and give it time to arrive.
    #[serde(default)]
    pub tried_before: bool,
    /// Time has passed since the last look: somebody else may have added the track meanwhile.
    #[serde(default)]
    pub waited_before: bool,
    /// An add was acknowledged: it is to be taken out also where Spotify does not show it yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub acknowledged: bool,
}

impl Placement {
    /// The place in one word, to be alone at.
    fn key(&self) -> String {
        format!("{} {}", self.playlist_id, self.track_uri)
    }
}

/// What an add came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Added {
    /// This attempt added it.
    Now,
    /// An earlier attempt had, though its answer was lost.
    ByEarlierAttempt,
    /// Somebody else had, while the sync waited.
    BySomebodyElse,
}

/// The wait of a repeated add before it looks for what the attempt before it may have done. An
/// engine notices a killed process 1.6 to 8 s after its last heartbeat; with this and the 2 s
/// before a second attempt, a request whose answer was lost has 5 s at least to arrive.
const SETTLE: Duration = Duration::from_secs(2);

/// Time that a change needs at most: the bundled upstream gives up its HTTP request after 20 s. With
/// less than that left of its attempt none is begun, so that none outlives its attempt.
const CHANGE_NEEDS: Duration = Duration::from_secs(20);

/// What an undo came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOut {
    /// Whether there was anything to take out.
    pub was_there: bool,
}

impl Activities {
    /// Whether the track is in the playlist.
    async fn present(&self, place: &Placement) -> Result<Presence, UpstreamError> {
        self.upstream
            .contains(&place.playlist_id, &place.track_uri, place.look_from)
            .await
    }
}

#[activities]
impl Activities {
    /// Asks the upstream for candidates.
    #[activity(name = "search")]
    pub async fn search(
        self: Arc<Self>,
        ctx: ActivityContext,
        query: Query,
    ) -> Result<Attempted<Vec<Candidate>>, ActivityError> {
        reading(&ctx, &self.stopping, self.upstream.search(&query)).await
    }

    /// The same, for a task of the workflow's own to wait for.
    #[activity(name = "search_at_once")]
    pub async fn search_at_once(
        self: Arc<Self>,
        ctx: ActivityContext,
        query: Query,
    ) -> Result<Attempted<AtOnce>, ActivityError> {
        reading(&ctx, &self.stopping, self.found_at_once(&query)).await
    }

    /// Looks up the one playlist of this exact name.
    #[activity(name = "find_playlist")]
    pub async fn find_playlist(
        self: Arc<Self>,
        ctx: ActivityContext,
        name: String,
    ) -> Result<Attempted<Playlist>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let named: Vec<Playlist> = self
                .upstream
                .playlists()
                .await?
                .into_iter()
                .filter(|playlist| playlist.name == name)
                .collect();
            only_one(&name, named)
        })
        .await
    }

    /// Reads the user's playlists.
    #[activity(name = "list_playlists")]
    pub async fn list_playlists(
        self: Arc<Self>,
        ctx: ActivityContext,
    ) -> Result<Attempted<Vec<Playlist>>, ActivityError> {
        reading(&ctx, &self.stopping, self.upstream.playlists()).await
    }

    /// Looks whether the track is in the playlist, adds it if it is not, and sees it there.
    #[activity(name = "place")]
    pub async fn place(
        self: Arc<Self>,
        ctx: ActivityContext,
        place: Placement,
    ) -> Result<Attempted<Placing>, ActivityError> {
        self.all_at_once(&ctx, &place).await
    }

    /// Looks whether the track is in the playlist.
    #[activity(name = "look")]
    pub async fn look(
        self: Arc<Self>,
        ctx: ActivityContext,
        place: Placement,
    ) -> Result<Attempted<Presence>, ActivityError> {
        reading(&ctx, &self.stopping, self.present(&place)).await
    }

    /// Adds the track, unless an earlier attempt already did.
    #[activity(name = "add")]
    pub async fn add(
        self: Arc<Self>,
        ctx: ActivityContext,
        place: Placement,
    ) -> Result<Attempted<Added>, ActivityError> {
        let tried_before = place.tried_before || ctx.info().attempt > 1;
        // Up to here nothing is changed, so a cancellation may still drop it.
        let looked = reading(&ctx, &self.stopping, async {
            let alone = self.adds.alone_at(place.key()).await;
            let mut present = false;
            if tried_before || place.waited_before {
                if tried_before {
                    attempt::pause(SETTLE).await;
                }
                let seen = self.present(&place).await?;
                present = seen.present;
            }
            if present {
                return Ok((alone, None));
            }
            let leave = self.upstream.leave_to_change().await?;
            in_time(&ctx, "add")?;
            Ok((alone, Some(leave)))
        })
        .await?;
        let (_alone, leave) = looked.value;
        writing(&ctx, async {
            let Some(leave) = leave else {
                return Ok(match tried_before {
                    true => Added::ByEarlierAttempt,
                    false => Added::BySomebodyElse,
                });
            };
            self.upstream
                .add(leave, &place.playlist_id, &[&place.track_uri])
                .await?;
            Ok(Added::Now)
        })
        .await
    }

    /// Sees that the track is in the playlist; its absence is a failure to be tried again, because
    /// Spotify may show an add a moment late.
    #[activity(name = "verify")]
    pub async fn verify(
        self: Arc<Self>,
        ctx: ActivityContext,
        place: Placement,
    ) -> Result<Attempted<()>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let seen = self.present(&place).await?;
            if seen.present {
                return Ok(());
            }
            Err(UpstreamError::new(
                ErrorCode::NotVerified,
                "the upstream reported the track as added, but it is not in the playlist",
            ))
        })
        .await
    }

    /// Takes the track out of the playlist, if it is there.
    #[activity(name = "take_out")]
    pub async fn take_out(
        self: Arc<Self>,
        ctx: ActivityContext,
        place: Placement,
    ) -> Result<Attempted<TakenOut>, ActivityError> {
        writing(&ctx, async {
            let _alone = self.adds.alone_at(place.key()).await;
            if place.tried_before {
                // Time for an add whose answer was lost to arrive.
                attempt::pause(SETTLE).await;
            }
            let was_there = place.acknowledged || self.present(&place).await?.present;
            if was_there {
                let leave = self.upstream.leave_to_change().await?;
                in_time(&ctx, "remove")?;
                self.upstream
                    .remove(leave, &place.playlist_id, &[&place.track_uri])
                    .await?;
            }
            Ok(TakenOut { was_there })
        })
        .await
    }
}

/// Whether there is time left for a change.
fn in_time(ctx: &ActivityContext, change: &str) -> Result<(), UpstreamError> {
    if attempt::time_left(ctx) >= CHANGE_NEEDS {
        return Ok(());
    }
    Err(UpstreamError::new(
        ErrorCode::UpstreamUnavailable,
        format!("looking into the playlist took so long that no time was left to {change}"),
    ))
}

fn only_one(name: &str, named: Vec<Playlist>) -> Result<Playlist, UpstreamError> {
    match named.len() {
        0 => Err(UpstreamError::new(
            ErrorCode::PlaylistNotFound,
            format!("there is no playlist named {name:?}; the name must match exactly"),
        )),
        1 => named.into_iter().next().ok_or_else(|| {
            UpstreamError::new(ErrorCode::Internal, "a list of one had no first element")
        }),
        many => {
            let ids: Vec<_> = named.iter().take(10).map(|p| p.id.as_str()).collect();
            Err(UpstreamError::new(
                ErrorCode::PlaylistAmbiguous,
                format!("{many} playlists are named {name:?}: {}", ids.join(", ")),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playlist(id: &str) -> Playlist {
        Playlist {
            id: id.into(),
            name: "Mix".into(),
            writable: None,
            total_tracks: None,
        }
    }

    #[test]
    fn a_name_must_belong_to_exactly_one_playlist() {
        assert_eq!(only_one("Mix", vec![playlist("a")]), Ok(playlist("a")));
        let none = only_one("Mix", vec![]).expect_err("none");
        assert_eq!(none.code, ErrorCode::PlaylistNotFound);
        let two = only_one("Mix", vec![playlist("a"), playlist("b")]).expect_err("two");
        assert_eq!(two.code, ErrorCode::PlaylistAmbiguous);
        assert!(two.message.contains("a, b"), "{}", two.message);
    }
}
