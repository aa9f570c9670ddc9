//! The MCP surface of Segue: one file a tool, and the handler that serves them.
//!
//! A tool validates, starts or queries a workflow, and maps the answer. It knows no activity and
//! no transport; all state is the engine's.

#![deny(clippy::print_stdout, reason = "stdout is the protocol")]

mod answer;
mod args;
mod asking;
mod batch_view;
// For the fuzz targets alone, which stand outside this crate.
#[doc(hidden)]
pub mod border;
mod engine;
mod error;
mod log_messages;
mod playlist;
mod previewed;
mod report;
mod resources;
mod review_view;
mod rows;
mod schedule_view;
mod schedules;
mod source;
mod sync_tasks;
pub mod tasks;
mod text;
mod timing;
mod view;
mod visibility;
mod waiting;

#[cfg(test)]
mod properties;

mod cancel_sync;
mod compare_strategies;
mod comparison_view;
mod delete_schedule;
mod forget_answer;
mod get_health;
mod get_sync_progress;
mod list_answers;
mod list_playlists;
mod list_reviews;
mod list_schedules;
mod list_syncs;
mod pause_schedule;
mod preview_sync;
mod reset_circuit;
mod resume_schedule;
mod retry_failed;
mod review_match;
mod run_schedule_now;
mod schedule_sync;
mod sync_playlist;
mod sync_track;
mod update_schedule;

use std::{path::PathBuf, sync::Arc, time::Instant};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    handler::server::{
        router::tool::ToolRouter,
        tool::{IntoCallToolResult, ToolCallContext},
    },
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, ErrorCode, GetTaskParams,
        GetTaskResult, Implementation, JsonObject, ListResourceTemplatesResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        ServerCapabilities, ServerConfig, UpdateTaskParams,
    },
    service::RequestContext,
    tool_handler,
};
use segue_workflows::{
    comparison::Prices, gate::Gate, matching::DEFAULT_THRESHOLD, metrics::CallOutcome,
    model::ModelStanding, review::ReviewTerms, sync::McpConnection,
};

pub use self::{
    engine::{Engine, EngineState},
    error::ToolError,
    view::SyncView,
};
use crate::tasks::Retention;

/// What a model is told about when to use which tool.
const INSTRUCTIONS: &str = "\
Segue adds songs to Spotify playlists durably: once a tool has answered, the work survives a closed \
chat, a restart and Spotify's rate limits, and every song ends in the playlist exactly once or with \
a reason.
- To add a song, call sync_track with title, artist and playlist; for several, call sync_playlist once \
with all of them. Both answer at once with a sync_id; do not call them again for the same songs.
- Songs in a file that another program exported (CSV, text, M3U, XML, JSON) go to sync_playlist as they \
are: its text as export, or its path as file. Do not take it apart yourself.
- Where a match is not certain, on_ambiguous decides: skip leaves the song out, ai lets a model choose.
- To see first what would be added, call preview_sync. What became of every row of a batch is in its \
report, and page by page in get_sync_progress.
- To see what came of it, call get_sync_progress with the sync_id (wait_seconds waits for the end).
- If the user names a playlist loosely, call list_playlists first and use the id.
- To undo or stop, call cancel_sync. It never removes what was in the playlist before.
- To see earlier work or what went wrong, call list_syncs; status dead_lettered waits for retry_failed.
- A sync that waits has not failed: waiting_for_rate_limit and waiting_for_upstream go on by themselves \
at waiting_until, waiting_for_sign_in goes on when the user has run `segue login`.
- With on_ambiguous review, a track that has no certain match waits for the user: status \
waiting_for_review. Call list_reviews, show the candidates side by side, and give the user's choice to \
review_match; never choose for them. Answers are remembered (list_answers, forget_answer).
- For what is to happen again and again (keep every week's Discover Weekly, mirror a playlist), call \
schedule_sync; list_schedules shows what is scheduled and what came of it.
- If syncs do not move, call get_health; it says what is wrong and what to do.
- status completed with success false means that no match was good enough and nothing was added: tell \
the user best_candidate and why. For any other end, message says what is in the playlist.";

/// What the configuration says of the tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The confidence that a match needs when a call does not say, 0.0 to 1.0.
    pub match_threshold: f64,
    /// The folders whose files a call may name for an import, as absolute paths. For a client on the
    /// same machine alone: a server that others reach over a network gets none.
    pub import_folders: Vec<PathBuf>,
    /// How long the user has for a review, and what happens then.
    pub review: ReviewTerms,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            match_threshold: DEFAULT_THRESHOLD,
            import_folders: Vec::new(),
            review: ReviewTerms::default(),
        }
    }
}

/// What the configuration says of agents.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AgentSettings {
    /// The share of the syncs for which nobody says otherwise that agents do, 0.0 to 1.0.
    pub share: f64,
    /// How an agent speaks with the upstream server.
    pub connection: McpConnection,
    /// What the model's tokens cost, if that is known.
    pub prices: Option<Prices>,
}

/// The server that every transport serves.
#[derive(Clone)]
pub struct Segue {
    engine: Engine,
    gate: Gate,
    user_id: String,
    settings: Settings,
    model: Option<ModelStanding>,
    agents: AgentSettings,
    retention: Retention,
    log: log_messages::Asked,
    /// Shared: over HTTP each call has a server of its own.
    router: Arc<ToolRouter<Self>>,
}

