//! `CallBudget`: what all workers of an engine must agree on before they call the upstream.
//!
//! Spotify limits the calls of an app, not of a process. One workflow, the only one of its id, keeps
//! the facts: how many calls a window may have, until when there must be none, who shares them.
//!
//! 1. A worker that is about to call renews its share, every few seconds while it calls.
//! 2. A rate limit that one of them met blocks all, until Spotify's time has come, and halves the
//!    budget. It recovers by a twentieth of what is configured a window.
//! 3. Its history is kept short: after some hundred renewals it continues as new.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::{
    gate::{Circuit, Group, WINDOW},
    upstream::LONGEST_RETRY_AFTER_SECONDS,
};

/// The least that the budget is halved to, in calls a window.
const LEAST: u32 = 10;
/// Windows in which a budget recovers from nothing to all.
const RECOVERY: u32 = 20;
/// A worker that has not renewed its share for this long calls no more: its share goes to others.
const MEMBER_LEAVES: SignedDuration = SignedDuration::from_secs(15);
/// Renewals after which it continues as new. Each takes five events; Temporal warns at 10,240.
const RENEWALS_A_RUN: u32 = 400;
/// Workers that are remembered at most.
const MOST_MEMBERS: usize = 1000;

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Calls that all may make together in a window, as far as was learnt. 0: nothing is known yet.
    pub calls_per_window: u32,
    /// What the budget is configured to be.
    pub ceiling: u32,
    /// Nobody calls before.
    #[serde(default)]
    pub blocked_until: Option<Timestamp>,
    /// When the budget was last changed.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    /// When it was last halved.
    #[serde(default)]
    pub halved_at: Option<Timestamp>,
    /// Who calls.
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
    /// How often circuits were reset.
    #[serde(default)]
    pub circuits_reset: u64,
    /// Which circuit was reset last; nothing means all.
    #[serde(default)]
    pub reset_group: Option<Group>,
    /// How often a block was lifted by hand.
    #[serde(default)]
    pub limit_lifted: u64,
    /// How often a rate limit was met.
    #[serde(default)]
    pub times_limited: u64,
}

/// A worker that calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// When it last renewed its share.
    pub seen: Timestamp,
    /// How its circuits stood.
    pub circuits: Vec<Circuit>,
}

/// A worker asks for its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Renewal {
    /// Which worker.
    pub member: String,
    /// What it is configured to take as the budget of all.
    pub calls_per_window: u32,
    /// It was told to come back after so many seconds.
    #[serde(default)]
    pub limited_for_seconds: Option<u64>,
    /// How its circuits stand.
    #[serde(default)]
    pub circuits: Vec<Circuit>,
}

/// What a worker may do. Times are lengths, so that its own clock does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Calls it may make in a window.
    pub calls_per_window: u32,
    /// Seconds during which it may make none.
    #[serde(default)]
    pub blocked_for_seconds: Option<u64>,
    /// When it is to ask again, if it goes on calling.
    pub renew_in_seconds: u32,
    /// See [`Facts`].
    #[serde(default)]
    pub circuits_reset: u64,
    /// See [`Facts`].
    #[serde(default)]
    pub reset_group: Option<Group>,
    /// See [`Facts`].
    #[serde(default)]
    pub limit_lifted: u64,
}

/// What to set back by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reset {
    /// The circuits of this group, or all, in every worker.
    Circuits(Option<Group>),
    /// The block after a rate limit.
    Limit,
}

/// See the module.
#[workflow]
pub struct CallBudget {
    facts: Facts,
    renewals: u32,
}

#[workflow_methods]
impl CallBudget {
    #[init]
    fn new(_ctx: &WorkflowContextView, facts: Facts) -> Self {
        Self { facts, renewals: 0 }
    }

