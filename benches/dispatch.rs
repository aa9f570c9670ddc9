//! What the task queue's own rate limit costs: the same workflow of three empty activities with and
//! without it, in turns, on one engine. `cargo bench --bench dispatch`
//!
//! It is why the budget of calls is a workflow of ours (see ARCHITECTURE.md): a limit on the queue
//! turns eager dispatch off, whatever its rate.

#![expect(clippy::print_stdout, reason = "its figures are for people")]

use std::{path::Path, sync::Arc, time::Duration, time::Instant};

use anyhow::Context;
use segue::{
    config::Config,
    engine::{Engine, EngineOptions},
    home::Home,
};
use temporalio_client::{Client, WorkflowGetResultOptions, WorkflowStartOptions};
use temporalio_macros::{activities, workflow, workflow_methods};
use temporalio_sdk::{
    ActivityOptions, Runtime, Worker, WorkerOptions, WorkflowContext, WorkflowResult,
    activities::{ActivityContext, ActivityError},
};

/// Workflows of each kind that are measured, after as many that are not.
const RUNS: usize = 40;
/// Far more than is ever reached: it is the limit's being there that costs.
const LIMIT: f64 = 100_000.0;

struct Nothing;

#[activities]
impl Nothing {
    #[activity(name = "nothing")]
    async fn nothing(self: Arc<Self>, _ctx: ActivityContext, _: ()) -> Result<(), ActivityError> {
        Ok(())
    }
}

#[workflow]
#[derive(Default)]
struct Three;

#[workflow_methods]
impl Three {
    #[run(name = "Three")]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<()> {
        for _ in 0..3 {
            let options =
                ActivityOptions::with_start_to_close_timeout(Duration::from_secs(10)).build();
            ctx.execute_activity(Nothing::nothing, (), options).await?;
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let scratch = tempfile::tempdir()?;
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("segue-cache");
        let mut options: EngineOptions = Config::default().engine_options();
        options.cache_dir = Some(cache);
        options.supervisor.program = env!("CARGO_BIN_EXE_segue").into();
        let engine = Engine::connect(&options, &Home::at(scratch.path())?).await?;
        let client = engine.client().clone();

        let sdk = Runtime::from_current_tokio(Default::default())?;
        let worker = |queue: &str, limit: Option<f64>| {
            let options = WorkerOptions::new(queue)
                .register_workflow::<Three>()?
                .register_activities(Nothing)
                .maybe_max_task_queue_activities_per_second(limit)
                .build();
            Worker::new(&sdk, client.clone(), options).map_err(anyhow::Error::from)
        };
        let mut free = worker("free", None)?;
        let mut limited = worker("limited", Some(LIMIT))?;
        tokio::select! {
            ended = free.run() => ended.map_err(anyhow::Error::from),
            ended = limited.run() => ended.map_err(anyhow::Error::from),
            measured = measure(&client) => measured,
        }
    })
}

async fn measure(client: &Client) -> anyhow::Result<()> {
    let (mut free, mut limited) = (Vec::new(), Vec::new());
    for run in 0..2 * RUNS {
        for (queue, times) in [("free", &mut free), ("limited", &mut limited)] {
            let since = Instant::now();
            let options = WorkflowStartOptions::new(queue, format!("{queue}-{run}")).build();
            let started = client.start_workflow(Three::run, (), options).await?;
            started
                .get_result(WorkflowGetResultOptions::default())
                .await?;
            if run >= RUNS {
                times.push(since.elapsed());
            }
        }
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times.get(times.len() / 2).copied().context("no runs")
    };
    let (free, limited) = (median(&mut free)?, median(&mut limited)?);
    println!("a workflow of three empty activities, median of {RUNS}:");
    println!("  eager dispatch                {free:>8.1?}");
    println!("  with a limit on the queue     {limited:>8.1?}");
    println!(
        "  ratio                         {:>8.2}",
        limited.as_secs_f64() / free.as_secs_f64()
    );
    Ok(())
}
