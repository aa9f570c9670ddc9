//! "I closed my laptop. What has become of it?" A client that knows MCP tasks gets one for each sync, and any
//! process answers for it, whatever was killed meanwhile.

use std::{process::Stdio, time::Instant};

use rmcp::{
    ErrorData, RoleClient,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams,
        ClientCapabilities, ClientConfig, ElicitationCapability, ErrorCode, GetTaskParams,
        Implementation, ProtocolVersion, UpdateTaskParams,
    },
    service::{ClientLifecycleMode, ClientServiceExt, RunningService, ServiceError},
    transport::StreamableHttpClientTransport,
};
use segue::client::Launch;
use serde_json::{Value, json};
use tokio::process::Child;

use crate::{
    batches::{songs, uri_of},
    conformance::Http,
    reviews::{batch, unsure},
    support::{CLOCKS, HELD_ON, NEVER_OPENS, PATIENCE, World, all, engine_of, kill, song, until},
};

/// A client, and the server if it has started one.
struct Client {
    process: Option<Child>,
    service: RunningService<RoleClient, ClientConfig>,
}

/// A client of today, which says with each request what it can do.
fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

/// What a client can do that knows tasks, and can ask its user.
fn tasks_and_forms() -> ClientCapabilities {
    let mut capabilities = ClientCapabilities::builder().enable_tasks().build();
    capabilities.elicitation = Some(ElicitationCapability::default());
    capabilities
}

impl Client {
    async fn start(
        launch: &Launch,
        capabilities: ClientCapabilities,
        lifecycle: ClientLifecycleMode,
    ) -> Self {
        let mut process = launch
            .command(&["serve"])
            .unwrap()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pipes = (
            process.stdout.take().unwrap(),
            process.stdin.take().unwrap(),
        );
        let client = ClientConfig::new(capabilities, Implementation::new("a client", "1"));
        let service = client.serve_with_lifecycle(pipes, lifecycle).await.unwrap();
        Self {
            process: Some(process),
            service,
        }
    }

    /// One of today that knows tasks, and can ask its user.
    async fn of(world: &World) -> Self {
        Self::start(&world.launch(), tasks_and_forms(), modern()).await
    }

    /// The same with this server, which runs already.
    async fn over(server: &Http, lifecycle: ClientLifecycleMode) -> Self {
        let transport = StreamableHttpClientTransport::from_uri(server.url());
        let client = ClientConfig::new(tasks_and_forms(), Implementation::new("a client", "1"));
        let service = client
            .serve_with_lifecycle(transport, lifecycle)
            .await
            .unwrap();
        Self {
            process: None,
            service,
        }
    }

    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResponse {
        let arguments = arguments.as_object().unwrap().clone();
        let call = CallToolRequestParams::new(tool).with_arguments(arguments);
        self.service.call_tool_once(call).await.unwrap()
    }

    /// Calls a tool that answers with a task, and gives that.
    async fn begin(&self, tool: &'static str, arguments: Value) -> Value {
        match self.call(tool, arguments).await {
            CallToolResponse::Task(task) => serde_json::to_value(task).unwrap(),
            other => panic!("no task: {other:?}"),
        }
    }

    async fn result(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        match self.call(tool, arguments).await {
            CallToolResponse::Complete(result) => result,
            other => panic!("no result: {other:?}"),
        }
    }

    async fn get(&self, task: &str) -> Result<Value, ServiceError> {
        let told = self
            .service
            .peer()
            .get_task(GetTaskParams::new(task))
            .await?;
        Ok(serde_json::to_value(told).unwrap())
    }

    async fn update(&self, task: &str, responses: Value) -> Result<(), ServiceError> {
        let responses = serde_json::from_value(responses).unwrap();
        let params = UpdateTaskParams::new(task, responses);
        self.service.peer().update_task(params).await
    }

    async fn cancel(&self, task: &str) -> Result<(), ServiceError> {
        let params = CancelTaskParams::new(task);
        self.service.peer().cancel_task(params).await
    }

