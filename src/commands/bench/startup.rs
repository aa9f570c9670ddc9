//! (a) From the start of the process to its answers: of `initialize`, of `tools/list`, and of the first call
//! that needs the engine. The home is new each time, and the engine's binary is in the cache.

use std::time::Instant;

use rmcp::model::PaginatedRequestParams;
use serde_json::json;

use super::{
    figures::{Better, Figures, Sample, Values},
    world::{Setting, until_engine_is_gone},
};
use crate::{cli::BenchPart, client::Server};

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
        let begun = Instant::now();
        let server = Server::start(&stage.launch).await?;
        let initialized = begun.elapsed();
        let first_page = None::<PaginatedRequestParams>;
        let listed = server.peer().list_tools(first_page).await?;
        let listed_after = begun.elapsed();
        server.call("list_syncs", json!({})).await?;
        let called = begun.elapsed();
        tools = listed.tools.len();
        if start > 0 {
            initialize.add_ms(initialized);
            tools_list.add_ms(listed_after);
            first_call.add_ms(called);
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
    add(
        name,
        "ms",
        less,
        "the same, p95",
        tools_list.percentile(0.95),
    );
    let name = "first_call_p50_ms";
    let what = "start to the first call that needs the engine";
    add(name, "ms", less, what, first_call.median());
    add("tools", "", same, "tools listed", Some(tools as f64));
    Ok(())
}
