//! `list_syncs`: the user's syncs, filtered and paged.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    names,
    sync::{PlaylistRef, SyncStatus},
};
use serde::{Deserialize, Serialize};
use temporalio_client::Client;
use temporalio_common::protos::temporal::api::{
    enums::v1::WorkflowExecutionStatus as EngineStatus, workflow::v1::WorkflowExecutionInfo,
};
use temporalio_common::search_attributes::SearchAttributes;

use crate::{
    Segue,
    answer::Answer,
    args::Args,
    error::ToolError,
    playlist, text,
    visibility::{self, LARGEST_LIMIT, equals},
};

/// What `list_syncs` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {
    /// Only syncs in this state.
    #[serde(default)]
    pub status: Option<SyncStatus>,
    /// Only syncs of this user. Default: the user that this server works for; another's are not
    /// shown.
    #[serde(default)]
    pub user: Option<String>,
    /// Only syncs into this playlist: id, URI, URL, or the name as it was given.
    #[serde(default)]
    pub playlist: Option<String>,
    /// Only syncs of this title, spelt as it was given.
    #[serde(default)]
    pub track: Option<String>,
    /// Only syncs of this artist, spelt as it was given.
    #[serde(default)]
    pub artist: Option<String>,
    /// Only syncs started at this time or later, such as 2026-11-23T15:00:00Z.
    #[serde(default)]
    pub started_after: Option<Timestamp>,
    /// Only syncs started before this time, such as 2026-11-24T00:00:00Z.
    #[serde(default)]
    pub started_before: Option<Timestamp>,
    /// Syncs on a page, 1 to 100. Default 20.
    #[serde(default)]
    #[schemars(range(min = 1, max = LARGEST_LIMIT))]
    pub limit: Option<u32>,
    /// The next_cursor of the page before, to read on.
    #[serde(default)]
    pub cursor: Option<String>,
}

/// A page of syncs, the latest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// The syncs.
    pub syncs: Vec<Row>,
    /// Give it as cursor to read the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// One sync.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// The id by which every other tool knows this sync.
    pub sync_id: String,
    /// Where it stands.
    pub status: SyncStatus,
    /// The title as the source spells it; absent of a batch and of a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// The artist as the source spells it; absent of a batch and of a comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The playlist: its id, or its name until that is looked up. Empty of a comparison.
    pub playlist: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

#[tool_router(router = list_syncs_router, vis = "pub(crate)")]
impl Segue {
    /// Lists syncs, the latest first: all, or by status, playlist, track, artist or time. Use it to
    /// find a sync_id, to see what still runs, or what is dead-lettered and waits for retry_failed.
    #[tool(
        title = "List syncs",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "List syncs",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn list_syncs(
        &self,
        Args(params): Args<Params>,
        context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let limit = visibility::limit(params.limit)?;
        let page_token = visibility::cursor(params.cursor.as_deref())?;
        let filter = filter(&params, self.user_id())?;
        let engine = self.engine().ready(&context).await?;
        let page = visibility::list(&engine.client, filter, limit, page_token).await?;
        let syncs: Vec<Row> = rows(&engine.client, &page.found)
            .await?
            .into_iter()
            .filter(|row| params.status.is_none_or(|wanted| row.status == wanted))
            .collect();
        let next_cursor = page.next_cursor;
        let sentence = match (syncs.len(), &next_cursor) {
            (0, None) => "There are no such syncs.".to_owned(),
            (1, None) => "There is one such sync.".to_owned(),
            (many, None) => format!("There are {many} such syncs."),
            (many, Some(_)) => {
                format!("Here are {many} syncs; give next_cursor as cursor for more.")
            }
        };
        Ok(Answer {
            sentence: sentence + &engine.note(),
            data: Output { syncs, next_cursor },
        })
    }
}

/// The engine's term for syncs of any kind; of a batch that has continued as new, the last run.
const SYNCS: &str = "WorkflowType IN ('MusicSync', 'BatchSync', 'StrategyComparison') AND ExecutionStatus != 'ContinuedAsNew'";

/// The engine's query for all syncs of a user.
pub(crate) fn all_of(user_id: &str) -> String {
    format!("{SYNCS} AND {}", equals(names::USER_ID.name(), user_id))
}

