//! `get_health`: how every part is, what is wrong, and what to do about it.

use std::time::Duration;

use jiff::Timestamp;
use rmcp::{
    RoleServer,
    handler::server::common::{schema_for_output, schema_for_type},
    service::RequestContext,
    tool, tool_router,
};
use schemars::JsonSchema;
use segue_workflows::{
    call_budget::{CallBudget, Facts},
    gate::{Circuit, CircuitState, Gate, Group, WINDOW},
    model::ModelStanding,
    names,
    sync::SyncStatus,
};
use serde::{Deserialize, Serialize};
use temporalio_client::{Client, NamespacedClient, WorkflowCountOptions, WorkflowQueryOptions};
use temporalio_common::protos::temporal::api::{
    enums::v1::TaskQueueType,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        DescribeTaskQueueRequest, DescribeTaskQueueResponse, GetSystemInfoRequest,
    },
};
use tokio::time::timeout;

use crate::{Segue, answer::Answer, args::Args, engine::EngineState, error::ToolError};

/// Time for each question to the engine. Health is asked for when things are slow.
const QUESTION: Duration = Duration::from_secs(3);

/// What `get_health` is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Params {}

/// How every part is.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Output {
    /// Whether nothing is wrong.
    pub healthy: bool,
    /// What is wrong, and what to do about it.
    pub problems: Vec<Problem>,
    /// The engine.
    pub engine: EngineHealth,
    /// The workers of all processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workers: Option<WorkerHealth>,
    /// The limit on calls of the upstream.
    pub limiter: LimiterHealth,
    /// Whether the upstream is called, by kind of call: as this process sees it.
    pub circuits: Vec<Circuit>,
    /// The model that decides between close matches: whether there is one, what is missing if not, and
    /// what it adds. As this process is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelStanding>,
    /// The user's syncs that are under way or kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub syncs: Option<SyncCounts>,
}

/// Something that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Problem {
    /// Which part.
    pub part: &'static str,
    /// What is wrong, in one sentence.
    pub problem: String,
    /// What to do about it.
    pub what_to_do: String,
}

/// The engine.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EngineHealth {
    /// Whether it answers.
    pub ready: bool,
    /// The version of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_version: Option<String>,
    /// The namespace that is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// The workers, and what waits for them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct WorkerHealth {
    /// Processes that take work.
    pub count: usize,
    /// Steps of workflows that wait for a worker, about.
    pub waiting_workflow_tasks: i64,
    /// Calls of the upstream that wait for a worker, about.
    pub waiting_activities: i64,
}

/// The limit on calls of the upstream, which all workers share.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LimiterHealth {
    /// The length of the window, in seconds.
    pub window_seconds: u64,
    /// Calls that all workers may make in a window; less than configured after rate limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls_per_window: Option<u32>,
    /// What that is configured to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configured: Option<u32>,
    /// What of it this process may make; 0 while it has not called yet.
    pub share_of_this_process: u32,
    /// Processes that share it now.
    pub sharing: usize,
    /// How often Spotify's rate limit was met.
    pub times_limited: u64,
    /// Spotify asked to come back then; nobody calls before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocked_until: Option<Timestamp>,
}

/// How many syncs of the user's stand where.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SyncCounts {
    /// At work.
    pub running: usize,
    /// Waiting for Spotify's rate limit.
    pub waiting_for_rate_limit: usize,
    /// Waiting for an upstream that is down.
    pub waiting_for_upstream: usize,
    /// Waiting for `segue login`.
    pub waiting_for_sign_in: usize,
    /// Kept after they ran out of attempts.
    pub dead_lettered: usize,
}