    /// Polls until the task has this status, and gives it.
    async fn stands(&self, task: &str, status: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let told = self.get(task).await.unwrap();
            if told["status"] == status {
                return told;
            }
            let ended = ["completed", "failed", "cancelled"].map(|ended| told["status"] == ended);
            assert!(!ended.contains(&true), "it is not {status}: {told:#}");
            assert!(Instant::now() < end, "it is not {status}: {told:#}");
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
    }

    async fn kill(mut self) {
        let process = self.process.as_mut().expect("its own server");
        process.kill().await.unwrap();
    }
}

fn id_of(task: &Value) -> &str {
    task["taskId"].as_str().expect("a task")
}

fn refusal(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => panic!("no refusal: {other}"),
    }
}

#[tokio::test]
async fn a_call_is_answered_with_a_task_that_comes_to_the_result_of_the_call() {
    all(
        [modern(), ClientLifecycleMode::Initialize].map(|lifecycle| async {
            let world = World::new().await;
            let client = Client::start(&world.launch(), tasks_and_forms(), lifecycle).await;
            let task = client
                .begin("sync_track", song(CLOCKS, world.empty()))
                .await;
            let id = id_of(&task);
            assert_eq!(
                (&task["resultType"], &task["status"]),
                (&json!("task"), &json!("working"))
            );
            assert_eq!(
                task["ttlMs"],
                Value::Null,
                "open, it is kept without end: {task:#}"
            );
            assert_eq!(
                client.get(id).await.unwrap()["createdAt"],
                task["createdAt"]
            );

            let told = client.stands(id, "completed").await;
            let view = &told["result"]["structuredContent"];
            assert_eq!(
                (&view["sync_id"], &view["success"]),
                (&json!(id), &json!(true)),
                "{told:#}"
            );
            assert_eq!(
                told["result"]["content"][0]["text"], view["message"],
                "{told:#}"
            );
            assert!(told["result"]["isError"] != true, "{told:#}");
            assert_eq!(told["createdAt"], task["createdAt"], "{told:#}");
            assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
            // What is kept of a sync is kept for 30 days from its end.
            let kept_for = told["ttlMs"].as_u64().expect("an end") / 1000;
            let month = 30 * 24 * 3600;
            assert!((month..month + 300).contains(&kept_for), "{told:#}");

            // Too late, and no harm done.
            client.cancel(id).await.expect("the same answer as ever");
            client
                .update(id, json!({"anything": {}}))
                .await
                .expect("the same answer as ever");
            assert_eq!(client.get(id).await.unwrap()["result"], told["result"]);
        }),
    )
    .await;
}

#[tokio::test]
async fn who_waits_and_sees_the_end_needs_no_task() {
    let world = World::new().await;
    let client = Client::of(&world).await;
    let mut call = song(CLOCKS, world.empty());
    call["wait_seconds"] = json!(45);
    let result = client.result("sync_track", call).await;
    assert_eq!(result.structured_content.unwrap()["success"], true);
    let refused = client.result("sync_track", json!({"title": "Halo"})).await;
    assert_eq!(refused.is_error, Some(true), "a wrong call starts nothing");

    // A question ends the wait, and is asked through the task.
    let mut call = unsure(world.empty());
    call["wait_seconds"] = json!(45);
    let task = client.begin("sync_track", call).await;
    let told = client.get(id_of(&task)).await.unwrap();
    assert_eq!(told["status"], "input_required", "{told:#}");
}

#[tokio::test]
async fn a_client_that_knows_no_tasks_gets_what_it_always_got() {
    let world = World::new().await;
    let client = Client::start(&world.launch(), ClientCapabilities::default(), modern()).await;
    let result = client
        .result("sync_track", song(CLOCKS, world.empty()))
        .await;
    let view = result.structured_content.unwrap();
    let id = view["sync_id"].as_str().expect("a sync");
    for refused in [
        client.get(id).await.expect_err("refused"),
        client.update(id, json!({})).await.expect_err("refused"),
        client.cancel(id).await.expect_err("refused"),
    ] {
        let refused = refusal(refused);
        assert_eq!(
            refused.code,
            ErrorCode::MISSING_REQUIRED_CLIENT_CAPABILITY,
            "{refused:?}"
        );
    }
}

