//! What a search for a row came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::SyncError,
    matching::{Decision, Match, MatchMethod},
    track::{Candidate, SourceTrack},
};

/// A candidate below this confidence is not a possible match.
pub const POSSIBLE: f64 = 0.60;

/// Possible matches that are kept of a row that has no good one.
const MOST_PICKS: usize = 5;

/// A track of Spotify's that a row may be, small enough for a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pick {
    /// The track.
    #[serde(flatten)]
    pub track: Candidate,
    /// How sure the match is, 0.0 to 1.0.
    pub confidence_score: f64,
    /// How it was found.
    pub match_method: MatchMethod,
}

impl From<&Match> for Pick {
    fn from(found: &Match) -> Self {
        Self {
            track: found.candidate.clone(),
            // Finer than anybody reads it would only fill the history.
            confidence_score: (found.score.confidence * 1000.0).round() / 1000.0,
            match_method: found.score.method,
        }
    }
}

/// What a search for a row came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// A match that is good enough.
    Match(Pick),
    /// Possible matches, best first, and none that is good enough: too unsure, or two recordings
    /// that fit equally well.
    Unsure(Vec<Pick>),
    /// Nothing that could be it.
    Nothing,
    /// Possible matches, of which the user said earlier that none is it.
    Declined,
    /// It could not be searched.
    Failed(SyncError),
    /// Not searched: the same row came before.
    Repeated,
}

impl Found {
    /// What a decision of the matcher comes to.
    pub fn of(decision: &Decision) -> Self {
        if let Some(matched) = &decision.matched {
            return Self::Match(matched.into());
        }
        let possible: Vec<Pick> = decision
            .candidates
            .iter()
            .filter(|m| m.score.confidence >= POSSIBLE)
            .take(MOST_PICKS)
            .map(Pick::from)
            .collect();
        match possible.is_empty() {
            true => Self::Nothing,
            false => Self::Unsure(possible),
        }
    }
}

/// A row of a page, and what its search came to: a line of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the user has.
    pub source: SourceTrack,
    /// What was found.
    pub found: Found,
}
