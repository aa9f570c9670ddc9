//! All dead letters of a kind, tried again.

use futures::future::join_all;
use schemars::JsonSchema;
use segue_workflows::{dead_letter::DeadLetter, error::ErrorCode, names};
use serde::Serialize;
use temporalio_client::{Client, WorkflowQueryOptions};

use super::{Params, retry_letter};
use crate::{
    error::ToolError,
    list_syncs,
    visibility::{self, LARGEST_LIMIT},
};

/// Letters that one call tries again: ten pages of the engine's list.
const MOST: usize = 1_000;

const ALLOWED: &str = "sync_id; or, of all dead letters, playlist, error_code, failed_after, \
                       failed_before, or all = true";

/// A retry that was started, or why it was not.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Retry {
    /// The sync that failed.
    pub retry_of: String,
    /// The new sync.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_id: Option<String>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What came of all of them.
pub(super) struct Retried {
    pub(super) retries: Vec<Retry>,
    pub(super) more: bool,
}

impl Retried {
    pub(super) fn sentence(&self) -> String {
        let started = self.retries.iter().filter(|retry| retry.error.is_none());
        let (started, all) = (started.count(), self.retries.len());
        let mut sentence = match (started, all) {
            (0, 0) => "There are no such dead letters.".to_owned(),
            (1, 1) => "One sync is being tried again.".to_owned(),
            (n, all) if n == all => format!("{n} syncs are being tried again."),
            (n, all) => {
                format!("{n} of {all} syncs are being tried again; the others say why not.")
            }
        };
        if self.more {
            sentence.push_str(" There are more: call again for them.");
        }
        sentence
    }
}

/// A call that names a sync says nothing of others.
pub(super) fn no_filter(params: &Params) -> Result<(), ToolError> {
    let says_more = params.all
        || params.user.is_some()
        || params.playlist.is_some()
        || params.error_code.is_some()
        || params.failed_after.is_some()
        || params.failed_before.is_some();
    match says_more {
        true => Err(ToolError::invalid(
            "sync_id",
            "was given together with a filter",
            ALLOWED,
        )),
        false => Ok(()),
    }
}

/// The engine's query for the letters that are meant.
pub(super) fn filter(params: &Params, user_id: &str) -> Result<String, ToolError> {
    let says_which = params.all
        || params.playlist.is_some()
        || params.error_code.is_some()
        || params.failed_after.is_some()
        || params.failed_before.is_some();
    if !says_which {
        return Err(ToolError::invalid("sync_id", "is missing", ALLOWED));
    }
    let letters = list_syncs::Params {
        status: Some(segue_workflows::sync::SyncStatus::DeadLettered),
        user: params.user.clone(),
        playlist: params.playlist.clone(),
        track: None,
        artist: None,
        // A letter is written when its sync fails.
        started_after: params.failed_after,
        started_before: params.failed_before,
        limit: None,
        cursor: None,
    };
    list_syncs::filter(&letters, user_id)
}

/// Tries again what these letters keep. One that cannot be, does not keep the others back.
pub(super) async fn retry(
    client: &Client,
    query: String,
    error_code: Option<ErrorCode>,
) -> Result<Retried, ToolError> {
    let mut retries = Vec::new();
    let mut token = Vec::new();
    loop {
        let page = visibility::list(client, query.clone(), LARGEST_LIMIT, token).await?;
        let letters: Vec<&str> = page.ids().filter_map(names::sync_of_dead_letter).collect();
        let tried = join_all(letters.iter().map(|id| try_again(client, id, error_code))).await;
        retries.extend(tried.into_iter().flatten());
        let Some(next) = page.next_cursor else {
            return Ok(Retried {
                retries,
                more: false,
            });
        };
        if retries.len() >= MOST {
            return Ok(Retried {
                retries,
                more: true,
            });
        }
        token = visibility::cursor(Some(&next))?;
    }
}

/// The retry of the sync that a letter keeps; none if it is not one of those that are meant, or is being
/// tried again already.
async fn try_again(client: &Client, failed_id: &str, code: Option<ErrorCode>) -> Option<Retry> {
    let letter = client.get_workflow_handle::<DeadLetter>(names::dead_letter_id(failed_id));
    let state = letter.query(DeadLetter::state, (), WorkflowQueryOptions::default());
    let failed = |error: String| {
        Some(Retry {
            retry_of: failed_id.to_owned(),
            sync_id: None,
            error: Some(error),
        })
    };
    let state = match state.await {
        Ok(state) => state,
        Err(error) => return failed(error.to_string()),
    };
    if state.retrying.is_some() || code.is_some_and(|code| code != state.error.code) {
        return None;
    }
    let retry_id = names::new_sync_id();
    match retry_letter(client, failed_id, &retry_id).await {
        Ok(()) => Some(Retry {
            retry_of: failed_id.to_owned(),
            sync_id: Some(retry_id),
            error: None,
        }),
        Err(error) => failed(error.message),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn params(call: serde_json::Value) -> Params {
        serde_json::from_value(call).expect("parameters")
    }

    #[test]
    fn a_call_names_a_sync_or_says_which_letters() {
        for nothing in [json!({}), json!({"user": "local"})] {
            let error = filter(&params(nothing), "local").expect_err("refused");
            assert_eq!(error.field, Some("sync_id"));
        }
        let both = json!({"sync_id": "sync-1", "all": true});
        assert!(no_filter(&params(both)).is_err());
        let query = filter(
            &params(json!({"playlist": "It's", "failed_after": "2026-11-25T00:00:00Z"})),
            "local",
        )
        .expect("accepted");
        for term in [
            "WorkflowType = 'DeadLetter'",
            "UserId = 'local'",
            r"PlaylistName = 'It\'s'",
            "StartTime >= '2026-11-25T00:00:00Z'",
        ] {
            assert!(query.contains(term), "{term} is not in {query}");
        }
        let other = params(json!({"all": true, "user": "other"}));
        assert_eq!(
            filter(&other, "local").expect_err("refused").field,
            Some("user")
        );
    }
}