/// The server, its upstream, the engine and the engine's supervisor are killed while the task works.
#[tokio::test]
async fn after_the_end_of_everything_a_task_goes_on_as_if_nothing_had_been() {
    let world = World::new().await;
    let client = Client::of(&world).await;
    world.hold("search", "latency_ms").await;
    let task = client
        .begin("sync_track", song(CLOCKS, world.empty()))
        .await;
    let id = id_of(&task);
    world.until_asked("search", 1).await;
    let before = client.get(id).await.unwrap();
    assert_eq!(before["status"], "working", "{before:#}");
    let home = world.home.path().display().to_string();
    let supervisors = segue::processes::find(None, &["engine-supervisor", &home]);
    let engine = engine_of(&world);
    client.kill().await;
    for supervisor in supervisors {
        kill(supervisor);
    }
    kill(engine);
    until("nothing is left", async || {
        segue::processes::find(None, &["start-dev", &home]).is_empty()
    })
    .await;

    world.let_go().await;
    let client = Client::of(&world).await;
    let after = client.get(id).await.unwrap();
    assert_eq!(after["createdAt"], before["createdAt"], "{after:#}");
    let told = client.stands(id, "completed").await;
    assert_eq!(
        told["result"]["structuredContent"]["success"], true,
        "{told:#}"
    );
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
    assert_eq!(world.effective_adds(), 1);
    client.kill().await;
    let another = Client::of(&world).await;
    assert_eq!(another.get(id).await.unwrap(), told, "an end is an end");
}

/// The field of a question's form, and what it may be filled in with.
fn choices(told: &Value, key: &str) -> Vec<String> {
    let request = &told["inputRequests"][key];
    assert_eq!(request["method"], "elicitation/create", "{told:#}");
    let choice = &request["params"]["requestedSchema"]["properties"]["choice"];
    let options = choice["oneOf"].as_array().expect("choices").iter();
    options
        .map(|option| option["const"].as_str().unwrap().to_owned())
        .collect()
}

fn keys(told: &Value) -> Vec<String> {
    let requests = told["inputRequests"].as_object();
    requests
        .map(|requests| requests.keys().cloned().collect())
        .unwrap_or_default()
}

fn filled_in(choice: &str) -> Value {
    json!({"action": "accept", "content": {"choice": choice}})
}