#[tool_router(router = get_health_router, vis = "pub(crate)")]
impl Segue {
    /// Tells how Segue is: the engine, the workers, the limit on calls, the upstream, how many
    /// syncs wait for what; what is wrong, and what to do about it. Use it when syncs do not move.
    #[tool(
        title = "See how Segue is",
        input_schema = schema_for_type::<Params>(),
        output_schema = schema_for_output::<Output>(),
        annotations(
            title = "See how Segue is",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    pub(crate) async fn get_health(
        &self,
        Args(Params {}): Args<Params>,
        _context: RequestContext<RoleServer>,
    ) -> Result<Answer<Output>, ToolError> {
        let output = self.health().await;
        Ok(Answer {
            sentence: output.in_words(),
            data: output,
        })
    }
}

impl Segue {
    /// How every part is, also while the engine is not there.
    pub(crate) async fn health(&self) -> Output {
        let mut output = Output {
            healthy: true,
            problems: Vec::new(),
            engine: EngineHealth {
                ready: false,
                server_version: None,
                namespace: None,
            },
            workers: None,
            limiter: of_gate(self.gate()),
            circuits: self.gate().circuits(),
            model: self.model().cloned(),
            syncs: None,
        };
        match self.engine().state() {
            EngineState::Ready(client) => {
                let (kept, server_version, workers, facts, syncs) = tokio::join!(
                    self.gate().is_kept(QUESTION),
                    asked(server_version(&client)),
                    asked(workers(&client)),
                    asked(facts(&client)),
                    asked(counts(&client, self.user_id())),
                );
                output.engine.ready = server_version.is_some();
                if output.engine.ready && !kept {
                    output.problem(
                        "engine",
                        format!("It took no work within {} s.", QUESTION.as_secs()),
                        "Make sure that its disk is not full, and run `segue doctor`. Nothing is \
                         lost: syncs go on when it is well again.",
                    );
                }
                output.engine.server_version = server_version;
                output.engine.namespace = Some(client.namespace());
                output.workers = workers;
                output.syncs = syncs;
                if let Some(facts) = facts {
                    add_facts(&mut output.limiter, &facts);
                }
            }
            EngineState::Starting(what) => output.problem(
                "engine",
                format!("It is still starting: {what}."),
                "Wait a moment; on a new machine it is fetched first.",
            ),
            EngineState::Failed(why) => output.problem(
                "engine",
                why,
                "Run `segue doctor`. Nothing is lost: syncs go on when it is back.",
            ),
        }
        output.look_for_problems();
        output
    }
}

impl Output {
    fn problem(&mut self, part: &'static str, problem: String, what_to_do: &str) {
        self.healthy = false;
        self.problems.push(Problem {
            part,
            problem,
            what_to_do: what_to_do.to_owned(),
        });
    }

    fn look_for_problems(&mut self) {
        if !self.engine.ready && self.problems.is_empty() {
            self.problem(
                "engine",
                "It does not answer.".to_owned(),
                "Run `segue doctor`; a full disk is one cause. Nothing is lost.",
            );
        }
        if self
            .workers
            .as_ref()
            .is_some_and(|workers| workers.count == 0)
        {
            self.problem(
                "workers",
                "No process takes work.".to_owned(),
                "Start `segue worker`, or wait until this one is up.",
            );
        }
        if let Some(until) = self.limiter.blocked_until {
            self.problem(
                "limiter",
                format!("Spotify's rate limit: nobody calls before {until:.0}."),
                "Wait: everything goes on by itself. After signing in with another Spotify app, \
                 call reset_circuit with part rate_limit.",
            );
        }
        let open: Vec<String> = self
            .circuits
            .iter()
            .filter(|circuit| circuit.state != CircuitState::Closed)
            .filter(|circuit| circuit.group != Group::Model)
            .map(|circuit| circuit.group.to_string())
            .collect();
        if !open.is_empty() {
            self.problem(
                "upstream",
                format!(
                    "It has failed again and again at {} calls.",
                    open.join(" and ")
                ),
                "Check the network and `segue doctor`. It is tried again by itself every minute at \
                 the latest; reset_circuit tries at once.",
            );
        }
        let model_is_down = self
            .circuits
            .iter()
            .any(|circuit| circuit.group == Group::Model && circuit.state != CircuitState::Closed);
        if model_is_down {
            self.problem(
                "model",
                "Its endpoint has failed again and again.".to_owned(),
                "Check the network and OPENAI_BASE_URL. Syncs go on without it: what it would decide is \
                 left undecided.",
            );
        }
        let signed_out = self
            .syncs
            .as_ref()
            .map_or(0, |syncs| syncs.waiting_for_sign_in);
        if signed_out > 0 {
            self.problem(
                "sign-in",
                format!("The sign-in to Spotify has ended; {signed_out} sync(s) wait for it."),
                "Run `segue login`; they go on by themselves.",
            );
        }
    }

