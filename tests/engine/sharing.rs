//! Several assistants share one engine. They come and go, and get killed, as do the engine and
//! its supervisor; what was accepted is still there, at the same address.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

use crate::sandbox::{PATIENCE, Sandbox, User, signal, until};
use segue_workflows::names;
use sysinfo::Signal;
use temporalio_client::{
    Connection, ConnectionOptions, Url,
    grpc::{OperatorService, WorkflowService},
    tonic::{IntoRequest, Status},
};
use temporalio_common::protos::temporal::api::{
    common::v1::{Payload, SearchAttributes, WorkflowExecution, WorkflowType},
    operatorservice::v1::RemoveSearchAttributesRequest,
    taskqueue::v1::TaskQueue,
    workflowservice::v1::{
        DescribeNamespaceRequest, DescribeWorkflowExecutionRequest, StartWorkflowExecutionRequest,
    },
};

async fn connection(address: &str) -> Result<Connection, String> {
    let target = Url::parse(address).map_err(|error| error.to_string())?;
    Connection::connect(ConnectionOptions::new(target).build())
        .await
        .map_err(|error| error.to_string())
}

/// Starts a workflow that no worker will ever take.
async fn leave_work(address: &str, id: &str) {
    leave_work_with(address, id, None).await.expect("started");
}

/// The same, with this search attribute.
async fn leave_work_with(address: &str, id: &str, attribute: Option<&str>) -> Result<(), String> {
    let of_any_value = |name: &str| {
        let metadata = [("encoding", "json/plain"), ("type", "Keyword")];
        let value = Payload {
            metadata: metadata
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            data: b"\"any\"".to_vec(),
            ..Default::default()
        };
        SearchAttributes {
            indexed_fields: [(name.to_owned(), value)].into(),
        }
    };
    let request = StartWorkflowExecutionRequest {
        namespace: "default".into(),
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "Any".into() }),
        task_queue: Some(TaskQueue {
            name: "nobody".into(),
            ..Default::default()
        }),
        request_id: id.into(),
        search_attributes: attribute.map(of_any_value),
        ..Default::default()
    };
    let connection = connection(address).await?;
    WorkflowService::start_workflow_execution(
        &mut *connection.workflow_service(),
        request.into_request(),
    )
    .await
    .map(drop)
    .map_err(|status: Status| status.message().to_owned())
}

async fn find_work(address: &str, id: &str) -> Result<(), String> {
    let request = DescribeWorkflowExecutionRequest {
        namespace: "default".into(),
        execution: Some(WorkflowExecution {
            workflow_id: id.into(),
            ..Default::default()
        }),
    };
    WorkflowService::describe_workflow_execution(
        &mut *connection(address).await?.workflow_service(),
        request.into_request(),
    )
    .await
    .map(drop)
    .map_err(|status: Status| status.message().to_owned())
}

/// Waits until the engine at `address` answers and has the work.
async fn find_work_again(address: &str, id: &str) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(reason) = find_work(address, id).await {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the work is lost: {reason}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The last user leaves, and everything ends.
fn leave_last(sandbox: &Sandbox, user: User) {
    user.leave();
    sandbox.wait_until_gone();
    assert_eq!(sandbox.state(), None, "engine.json is removed");
}

#[tokio::test]
async fn the_first_starts_it_others_join_and_the_last_ends_it() {
    let sandbox = Sandbox::new();
    let first = sandbox.user();
    let address = first.address();
    let (engine, supervisor) = sandbox.the_pair();
    let second = sandbox.user();
    assert_eq!(second.address(), address);
    leave_work(&address, "kept").await;

    first.kill();
    let third = sandbox.user();
    assert_eq!(third.address(), address);
    second.leave();
    find_work(&address, "kept").await.expect("nobody notices");
    assert_eq!(sandbox.the_pair(), (engine, supervisor));

    leave_last(&sandbox, third);

    let back = sandbox.user();
    find_work(&back.address(), "kept")
        .await
        .expect("kept over a restart");
    leave_last(&sandbox, back);
}

#[tokio::test]
async fn the_last_user_may_be_killed() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    user.address();
    sandbox.the_pair();
    user.kill();
    sandbox.wait_until_gone();
}

#[tokio::test]
async fn a_killed_engine_is_back_at_the_same_address() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    leave_work(&address, "kept").await;
    let (engine, supervisor) = sandbox.the_pair();

    signal(engine, Signal::Kill);
    until("another engine", || {
        sandbox.engines().into_iter().find(|pid| *pid != engine)
    });
    find_work_again(&address, "kept").await;
    assert_eq!(sandbox.the_pair().1, supervisor);
    leave_last(&sandbox, user);
}

#[tokio::test]
async fn a_killed_supervisor_is_replaced_and_the_engine_runs_on() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    leave_work(&address, "kept").await;
    let (engine, supervisor) = sandbox.the_pair();

    signal(supervisor, Signal::Kill);
    until("another supervisor", || {
        sandbox
            .supervisors()
            .into_iter()
            .find(|pid| *pid != supervisor)
    });
    until("its news", || {
        let state = sandbox.state()?;
        let is_new = state["supervisor_pid"] != supervisor.as_u32() && state["phase"] == "ready";
        is_new.then_some(())
    });
    assert_eq!(sandbox.the_pair().0, engine, "it never stopped");
    find_work(&address, "kept").await.expect("nobody notices");

    // The new supervisor guards the engine that it did not start.
    signal(engine, Signal::Kill);
    until("another engine", || {
        sandbox.engines().into_iter().find(|pid| *pid != engine)
    });
    find_work_again(&address, "kept").await;
    leave_last(&sandbox, user);
}