#[tokio::test]
async fn what_a_batch_is_not_sure_of_is_asked_through_its_task() {
    let world = World::new().await;
    let client = Client::of(&world).await;
    let songs = &songs()[..4];
    let task = client
        .begin("sync_playlist", batch(songs, world.empty()))
        .await;
    let id = id_of(&task);
    until("two questions", async || {
        keys(&client.get(id).await.unwrap()).len() == 2
    })
    .await;
    client.kill().await;

    let client = Client::of(&world).await;
    let told = client.get(id).await.unwrap();
    assert_eq!(told["status"], "input_required", "{told:#}");
    let open = keys(&told);
    let clockz = open.iter().find(|key| {
        let message = &told["inputRequests"][key]["params"]["message"];
        message.as_str().unwrap().contains("Clockz")
    });
    let clockz = clockz.expect("the question").as_str();
    let other = open
        .iter()
        .find(|key| *key != clockz)
        .expect("the other")
        .as_str();
    let clocks = CLOCKS.2.rsplit(':').next().unwrap();
    assert!(
        choices(&told, clockz).contains(&clocks.to_owned()),
        "{told:#}"
    );

    for nonsense in [
        json!({clockz: filled_in("99"), other: filled_in("none")}),
        json!({clockz: {"action": "accept"}, other: filled_in("none")}),
        json!({clockz: 5, other: filled_in("none")}),
    ] {
        let refused = refusal(client.update(id, nonsense).await.expect_err("refused"));
        assert_eq!(refused.code, ErrorCode::INVALID_PARAMS, "{refused:?}");
        assert!(refused.message.contains(clockz), "{refused:?}");
    }
    // Who closes the form, answers another's question, or one that nobody asked, changes nothing.
    let closed = json!({
        clockz: {"action": "decline"}, "review-1": filled_in("none"),
        &format!("review-sync-{:032x}", 7): filled_in("none"),
    });
    client.update(id, closed).await.expect("taken");
    assert_eq!(keys(&client.get(id).await.unwrap()), open);

    client
        .update(id, json!({clockz: filled_in(clocks)}))
        .await
        .expect("taken");
    let told = client.get(id).await.unwrap();
    assert_eq!(
        (&told["status"], keys(&told)),
        (&json!("input_required"), vec![other.to_owned()])
    );
    client.kill().await;
    let client = Client::of(&world).await;
    let both = json!({clockz: filled_in("none"), other: filled_in("none")});
    client
        .update(id, both)
        .await
        .expect("the first answer holds");
    let told = client.stands(id, "completed").await;
    let counts = &told["result"]["structuredContent"]["batch"]["counts"];
    assert_eq!(
        (&counts["added"], &counts["declined"]),
        (&json!(5), &json!(1)),
        "{told:#}"
    );
    let mut expected: Vec<String> = songs.iter().map(uri_of).collect();
    expected.push(CLOCKS.2.to_owned());
    assert_eq!(world.in_playlist(world.empty()), expected);
}

#[tokio::test]
async fn a_client_that_cannot_ask_is_told_who_can() {
    let world = World::new().await;
    let knows_tasks = ClientCapabilities::builder().enable_tasks().build();
    let client = Client::start(&world.launch(), knows_tasks, modern()).await;
    let task = client.begin("sync_track", unsure(world.empty())).await;
    let id = id_of(&task);
    until("it waits", async || {
        let told = client.get(id).await.unwrap();
        assert_eq!(told["status"], "working", "{told:#}");
        told["statusMessage"]
            .as_str()
            .unwrap()
            .contains("list_reviews")
    })
    .await;
    client.cancel(id).await.unwrap();
    client.stands(id, "cancelled").await;
}

#[tokio::test]
async fn a_cancelled_task_takes_back_what_it_had_added() {
    let world = World::new().await;
    let client = Client::of(&world).await;
    world.hold("add_items", "latency_after_ms").await;
    let task = client
        .begin("sync_track", song(CLOCKS, world.empty()))
        .await;
    let id = id_of(&task);
    until("the add takes effect", async || world.effective_adds() == 1).await;
    client.cancel(id).await.unwrap();
    client.cancel(id).await.expect("once more is as well");
    tokio::time::sleep(HELD_ON).await;
    world.let_go().await;
    let told = client.stands(id, "cancelled").await;
    let message = told["statusMessage"].as_str().unwrap();
    assert!(message.contains("taken out again"), "{told:#}");
    assert!(
        told.get("result").is_none() && told["ttlMs"].is_u64(),
        "{told:#}"
    );
    assert!(world.in_playlist(world.empty()).is_empty());
}

#[tokio::test]
async fn a_sync_that_failed_is_a_task_that_came_to_an_error_and_its_retry_is_another() {
    let world = World::new().await;
    let impatient = world.launch().with("SEGUE_BREAKER_FAILURES", NEVER_OPENS);
    let client = Client::start(&impatient, tasks_and_forms(), modern()).await;
    world
        .fault(json!({"endpoint": "search", "count": 0, "status": 503}))
        .await;
    let task = client
        .begin("sync_track", song(CLOCKS, world.empty()))
        .await;
    let told = client.stands(id_of(&task), "completed").await;
    assert_eq!(told["result"]["isError"], true, "{told:#}");
    let view = &told["result"]["structuredContent"];
    assert_eq!(view["status"], "dead_lettered", "{told:#}");
    client
        .cancel(id_of(&task))
        .await
        .expect("nothing is left to cancel");

    world.lift_faults().await;
    let retry = client
        .begin("retry_failed", json!({"sync_id": id_of(&task)}))
        .await;
    assert_ne!(retry["taskId"], task["taskId"]);
    let told = client.stands(id_of(&retry), "completed").await;
    assert_eq!(
        told["result"]["structuredContent"]["success"], true,
        "{told:#}"
    );
    let preview = json!({"tracks": [{"title": CLOCKS.0, "artist": CLOCKS.1}]});
    let preview = client.begin("preview_sync", preview).await;
    let told = client.stands(id_of(&preview), "completed").await;
    assert_eq!(
        told["result"]["structuredContent"]["batch"]["dry_run"], true,
        "{told:#}"
    );
    assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
}