    fn in_words(&self) -> String {
        let mut words = match self.healthy {
            true => vec!["Everything works.".to_owned()],
            false => self
                .problems
                .iter()
                .map(|p| format!("{}: {} {}", p.part, p.problem, p.what_to_do))
                .collect(),
        };
        if let Some(syncs) = &self.syncs {
            words.push(format!(
                "Syncs: {} running, {} waiting, {} kept as dead letters.",
                syncs.running,
                syncs.waiting_for_rate_limit
                    + syncs.waiting_for_upstream
                    + syncs.waiting_for_sign_in,
                syncs.dead_lettered,
            ));
        }
        if let Some(model) = self.model.as_ref().filter(|model| !model.configured) {
            words.push(format!(
                "No model is configured ({} not set). {}",
                model.missing.join(" and "),
                model.adds
            ));
        }
        words.join(" ")
    }
}

/// The answer, if it comes in time. What is missing is left out: health is never a failure.
async fn asked<T>(question: impl Future<Output = Option<T>>) -> Option<T> {
    timeout(QUESTION, question).await.ok().flatten()
}

fn of_gate(gate: &Gate) -> LimiterHealth {
    LimiterHealth {
        window_seconds: WINDOW.as_secs(),
        calls_per_window: None,
        configured: None,
        share_of_this_process: gate.calls_per_window(),
        sharing: 0,
        times_limited: 0,
        blocked_until: gate
            .blocked_for()
            .and_then(|left| Timestamp::now().checked_add(left).ok()),
    }
}

fn add_facts(limiter: &mut LimiterHealth, facts: &Facts) {
    limiter.calls_per_window = Some(facts.calls_per_window);
    limiter.configured = Some(facts.ceiling);
    limiter.sharing = facts.members.len();
    limiter.times_limited = facts.times_limited;
    let blocked = facts.blocked_until.filter(|&at| at > Timestamp::now());
    limiter.blocked_until = blocked.max(limiter.blocked_until);
}

async fn server_version(client: &Client) -> Option<String> {
    let mut service = client.connection().workflow_service();
    let request = tonic::Request::new(GetSystemInfoRequest::default());
    let info = service.get_system_info(request).await.ok()?.into_inner();
    Some(info.server_version)
}

async fn facts(client: &Client) -> Option<Facts> {
    client
        .get_workflow_handle::<CallBudget>(names::BUDGET_ID)
        .query(CallBudget::facts, (), WorkflowQueryOptions::default())
        .await
        .ok()
}

async fn workers(client: &Client) -> Option<WorkerHealth> {
    let (workflows, activities) = tokio::join!(
        queue(client, TaskQueueType::Workflow),
        queue(client, TaskQueueType::Activity)
    );
    let (workflows, activities) = (workflows?, activities?);
    let waiting = |queue: &DescribeTaskQueueResponse| {
        let stats = queue.stats.as_ref();
        stats.map_or(0, |stats| stats.approximate_backlog_count)
    };
    Some(WorkerHealth {
        count: activities.pollers.len(),
        waiting_workflow_tasks: waiting(&workflows),
        waiting_activities: waiting(&activities),
    })
}

async fn queue(client: &Client, kind: TaskQueueType) -> Option<DescribeTaskQueueResponse> {
    let request = DescribeTaskQueueRequest {
        namespace: client.namespace(),
        task_queue: Some(TaskQueue {
            name: names::SYNC_QUEUE.to_owned(),
            ..TaskQueue::default()
        }),
        task_queue_type: kind.into(),
        report_stats: true,
        ..DescribeTaskQueueRequest::default()
    };
    let mut service = client.connection().workflow_service();
    let described = service.describe_task_queue(tonic::Request::new(request));
    described.await.ok().map(tonic::Response::into_inner)
}

async fn counts(client: &Client, user_id: &str) -> Option<SyncCounts> {
    let count = async |status: SyncStatus| {
        let kind = match status {
            SyncStatus::DeadLettered => "('DeadLetter')",
            _ => "('MusicSync', 'BatchSync')",
        };
        let query = format!(
            "WorkflowType IN {kind} AND ExecutionStatus = 'Running' AND {} AND {}",
            crate::visibility::equals(names::USER_ID.name(), user_id),
            crate::visibility::equals(names::SYNC_STATUS.name(), status.as_str()),
        );
        let counted = client.count_workflows(query, WorkflowCountOptions::default());
        counted.await.ok().map(|counted| counted.count())
    };
    let (running, limited, upstream, sign_in, dead) = tokio::join!(
        count(SyncStatus::Running),
        count(SyncStatus::WaitingForRateLimit),
        count(SyncStatus::WaitingForUpstream),
        count(SyncStatus::WaitingForSignIn),
        count(SyncStatus::DeadLettered),
    );
    Some(SyncCounts {
        running: running?,
        waiting_for_rate_limit: limited?,
        waiting_for_upstream: upstream?,
        waiting_for_sign_in: sign_in?,
        dead_lettered: dead?,
    })
}
