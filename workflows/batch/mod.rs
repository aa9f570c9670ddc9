//! The words of a batch: many tracks into one playlist.

mod fate;
mod found;
mod imported;
mod known;
mod packed;
mod picks;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use temporalio_common::search_attributes::SearchAttributeUpdate;

pub use self::{
    fate::{Counts, Fate},
    found::{Found, POSSIBLE, Pick, Row},
    imported::Imported,
    known::{Known, There},
    packed::{NotPacked, Packed},
    picks::Picks,
};
use crate::{
    error::SyncError,
    model::Usage,
    review::{ReviewTerms, Verdict},
    sync::{self, PlaylistRef, SyncStatus, Wait},
    track::SourceTrack,
};

/// Rows of a page: what Spotify takes in one add.
pub const ROWS_A_PAGE: usize = 100;
/// Rows of a batch at most.
pub const MOST_ROWS: usize = 20_000;
/// Bytes that the packed rows of a batch may have. The engine takes 2 MB in one piece, and what is
/// known of the playlist goes along.
pub const MOST_PACKED: usize = 1_400_000;
/// Rows of one batch that the user is asked about at most: more than anybody answers, and few enough
/// for what the engine allows a workflow to have under way. The rows beyond stay uncertain.
pub const MOST_REVIEWS: u32 = 1_000;

/// A page of the source: at most [`ROWS_A_PAGE`] tracks.
pub type SourcePage = Packed<Vec<SourceTrack>>;

/// What a batch is to do. Like every input it is kept in the history, holds no secret, and may only
/// grow by fields with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchInput {
    /// Whose batch it is.
    pub user_id: String,
    /// Where the tracks go.
    pub target: Target,
    /// The pages that are still to be done, in the order in which their tracks are to be added.
    pub pages: Vec<SourcePage>,
    /// Rows of the whole batch.
    pub rows: u32,
    /// How it is to be done.
    pub options: BatchOptions,
    /// The batch that this one tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// The preview of the same rows, whose matches are taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_preview: Option<String>,
    /// The user is told, by the webhook, if it waits for them and how it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
    /// How far the runs before this one have come; nothing at the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub so_far: Option<Box<SoFar>>,
}

/// Where the tracks of a batch go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A playlist that there is.
    Playlist(PlaylistRef),
    /// A new one of this name, private.
    New(String),
}

impl Target {
    /// The id or the name, for people to read.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Playlist(playlist) => playlist.as_str(),
            Self::New(name) => name,
        }
    }
}

/// How a batch is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchOptions {
    /// The confidence that a match needs, 0.0 to 1.0.
    pub match_threshold: f64,
    /// What becomes of a track whose best match is below that.
    pub on_ambiguous: OnAmbiguous,
    /// All or nothing.
    #[serde(default)]
    pub atomic: bool,
    /// Add also what is there already, or stands in the source twice.
    #[serde(default)]
    pub add_duplicates: bool,
    /// Search and match, and change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The rows go to the playlist in the reverse of the order in which the source has them.
    #[serde(default)]
    pub reversed: bool,
    /// How long the user has for a review.
    #[serde(default)]
    pub review: ReviewTerms,
}

/// What becomes of a track whose best match is below the threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnAmbiguous {
    /// It is not added; the report names the candidates.
    #[default]
    Skip,
    /// The best candidate is taken all the same, if it is not plainly another song.
    Best,
    /// The user is asked, and it waits for review_match while the others go on.
    Review,
    /// A model decides; what it does not decide is not added. Needs a model (see get_health).
    Ai,
}

