//! The MCP surface of Segue: one file a tool, and the handler that serves them (`server.rs`).
//!
//! A tool validates, starts or queries a workflow, and maps the answer. It knows no activity and
//! no transport; all state is the engine's.

#![deny(clippy::print_stdout, reason = "stdout is the protocol")]

mod answer;
pub mod app;
mod args;
mod asking;
mod batch_view;
// For the fuzz targets alone, which stand outside this crate.
#[doc(hidden)]
pub mod border;
mod caching;
mod completions;
mod engine;
mod error;
mod icons;
mod instructions;
mod log_messages;
mod playlist;
mod previewed;
mod prompts;
mod report;
mod resources;
mod review_view;
mod rows;
mod schedule_view;
mod schedules;
mod server;
mod source;
mod sync_tasks;
pub mod tasks;
mod text;
mod timing;
mod view;
mod visibility;
mod waiting;
mod watching;

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

use std::{path::PathBuf, sync::Arc};

use rmcp::{
    handler::server::router::tool::ToolRouter,
    model::{Prompt, Resource, ResourceTemplate},
};
use segue_workflows::{
    comparison::Prices, gate::Gate, matching::DEFAULT_THRESHOLD, model::ModelStanding,
    review::ReviewTerms, sync::McpConnection,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

use self::{completions::PlaylistNames, reset_circuit::Resets, watching::Watching};
pub use self::{
    engine::{Engine, EngineState},
    error::ToolError,
    view::SyncView,
};
use crate::tasks::Retention;

/// Calls of tools that a user may have open at a time, over all connections to this process: twice what
/// the door of the HTTP server lets in, for those that it does not see the end of.
const MOST_CALLS: usize = 512;

/// Whole reports that a process writes at a time, for all its users: one of 20,000 rows is some 10 MB, and 200 reads
/// of the engine.
const MOST_REPORTS: usize = 4;

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
    /// Whether the user is told, by a webhook, of what becomes of syncs.
    pub notify: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            match_threshold: DEFAULT_THRESHOLD,
            import_folders: Vec::new(),
            review: ReviewTerms::default(),
            notify: false,
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
    /// Whose process it is.
    owner: String,
    settings: Settings,
    model: Option<ModelStanding>,
    agents: AgentSettings,
    retention: Retention,
    log: log_messages::Asked,
    playlist_names: PlaylistNames,
    watching: Watching,
    /// Places of calls, for whatever transport.
    calls: Arc<Semaphore>,
    /// Turns at reading a whole report, of all users and of this one.
    reports: Arc<Semaphore>,
    own_reports: Arc<Semaphore>,
    resets: Resets,
    /// Cancelled when this process ends: streams then come to theirs.
    stop: CancellationToken,
    /// Shared: over HTTP each call has a server of its own.
    router: Arc<ToolRouter<Self>>,
}

impl Segue {
    /// A server on this engine, for this user, beside a worker whose calls go through this gate.
    pub fn new(engine: Engine, gate: Gate, user_id: impl Into<String>, settings: Settings) -> Self {
        let user_id = user_id.into();
        Self {
            engine,
            gate,
            owner: user_id.clone(),
            user_id,
            settings,
            model: None,
            agents: AgentSettings::default(),
            retention: Retention::default(),
            log: log_messages::Asked::default(),
            playlist_names: PlaylistNames::default(),
            watching: Watching::default(),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            reports: Arc::new(Semaphore::new(MOST_REPORTS)),
            own_reports: Arc::new(Semaphore::new(1)),
            resets: Resets::default(),
            stop: CancellationToken::new(),
            router: Arc::new(Self::router()),
        }
    }

    /// The same for another user: whoever serves several has one for each.
    #[must_use]
    pub fn acting_for(&self, user_id: impl Into<String>) -> Self {
        Self {
            user_id: user_id.into(),
            // So that nobody uses up what others may watch, or call.
            watching: Watching::default(),
            calls: Arc::new(Semaphore::new(MOST_CALLS)),
            own_reports: Arc::new(Semaphore::new(1)),
            ..self.clone()
        }
    }

    /// The same, beside a worker with this model or without one: what `get_health` tells of it.
    #[must_use]
    pub fn with_model(mut self, model: ModelStanding) -> Self {
        self.model = Some(model);
        self
    }

    /// The same, whose streams end in order when this is cancelled.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Every tool there is.
    pub fn router() -> ToolRouter<Self> {
        let mut router = Self::sync_track_router()
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
            + Self::reset_circuit_router();
        for tool in router.map.values_mut() {
            let schema = tool.attr.output_schema.take();
            tool.attr.output_schema = schema.map(|schema| {
                let schema = Arc::unwrap_or_clone(schema);
                Arc::new(error::or_error(schema))
            });
        }
        router
    }

    /// Every prompt there is.
    pub fn prompts() -> Vec<Prompt> {
        prompts::all()
    }

    /// The resources that there are once, for everybody.
    pub fn fixed_resources() -> Vec<Resource> {
        resources::fixed()
    }

    /// The forms of all other resources.
    pub fn resource_templates() -> Vec<ResourceTemplate> {
        resources::templates()
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

    /// Whether the user is one of others whom this process serves besides its owner.
    pub(crate) fn is_guest(&self) -> bool {
        self.user_id != self.owner
    }

    /// A turn at reading a whole report: the user's own comes first, so that nobody keeps the others waiting.
    pub(crate) async fn turn_at_reports(&self) -> Option<[SemaphorePermit<'_>; 2]> {
        let own = self.own_reports.acquire().await.ok()?;
        Some([own, self.reports.acquire().await.ok()?])
    }

    pub(crate) fn resets(&self) -> &Resets {
        &self.resets
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

    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn playlist_names(&self) -> &PlaylistNames {
        &self.playlist_names
    }

    pub(crate) fn match_threshold(&self) -> f64 {
        self.settings.match_threshold
    }

    pub(crate) fn review_terms(&self) -> ReviewTerms {
        self.settings.review
    }

    pub(crate) fn notifies(&self) -> bool {
        self.settings.notify
    }

    pub(crate) fn import_folders(&self) -> &[PathBuf] {
        &self.settings.import_folders
    }
}
