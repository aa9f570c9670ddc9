//! A comparison as people read it: a table, the differences, the decision.

use std::fmt::Write as _;

use anyhow::Context;
use segue_workflows::comparison::{Comparison, Side, Which};
use serde_json::Value;

/// Differences that are shown; all of them are in the answer as JSON.
const MOST_SHOWN: usize = 20;

/// The name of a row, and what stands in it of a side.
type Row<'a> = (&'a str, &'a dyn Fn(&Side) -> String);

/// The text of a comparison that has ended.
pub(super) fn of(view: &Value) -> anyhow::Result<String> {
    let told: Comparison = serde_json::from_value(view["comparison"].clone())
        .context("the comparison cannot be read")?;
    let mut text = format!(
        "{} of {} songs compared, the right track of {} known; the two agree on {} ({:.1} %).\n\n",
        told.compared,
        told.songs,
        told.truth_known,
        told.agreed,
        percent(told.agreed, told.compared),
    );
    text.push_str("|                      | pipeline |   agents |\n|:---------------------|---------:|---------:|\n");
    let known = told.truth_known;
    let share = move |count: u32| format!("{count} ({:.1} %)", percent(count, known));
    let rows: [Row<'_>; 11] = [
        ("would add a track", &|side| side.matched.to_string()),
        ("right", &|side| share(side.right)),
        ("wrong", &|side| share(side.wrong)),
        ("missed", &|side| share(side.missed)),
        ("failed", &|side| side.failed.to_string()),
        ("a song, p50", &|side| milliseconds(side.p50_milliseconds)),
        ("a song, p95", &|side| milliseconds(side.p95_milliseconds)),
        ("model calls", &|side| side.model_calls.to_string()),
        ("tokens asked", &|side| side.prompt_tokens.to_string()),
        ("tokens answered", &|side| {
            side.completion_tokens.to_string()
        }),
        ("cost", &|side| match side.cost {
            Some(cost) => format!("{cost:.4}"),
            None => "unknown".to_owned(),
        }),
    ];
    for (name, value) in rows {
        let (pipeline, agents) = (value(&told.pipeline), value(&told.agents));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {name:<20} | {pipeline:>8} | {agents:>8} |");
    }
    if !told.differences.is_empty() {
        text.push_str("\nWhere they differ:\n");
    }
    for one in told.differences.iter().take(MOST_SHOWN) {
        let what = |found: &Option<String>| found.clone().unwrap_or_else(|| "nothing".to_owned());
        let right = match one.right {
            Some(Which::Pipeline) => "pipeline right",
            Some(Which::Agents) => "agents right",
            Some(Which::Both) => "both right",
            Some(Which::Neither) => "neither right",
            None => "truth unknown",
        };
        let _ = writeln!(
            text,
            "  {:>3}. \"{}\" by {}: pipeline {}, agents {} ({right})",
            one.row,
            one.title,
            one.artist,
            what(&one.pipeline),
            what(&one.agents),
        );
    }
    let verdict = told.verdict.as_ref().map(|verdict| verdict.told());
    let _ = write!(text, "\n{}", verdict.unwrap_or_default());
    Ok(text)
}

fn percent(part: u32, of: u32) -> f64 {
    100.0 * f64::from(part) / f64::from(of.max(1))
}

fn milliseconds(time: u64) -> String {
    format!("{time} ms")
}
