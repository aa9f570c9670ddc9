//! The activities that ask the model. Each pays for at most one call.
//!
//! What the call may cost is reserved before it, in the account that the engine keeps of the user
//! ([`TokenBudget`]), and set right after it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowSignalOptions, WorkflowUpdateWithStartOptions,
};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempted, reading_on};
use crate::{
    error::ErrorCode,
    gate::{Gate, Group, PATIENCE},
    model::{
        Ask, Model, Reply, Usage,
        choice::{self, Choice, Doubt},
    },
    names,
    token_budget::{Account, Allowance, Reservation, Settlement, TokenBudget},
    upstream::UpstreamError,
};

/// Time between heartbeats that carry what the model has said so far.
const TELLING: Duration = Duration::from_millis(500);
/// Characters of that which are told: the end.
const LONGEST_TOLD: usize = 200;
/// Time for a question to the account; a worker that is there answers in some milliseconds.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// The activities that ask the model.
pub struct ModelActivities {
    model: Model,
    gate: Gate,
    client: Client,
    stopping: CancellationToken,
}

/// Who asks: the account that a call goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payer {
    /// Whose sync it is.
    pub user_id: String,
    /// Which sync it is.
    pub sync_id: String,
}

/// Rows whose match is not certain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disambiguate {
    /// Who asks.
    pub payer: Payer,
    /// The rows, at most [`choice::MOST_ROWS`].
    pub doubts: Vec<Doubt>,
}

/// What the model says of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Disambiguated {
    /// By the number of the row: each of them.
    pub choices: BTreeMap<u32, Choice>,
    /// What it cost.
    pub usage: Usage,
}

/// A turn of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Invoke {
    /// Who asks.
    pub payer: Payer,
    /// Whose turn it is.
    pub agent: String,
    /// What is asked.
    pub ask: Ask,
}

impl ModelActivities {
    /// The activities on this model, behind this gate, of a worker that ends when `stopping` is
    /// cancelled. The accounts are kept by the engine of `client`.
    pub fn new(model: Model, gate: Gate, client: Client, stopping: CancellationToken) -> Self {
        Self {
            model,
            gate,
            client,
            stopping,
        }
    }

    /// Makes one call that is paid for.
    async fn paid(
        &self,
        payer: &Payer,
        ask: &Ask,
        told: impl Fn(&str) + Send,
    ) -> Result<Reply, UpstreamError> {
        let standing = self.model.standing();
        if !standing.configured {
            // Before anything is reserved for it.
            return self.model.ask(ask, told).await;
        }
        let pass = self.gate.pass(Group::Model, PATIENCE).await?;
        let reserved = ask.estimate();
        // A call that is not made says nothing of the endpoint.
        self.reserve(payer, reserved).await?;
        let reply = self.model.ask(ask, told).await;
        if let Some(name) = &self.model.settings().name {
            self.gate.metrics().model_asked(name, ask, &reply);
        }
        let reply = pass.judge(reply).await;
        let usage = match &reply {
            Ok(reply) => reply.usage,
            // Refused, it cost nothing; cut short, it may have cost all.
            Err(error) if error.code == ErrorCode::BadModelAnswer => Usage {
                calls: 1,
                prompt_tokens: reserved,
                completion_tokens: 0,
            },
            Err(_) => Usage::default(),
        };
        self.settle(payer, reserved, usage).await;
        reply
    }

