//! Whether to let agents do syncs, and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Comparison;

/// Songs whose truth has to be known before anything follows from a comparison.
pub const LEAST_KNOWN: u32 = 50;
/// The share of songs on which agents may fail, in percent.
const MOST_FAILED_PERCENT: u32 = 1;

/// What follows from a comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// Whether to let agents do syncs.
    pub proceed: bool,
    /// Why, or why not, each in a sentence.
    pub reasons: Vec<String>,
}

impl Verdict {
    /// What follows. A wrong song in a playlist is worse than one that is left to the user, and agents
    /// cost money and time: they have to find more, and err no more often.
    pub fn of(told: &Comparison) -> Self {
        let (pipeline, agents) = (&told.pipeline, &told.agents);
        let mut against = Vec::new();
        if told.truth_known < LEAST_KNOWN {
            against.push(format!(
                "Of {} songs the right track is known; it takes {LEAST_KNOWN} to decide. Look at the \
                 differences, or give songs with their Spotify ids.",
                told.truth_known
            ));
        }
        if agents.wrong > pipeline.wrong {
            against.push(format!(
                "Agents would add {} wrong tracks, the pipeline {}.",
                agents.wrong, pipeline.wrong
            ));
        }
        if agents.right <= pipeline.right {
            against.push(format!(
                "Agents find {} right tracks, the pipeline {}: nothing is gained for what they cost.",
                agents.right, pipeline.right
            ));
        }
        if agents.failed * 100 > told.compared * MOST_FAILED_PERCENT {
            against.push(format!(
                "Agents failed on {} of {} songs.",
                agents.failed, told.compared
            ));
        }
        if told.compared < told.songs || told.stopped_by.is_some() {
            let why = told.stopped_by.as_ref().map(|error| format!(": {error}"));
            against.push(format!(
                "Only {} of {} songs were compared{}.",
                told.compared,
                told.songs,
                why.unwrap_or_default()
            ));
        }
        if against.is_empty() {
            return Self {
                proceed: true,
                reasons: vec![format!(
                    "Agents find {} right tracks more than the pipeline, and add no more wrong ones \
                     ({} against {}). Begin with a small agents_share.",
                    agents.right - pipeline.right,
                    agents.wrong,
                    pipeline.wrong
                )],
            };
        }
        Self {
            proceed: false,
            reasons: against,
        }
    }

    /// In a sentence or two.
    pub fn told(&self) -> String {
        let begin = match self.proceed {
            true => "Proceed.",
            false => "Do not proceed.",
        };
        format!("{begin} {}", self.reasons.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{comparison::Side, error::ErrorCode, error::SyncError};

    fn told(pipeline: (u32, u32), agents: (u32, u32)) -> Comparison {
        let side = |(right, wrong)| Side {
            right,
            wrong,
            ..Side::default()
        };
        Comparison {
            songs: 200,
            compared: 200,
            truth_known: 200,
            agreed: 190,
            pipeline: side(pipeline),
            agents: side(agents),
            differences: Vec::new(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            stopped_by: None,
            verdict: None,
        }
    }

    #[test]
    fn agents_have_to_find_more_and_err_no_more_often() {
        assert!(Verdict::of(&told((190, 1), (195, 1))).proceed);
        assert!(!Verdict::of(&told((190, 1), (190, 1))).proceed, "no gain");
        assert!(
            !Verdict::of(&told((190, 1), (195, 2))).proceed,
            "more wrong"
        );
        let mut failing = told((190, 1), (195, 1));
        failing.agents.failed = 3;
        assert!(!Verdict::of(&failing).proceed);
        let mut unknown = told((190, 1), (195, 1));
        unknown.truth_known = LEAST_KNOWN - 1;
        assert!(!Verdict::of(&unknown).proceed);
        let mut cancelled = told((190, 1), (195, 1));
        cancelled.compared = 100;
        assert!(
            !Verdict::of(&cancelled).proceed,
            "half of it decides nothing"
        );
        let mut stopped = told((190, 1), (195, 1));
        stopped.stopped_by = Some(SyncError::new(ErrorCode::ModelDayIsSpent, "spent"));
        let verdict = Verdict::of(&stopped);
        assert!(!verdict.proceed);
        assert!(verdict.told().contains("spent"), "{}", verdict.told());
    }
}
