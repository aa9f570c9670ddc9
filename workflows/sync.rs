//! The words of a sync: what goes in, how far it is, what comes out.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_common::search_attributes::SearchAttributeUpdate;

use crate::{
    batch::OnAmbiguous,
    error::{ErrorCode, SyncError},
    matching::{Match, MatchMethod},
    names,
    review::ReviewTerms,
    track::SourceTrack,
    versions,
};

/// What a sync is to do. It is kept in the history, so it never holds a secret, and it may only
/// grow by fields with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncInput {
    /// Whose sync it is.
    pub user_id: String,
    /// The playlist that the track goes to.
    pub playlist: PlaylistRef,
    /// The track the user has.
    pub track: SourceTrack,
    /// The confidence that a match needs, 0.0 to 1.0.
    pub match_threshold: f64,
    /// The sync that this one tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// A dead letter keeps this sync: if it fails again, it needs no letter of its own.
    #[serde(default)]
    pub kept_by_letter: bool,
    /// What becomes of it if the best match is below the threshold. A sync of a build that did not
    /// know the question has no answer: it is skipped, and no answer of the user's is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_ambiguous: Option<OnAmbiguous>,
    /// How long the user has for a review.
    #[serde(default)]
    pub review: ReviewTerms,
    /// Who does the work. Decided when the sync is started, and never again.
    #[serde(default, skip_serializing_if = "Strategy::is_pipeline")]
    pub strategy: Strategy,
    /// How an agent speaks with the upstream server, if it is given that server's own tools.
    #[serde(default, skip_serializing_if = "McpConnection::is_stateless")]
    pub agent_connection: McpConnection,
    /// The user is told, by the webhook, if it waits for them or ends as a dead letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
    /// Its first search is made within the workflow's own first task. Syncs begun before there was such a thing
    /// have a task of its own for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub search_at_once: bool,
}

/// How an agent speaks with the upstream server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum McpConnection {
    /// Each call for itself, from whatever worker, on a connection that is made anew if it broke.
    #[default]
    Stateless,
    /// All in one session, held by one worker.
    Stateful,
}

impl McpConnection {
    fn is_stateless(&self) -> bool {
        *self == Self::Stateless
    }
}

/// Who does the work of a sync.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Fixed steps: search, match by rules, add, verify.
    #[default]
    Pipeline,
    /// Agents of a model, with the same steps as their tools. Needs a model (see get_health).
    Agents,
    /// One agent with two tools, search and add: the smallest that works, to try a model with.
    SimpleAgent,
}

impl Strategy {
    fn is_pipeline(&self) -> bool {
        *self == Self::Pipeline
    }

    /// The strategy of a sync for which nobody chose one: this share of them is done by agents. A sync's
    /// id decides, so that those chosen at a small share stay chosen at a larger one.
    pub fn by_share(sync_id: &str, agents_share: f64) -> Self {
        match versions::is_chosen(sync_id, agents_share) {
            true => Self::Agents,
            false => Self::Pipeline,
        }
    }
}

/// A playlist as the user named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlaylistRef {
    /// Spotify's id.
    Id(String),
    /// Its exact name, to be looked up among the user's playlists.
    Name(String),
}

impl PlaylistRef {
    /// The id or the name, for people to read.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Id(text) | Self::Name(text) => text,
        }
    }
}

/// Where a sync stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncStatus {
    /// At work.
    Running,
    /// Spotify asked to come back later; it goes on by itself.
    WaitingForRateLimit,
    /// The upstream server is down; it is tried again by itself.
    WaitingForUpstream,
    /// A match is too uncertain to be made alone.
    WaitingForReview,
    /// The sign-in has ended; it goes on by itself after `segue login`.
    WaitingForSignIn,
    /// Ended: see `success`.
    Completed,
    /// Ended by an error that no retry can mend.
    Failed,
    /// Cancelled; `message` says what was taken out again, and what stays.
    Cancelled,
    /// Ran out of attempts; kept whole until it is retried or discarded.
    DeadLettered,
}

