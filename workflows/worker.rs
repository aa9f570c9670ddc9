//! The workers: what polls the engine for our work and does it.

use std::time::Duration;

use temporalio_client::Client;
use temporalio_sdk::{Runtime, Worker, WorkerOptions};
use tokio_util::sync::CancellationToken;

use crate::{
    activities::Activities,
    dead_letter::DeadLetter,
    music_sync::MusicSync,
    names::{DEAD_LETTER_QUEUE, SYNC_QUEUE},
    place_track::PlaceTrack,
    playlist_reading::PlaylistReading,
    upstream::Upstream,
};

/// Time for activities to finish when the worker is told to stop.
const GRACE: Duration = Duration::from_secs(3);

/// After the kill of a process the workflows it had cached wait this long on its sticky queue
/// before another process may take them. The SDK's 10 s is what a user would wait after a restart.
const STICKY_TIMEOUT: Duration = Duration::from_secs(3);

/// Workflows that stay in memory between their steps; beyond that the one idle for longest is
/// replayed when its next step comes. About 20 kB each.
const CACHED_WORKFLOWS: usize = 1000;

/// Runs the workers of both task queues until `stop` is cancelled, or one of them fails.
///
/// # Errors
/// The engine refused the worker, or the connection is broken for good.
pub async fn run(
    client: Client,
    upstream: Upstream,
    stop: CancellationToken,
) -> Result<(), anyhow::Error> {
    let runtime = Runtime::from_current_tokio(Default::default())?;
    let syncs = WorkerOptions::new(SYNC_QUEUE)
        .register_workflow::<MusicSync>()?
        .register_workflow::<PlaceTrack>()?
        .register_workflow::<PlaylistReading>()?
        .register_activities(Activities::new(upstream))
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .max_cached_workflows(CACHED_WORKFLOWS)
        .graceful_shutdown_period(GRACE)
        .build();
    let letters = WorkerOptions::new(DEAD_LETTER_QUEUE)
        .register_workflow::<DeadLetter>()?
        .sticky_queue_schedule_to_start_timeout(STICKY_TIMEOUT)
        .build();
    let mut syncs = Worker::new(&runtime, client.clone(), syncs)?;
    let mut letters = Worker::new(&runtime, client, letters)?;

    let (stop_syncs, stop_letters) = (syncs.shutdown_handle(), letters.shutdown_handle());
    let stopping = async {
        stop.cancelled().await;
        stop_syncs();
        stop_letters();
        Ok::<(), anyhow::Error>(())
    };
    tokio::try_join!(
        async { syncs.run().await.map_err(anyhow::Error::from) },
        async { letters.run().await.map_err(anyhow::Error::from) },
        stopping,
    )?;
    Ok(())
}
