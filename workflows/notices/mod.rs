//! The words of a notice: what the user is told of, who is told, and in what form.
//!
//! An [`Event`] is handed to a workflow of its own ([`Notice`](crate::notice::Notice)) and needs nothing of the sync
//! any more: whether anybody takes it, and when, is no concern of the sync's. [`body`] says it in the form that
//! the receiver reads, [`signature`] signs it, and [`webhook`] sends it.

mod body;
mod outage;
mod signature;
mod webhook;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_common::search_attributes::SearchAttributes;
use temporalio_sdk::{
    ChildWorkflowCancellationType, ChildWorkflowOptions, ParentClosePolicy,
    WorkflowCancellationToken, WorkflowContext, WorkflowIdReusePolicy,
};

pub(crate) use self::outage::{Account, tell_of_sign_in};
pub use self::{
    body::Form,
    webhook::{Answer, Receiver, Webhook},
};
use crate::{
    batch::{BatchOutcome, Counts},
    error::{ErrorCode, SyncError},
    names,
    notice::{LONGEST_LIFE, Notice},
    step::now,
    sync::{SyncInput, SyncStatus},
    track::SourceTrack,
};

/// Something that the user is told of. It is kept in the history, and is sent as it stands: it holds no secret,
/// and it may only grow by fields with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its id, the same however often it is sent. It is the id of its workflow as well, or begins with it.
    pub id: String,
    /// When it happened.
    pub time: Timestamp,
    /// Whom it is about.
    pub user: String,
    /// The sync that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
    /// What happened and what to do, for people to read.
    pub message: String,
    /// What happened, for programs to read.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum What {
    /// A batch has ended.
    #[serde(rename = "batch.ended")]
    BatchEnded {
        /// `completed`, `cancelled` or `failed`.
        status: SyncStatus,
        /// Whether every row is in the playlist now, was there, or is a repetition.
        success: bool,
        /// It only looked, and changed nothing.
        dry_run: bool,
        /// The playlist, as the user named it.
        playlist: String,
        /// How many rows came to what.
        counts: Counts,
        /// Why it failed as a whole.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<SyncError>,
    },
    /// A sync ran out of attempts, and is kept until somebody decides.
    #[serde(rename = "sync.dead_lettered")]
    DeadLettered {
        /// The playlist, as the user named it.
        playlist: String,
        /// The song.
        track: Song,
        /// Why.
        error: SyncError,
    },
    /// The user is asked which track is meant.
    #[serde(rename = "review.waiting")]
    ReviewWaiting {
        /// How many tracks are asked about.
        reviews: u32,
        /// Until when the last of them waits.
        until: Timestamp,
        /// The playlist: its id, or its name.
        playlist: String,
        /// The song, if the sync is of one alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        track: Option<Song>,
    },
    /// The sign-in is missing, expired or revoked: nothing goes on before somebody signs in.
    #[serde(rename = "sign_in.needed")]
    SignInNeeded {
        /// What the upstream said.
        error: SyncError,
    },
    /// Nothing: somebody tries whether notices arrive.
    #[serde(rename = "ping")]
    Ping {},
}

/// A song, by what its user calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Song {
    /// The title.
    pub title: String,
    /// The artist, or all artists as the source joins them.
    pub artist: String,
}

impl From<&SourceTrack> for Song {
    fn from(track: &SourceTrack) -> Self {
        Self {
            title: track.title.clone(),
            artist: track.artist.clone(),
        }
    }
}

impl What {
    /// Its name, as receivers see it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::BatchEnded { .. } => "batch.ended",
            Self::DeadLettered { .. } => "sync.dead_lettered",
            Self::ReviewWaiting { .. } => "review.waiting",
            Self::SignInNeeded { .. } => "sign_in.needed",
            Self::Ping {} => "ping",
        }
    }
}

impl Event {
    /// A sync of one song ran out of attempts.
    pub(crate) fn dead_lettered(
        time: Timestamp,
        sync_id: &str,
        sync: &SyncInput,
        error: &SyncError,
    ) -> Self {
        let track = Song::from(&sync.track);
        let message = format!(
            "\"{}\" by {} could not be added: {}. {}",
            track.title,
            track.artist,
            error.message.trim_end_matches('.'),
            error.next_step
        );
        let what = What::DeadLettered {
            playlist: sync.playlist.as_str().to_owned(),
            track,
            error: error.clone(),
        };
        Self::of_sync(time, sync_id, &sync.user_id, message, what)
    }