impl SyncStatus {
    /// The name that clients and the search attribute use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::WaitingForRateLimit => "waiting_for_rate_limit",
            Self::WaitingForUpstream => "waiting_for_upstream",
            Self::WaitingForReview => "waiting_for_review",
            Self::WaitingForSignIn => "waiting_for_sign_in",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::DeadLettered => "dead_lettered",
        }
    }

    /// The status with this name, if there is one.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(serde_json::Value::from(name)).ok()
    }

    /// Whether the sync is still under way.
    pub fn is_open(self) -> bool {
        matches!(
            self,
            Self::Running
                | Self::WaitingForRateLimit
                | Self::WaitingForUpstream
                | Self::WaitingForReview
                | Self::WaitingForSignIn
        )
    }
}

/// The steps of a sync, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looking up the playlist, when it was given by name.
    FindPlaylist,
    /// Asking the upstream for candidates, and scoring what it answers.
    Search,
    /// Putting the match into the playlist.
    Add,
    /// Reading the playlist to see that the track is there.
    Verify,
    /// Taking out again what a cancelled sync had added.
    Undo,
    /// Nothing left to do.
    Done,
}

impl Step {
    /// How many steps a sync has: find_playlist, search, add, verify.
    pub const TOTAL: u32 = 4;

    /// How many steps lie behind a sync that is at this one.
    pub fn completed_before(self) -> u32 {
        match self {
            Self::FindPlaylist => 0,
            Self::Search => 1,
            Self::Add => 2,
            Self::Verify | Self::Undo => 3,
            Self::Done => Self::TOTAL,
        }
    }
}

/// How far a sync is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Where the sync stands.
    pub status: SyncStatus,
    /// What it does now.
    pub current_step: Step,
    /// Different candidates that the upstream has offered so far.
    pub candidates_found: u32,
    /// Attempts that had to be repeated so far.
    pub retry_count: u32,
    /// When the sync was started.
    pub started_at: Timestamp,
    /// While waiting: when it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_until: Option<Timestamp>,
    /// While waiting: what for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<SyncError>,
    /// The step that puts the match into the playlist runs as a workflow of its own; this is its
    /// id while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placing: Option<String>,
    /// While an agent's model answers: whose turn it is, and the end of what it has said so far. It is for
    /// people who watch, and moves nothing.
    #[serde(skip)]
    pub saying: Option<String>,
}

impl Progress {
    /// The progress of a sync that has just started.
    pub fn new(started_at: Timestamp) -> Self {
        Self {
            status: SyncStatus::Running,
            current_step: Step::FindPlaylist,
            candidates_found: 0,
            retry_count: 0,
            started_at,
            waiting_until: None,
            waiting_for: None,
            placing: None,
            saying: None,
        }
    }

    /// The search attributes by which this is seen from outside.
    pub(crate) fn attributes(&self) -> [SearchAttributeUpdate; 2] {
        let wait = self.waiting_until.zip(self.waiting_for.clone());
        let wait = wait.map(|(until, reason)| Wait { until, reason });
        attributes(self.status, wait.as_ref())
    }

    /// Marks the sync as waiting, or as at work again.
    pub(crate) fn wait(&mut self, wait: Option<Wait>) {
        self.status = wait.as_ref().map_or(SyncStatus::Running, Wait::status);
        (self.waiting_until, self.waiting_for) = wait.map(|wait| (wait.until, wait.reason)).unzip();
    }
}

/// The search attributes by which a status and a wait are seen from outside.
pub(crate) fn attributes(status: SyncStatus, wait: Option<&Wait>) -> [SearchAttributeUpdate; 2] {
    [
        names::SYNC_STATUS.value_set(status.as_str().to_owned()),
        names::SYNC_WAIT.value_set(wait.map(Wait::to_line).unwrap_or_default()),
    ]
}

