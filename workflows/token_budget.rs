//! `TokenBudget`: how many tokens of the model one user's syncs have used today, and each sync in all.
//!
//! Tokens cost money, and a title can make a model talk. One workflow a user keeps the account:
//!
//! 1. Before a call its worker reserves what the call may cost at most; beyond a limit it gets nothing.
//! 2. After the call it says what the call did cost. What a killed process had reserved stays spent, because
//!    the call may have been paid for.
//! 3. A new day, by UTC, begins with nothing spent. Its history is kept short: after some hundred calls it
//!    continues as new.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    ContinueAsNewOptions, SyncWorkflowContext, WorkflowContext, WorkflowContextView, WorkflowResult,
};

use crate::model::Usage;

/// Reservations after which it continues as new. Each takes some eight events; Temporal warns at 10,240.
const RESERVATIONS_A_RUN: u32 = 400;
/// Syncs whose use is remembered: the latest.
const MOST_SYNCS: usize = 500;
const SECONDS_A_DAY: i64 = 86_400;

/// What was used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Tokens of today, those reserved included.
    pub today: u64,
    /// Which day that is: its number since 1970, by UTC.
    pub day: i64,
    /// Tokens of each sync, those reserved included.
    #[serde(default)]
    pub syncs: BTreeMap<String, Spent>,
    /// Tokens of all time, as far as it was told.
    #[serde(default)]
    pub used: u64,
}

/// What a sync has used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// In tokens.
    pub tokens: u64,
    /// When it last used some.
    pub seen: Timestamp,
}

/// A call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The sync that it is for.
    pub sync_id: String,
    /// Tokens that it costs at most, about.
    pub tokens: u64,
    /// Tokens that a sync may use.
    pub tokens_per_sync: u64,
    /// Tokens that the user's syncs may use in a day.
    pub tokens_per_day: u64,
}

/// Whether the call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowance {
    /// It may.
    Granted,
    /// The sync has used up what is its.
    SyncHasSpent,
    /// The day's tokens are used up.
    DayIsSpent,
}

/// What a call did cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The sync that it was for.
    pub sync_id: String,
    /// What had been reserved.
    pub reserved: u64,
    /// What it came to.
    pub usage: Usage,
}

/// See the module.
#[workflow]
pub struct TokenBudget {
    account: Account,
    reservations: u32,
}

#[workflow_methods]
impl TokenBudget {
    #[init]
    fn new(_ctx: &WorkflowContextView, account: Account) -> Self {
        Self {
            account,
            reservations: 0,
        }
    }

    /// Goes on for as long as there is an engine.
    #[run(name = "TokenBudget")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        ctx.wait_condition(|budget| budget.reservations >= RESERVATIONS_A_RUN)
            .await?;
        let account = ctx.state(|budget| budget.account.clone());
        ctx.continue_as_new(account, ContinueAsNewOptions::default())?;
        Ok(())
    }

    /// A worker is about to call.
    #[update(name = "reserve")]
    pub fn reserve(
        &mut self,
        ctx: &mut SyncWorkflowContext<Self>,
        reservation: Reservation,
    ) -> Allowance {
        self.reservations += 1;
        self.account.reserve(time_of(ctx), reservation)
    }

    /// A worker has called.
    #[signal(name = "settle")]
    pub fn settle(&mut self, _ctx: &mut SyncWorkflowContext<Self>, settlement: Settlement) {
        self.account.settle(&settlement);
    }

    /// What was used, without the syncs.
    #[update(name = "account")]
    pub fn account(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) -> Account {
        Account {
            syncs: BTreeMap::new(),
            ..self.account.clone()
        }
    }
}

fn time_of(ctx: &SyncWorkflowContext<TokenBudget>) -> Timestamp {
    ctx.workflow_time()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or_default()
}

impl Account {
    fn reserve(&mut self, now: Timestamp, asked: Reservation) -> Allowance {
        let day = now.as_second().div_euclid(SECONDS_A_DAY);
        if day != self.day {
            (self.day, self.today) = (day, 0);
        }
        let of_sync = self
            .syncs
            .get(&asked.sync_id)
            .map_or(0, |spent| spent.tokens);
        let of_sync = of_sync.saturating_add(asked.tokens);
        let today = self.today.saturating_add(asked.tokens);
        if of_sync > asked.tokens_per_sync {
            return Allowance::SyncHasSpent;
        }
        if today > asked.tokens_per_day {
            return Allowance::DayIsSpent;
        }
        self.today = today;
        let spent = Spent {
            tokens: of_sync,
            seen: now,
        };
        self.syncs.insert(asked.sync_id, spent);
        while self.syncs.len() > MOST_SYNCS {
            let oldest = self.syncs.iter().min_by_key(|(_, spent)| spent.seen);
            let Some(oldest) = oldest.map(|(sync, _)| sync.clone()) else {
                break;
            };
            self.syncs.remove(&oldest);
        }
        Allowance::Granted
    }

    fn settle(&mut self, told: &Settlement) {
        let cost = told.usage.tokens();
        self.used = self.used.saturating_add(cost);
        let corrected = |reserved: u64| reserved.saturating_sub(told.reserved).saturating_add(cost);
        self.today = corrected(self.today);
        if let Some(spent) = self.syncs.get_mut(&told.sync_id) {
            spent.tokens = corrected(spent.tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn asks(sync: &str, tokens: u64) -> Reservation {
        Reservation {
            sync_id: sync.to_owned(),
            tokens,
            tokens_per_sync: 100,
            tokens_per_day: 150,
        }
    }

    fn told(sync: &str, reserved: u64, cost: u64) -> Settlement {
        Settlement {
            sync_id: sync.to_owned(),
            reserved,
            usage: Usage {
                calls: 1,
                prompt_tokens: cost,
                completion_tokens: 0,
            },
        }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    #[test]
    fn a_sync_and_a_day_have_their_limits() {
        let mut account = Account::default();
        assert_eq!(account.reserve(at(1), asks("a", 80)), Allowance::Granted);
        assert_eq!(
            account.reserve(at(1), asks("a", 30)),
            Allowance::SyncHasSpent
        );
        assert_eq!(account.reserve(at(1), asks("b", 80)), Allowance::DayIsSpent);
        assert_eq!(account.reserve(at(25), asks("b", 80)), Allowance::Granted);
        assert_eq!(
            account.reserve(at(25), asks("a", 30)),
            Allowance::SyncHasSpent
        );
    }

    #[test]
    fn what_was_reserved_and_not_used_comes_back() {
        let mut account = Account::default();
        account.reserve(at(1), asks("a", 80));
        account.settle(&told("a", 80, 20));
        assert_eq!((account.today, account.used), (20, 20));
        assert_eq!(account.reserve(at(1), asks("a", 80)), Allowance::Granted);
        assert_eq!(
            account.reserve(at(1), asks("a", 1)),
            Allowance::SyncHasSpent
        );
    }

    #[test]
    fn the_account_does_not_grow_without_end() {
        let mut account = Account::default();
        for number in 0..2_000 {
            let asked = Reservation {
                tokens_per_day: u64::MAX,
                ..asks(&format!("sync-{number}"), 1)
            };
            account.reserve(at(number), asked);
        }
        assert_eq!(account.syncs.len(), MOST_SYNCS);
        assert!(account.syncs.contains_key("sync-1999"));
    }
}