/// The engine's query for these filters.
pub(crate) fn filter(params: &Params, user_id: &str) -> Result<String, ToolError> {
    let user = text::optional("user", params.user.as_deref(), 255)?;
    if user.is_some_and(|user| user != user_id) {
        return Err(ToolError::invalid(
            "user",
            "is not the user that this server works for",
            "your own user id, or nothing",
        ));
    }
    // What is dead-lettered is what a letter keeps, however long ago its sync was.
    let kind = match params.status {
        Some(SyncStatus::DeadLettered) => {
            "WorkflowType = 'DeadLetter' AND ExecutionStatus = 'Running'"
        }
        _ => SYNCS,
    };
    let mut terms = vec![kind.to_owned(), equals(names::USER_ID.name(), user_id)];
    if let Some(given) = text::optional("playlist", params.playlist.as_deref(), 300)? {
        let key = match playlist::parse(&given)? {
            PlaylistRef::Id(_) => names::PLAYLIST_ID.name(),
            PlaylistRef::Name(_) => names::PLAYLIST_NAME.name(),
        };
        terms.push(equals(key, playlist::parse(&given)?.as_str()));
    }
    if let Some(title) = text::optional("track", params.track.as_deref(), 500)? {
        terms.push(equals(names::TRACK_NAME.name(), &title));
    }
    if let Some(artist) = text::optional("artist", params.artist.as_deref(), 500)? {
        terms.push(equals(names::ARTIST_NAME.name(), &artist));
    }
    if let Some(after) = params.started_after {
        terms.push(format!("StartTime >= '{after}'"));
    }
    if let Some(before) = params.started_before {
        terms.push(format!("StartTime < '{before}'"));
    }
    match params.status {
        // A sync whose dead letter was closed has failed for good: which it is, the letter says.
        // One that the engine itself ended could not say so.
        Some(SyncStatus::Failed) => terms.push(format!(
            "({} IN ('failed', 'dead_lettered') OR ExecutionStatus IN ('Terminated', 'TimedOut'))",
            names::SYNC_STATUS.name()
        )),
        Some(status) if status.is_open() => terms.push(format!(
            "{} AND ExecutionStatus = 'Running'",
            equals(names::SYNC_STATUS.name(), status.as_str())
        )),
        Some(SyncStatus::DeadLettered) | None => {}
        Some(status) => terms.push(equals(names::SYNC_STATUS.name(), status.as_str())),
    }
    Ok(terms.join(" AND "))
}

/// These syncs, as they are shown.
pub(crate) async fn rows(
    client: &Client,
    found: &[WorkflowExecutionInfo],
) -> Result<Vec<Row>, ToolError> {
    let letters = open_letters(client, found).await?;
    Ok(found
        .iter()
        .filter_map(|execution| row(execution, &letters))
        .collect())
}

/// Which of these syncs are kept by a dead letter that is still open.
async fn open_letters(
    client: &Client,
    found: &[WorkflowExecutionInfo],
) -> Result<BTreeSet<String>, ToolError> {
    let letters: Vec<String> = found
        .iter()
        .filter(|execution| status_of(execution) == Some(SyncStatus::DeadLettered))
        .filter_map(sync_id_of)
        .map(|sync_id| format!("'{}'", names::dead_letter_id(&sync_id)))
        .collect();
    if letters.is_empty() {
        return Ok(BTreeSet::new());
    }
    let query = format!(
        "ExecutionStatus = 'Running' AND WorkflowId IN ({})",
        letters.join(", ")
    );
    let open = visibility::list(client, query, LARGEST_LIMIT, Vec::new()).await?;
    Ok(open.ids().map(str::to_owned).collect())
}

fn row(execution: &WorkflowExecutionInfo, letters: &BTreeSet<String>) -> Option<Row> {
    let sync_id = sync_id_of(execution)?;
    let attributes = attributes(execution);
    let status = match status_of(execution)? {
        SyncStatus::DeadLettered if !letters.contains(&names::dead_letter_id(&sync_id)) => {
            SyncStatus::Failed
        }
        status => status,
    };
    let time = |seconds: i64, nanos: i32| Timestamp::new(seconds, nanos).ok();
    Some(Row {
        status,
        track: attributes.get(&names::TRACK_NAME),
        artist: attributes.get(&names::ARTIST_NAME),
        playlist: attributes.get(&names::PLAYLIST_ID).unwrap_or_default(),
        started_at: execution
            .start_time
            .as_ref()
            .and_then(|t| time(t.seconds, t.nanos))?,
        ended_at: execution
            .close_time
            .as_ref()
            .and_then(|t| time(t.seconds, t.nanos)),
        sync_id,
    })
}

fn attributes(execution: &WorkflowExecutionInfo) -> SearchAttributes {
    execution
        .search_attributes
        .as_ref()
        .map(SearchAttributes::from_proto)
        .unwrap_or_default()
}

/// The sync that this is, or that this letter keeps.
fn sync_id_of(execution: &WorkflowExecutionInfo) -> Option<String> {
    let id = &execution.execution.as_ref()?.workflow_id;
    Some(names::sync_of_dead_letter(id).unwrap_or(id).to_owned())
}

fn status_of(execution: &WorkflowExecutionInfo) -> Option<SyncStatus> {
    let told = attributes(execution).get(&names::SYNC_STATUS);
    let status = SyncStatus::parse(&told?)?;
    // One that was terminated from outside could not say so itself.
    let over = execution.status != EngineStatus::Running as i32;
    Some(if over && status.is_open() {
        SyncStatus::Failed
    } else {
        status
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Params {
        serde_json::from_value(serde_json::json!({})).expect("every parameter may be left out")
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let params = Params {
            track: Some("x' OR UserId = 'other\\".into()),
            ..nothing()
        };
        let filter = filter(&params, "local").expect("accepted");
        assert!(
            filter.ends_with(r"TrackName = 'x\' OR UserId = \'other\\'"),
            "{filter}"
        );
    }

    #[test]
    fn somebody_elses_syncs_are_refused() {
        let params = Params {
            user: Some("other".into()),
            ..nothing()
        };
        assert_eq!(
            filter(&params, "local").expect_err("refused").field,
            Some("user")
        );
    }
}