#[tokio::test]
async fn engine_and_supervisor_killed_at_once_are_back_at_the_same_address() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    leave_work(&address, "kept").await;
    let (engine, supervisor) = sandbox.the_pair();

    signal(supervisor, Signal::Kill);
    signal(engine, Signal::Kill);
    until("another engine", || {
        sandbox.engines().into_iter().find(|pid| *pid != engine)
    });
    find_work_again(&address, "kept").await;
    leave_last(&sandbox, user);
}

#[tokio::test]
async fn users_that_start_at_the_same_instant_share_one_engine() {
    let sandbox = Sandbox::new();
    let users: Vec<User> = (0..4).map(|_| sandbox.user()).collect();
    let addresses: Vec<String> = users.iter().map(User::address).collect();
    assert!(
        addresses.iter().all(|address| *address == addresses[0]),
        "{addresses:?}"
    );
    sandbox.the_pair();
    for user in users {
        user.leave();
    }
    sandbox.wait_until_gone();
}

#[tokio::test]
async fn an_engine_whose_port_was_taken_moves_and_says_so() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    leave_work(&address, "kept").await;
    let (engine, supervisor) = sandbox.the_pair();
    let port = sandbox.state().expect("news")["port"]
        .as_u64()
        .expect("a port");

    // Held still, the supervisor cannot take the port back before the stranger has it.
    signal(supervisor, Signal::Stop);
    signal(engine, Signal::Kill);
    let _stranger = until("the port", || {
        TcpListener::bind(format!("127.0.0.1:{port}")).ok()
    });
    signal(supervisor, Signal::Continue);

    let moved = loop {
        if let Some(at) = user.hears("health").strip_prefix("Moved(\"") {
            break at.trim_end_matches("\")").to_owned();
        }
    };
    assert_ne!(moved, address);
    find_work_again(&moved, "kept").await;
    leave_last(&sandbox, user);
}

#[tokio::test]
async fn stale_and_damaged_files_do_no_harm() {
    let sandbox = Sandbox::new();
    let folder = sandbox.engine_dir();
    fs::create_dir_all(&folder).expect("a folder");
    let stranger = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = stranger.local_addr().expect("an address").port();
    let stale = format!(
        r#"{{"phase":"ready","port":{port},"engine_pid":1,"supervisor_pid":1,"temporal":"/x","written_unix_ms":1}}"#
    );
    for state in [stale.as_str(), "{\"pha", ""] {
        fs::write(folder.join("engine.json"), state).expect("written");
        fs::write(folder.join("supervisor.lock"), "12345").expect("written");
        fs::write(folder.join("users.lock"), "12345").expect("written");
        let user = sandbox.user();
        assert!(!user.address().ends_with(&format!(":{port}")));
        leave_last(&sandbox, user);
    }
}

#[tokio::test]
async fn a_vanished_engine_json_is_written_again() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    fs::remove_file(sandbox.engine_dir().join("engine.json")).expect("removed");
    let second = sandbox.user();
    assert_eq!(second.address(), address);
    second.leave();
    leave_last(&sandbox, user);
}

/// A database from before has not all of them. The server learns of a new one some time after it was added.
#[tokio::test]
async fn a_search_attribute_that_was_missing_is_there_when_the_engine_is_said_to_be() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let address = user.address();
    let missing = names::SYNC_WAIT.name();
    let request = RemoveSearchAttributesRequest {
        search_attributes: vec![missing.to_owned()],
        namespace: "default".to_owned(),
    };
    let connection = connection(&address).await.expect("connected");
    let mut operator = connection.operator_service();
    OperatorService::remove_search_attributes(&mut *operator, request.into_request())
        .await
        .expect("removed");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    for attempt in 0.. {
        let id = format!("before-{attempt}");
        let Err(refused) = leave_work_with(&address, &id, Some(missing)).await else {
            assert!(tokio::time::Instant::now() < deadline, "it was not removed");
            continue;
        };
        assert!(refused.contains(missing), "{refused}");
        break;
    }
    let second = sandbox.user();
    assert_eq!(second.address(), address);
    let started = leave_work_with(&address, "after", Some(missing)).await;
    started.expect("it is known again");
    second.leave();
    leave_last(&sandbox, user);
}

#[tokio::test]
async fn finished_work_is_kept_for_thirty_days_and_by_the_user_alone() {
    let sandbox = Sandbox::new();
    let user = sandbox.user();
    let connection = connection(&user.address()).await.expect("connected");
    let request = DescribeNamespaceRequest {
        namespace: "default".into(),
        ..Default::default()
    };
    let namespace = WorkflowService::describe_namespace(
        &mut *connection.workflow_service(),
        request.into_request(),
    )
    .await
    .expect("described")
    .into_inner();
    let config = namespace.config.expect("a configuration");
    let days = config
        .workflow_execution_retention_ttl
        .expect("a retention")
        .seconds
        / 86_400;
    assert_eq!(days, 30);
    let mut attributes: Vec<_> = config.custom_search_attribute_aliases.values().collect();
    attributes.sort();
    let mut wanted = names::search_attributes();
    wanted.sort_unstable();
    assert_eq!(attributes, wanted);

    for entry in fs::read_dir(sandbox.engine_dir()).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let mode = fs::metadata(&path).expect("metadata").permissions().mode() & 0o777;
        if name.starts_with("engine.db") || name == "engine.json" {
            assert_eq!(mode, 0o600, "{name}");
        }
    }
    let mode = fs::metadata(sandbox.engine_dir())
        .expect("metadata")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    leave_last(&sandbox, user);
}
