//! A sign-in that is needed: one notice for a whole outage, however many syncs meet it.
//!
//! No sync starts this notice: thousands wait for the same sign-in, and a sync that does not know the others
//! could only tell for itself. The worker notes what its calls of the upstream come to ([`SignIn`]), and starts
//! the one workflow whose id names the account. That stays open as long as the outage lasts, and while it is open
//! the engine starts no other, whatever process asks for it. A kill in between costs nothing: the sync that met
//! the outage meets it again. A notice ends after a day at the latest; an outage that has not ended by then is told
//! again, because the gate says from time to time that the sign-in is still needed.

// None of this runs in a workflow.
#![expect(clippy::disallowed_methods, reason = "clocks of the worker")]

use std::time::Duration;

use jiff::Timestamp;
use temporalio_client::{
    Client, WorkflowIdConflictPolicy, WorkflowIdReusePolicy, WorkflowStartOptions,
};
use temporalio_common::search_attributes::SearchAttributes;
use tokio_util::sync::CancellationToken;

use super::{Event, What};
use crate::{
    error::SyncError,
    gate::{Gate, SignIn},
    names,
    notice::{self, LONGEST_LIFE, Notice},
};

/// Time before the engine is asked again after it could not be.
const AGAIN: Duration = Duration::from_secs(1);

/// Whose sign-in the upstream of a worker has.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The user for whom the worker is configured.
    pub(crate) user: String,
    /// The id of the notice that this account's sign-in is needed.
    id: String,
}

impl Account {
    /// The account of this user at an upstream that is called so.
    pub(crate) fn new(user: String, upstream: &str) -> Self {
        let id = names::sign_in_notice_id(&user, upstream);
        Self { user, id }
    }
}

/// Tells the user when the upstream wants a sign-in, once, until it has had one.
pub(crate) async fn tell_of_sign_in(
    client: &Client,
    gate: &Gate,
    account: &Account,
    stop: &CancellationToken,
) {
    let telling = async {
        let mut sign_in = gate.sign_in();
        loop {
            let now = sign_in.borrow_and_update().clone();
            let told = match now {
                SignIn::Unknown => Ok(()),
                SignIn::Works => notice::end(client, &account.id).await,
                SignIn::Needed { error, .. } => begin(client, account, error).await,
            };
            match told {
                Ok(()) if sign_in.changed().await.is_err() => return,
                Ok(()) => {}
                Err(error) => {
                    tracing::debug!("the user could not be told of the sign-in: {error:#}");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

async fn begin(client: &Client, account: &Account, error: SyncError) -> anyhow::Result<()> {
    let time = Timestamp::now();
    let event = Event {
        // Another outage is another event.
        id: format!("{}-{}", account.id, time.as_millisecond()),
        time,
        user: account.user.clone(),
        sync_id: None,
        message: format!(
            "Spotify wants a new sign-in: {}. {}",
            error.message.trim_end_matches('.'),
            error.next_step
        ),
        what: What::SignInNeeded { error },
    };
    let user = names::USER_ID.value_set(names::attribute_value(&event.user));
    let options = WorkflowStartOptions::new(names::NOTICE_QUEUE, &account.id)
        .id_reuse_policy(WorkflowIdReusePolicy::AllowDuplicate)
        .id_conflict_policy(WorkflowIdConflictPolicy::UseExisting)
        .execution_timeout(LONGEST_LIFE)
        .search_attributes(SearchAttributes::new([user]))
        .build();
    client.start_workflow(Notice::run, event, options).await?;
    Ok(())
}