    /// The user is asked about so many tracks of a sync; of which, if it is of one alone.
    pub(crate) fn review_waiting(
        time: Timestamp,
        (sync_id, user_id): (&str, &str),
        playlist: &str,
        (reviews, until): (u32, Timestamp),
        track: Option<&SourceTrack>,
    ) -> Self {
        let track = track.map(Song::from);
        let which = match &track {
            Some(song) => format!("\"{}\" by {} has", song.title, song.artist),
            None if reviews == 1 => "1 track has".to_owned(),
            None => format!("{reviews} tracks have"),
        };
        let message = format!(
            "{which} no certain match. {}",
            ErrorCode::ReviewNeeded.next_step()
        );
        let what = What::ReviewWaiting {
            reviews,
            until,
            playlist: playlist.to_owned(),
            track,
        };
        Self::of_sync(time, sync_id, user_id, message, what)
    }

    /// A batch has ended so.
    pub(crate) fn batch_ended(
        time: Timestamp,
        (sync_id, user_id): (&str, &str),
        playlist: &str,
        status: SyncStatus,
        outcome: &BatchOutcome,
        error: Option<&SyncError>,
    ) -> Self {
        let message = match error {
            Some(error) => format!(
                "{} {}. {}",
                outcome.message,
                error.message.trim_end_matches('.'),
                error.next_step
            ),
            None => outcome.message.clone(),
        };
        let what = What::BatchEnded {
            status,
            success: outcome.success,
            dry_run: outcome.dry_run,
            playlist: playlist.to_owned(),
            counts: outcome.counts,
            error: error.cloned(),
        };
        Self::of_sync(time, sync_id, user_id, message, what)
    }

    /// Somebody tries whether notices arrive.
    pub fn ping(time: Timestamp, user: &str) -> Self {
        Self {
            id: format!("ping-{}", time.as_millisecond()),
            time,
            user: user.to_owned(),
            sync_id: None,
            message: "Notices of Segue arrive here.".to_owned(),
            what: What::Ping {},
        }
    }

    fn of_sync(time: Timestamp, sync_id: &str, user_id: &str, message: String, what: What) -> Self {
        Self {
            id: names::notice_id(what.as_str(), sync_id),
            time,
            user: user_id.to_owned(),
            sync_id: Some(sync_id.to_owned()),
            message,
            what,
        }
    }
}

/// Hands an event on: a workflow of its own tells the user, whatever becomes of this one. It is awaited until
/// that is on record, which takes the engine alone; no receiver is asked.
pub(crate) async fn tell<W: 'static>(ctx: &WorkflowContext<W>, event: impl Fn(Timestamp) -> Event) {
    let event = event(now(ctx));
    let user = names::USER_ID.value_set(names::attribute_value(&event.user));
    let options = ChildWorkflowOptions::builder()
        .workflow_id(event.id.clone())
        .task_queue(names::NOTICE_QUEUE.to_owned())
        // Once per event, also if this workflow is reset to before it.
        .id_reuse_policy(WorkflowIdReusePolicy::RejectDuplicate)
        .parent_close_policy(ParentClosePolicy::Abandon)
        .cancel_type(ChildWorkflowCancellationType::Abandon)
        .cancellation_token(WorkflowCancellationToken::new())
        .execution_timeout(LONGEST_LIFE)
        .search_attributes(SearchAttributes::new([user]))
        .build();
    if let Err(error) = ctx.start_child_workflow(Notice::run, event, options).await {
        tracing::debug!("the user is not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn time() -> Timestamp {
        "2026-11-26T04:00:00Z".parse().expect("a time")
    }

    #[test]
    fn an_event_is_read_as_it_was_written_and_says_its_type() {
        let error = SyncError::new(ErrorCode::AuthExpired, "the sign-in was revoked");
        let track = SourceTrack {
            title: "Halo".into(),
            artist: "Beyoncé".into(),
            ..SourceTrack::default()
        };
        let sync = ("sync-1", "ada");
        let whats = [
            Event::review_waiting(time(), sync, "Mix", (1, time()), Some(&track)),
            Event::review_waiting(time(), sync, "Mix", (3, time()), None),
            Event::ping(time(), "ada"),
            Event {
                what: What::SignInNeeded { error },
                ..Event::ping(time(), "ada")
            },
        ];
        for event in whats {
            let text = serde_json::to_string(&event).expect("JSON");
            let read: Event = serde_json::from_str(&text).expect("an event");
            assert_eq!(read, event, "{text}");
            let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            assert_eq!(read["type"], event.what.as_str(), "{text}");
        }
    }

    #[test]
    fn the_id_of_an_event_names_its_type_and_its_sync() {
        let event = Event::review_waiting(time(), ("sync-1", "ada"), "Mix", (2, time()), None);
        assert_eq!(event.id, "notice-review-waiting-sync-1");
        let body = serde_json::to_value(&event).expect("JSON");
        assert_eq!(body["sync_id"], json!("sync-1"));
        assert_eq!(body["reviews"], json!(2));
        assert!(event.message.starts_with("2 tracks have no certain match."));
    }
}