    /// Goes on for as long as there is an engine.
    #[run(name = "CallBudget")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.wait_condition(|budget| budget.renewals >= RENEWALS_A_RUN)
            .await?;
        let facts = ctx.state(|budget| budget.facts.clone());
        ctx.continue_as_new(facts, ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// What is known.
    #[query(name = "facts")]
    pub fn facts(&self, _ctx: &WorkflowContextView) -> Facts {
        self.facts.clone()
    }

    /// A worker renews its share.
    #[update(name = "renew")]
    pub fn renew(&mut self, ctx: &mut SyncWorkflowContext<Self>, renewal: Renewal) -> Share {
        self.renewals += 1;
        let now = time_of(ctx);
        self.facts.renew(now, renewal)
    }

    /// Somebody sets something back by hand.
    #[signal(name = "reset")]
    pub fn reset(&mut self, ctx: &mut SyncWorkflowContext<Self>, reset: Reset) {
        let now = time_of(ctx);
        self.facts.reset(now, &reset);
    }
}

fn time_of(ctx: &SyncWorkflowContext<CallBudget>) -> Timestamp {
    ctx.workflow_time()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or_default()
}

impl Share {
    /// How long it may be used: somewhat longer than until it is to be renewed.
    pub fn lifetime(&self) -> Duration {
        Duration::from_secs(self.renew_in_seconds.into()) * 3 / 2 + Duration::from_secs(1)
    }
}

impl Facts {
    /// How long after a change some worker may still act as before it.
    pub fn known_to_all_after(&self) -> Duration {
        let alone = Share {
            renew_in_seconds: renew_in(1),
            ..Share::default()
        };
        match self.members.len() {
            0 | 1 => Duration::ZERO,
            _ => alone.lifetime(),
        }
    }

    /// The share of a worker, after what it told.
    fn renew(&mut self, now: Timestamp, renewal: Renewal) -> Share {
        self.ceiling = renewal.calls_per_window.max(1);
        self.recover(now);
        if let Some(seconds) = renewal.limited_for_seconds {
            self.limit(now, seconds);
        }
        self.members
            .retain(|_, member| now.duration_since(member.seen) < MEMBER_LEAVES);
        if self.members.len() < MOST_MEMBERS || self.members.contains_key(&renewal.member) {
            let circuits = renewal.circuits;
            let member = Member {
                seen: now,
                circuits,
            };
            self.members.insert(renewal.member, member);
        }
        if self.blocked_until.is_some_and(|until| until <= now) {
            self.changed_at = self.changed_at.max(self.blocked_until);
            self.blocked_until = None;
        }
        let members = u32::try_from(self.members.len()).unwrap_or(u32::MAX).max(1);
        Share {
            calls_per_window: (self.calls_per_window / members).max(1),
            blocked_for_seconds: self.blocked_until.map(|until| seconds_up(now, until)),
            renew_in_seconds: renew_in(members),
            circuits_reset: self.circuits_reset,
            reset_group: self.reset_group,
            limit_lifted: self.limit_lifted,
        }
    }

    /// A budget below what is configured grows with time. The time of a block does not count: in it
    /// nothing was learnt.
    fn recover(&mut self, now: Timestamp) {
        if self.calls_per_window == 0 || self.calls_per_window >= self.ceiling {
            self.calls_per_window = self.ceiling;
            return;
        }
        let since = self.changed_at.max(self.blocked_until).unwrap_or(now);
        let windows = now.duration_since(since).as_secs() / window_seconds();
        let Ok(windows @ 1..) = u32::try_from(windows) else {
            return;
        };
        let step = (self.ceiling / RECOVERY).max(1);
        let grown = self
            .calls_per_window
            .saturating_add(windows.saturating_mul(step));
        self.calls_per_window = grown.min(self.ceiling);
        self.changed_at = Some(now);
    }

    /// A limit was met. Several workers meet the same one; it counts once a window.
    fn limit(&mut self, now: Timestamp, seconds: u64) {
        self.times_limited += 1;
        let seconds = i64::try_from(seconds.min(LONGEST_RETRY_AFTER_SECONDS)).unwrap_or(i64::MAX);
        let until = now.saturating_add(SignedDuration::from_secs(seconds));
        self.blocked_until = self.blocked_until.max(until.ok());
        let counted = self
            .halved_at
            .is_some_and(|at| now.duration_since(at).as_secs() < window_seconds());
        if !counted {
            self.calls_per_window = (self.calls_per_window / 2).max(LEAST.min(self.ceiling));
            self.changed_at = Some(now);
            self.halved_at = Some(now);
        }
    }

