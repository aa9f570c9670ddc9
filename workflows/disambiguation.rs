//! Asking a model which candidate is meant, as a step of a workflow.
//!
//! There is always another way around it: what the model does not decide is left undecided, as if it had not
//! been asked. So no failure of the model fails a sync, and nobody waits for it for long.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use temporalio_sdk::WorkflowContext;

use crate::{
    activities::{Disambiguate, ModelActivities, Payer},
    batch::POSSIBLE,
    error::SyncError,
    matching::{Match, MatchMethod},
    model::{
        Usage,
        choice::{Choice, Doubt, MOST_CANDIDATES, MOST_ROWS, Offer},
    },
    step::{Manner, StepFailure, StepPolicy, Steps, run_step_as},
    track::SourceTrack,
};

/// Asking the model.
pub(crate) const ASK: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(120),
    heartbeat: Duration::from_secs(5),
    attempts: 3,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(30),
};

/// How long it is waited for in all, when its endpoint asks to come back later or is down.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

/// What came of asking.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// What the model said, by row. Those after a failure are not in it.
    pub(crate) choices: BTreeMap<u32, Choice>,
    /// What it cost.
    pub(crate) usage: Usage,
    /// Why it could not be asked for all.
    pub(crate) error: Option<SyncError>,
}

/// Asks about these rows, some at a time, until one of the questions fails.
pub(crate) async fn ask<W: Steps>(
    ctx: &WorkflowContext<W>,
    payer: &Payer,
    doubts: &[Doubt],
) -> Result<Answers, StepFailure> {
    let token = ctx.cancellation_token();
    let mut answers = Answers::default();
    for some in doubts.chunks(MOST_ROWS) {
        let asked = run_step_as(
            ctx,
            ASK,
            Manner {
                patience: Some(PATIENCE),
                ..Manner::default()
            },
            &token,
            || ModelActivities::ai_disambiguate,
            |_| Disambiguate {
                payer: payer.clone(),
                doubts: some.to_vec(),
            },
        );
        match asked.await {
            Ok(told) => {
                answers.choices.extend(told.choices);
                answers.usage += told.usage;
            }
            Err(StepFailure::Failed(error)) => {
                answers.error = Some(error);
                break;
            }
            Err(cancelled) => return Err(cancelled),
        }
    }
    Ok(answers)
}

/// The question about a song, if there is something to choose from.
pub(crate) fn doubt(source: &SourceTrack, candidates: &[Match]) -> Option<Doubt> {
    let candidates: Vec<Offer> = candidates
        .iter()
        .filter(|m| m.score.confidence >= POSSIBLE)
        .take(MOST_CANDIDATES)
        .map(|m| Offer {
            track: m.candidate.clone(),
            score: m.score.confidence,
        })
        .collect();
    (!candidates.is_empty()).then(|| Doubt {
        row: 0,
        source: source.clone(),
        candidates,
    })
}

/// The match that the model chose. The candidate is the search's own: nothing of it comes from the model.
pub(crate) fn chosen(choice: &Choice, candidates: &[Match]) -> Option<Match> {
    let place = choice.taken()? as usize;
    let possible = candidates.iter().filter(|m| m.score.confidence >= POSSIBLE);
    let mut found = possible.take(MOST_CANDIDATES).nth(place)?.clone();
    found.score.confidence = choice.confidence;
    found.score.method = MatchMethod::Ai;
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matching::Score, track::Candidate};

    fn candidate(id: &str, confidence: f64) -> Match {
        Match {
            candidate: Candidate {
                id: id.into(),
                ..Candidate::default()
            },
            score: Score {
                confidence,
                method: MatchMethod::Fuzzy,
                parts: Default::default(),
                version_note: None,
            },
        }
    }

    fn choice(candidate: u32) -> Choice {
        Choice {
            candidate: Some(candidate),
            confidence: 0.9,
            reason: String::new(),
        }
    }

    #[test]
    fn only_what_was_shown_can_be_chosen() {
        let mut candidates: Vec<Match> = (0..7)
            .map(|place| candidate(&place.to_string(), 0.8))
            .collect();
        candidates.insert(1, candidate("plainly another", 0.5));
        let asked = doubt(&SourceTrack::default(), &candidates).expect("a question");
        assert_eq!(asked.candidates.len(), MOST_CANDIDATES);
        let second = chosen(&choice(1), &candidates).expect("a match");
        assert_eq!(second.candidate, asked.candidates[1].track);
        assert_eq!(second.score.method, MatchMethod::Ai);
        assert_eq!(chosen(&choice(5), &candidates), None, "it was not shown");
        let unlike = [candidate("plainly another", 0.5)];
        assert_eq!(doubt(&SourceTrack::default(), &unlike), None);
    }
}
