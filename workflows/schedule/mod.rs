//! The words of a schedule: what is synced again and again, when, and what a run leaves to the next.

mod news;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::news::{News, news_of};
use crate::{
    batch::{BatchOptions, Counts, Known, Target},
    error::SyncError,
    sync::PlaylistRef,
    track::SourceTrack,
};

/// Removals of one run at most, when nobody says another number.
pub const USUAL_REMOVALS: u32 = 100;
/// Characters of one of Spotify's ids.
const ID_LENGTH: usize = 22;

/// What a schedule does, and when. It is the input of each of its runs, so it is kept in histories,
/// holds no secret, and may only grow by fields with a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleInput {
    /// Whose schedule it is.
    pub user_id: String,
    /// How the user calls it.
    pub name: String,
    /// What a run does.
    pub work: Work,
    /// When it runs, as the user said it: the engine keeps it in a form that nobody recognises.
    pub when: When,
}

/// What a run of a schedule does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// Adds what is new in a source to a playlist.
    Sync(Box<ScheduledBatch>),
    /// Tries again all dead letters of the user.
    RetryDeadLetters,
}

/// What is added where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduledBatch {
    /// Where the tracks come from.
    pub source: Source,
    /// Where they go. A new playlist is made by the first run, and known to the others.
    pub target: Target,
    /// How they are added.
    pub options: BatchOptions,
    /// What has left the source is taken out of the target, if this schedule had added it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removals: Option<Removals>,
}

/// Where the tracks of a schedule come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A playlist of Spotify's. Its tracks have ids, so that nothing is searched.
    Playlist(PlaylistRef),
    /// An export file on the machine of the worker, read anew by each run.
    File(SourceFile),
}

/// An export file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its absolute path. Whether it may be read, each worker decides by its own configuration.
    pub path: String,
    /// Which playlist of the file is meant, if it holds several; "*" for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playlist: Option<String>,
}

/// How a mirror takes out what has left its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removals {
    /// If more than this are to go in one run, none goes: a source that was emptied by mistake
    /// is to empty nothing else.
    pub most: u32,
}

/// When a schedule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// By which rule.
    pub rule: Rule,
    /// Up to this many seconds later, so that many schedules do not run at the same moment.
    pub jitter_seconds: u32,
    /// A run whose time has passed by no more than this, in seconds, is made up for.
    pub catch_up_seconds: u32,
    /// What becomes of a run whose time has come while the one before it still runs.
    pub overlap: Overlap,
}

/// The rule by which a schedule runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every so many seconds.
    Interval {
        /// How many.
        seconds: u32,
    },
    /// At the times of a cron expression.
    Cron {
        /// Minute, hour, day of the month, month, day of the week.
        expression: String,
        /// The IANA name of the time zone.
        time_zone: String,
    },
}

/// What becomes of a run whose time has come while the one before it still runs: Temporal's policies,
/// but for those under which two runs would take the same tracks for new, or one would be lost half
/// way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is left out, and counted.
    #[default]
    Skip,
    /// It starts when the one before it has ended; of several, only the first.
    BufferOne,
    /// Each starts when the one before it has ended.
    BufferAll,
    /// The one that runs is cancelled, with what it syncs.
    CancelOther,
}

/// What a run leaves to the next, so that only what is new is synced. The engine itself hands it on:
/// it is part of the result of the last run that came to its end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// The rows of the source that have had their turn.
    pub known: Known,
    /// Ids of the tracks that runs added and that the source still has, 22 characters each. Kept
    /// only where tracks are taken out again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub ours: String,
    /// Those of the rows whose song was in the target under another id, or stood in the source under one. Kept only
    /// where tracks are taken out again: with the other one gone, these are new again.
    #[serde(default, skip_serializing_if = "Known::is_empty")]
    pub as_another: Known,
    /// The playlist that the first run made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub playlist_id: Option<String>,
}

impl Memory {
    /// The ids of the tracks that runs added.
    pub(crate) fn our_ids(&self) -> impl Iterator<Item = &str> {
        ids_in(&self.ours)
    }

    /// A row had its turn; `added` if its track went into the playlist.
    pub(crate) fn note(&mut self, row: &SourceTrack, added: bool) {
        self.known.is_repeated(row);
        if let Some(id) = row.spotify_id.as_deref().filter(|_| added) {
            self.ours.push_str(id);
        }
    }

    /// Tracks have been taken out: what is there as another may be there no more. Whether it forgot anything.
    pub(crate) fn forget_others(&mut self) -> bool {
        let others = std::mem::take(&mut self.as_another);
        self.known.forget(&others);
        !others.is_empty()
    }
}

/// The ids that stand one behind the other in this text.
pub(crate) fn ids_in(joined: &str) -> impl Iterator<Item = &str> {
    let ids = joined.as_bytes().chunks(ID_LENGTH);
    ids.filter_map(|id| std::str::from_utf8(id).ok())
}

/// What came of a run that ended by itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// Whether everything is done that there was to do.
    pub success: bool,
    /// What happened, in a few sentences.
    pub message: String,
    /// Rows of the source.
    #[serde(default)]
    pub source_rows: u32,
    /// Those of them that were new.
    #[serde(default)]
    pub new_rows: u32,
    /// New rows that are left to the next run, because they are too many for one.
    #[serde(default)]
    pub left_rows: u32,
    /// Rows of an export file that could not be read.
    #[serde(default)]
    pub unreadable_rows: u32,
    /// The sync of the new rows; none if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
    /// What the new rows came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Tracks that were taken out because they have left the source.
    #[serde(default)]
    pub removed: u32,
    /// Tracks that have left the source and were not taken out, because they are too many.
    #[serde(default)]
    pub not_removed: u32,
    /// Dead letters that are being tried again.
    #[serde(default)]
    pub retried: u32,
    /// Why something could not be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SyncError>,
    /// What the next run is to know.
    #[serde(default)]
    pub memory: Memory,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str) -> SourceTrack {
        SourceTrack {
            title: "Halo".into(),
            spotify_id: Some(id.into()),
            ..SourceTrack::default()
        }
    }

    #[test]
    fn what_was_noted_is_remembered_by_its_id_and_ours_if_it_was_added() {
        let (one, other) = ("a".repeat(22), "b".repeat(22));
        let mut memory = Memory::default();
        memory.note(&row(&one), true);
        memory.note(&row(&other), false);
        assert_eq!(memory.our_ids().collect::<Vec<_>>(), [one.as_str()]);
        let json = serde_json::to_string(&memory).expect("written");
        let mut memory: Memory = serde_json::from_str(&json).expect("read");
        assert!(memory.known.is_repeated(&row(&one)));
        assert!(memory.known.is_repeated(&row(&other)));
        assert!(
            !memory.known.is_repeated(&row(&"c".repeat(22))),
            "spelt alike"
        );
    }
}