impl Segue {
    /// A server on this engine, for this user, beside a worker whose calls go through this gate.
    pub fn new(engine: Engine, gate: Gate, user_id: impl Into<String>, settings: Settings) -> Self {
        Self {
            engine,
            gate,
            user_id: user_id.into(),
            settings,
            model: None,
            agents: AgentSettings::default(),
            retention: Retention::default(),
            log: log_messages::Asked::default(),
            router: Arc::new(Self::router()),
        }
    }

    /// The same for another user: whoever serves several has one for each.
    #[must_use]
    pub fn acting_for(&self, user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            ..self.clone()
        }
    }

    /// The same, beside a worker with this model or without one: what `get_health` tells of it.
    #[must_use]
    pub fn with_model(mut self, model: ModelStanding) -> Self {
        self.model = Some(model);
        self
    }

    /// Every tool there is.
    pub fn router() -> ToolRouter<Self> {
        Self::sync_track_router()
            + Self::sync_playlist_router()
            + Self::preview_sync_router()
            + Self::get_sync_progress_router()
            + Self::cancel_sync_router()
            + Self::retry_failed_router()
            + Self::compare_strategies_router()
            + Self::list_syncs_router()
            + Self::list_playlists_router()
            + Self::list_reviews_router()
            + Self::review_match_router()
            + Self::list_answers_router()
            + Self::forget_answer_router()
            + Self::schedule_sync_router()
            + Self::list_schedules_router()
            + Self::update_schedule_router()
            + Self::pause_schedule_router()
            + Self::resume_schedule_router()
            + Self::run_schedule_now_router()
            + Self::delete_schedule_router()
            + Self::get_health_router()
            + Self::reset_circuit_router()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(crate) fn retention(&self) -> &Retention {
        &self.retention
    }

    pub(crate) fn user_id(&self) -> &str {
        &self.user_id
    }

    /// The same, with these settings of agents.
    #[must_use]
    pub fn with_agents(mut self, agents: AgentSettings) -> Self {
        self.agents = agents;
        self
    }

    pub(crate) fn agents(&self) -> AgentSettings {
        self.agents
    }

    pub(crate) fn model(&self) -> Option<&ModelStanding> {
        self.model.as_ref()
    }

    pub(crate) fn match_threshold(&self) -> f64 {
        self.settings.match_threshold
    }

    pub(crate) fn review_terms(&self) -> ReviewTerms {
        self.settings.review
    }

    pub(crate) fn import_folders(&self) -> &[PathBuf] {
        &self.settings.import_folders
    }
}

#[tool_handler(router = self.router)]
impl ServerHandler for Segue {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_tasks()
            .build();
        capabilities.logging = Some(JsonObject::new());
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new("segue", env!("CARGO_PKG_VERSION"));
        info.server_info.title = Some("Segue".to_owned());
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(
            resources::templates(),
        ))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let Some(named) = resources::named(&request.uri) else {
            return Err(resources::unknown(&request.uri));
        };
        let engine = self.engine().ready(&context).await;
        let engine = engine.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        let read = resources::read(&engine.client, self.user_id(), &request.uri, named).await?;
        Ok(read.into())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        mut context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let route = self.router.get(&request.name);
        let tool = route.map(|tool| tool.name.clone());
        let begun = Instant::now();
        self.log.note(&mut context);
        let answer = self.answer(request, context).await;
        let outcome = match &answer {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => {
                CallOutcome::ToolError
            }
            Ok(_) => CallOutcome::Ok,
            Err(_) => CallOutcome::ProtocolError,
        };
        let metrics = self.gate.metrics();
        metrics.tool_called(tool.as_deref(), outcome, begun.elapsed());
        if let Ok(CallToolResponse::Task(_)) = &answer {
            metrics.task_created(tool.as_deref());
        }
        answer
    }

    #[expect(deprecated, reason = "clients before 2026-07-28 ask for it")]
    async fn set_level(
        &self,
        request: rmcp::model::SetLevelRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.log.set(&request, &context)
    }

    async fn get_task(
        &self,
        request: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let told = self.tasks(&context).await?.get(&request.task_id).await?;
        let stands = sync_tasks::stands(told.task.status());
        self.gate.metrics().task_told(stands);
        Ok(told)
    }

    async fn update_task(
        &self,
        request: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let tasks = self.tasks(&context).await?;
        Ok(tasks
            .update(&request.task_id, request.input_responses)
            .await?)
    }

    async fn cancel_task(
        &self,
        request: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let tasks = self.tasks(&context).await?;
        Ok(tasks.cancel(&request.task_id).await?)
    }
}

impl Segue {
    async fn answer(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let request = match asking::resumed(self, request, &context).await {
            Ok(request) => request,
            Err(error) => return error.into_call_tool_result(),
        };
        let known = self.router.has_route(&request.name);
        match self
            .router
            .call(ToolCallContext::new(self, request, context))
            .await
        {
            // A model sees results, not protocol errors, and can mend only what it sees.
            Err(error) if known && error.code == ErrorCode::INVALID_PARAMS => {
                ToolError::unreadable(error.message).into_call_tool_result()
            }
            other => other,
        }
    }
}