#[tokio::test]
async fn somebody_elses_task_is_as_unknown_as_none() {
    let world = World::new().await;
    let client = Client::of(&world).await;
    let task = client.begin("sync_track", unsure(world.empty())).await;
    let id = id_of(&task);
    let told = client.stands(id, "input_required").await;
    let key = keys(&told).remove(0);

    let theirs = world.launch().with("SEGUE_USER", "somebody-else");
    let other = Client::start(&theirs, tasks_and_forms(), modern()).await;
    let mut said = Vec::new();
    let nobodys = format!("sync-{:032x}", 7);
    for unknown in [id, &nobodys, "dead-letter-1", "'; DROP TABLE tasks", ""] {
        for refused in [
            other.get(unknown).await.map(|_| ()),
            other
                .update(unknown, json!({&key: filled_in("none")}))
                .await,
            other.cancel(unknown).await,
        ] {
            let refused = refusal(refused.expect_err(unknown));
            assert_eq!(refused.code, ErrorCode::INVALID_PARAMS, "{refused:?}");
            said.push(refused);
        }
    }
    said.dedup();
    assert_eq!(
        said.len(),
        1,
        "nobody can tell one from the other: {said:?}"
    );
    let told = client.get(id).await.unwrap();
    assert_eq!(
        (&told["status"], keys(&told)),
        (&json!("input_required"), vec![key])
    );
}

/// The value of this series on the server's page of metrics.
async fn counted(server: &Http, series: &str) -> u64 {
    let page = server.url().replace("/mcp", "/metrics");
    let page = reqwest::get(page).await.unwrap().text().await.unwrap();
    let line = page.lines().find_map(|line| line.strip_prefix(series));
    let line = line.unwrap_or_else(|| panic!("no {series} in {page}"));
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn over_http_any_server_answers_for_a_task_that_another_has_begun() {
    all(
        [modern(), ClientLifecycleMode::Initialize].map(|lifecycle| async {
            let world = World::new().await;
            let (first, second) = (Http::serve(&world).await, Http::serve(&world).await);
            let client = Client::over(&first, lifecycle.clone()).await;
            let task = client.begin("sync_track", unsure(world.empty())).await;
            let id = id_of(&task);
            assert_eq!(
                counted(&first, "mcp_tasks_created_total{tool=\"sync_track\"}").await,
                1
            );
            first.kill().await;

            let client = Client::over(&second, lifecycle).await;
            let told = client.stands(id, "input_required").await;
            assert_eq!(told["createdAt"], task["createdAt"], "{told:#}");
            let key = keys(&told).remove(0);
            let clocks = CLOCKS.2.rsplit(':').next().unwrap();
            client
                .update(id, json!({&key: filled_in(clocks)}))
                .await
                .expect("taken");
            let told = client.stands(id, "completed").await;
            assert_eq!(
                told["result"]["structuredContent"]["success"], true,
                "{told:#}"
            );
            assert_eq!(world.in_playlist(world.empty()), [CLOCKS.2]);
            assert_eq!(
                counted(&second, "mcp_tasks_told_total{status=\"completed\"}").await,
                1
            );
            assert_eq!(
                counted(&second, "mcp_tasks_told_total{status=\"failed\"}").await,
                0
            );
            second.kill().await;
        }),
    )
    .await;
}