    fn reset(&mut self, now: Timestamp, reset: &Reset) {
        match reset {
            Reset::Circuits(group) => {
                self.circuits_reset += 1;
                self.reset_group = *group;
            }
            Reset::Limit => {
                self.limit_lifted += 1;
                self.changed_at = self.changed_at.max(Some(now));
                self.blocked_until = None;
            }
        }
    }
}

/// When a worker asks again. Alone, it has little to learn; among others it asks every second, and in
/// a crowd less often, so that the workflow is not asked more than some times a second.
fn renew_in(members: u32) -> u32 {
    match members {
        1 => 5,
        2 => 1,
        many => (many / 2).min(MEMBER_LEAVES.as_secs() as u32 / 2),
    }
}

fn window_seconds() -> i64 {
    Duration::as_secs(&WINDOW) as i64
}

fn seconds_up(now: Timestamp, until: Timestamp) -> u64 {
    let left = until.duration_since(now);
    u64::try_from(left.as_millis())
        .unwrap_or_default()
        .div_ceil(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(member: &str, limited_for_seconds: Option<u64>) -> Renewal {
        Renewal {
            member: member.to_owned(),
            calls_per_window: 100,
            limited_for_seconds,
            circuits: Vec::new(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn those_who_call_share_the_budget_and_those_who_left_do_not() {
        let mut facts = Facts::default();
        assert_eq!(facts.renew(at(0), asks("a", None)).calls_per_window, 100);
        assert_eq!(facts.renew(at(1), asks("b", None)).calls_per_window, 50);
        assert_eq!(facts.renew(at(2), asks("a", None)).calls_per_window, 50);
        assert_eq!(facts.renew(at(17), asks("a", None)).calls_per_window, 100);
    }

    #[test]
    fn a_limit_that_one_met_blocks_all_until_its_time() {
        let mut facts = Facts::default();
        facts.renew(at(0), asks("a", Some(79_200)));
        let other = facts.renew(at(3600), asks("b", None));
        assert_eq!(other.blocked_for_seconds, Some(75_600));
        // A shorter one that was met on the way does not shorten it.
        facts.renew(at(3700), asks("c", Some(5)));
        assert_eq!(
            facts.renew(at(79_199), asks("b", None)).blocked_for_seconds,
            Some(1)
        );
        assert_eq!(
            facts.renew(at(79_200), asks("b", None)).blocked_for_seconds,
            None
        );
    }

    #[test]
    fn the_budget_halves_once_a_window_and_recovers_slowly() {
        let mut facts = Facts::default();
        for second in 0..5 {
            facts.renew(at(second), asks("a", Some(1)));
        }
        assert_eq!(facts.calls_per_window, 50);
        facts.renew(at(29), asks("a", None));
        assert_eq!(facts.calls_per_window, 50, "a window has not passed");
        facts.renew(at(35), asks("a", None));
        assert_eq!(facts.calls_per_window, 55);
        for window in 2..11 {
            facts.renew(at(35 + 30 * window), asks("a", None));
        }
        assert_eq!(facts.calls_per_window, 100);
        for window in 0..20 {
            facts.renew(at(1000 + 31 * window), asks("a", Some(1)));
        }
        assert!((LEAST..=2 * LEAST).contains(&facts.calls_per_window));
    }

    #[test]
    fn nothing_recovers_while_nobody_may_call() {
        let mut facts = Facts::default();
        facts.renew(at(0), asks("a", Some(79_200)));
        for second in [79_200, 79_205, 79_229] {
            facts.renew(at(second), asks("a", None));
            assert_eq!(facts.calls_per_window, 50);
        }
        facts.renew(at(79_230), asks("a", None));
        assert_eq!(facts.calls_per_window, 55);
    }

    #[test]
    fn a_block_is_lifted_by_hand_and_told() {
        let mut facts = Facts::default();
        let before = facts.renew(at(0), asks("a", Some(79_200)));
        facts.reset(at(0), &Reset::Limit);
        let after = facts.renew(at(1), asks("a", None));
        assert_eq!(after.blocked_for_seconds, None);
        assert_ne!(before.limit_lifted, after.limit_lifted);
    }
}
