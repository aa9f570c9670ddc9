//! Change notifications: telling a client that a resource which it watches has changed.
//!
//! Each sync that somebody watches has one watcher in this process, which all who watch it share. It looks
//! at the engine as a reader does, and asks no open workflow. It ends with the sync, or when nobody watches
//! any more. Sessions of 2025-11-25 and before subscribe to one resource after the other (`session`); since
//! 2026-07-28 a client listens to several on one stream (`stream`).

mod session;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use segue_workflows::{batch::Counts, sync::SyncStatus};
use temporalio_client::Client;
use tokio::{sync::watch, time::sleep};

use self::session::Sessions;
pub(crate) use self::stream::acceptable;
use crate::{
    error::ToolError,
    resources::{Named, named},
    view::{self, SyncView},
};

/// Time between two looks at a sync that moves.
const SHORTEST_PAUSE: Duration = Duration::from_millis(500);
/// The same of one that does not: each look without news makes the next one later, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Resources that one session, or one stream, watches at most.
const MOST_OF_ONE: usize = 50;
/// Syncs that are watched for one user in this process at most: each costs the engine a few questions a
/// look.
const MOST_SYNCS: usize = 100;
/// Streams that one user has open in this process at most.
const MOST_STREAMS: usize = 100;

/// What a watcher has seen last; nothing before its first look.
type Seen = Option<Arc<SyncView>>;

/// Everything that is watched for one user in this process.
#[derive(Clone)]
pub(crate) struct Watching {
    watched: Watched,
    sessions: Sessions,
    streams: Arc<tokio::sync::Semaphore>,
}

impl Default for Watching {
    fn default() -> Self {
        Self {
            watched: Watched::default(),
            sessions: Sessions::default(),
            streams: Arc::new(tokio::sync::Semaphore::new(MOST_STREAMS)),
        }
    }
}

/// The watchers, by the sync that each looks at.
#[derive(Clone, Default)]
struct Watched(Arc<Mutex<HashMap<String, watch::Sender<Seen>>>>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, watch::Sender<Seen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a sync of this user's, from now until the receiver is dropped.
    async fn join(
        &self,
        client: &Client,
        user_id: &str,
        sync_id: &str,
    ) -> Result<watch::Receiver<Seen>, ToolError> {
        // Whose it is comes first: after that the watcher is anybody's who may see the sync.
        view::describe(client, user_id, sync_id).await?;
        let mut watched = self.lock();
        if let Some(watcher) = watched.get(sync_id) {
            return Ok(watcher.subscribe());
        }
        if watched.len() >= MOST_SYNCS {
            return Err(ToolError::too_many_watched(MOST_SYNCS));
        }
        let (watcher, seen) = watch::channel(None);
        watched.insert(sync_id.to_owned(), watcher.clone());
        let (watched, client) = (self.clone(), client.clone());
        let (user_id, sync_id) = (user_id.to_owned(), sync_id.to_owned());
        tokio::spawn(async move { watched.look(&client, &user_id, &sync_id, &watcher).await });
        Ok(seen)
    }

    /// Looks at a sync until it has ended or nobody watches it.
    async fn look(
        &self,
        client: &Client,
        user_id: &str,
        sync_id: &str,
        watcher: &watch::Sender<Seen>,
    ) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let ended = match view::read(client, user_id, sync_id).await {
                Ok(view) => {
                    let ended = view.is_ended();
                    let view = without_clock(view);
                    let is_new = watcher.send_if_modified(|seen| {
                        let is_new = seen.as_deref() != Some(&view);
                        *seen = Some(Arc::new(view));
                        is_new
                    });
                    pause = match is_new {
                        true => SHORTEST_PAUSE,
                        false => (pause * 3 / 2).min(LONGEST_PAUSE),
                    };
                    ended
                }
                // The engine keeps it no longer.
                Err(error) if error.code == "unknown_sync" => true,
                Err(error) => {
                    tracing::debug!(%error, sync_id, "a watched sync could not be looked at");
                    pause = LONGEST_PAUSE;
                    false
                }
            };
            if ended {
                self.lock().remove(sync_id);
                return;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = watcher.closed() => {
                    // Under the lock nobody joins between the look and the end.
                    let mut watched = self.lock();
                    if watcher.receiver_count() == 0 {
                        watched.remove(sync_id);
                        return;
                    }
                }
            }
        }
    }
}

