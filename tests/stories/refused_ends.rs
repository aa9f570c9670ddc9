//! A signal comes in the very moment in which a sync ends. The engine refuses that end, and the sync ends
//! once more: it is counted once all the same.

use std::time::Duration;

use futures::{StreamExt, stream};
use segue::client::Server;
use segue_workflows::music_sync::MusicSync;
use temporalio_client::{WorkflowFetchHistoryOptions, WorkflowSignalOptions};

use crate::{
    metrics::read,
    support::{CLOCKS, World, ended, song, start, until},
};

/// Syncs that are signalled until they have ended.
const SYNCS: usize = 12;
/// Signals to a sync at most: without an end to them it would come to none.
const SIGNALS: usize = 300;
/// Time between two signals to a sync: less than the engine takes for an end.
const BETWEEN: Duration = Duration::from_millis(2);
/// What the history of a sync says whose end was refused.
const REFUSED: &str = "UnhandledCommand";

#[tokio::test]
async fn an_end_that_the_engine_refuses_is_not_counted() {
    let world = World::new().await;
    let launch = world.launch().with("SEGUE_METRICS", "0");
    let server = Server::start(&launch).await.unwrap();
    let url = world.page_address(1).await;
    let engine = world.engine().await;
    let client = engine.client();
    // The first places the track; the others find it, so that they end soon.
    let first = start(&server, song(CLOCKS, world.empty())).await;
    ended(&server, &first).await;

    let mut refused = 0;
    for _ in 0..SYNCS {
        let id = start(&server, song(CLOCKS, world.empty())).await;
        let sync = client.get_workflow_handle::<MusicSync>(&*id);
        let signals = stream::iter(0..SIGNALS).then(async |_| {
            tokio::time::sleep(BETWEEN).await;
            let options = WorkflowSignalOptions::default();
            sync.signal(MusicSync::wake, (), options).await.is_ok()
        });
        // One that has ended takes none.
        let taken = signals.take_while(|taken| std::future::ready(*taken));
        taken.collect::<Vec<_>>().await;
        let view = ended(&server, &id).await;
        assert_eq!(view["success"], true, "{view:#}");
        let history = sync.fetch_history(WorkflowFetchHistoryOptions::default());
        let history = String::from_utf8(history.to_json().await.unwrap()).unwrap();
        refused += history.matches(REFUSED).count();
    }
    assert!(refused > 0, "no end was refused: this story tells nothing");
    let ends = async || {
        let page = read(&url).await;
        let syncs = [("workflow_type", "MusicSync")];
        let seconds = page.sum("temporal_workflow_duration_seconds_count", &syncs);
        assert_eq!(page.sum("temporal_workflow_total", &syncs), seconds);
        seconds as usize
    };
    until("all ends are counted", async || ends().await > SYNCS).await;
    assert_eq!(ends().await, SYNCS + 1, "{refused} ends were refused");
    println!("{refused} ends were refused, and {} counted", SYNCS + 1);
    server.end().await.unwrap();
}