    async fn reserve(&self, payer: &Payer, tokens: u64) -> Result<(), UpstreamError> {
        let settings = self.model.settings();
        let reservation = Reservation {
            sync_id: payer.sync_id.clone(),
            tokens,
            tokens_per_sync: settings.tokens_per_sync,
            tokens_per_day: settings.tokens_per_day,
        };
        let options = WorkflowUpdateWithStartOptions::new(
            names::BUDGET_QUEUE,
            names::token_budget_id(&payer.user_id),
            WorkflowIdConflictPolicy::UseExisting,
        )
        .build();
        let asked = self.client.execute_update_with_start_workflow(
            TokenBudget::run,
            Account::default(),
            TokenBudget::reserve,
            reservation,
            options,
        );
        let unknown = |why: &dyn std::fmt::Display| {
            let message = format!("how many tokens are left could not be learnt: {why}");
            let mut error = UpstreamError::new(ErrorCode::ModelUnavailable, message);
            error.reached = false;
            error
        };
        let allowed = tokio::time::timeout(ACCOUNT_TIMEOUT, asked).await;
        let (code, what) = match allowed
            .map_err(|_| unknown(&"the engine gave no answer in time"))?
            .map_err(|error| unknown(&error))?
        {
            Allowance::Granted => return Ok(()),
            Allowance::SyncHasSpent => (
                ErrorCode::ModelBudgetSpent,
                format!(
                    "the sync has used up its {} tokens of the model",
                    settings.tokens_per_sync
                ),
            ),
            Allowance::DayIsSpent => (
                ErrorCode::ModelDayIsSpent,
                format!(
                    "the {} tokens of the model that may be used in a day are used up",
                    settings.tokens_per_day
                ),
            ),
        };
        Err(UpstreamError::new(code, what))
    }

    /// Says what a call cost. That it may not arrive only leaves more spent than was.
    async fn settle(&self, payer: &Payer, reserved: u64, usage: Usage) {
        let account = self
            .client
            .get_workflow_handle::<TokenBudget>(names::token_budget_id(&payer.user_id));
        let settlement = Settlement {
            sync_id: payer.sync_id.clone(),
            reserved,
            usage,
        };
        let told = account.signal(
            TokenBudget::settle,
            settlement,
            WorkflowSignalOptions::default(),
        );
        match tokio::time::timeout(ACCOUNT_TIMEOUT, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!("what a call cost could not be told: {error}"),
            Err(_) => tracing::debug!("what a call cost could not be told in time"),
        }
    }
}

/// What a model has said so far, for heartbeats.
#[derive(Clone, Default)]
struct Saying(Arc<Mutex<String>>);

impl Saying {
    fn hear(&self, text: &str) {
        let skipped = text.chars().count().saturating_sub(LONGEST_TOLD);
        let end: String = text.chars().skip(skipped).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn told(&self) -> String {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[activities]
impl ModelActivities {
    /// Takes a turn of an agent. What the model has said so far goes along with the heartbeats.
    #[activity(name = "invoke_model")]
    pub async fn invoke_model(
        self: Arc<Self>,
        ctx: ActivityContext,
        turn: Invoke,
    ) -> Result<Attempted<Reply>, ActivityError> {
        let saying = Saying::default();
        let told = saying.clone();
        reading_on(
            &ctx,
            &self.stopping,
            (TELLING, move || told.told()),
            async {
                self.paid(&turn.payer, &turn.ask, |text| saying.hear(text))
                    .await
            },
        )
        .await
    }

    /// Asks which of the candidates are meant.
    #[activity(name = "ai_disambiguate")]
    pub async fn ai_disambiguate(
        self: Arc<Self>,
        ctx: ActivityContext,
        asked: Disambiguate,
    ) -> Result<Attempted<Disambiguated>, ActivityError> {
        let saying = Saying::default();
        let told = saying.clone();
        reading_on(
            &ctx,
            &self.stopping,
            (TELLING, move || told.told()),
            async {
                let ask = choice::question(&asked.doubts);
                let reply = self
                    .paid(&asked.payer, &ask, |text| saying.hear(text))
                    .await?;
                // A model that refuses has chosen none of them.
                let choices = match &reply.refusal {
                    Some(_) => asked
                        .doubts
                        .iter()
                        .map(|doubt| (doubt.row, Choice::default()))
                        .collect(),
                    None => choice::read(&reply.text, &asked.doubts).map_err(|problem| {
                        UpstreamError::new(ErrorCode::BadModelAnswer, problem)
                    })?,
                };
                Ok(Disambiguated {
                    choices,
                    usage: reply.usage,
                })
            },
        )
        .await
    }
}