/// The view without what changes by the clock alone, so that only news are told.
fn without_clock(mut view: SyncView) -> SyncView {
    view.elapsed_seconds = 0.0;
    view.execution_time_seconds = None;
    view.saying = None;
    if let Some(batch) = &mut view.batch {
        batch.tracks_per_second = None;
        batch.estimated_end = None;
    }
    view
}

/// A resource that is watched, and what was told of it last.
struct Follower {
    uri: String,
    of_report: bool,
    seen: watch::Receiver<Seen>,
    told: Option<Told>,
}

/// What of a sync decides whether its resource has changed.
#[derive(PartialEq)]
enum Told {
    Standing(Arc<SyncView>),
    Report(SyncStatus, Option<Counts>),
}

/// The sync that a URI can be watched for; the rest stays as it is.
fn watchable(uri: &str) -> Option<&str> {
    match named(uri)? {
        Named::Sync(sync_id) | Named::Report(sync_id, _) => Some(sync_id),
        Named::Health | Named::View => None,
    }
}

impl Follower {
    fn new(uri: &str, seen: watch::Receiver<Seen>) -> Self {
        Self {
            uri: uri.to_owned(),
            of_report: matches!(named(uri), Some(Named::Report(..))),
            seen,
            told: None,
        }
    }

    /// Waits until the resource has changed; false if it will not any more. The first look counts as a
    /// change, so that nothing is missed that happened between a client's read and its subscription.
    async fn changed(&mut self) -> bool {
        loop {
            let seen = self.seen.borrow_and_update().clone();
            if let Some(view) = seen {
                let now = match self.of_report {
                    true => Told::Report(view.status, view.batch.as_ref().map(|b| b.counts)),
                    false => Told::Standing(view),
                };
                if self.told.as_ref() != Some(&now) {
                    self.told = Some(now);
                    return true;
                }
            }
            // The watcher is gone: what it saw last has been told.
            if self.seen.changed().await.is_err() {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use segue_workflows::names;

    use super::*;

    #[test]
    fn a_sync_and_its_reports_can_be_watched_and_nothing_else() {
        let id = names::new_sync_id();
        for uri in [
            format!("sync://{id}"),
            format!("sync://{id}/report.json"),
            format!("sync://{id}/report.csv"),
        ] {
            assert_eq!(watchable(&uri), Some(id.as_str()), "{uri}");
        }
        for uri in ["segue://health", "sync://sync-1", "ui://segue/progress"] {
            assert_eq!(watchable(uri), None, "{uri}");
        }
    }

    fn view(message: &str) -> SyncView {
        SyncView {
            sync_id: "sync-0".to_owned(),
            status: SyncStatus::Running,
            message: message.to_owned(),
            track: None,
            artist: None,
            playlist: "Evening Drive".to_owned(),
            current_step: None,
            steps_completed: 0,
            steps_total: 4,
            candidates_found: None,
            elapsed_seconds: 0.0,
            retry_count: 0,
            waiting_until: None,
            success: None,
            spotify_track_id: None,
            spotify_track_uri: None,
            confidence_score: None,
            match_method: None,
            best_candidate: None,
            already_present: None,
            undone: None,
            execution_time_seconds: None,
            error_code: None,
            next_step: None,
            retried_by: None,
            batch: None,
            comparison: None,
            saying: None,
        }
    }

    #[tokio::test]
    async fn a_follower_is_told_at_first_of_each_change_and_of_the_end() {
        let (watcher, seen) = watch::channel(None);
        let id = names::new_sync_id();
        let mut standing = Follower::new(&format!("sync://{id}"), seen.clone());
        let mut report = Follower::new(&format!("sync://{id}/report.json"), seen);
        watcher.send_replace(Some(Arc::new(view("Searching."))));
        assert!(standing.changed().await && report.changed().await);
        watcher.send_replace(Some(Arc::new(view("Adding."))));
        assert!(standing.changed().await, "its words are others");
        // What is seen and not yet told when the watcher goes is told all the same.
        let mut last = view("Done.");
        last.status = SyncStatus::Completed;
        watcher.send_replace(Some(Arc::new(last)));
        drop(watcher);
        assert!(standing.changed().await && report.changed().await);
        assert!(!standing.changed().await && !report.changed().await);
    }

    #[test]
    fn the_clock_is_no_news() {
        let mut later = view("Searching.");
        later.elapsed_seconds = 7.5;
        assert_eq!(without_clock(later), without_clock(view("Searching.")));
    }
}