/// How far a batch has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SoFar {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// What is in it, but for what this batch added; and the rows that have had their turn.
    pub known: Known,
    /// What this batch added, or is about to.
    pub ours: Known,
    /// How many entries it has.
    pub entries: u32,
    /// Pages that are done.
    pub pages_done: u32,
    /// What became of the rows of those pages, a letter each ([`Fate::letter`]).
    pub fates: String,
    /// Ids of the tracks that were added, 22 characters each: for an undo.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub added: String,
    /// Their rows, in the same order; none from an older build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub added_rows: Vec<u32>,
    /// When the batch was started.
    pub started_at: Timestamp,
    /// Attempts that had to be repeated.
    #[serde(default)]
    pub retry_count: u32,
    /// Why pages failed, by their number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_errors: Vec<(u32, SyncError)>,
    /// Some of the tracks that failed may be in the playlist all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// Why what was added could not be taken out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_error: Option<SyncError>,
    /// Rows of which the user said in a review which track they are.
    #[serde(default, skip_serializing_if = "Picks::is_empty")]
    pub chosen: Picks,
    /// Rows that the user has been asked about so far.
    #[serde(default)]
    pub asked: u32,
    /// Until when the last of these questions waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_until: Option<Timestamp>,
    /// The user has been told that it waits for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told_of_reviews: bool,
    /// What reviews have come to whose rows have not had their turn since, by row.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub verdicts: BTreeMap<u32, Verdict>,
    /// What the model was used for.
    #[serde(default, skip_serializing_if = "Usage::is_none")]
    pub model: Usage,
    /// Why the model could not be asked, when that was last so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_error: Option<SyncError>,
}

/// How far a batch is. It stands in the memo of the workflow, anew after each page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchProgress {
    /// Where it stands.
    pub status: SyncStatus,
    /// What it does now.
    pub phase: Phase,
    /// How many rows came to what.
    pub counts: Counts,
    /// Attempts that had to be repeated so far.
    pub retry_count: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// It only looks, and changes nothing.
    pub dry_run: bool,
    /// The rows go to the playlist in reverse.
    #[serde(default)]
    pub reversed: bool,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// What a batch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Looking up the playlist, or making it.
    FindPlaylist,
    /// Reading what is in the playlist.
    ReadPlaylist,
    /// Searching and adding, page after page.
    Tracks,
    /// Waiting for the user's word about the tracks that are uncertain.
    Review,
    /// Taking out again what it had added.
    Undo,
    /// Nothing.
    Done,
}

impl BatchProgress {
    /// The search attributes by which this is seen from outside.
    pub(crate) fn attributes(&self) -> [SearchAttributeUpdate; 2] {
        sync::attributes(self.status, self.wait.as_ref())
    }

    /// Marks the batch as waiting, or as at work again.
    pub(crate) fn wait(&mut self, wait: Option<Wait>) {
        self.status = wait.as_ref().map_or(SyncStatus::Running, Wait::status);
        self.wait = wait;
    }
}

/// What came of a batch that ran to its end or was cancelled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchOutcome {
    /// Whether every row is in the playlist now, was there, or is a repetition.
    pub success: bool,
    /// What happened, in one or two sentences.
    pub message: String,
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// How many rows came to what.
    pub counts: Counts,
    /// What became of each row, a letter each.
    pub fates: String,
    /// Rows of which the user said which track they are, by their place.
    #[serde(default, skip_serializing_if = "Picks::is_empty")]
    pub chosen: Picks,
    /// Why pages failed, by their number from 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_errors: Vec<(u32, SyncError)>,
    /// Pages that were searched.
    pub pages: u32,
    /// Rows of the whole batch went to the playlist in reverse.
    #[serde(default)]
    pub reversed: bool,
    /// It only looked, and changed nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// What the model was used for.
    #[serde(default, skip_serializing_if = "Usage::is_none")]
    pub model: Usage,
    /// Attempts that had to be repeated.
    pub retry_count: u32,
    /// From the start to the end, waiting included.
    pub execution_time_seconds: f64,
}

/// How a batch failed as a whole, for whoever has only its failure to read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedBatch {
    /// Why.
    pub error: SyncError,
    /// What had been done before.
    pub outcome: BatchOutcome,
}