/// A wait of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// When the step goes on by itself.
    pub until: Timestamp,
    /// What it waits for.
    pub reason: SyncError,
}

impl Wait {
    /// The wait in one line that a search attribute can hold: the time, the code, the reason.
    pub fn to_line(&self) -> String {
        let Self { until, reason } = self;
        names::attribute_value(&format!("{until} {} {}", reason.code, reason.message))
    }

    /// The wait of this line; none if it is not one.
    pub fn of_line(line: &str) -> Option<Self> {
        let mut parts = line.splitn(3, ' ');
        let until = parts.next()?.parse().ok()?;
        let code = ErrorCode::parse(parts.next()?)?;
        let message = parts.next().unwrap_or_default();
        Some(Self {
            until,
            reason: SyncError::new(code, message),
        })
    }

    /// The status of a sync that waits so.
    pub fn status(&self) -> SyncStatus {
        match self.reason.code {
            ErrorCode::RateLimited | ErrorCode::ModelRateLimited => SyncStatus::WaitingForRateLimit,
            ErrorCode::AuthExpired => SyncStatus::WaitingForSignIn,
            ErrorCode::ReviewNeeded => SyncStatus::WaitingForReview,
            _ => SyncStatus::WaitingForUpstream,
        }
    }
}

/// What came of a sync that ran to its end or was cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SyncOutcome {
    /// Whether the track is in the playlist now.
    pub success: bool,
    /// What happened, in one sentence.
    pub message: String,
    /// Spotify's id of the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spotify_track_id: Option<String>,
    /// Spotify's URI of the match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spotify_track_uri: Option<String>,
    /// How sure the match is, 0.0 to 1.0; of the best candidate when there was no match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_score: Option<f64>,
    /// How the match was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_method: Option<MatchMethod>,
    /// The best candidate and why it scored as it did, whether or not it was good enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_candidate: Option<Match>,
    /// The track was in the playlist before the sync began; nothing was added.
    #[serde(default)]
    pub already_present: bool,
    /// For a cancelled sync: what was undone, or what could not be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    /// Attempts that had to be repeated.
    pub retry_count: u32,
    /// From the start to the end, waiting included.
    pub execution_time_seconds: f64,
}

/// How a sync ended, for whoever has only its failure to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedSync {
    /// Why.
    pub error: SyncError,
    /// The workflow that keeps the sync, when it ran out of attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter: Option<String>,
    /// Attempts that had to be repeated.
    #[serde(default)]
    pub retry_count: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_from_its_line() {
        let wait = Wait {
            until: "2026-11-24T10:55:42.466479899Z".parse().expect("a time"),
            reason: SyncError::new(ErrorCode::UpstreamUnavailable, "the upstream hangs"),
        };
        assert_eq!(Wait::of_line(&wait.to_line()), Some(wait.clone()));
        let long = Wait {
            reason: SyncError::new(ErrorCode::UpstreamUnavailable, "é".repeat(400)),
            ..wait
        };
        assert!(long.to_line().len() <= 255);
        assert_eq!(
            Wait::of_line(&long.to_line()).map(|read| read.until),
            Some(long.until)
        );
        for no_wait in [
            "",
            "soon",
            "2026-11-24T10:55:42Z",
            "2026-11-24T10:55:42Z what now",
        ] {
            assert_eq!(Wait::of_line(no_wait), None, "{no_wait}");
        }
    }

    #[test]
    fn a_status_is_found_by_the_name_it_serialises_to() {
        for status in [
            SyncStatus::Running,
            SyncStatus::WaitingForRateLimit,
            SyncStatus::WaitingForUpstream,
            SyncStatus::WaitingForReview,
            SyncStatus::WaitingForSignIn,
            SyncStatus::Completed,
            SyncStatus::Failed,
            SyncStatus::Cancelled,
            SyncStatus::DeadLettered,
        ] {
            assert_eq!(SyncStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(SyncStatus::parse("done"), None);
    }
}
