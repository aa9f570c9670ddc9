//! What a sync says of itself when it has ended without an error.

use crate::{
    batch::Pick,
    matching::{Decision, Match, Score, ScoreParts},
    sync::SyncOutcome,
};

pub(super) fn of_match(found: Match) -> SyncOutcome {
    let name = format!(
        "\"{}\" by {}",
        found.candidate.title,
        found.candidate.artists.join(", ")
    );
    SyncOutcome {
        success: true,
        message: name,
        spotify_track_id: Some(found.candidate.id.clone()),
        spotify_track_uri: Some(found.candidate.uri.clone()),
        confidence_score: Some(found.score.confidence),
        match_method: Some(found.score.method),
        best_candidate: Some(found),
        ..empty()
    }
}

/// The match that the user chose.
pub(super) fn chosen(decision: &Decision, pick: Pick) -> Match {
    let mut ranked = decision.candidates.iter();
    let known = ranked.find(|known| known.candidate.id == pick.track.id);
    let score = known.map_or_else(
        || Score {
            confidence: pick.confidence_score,
            method: pick.match_method,
            parts: ScoreParts::default(),
            version_note: None,
        },
        |known| Score {
            method: pick.match_method,
            ..known.score.clone()
        },
    );
    Match {
        candidate: pick.track,
        score,
    }
}

pub(super) fn declined(decision: &Decision) -> SyncOutcome {
    SyncOutcome {
        message: "Nothing was added: you said that none of the candidates is this track."
            .to_owned(),
        ..undecided(decision)
    }
}

pub(super) fn unanswered(decision: &Decision) -> SyncOutcome {
    SyncOutcome {
        message: "Nothing was added: the review was not answered before its deadline.".to_owned(),
        ..undecided(decision)
    }
}

fn undecided(decision: &Decision) -> SyncOutcome {
    let best = decision.best();
    SyncOutcome {
        confidence_score: best.map(|best| best.score.confidence),
        best_candidate: best.cloned(),
        ..empty()
    }
}

pub(super) fn no_match(decision: &Decision, threshold: f64) -> SyncOutcome {
    let best = decision.best();
    let named = |m: &Match| {
        let album = m.candidate.album.as_deref().unwrap_or("no album");
        let seconds = m.candidate.duration_ms.unwrap_or(0) / 1000;
        let length = format!("{}:{:02}", seconds / 60, seconds % 60);
        let artists = m.candidate.artists.join(", ");
        format!("\"{}\" by {artists} ({album}, {length})", m.candidate.title)
    };
    let message = match best.zip(decision.rival.as_ref()) {
        Some((best, rival)) => format!(
            "Two recordings fit equally well: {} and {}. Nothing was added; give the length or the ISRC to decide.",
            named(best),
            named(rival),
        ),
        None => no_good_match(best, threshold),
    };
    SyncOutcome {
        message,
        ..undecided(decision)
    }
}

fn no_good_match(best: Option<&Match>, threshold: f64) -> String {
    match best {
        Some(best) => format!(
            "No match was good enough: the best candidate, \"{}\" by {}, scored {:.2}; {:.2} is needed. Nothing was added.",
            best.candidate.title,
            best.candidate.artists.join(", "),
            best.score.confidence,
            threshold,
        ),
        None => "Spotify has no such track. Nothing was added.".to_owned(),
    }
}

pub(super) fn cancelled(undone: String) -> SyncOutcome {
    SyncOutcome {
        message: format!("The sync was cancelled. {undone}"),
        undone: Some(undone),
        ..empty()
    }
}

fn empty() -> SyncOutcome {
    SyncOutcome {
        success: false,
        message: String::new(),
        spotify_track_id: None,
        spotify_track_uri: None,
        confidence_score: None,
        match_method: None,
        best_candidate: None,
        already_present: false,
        undone: None,
        retry_count: 0,
        execution_time_seconds: 0.0,
    }
}

impl SyncOutcome {
    /// The message, finished by what happened to the track that it names.
    pub(super) fn with(mut self, happened: &str) -> Self {
        self.message = format!("{} {happened}.", self.message);
        self
    }
}
