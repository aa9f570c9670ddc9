//! (a) From the start of the process to its answers: of `initialize`, of `tools/list`, and of the first call
//! that needs the engine. The home is new each time, and the engine's binary is in the cache.
//!
//! Spoken to by plain lines: a client of ours would count the time in which it reads 200 kB of tools.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout},
    time::timeout,
};

use super::{
    figures::{Better, Figures, Sample, Values},
    world::{Setting, until_engine_is_gone},
};
use crate::{cli::BenchPart, client::Launch};

/// Time for an answer, and for the process to end: far more than either takes.
const PATIENCE: Duration = Duration::from_secs(90);

pub(super) async fn measure(
    setting: &Setting<'_>,
    starts: u32,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let (mut initialize, mut tools_list, mut first_call) =
        (Sample::default(), Sample::default(), Sample::default());
    let mut tools = 0;
    // The first fetches the engine's binary, if need be, and warms the disk cache.
    for start in 0..=starts {
        let stage = setting.stage().await?;
        let hello = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "segue-bench", "version": env!("CARGO_PKG_VERSION")}});
        let begun = Instant::now();
        let mut server = Spoken::start(&stage.launch)?;
        server.ask(1, "initialize", hello).await?;
        let initialized = begun.elapsed();
        server.tell("notifications/initialized").await?;
        let listed = server.ask(2, "tools/list", json!({})).await?;
        let listed_after = begun.elapsed();
        let call = json!({"name": "list_syncs", "arguments": {}});
        let called = server.ask(3, "tools/call", call).await?;
        let called_after = begun.elapsed();
        let called: Value = serde_json::from_str(&called)?;
        ensure!(called["result"]["isError"] != true, "refused: {called}");
        let listed: Value = serde_json::from_str(&listed)?;
        tools = listed["result"]["tools"].as_array().map_or(0, Vec::len);
        if start > 0 {
            initialize.add_ms(initialized);
            tools_list.add_ms(listed_after);
            first_call.add_ms(called_after);
        }
        server.end().await?;
        until_engine_is_gone(&stage).await?;
    }
    let of = |value| Values {
        managed: value,
        ..Values::default()
    };
    let mut add = |name, unit, better, what, value| {
        figures.add(BenchPart::A, (name, unit, better), what, of(value));
    };
    let (less, same) = (Better::Less, Better::Same);
    let name = "initialize_p50_ms";
    add(
        name,
        "ms",
        less,
        "start to `initialize`",
        initialize.median(),
    );
    let name = "tools_list_p50_ms";
    let what = "start to `tools/list`, engine cold";
    add(name, "ms", less, what, tools_list.median());
    let name = "tools_list_p95_ms";
    let p95 = tools_list.percentile(0.95);
    add(name, "ms", less, "the same, p95", p95);
    let name = "first_call_p50_ms";
    let what = "start to the first call that needs the engine";
    add(name, "ms", less, what, first_call.median());
    add("tools", "", same, "tools listed", Some(tools as f64));
    Ok(())
}

/// A server, and the lines that are spoken with it.
struct Spoken {
    process: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Spoken {
    fn start(launch: &Launch) -> anyhow::Result<Self> {
        let mut process = launch
            .command(&["serve"])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take().context("no stdin")?;
        let stdout = process.stdout.take().context("no stdout")?;
        Ok(Self {
            process,
            stdin,
            answers: BufReader::new(stdout).lines(),
        })
    }

    async fn tell(&mut self, method: &str) -> anyhow::Result<()> {
        self.send(&json!({"jsonrpc": "2.0", "method": method}))
            .await
    }

    /// Asks, and gives the line of the answer as it came.
    async fn ask(&mut self, id: u32, method: &str, params: Value) -> anyhow::Result<String> {
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&request).await?;
        // Nobody else is asked meanwhile, and nothing is told to a client that asked for no progress.
        let answer = timeout(PATIENCE, self.answers.next_line()).await??;
        answer.with_context(|| format!("the server ended before it answered {method}"))
    }

    async fn send(&mut self, message: &Value) -> anyhow::Result<()> {
        let line = format!("{message}\n");
        self.stdin.write_all(line.as_bytes()).await?;
        self.stdin.flush().await?;
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        drop(self.stdin);
        timeout(PATIENCE, self.process.wait()).await??;
        Ok(())
    }
}
