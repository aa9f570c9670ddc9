//! `PlacePage`: the matches of a page into the playlist, each so that it is there once.
//!
//! Its workflow id names the playlist, and the engine runs only one workflow of an id at a time. So
//! of two batches into one playlist, one adds its page, and the other then finds it there.
//!
//! 1. Look behind what was in the playlist when it was last read: what is there by now is somebody else's.
//! 2. Add the rest: one call. An add whose answer was lost is looked for before the next attempt adds. Of an upstream
//!    that takes one track a call, what was added before a call failed is known as well.
//! 3. If the upstream refuses the call as malformed, one of its tracks is to blame: each half is tried
//!    by itself, until that one is found.
//! 4. Verify that all are there, and see what else has come.
//!
//! What it was able to do is its result, also when it failed or was cancelled half way: only the
//! batch knows whether to undo it.

use std::{cell::Cell, collections::VecDeque, time::Duration};

use serde::{Deserialize, Serialize};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{
    SyncWorkflowContext, WorkflowCancellationToken, WorkflowContext, WorkflowContextView,
    WorkflowResult,
};

use crate::{
    activities::{BatchActivities, PagePlacement},
    batch::{Fate, Known},
    batch_page::tell_batch,
    error::{ErrorCode, SyncError},
    step::{StepFailure, StepPolicy, Steps, run_step},
    sync::Wait,
};

/// Adding a page.
const ADD: StepPolicy = StepPolicy {
    // An upstream that takes one track a call needs two calls for each.
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(5),
    attempts: 10,
    first_retry: Duration::from_secs(2),
    longest_retry: Duration::from_secs(60),
};

/// Looking before the add. Behind what is known there is little.
const LOOK: StepPolicy = VERIFY;

/// Verifying. Spotify may show an add a moment late.
const VERIFY: StepPolicy = StepPolicy {
    attempt: Duration::from_secs(600),
    heartbeat: Duration::from_secs(5),
    attempts: 5,
    first_retry: Duration::from_secs(1),
    longest_retry: Duration::from_secs(10),
};

/// What to place, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacePageInput {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Spotify's URIs of the tracks, in order; at most 100.
    pub track_uris: Vec<String>,
    /// Entries that the playlist had when it was last read.
    pub from: u32,
    /// They are added even if somebody else has added them meanwhile.
    #[serde(default)]
    pub add_duplicates: bool,
    /// Look in a step of its own, so that what is there is told from what an attempt has added. Workflows begun before
    /// there was such a step look with each attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub look_first: bool,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PagePlaced {
    /// What became of each track, a letter each ([`Fate::letter`]).
    pub fates: String,
    /// What has come to the playlist, these tracks and others.
    pub known: Known,
    /// Entries that the playlist has now.
    pub entries: u32,
    /// Why some of them failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<SyncError>,
    /// Some of those that failed may be in the playlist all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsure: bool,
    /// It was cancelled before it came to its end.
    #[serde(default)]
    pub cancelled: bool,
    /// Attempts that had to be repeated.
    pub retries: u32,
}

/// See the module.
#[workflow]
pub struct PlacePage {
    input: PlacePageInput,
    retries: u32,
    times_woken: u32,
}

#[workflow_methods]
impl PlacePage {
    #[init]
    fn new(_ctx: &WorkflowContextView, input: PlacePageInput) -> Self {
        Self {
            input,
            retries: 0,
            times_woken: 0,
        }
    }

    /// The story.
    #[run(name = "PlacePage")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<PagePlaced> {
        let input = ctx.state(|workflow| workflow.input.clone());
        let mut placing = Placing::new(input);
        if !placing.input.look_first || placing.look(ctx).await {
            placing.add(ctx).await;
        }
        if placing.may_be_there() {
            placing.verify(ctx).await;
        }
        let retries = ctx.state(|workflow| workflow.retries);
        Ok(placing.result(retries))
    }

    /// What it waits for may be over: it is to look at once.
    #[signal(name = "wake")]
    pub fn wake(&mut self, _ctx: &mut SyncWorkflowContext<Self>, _nothing: ()) {
        self.times_woken += 1;
    }
}

/// A page on its way.
struct Placing {
    input: PlacePageInput,
    fates: Vec<Fate>,
    known: Known,
    entries: u32,
    error: Option<SyncError>,
    cancelled: bool,
    /// The answer of an add was lost.
    in_doubt: bool,
    /// What was added was not seen, or could not be looked for.
    unsure: bool,
}

impl Placing {
    fn new(input: PlacePageInput) -> Self {
        Self {
            fates: vec![Fate::Pending; input.track_uris.len()],
            known: Known::default(),
            entries: input.from,
            error: None,
            cancelled: false,
            in_doubt: false,
            unsure: false,
            input,
        }
    }

    fn placement(&self, places: &[usize], tried_before: bool) -> PagePlacement {
        let uri_of = |place: &usize| self.input.track_uris[*place].clone();
        PagePlacement {
            playlist_id: self.input.playlist_id.clone(),
            track_uris: places.iter().map(uri_of).collect(),
            from: self.entries,
            tried_before,
            add_duplicates: self.input.add_duplicates,
            looked: self.input.look_first,
        }
    }

    /// Looks which of the tracks have come to the playlist since it was read; whether that could be seen.
    async fn look(&mut self, ctx: &WorkflowContext<PlacePage>) -> bool {
        let token = ctx.cancellation_token();
        let all: Vec<usize> = (0..self.fates.len()).collect();
        // As of a page about which nothing is sure: that one is absent is no failure.
        let page = PagePlacement {
            looked: false,
            ..self.placement(&all, true)
        };
        let activity = || BatchActivities::verify_page;
        match run_step(ctx, LOOK, &token, activity, |_| page.clone()).await {
            Ok(seen) => {
                if !self.input.add_duplicates {
                    let is_there = |place: &&usize| !seen.missing.contains(&(**place as u32));
                    for place in all.iter().filter(is_there) {
                        self.fates[*place] = Fate::AlreadyThere;
                    }
                }
                self.known = seen.known;
                self.entries = seen.entries;
                self.cancelled = token.is_cancelled();
                !self.cancelled
            }
            Err(StepFailure::Failed(error)) => {
                self.fates.fill(Fate::Failed);
                self.error = Some(error);
                false
            }
            Err(StepFailure::Cancelled { .. }) => {
                self.cancelled = true;
                false
            }
        }
    }

    async fn add(&mut self, ctx: &WorkflowContext<PlacePage>) {
        let token = ctx.cancellation_token();
        let absent = |place: &usize| self.fates[*place] == Fate::Pending;
        let absent: Vec<usize> = (0..self.fates.len()).filter(absent).collect();
        // Ranges of those, and whether an add of one may have happened.
        let mut open = VecDeque::from([(0..absent.len(), false)]);
        while let Some((range, tried)) = open.pop_front() {
            let places = &absent[range.clone()];
            if places.is_empty() {
                continue;
            }
            let retries_before = ctx.state(|workflow| workflow.retries);
            let told = Cell::new(tried);
            let step = run_step(
                ctx,
                ADD,
                &token,
                || BatchActivities::add_page,
                |before| {
                    let tried = tried || before.tried;
                    told.set(tried);
                    PagePlacement {
                        // Time has passed: what is there by now is somebody else's.
                        looked: self.input.look_first && !before.waited,
                        ..self.placement(places, tried)
                    }
                },
            );
            match step.await {
                Ok(added) => {
                    let done = added.done.map_or(range.len(), |done| done as usize);
                    let done = done.min(range.len());
                    for (number, place) in (0..).zip(&places[..done]) {
                        self.fates[*place] = match added.there.contains(&number) {
                            true => Fate::AlreadyThere,
                            false => Fate::Added,
                        };
                    }
                    if done < range.len() {
                        open.push_front((range.start + done..range.end, added.in_doubt));
                    }
                }
                Err(StepFailure::Failed(error)) if error.code == ErrorCode::InvalidRequest => {
                    if range.len() > 1 {
                        // An attempt before the one that was refused may have added some of them.
                        let repeated = ctx.state(|workflow| workflow.retries) > retries_before;
                        let tried = told.get() || repeated;
                        let middle = range.start + range.len() / 2;
                        open.push_front((middle..range.end, tried));
                        open.push_front((range.start..middle, tried));
                    } else {
                        self.fates[places[0]] = Fate::Failed;
                        self.error = Some(error);
                    }
                }
                Err(StepFailure::Failed(error)) => {
                    // Its last answer may have been lost; what comes after it would fail alike.
                    self.in_doubt = tried || error.code.is_retryable();
                    for place in &absent[range.start..] {
                        self.fates[*place] = Fate::Failed;
                    }
                    self.error = Some(error);
                    return;
                }
                Err(StepFailure::Cancelled { tried: last }) => {
                    self.in_doubt = tried || last;
                    self.cancelled = true;
                    return;
                }
            }
        }
    }

    fn may_be_there(&self) -> bool {
        self.in_doubt || self.fates.contains(&Fate::Added)
    }

    /// Sees what is there. Where an add is in doubt, what is there is ours.
    async fn verify(&mut self, ctx: &WorkflowContext<PlacePage>) {
        // What was added has to be known, also of a page that is being cancelled.
        let token = WorkflowCancellationToken::new();
        let expected: Vec<usize> = (0..self.fates.len())
            .filter(|&place| match self.fates[place] {
                Fate::Added => true,
                Fate::Failed | Fate::Pending => self.in_doubt,
                _ => false,
            })
            .collect();
        let page = self.placement(&expected, false);
        let verify = async |all_must_be_there: bool| {
            let activity = || BatchActivities::verify_page;
            let page = PagePlacement {
                tried_before: !all_must_be_there,
                ..page.clone()
            };
            run_step(ctx, VERIFY, &token, activity, |_| page.clone()).await
        };
        let mut seen = verify(!self.in_doubt).await;
        if let Err(StepFailure::Failed(error)) = &seen
            && error.code == ErrorCode::NotVerified
        {
            self.error = Some(error.clone());
            seen = verify(false).await;
            self.unsure = seen.as_ref().is_ok_and(|seen| !seen.missing.is_empty());
        }
        match seen {
            Ok(seen) => {
                for (place, uri) in (0u32..).zip(&expected) {
                    let is_there = !seen.missing.contains(&place);
                    let fate = &mut self.fates[*uri];
                    *fate = match (is_there, *fate) {
                        (true, _) => Fate::Added,
                        (false, Fate::Pending) => Fate::Pending,
                        (false, _) => Fate::Failed,
                    };
                }
                self.known.merge(&seen.known);
                self.entries = seen.entries;
            }
            Err(StepFailure::Failed(mut error)) => {
                error.message = format!(
                    "{}; the tracks may be in the playlist all the same",
                    error.message.trim_end_matches('.')
                );
                self.unsure = true;
                for place in expected {
                    self.fates[place] = Fate::Failed;
                }
                self.error = Some(error);
            }
            Err(StepFailure::Cancelled { .. }) => {}
        }
    }

    fn result(self, retries: u32) -> PagePlaced {
        PagePlaced {
            fates: self.fates.iter().map(|fate| fate.letter()).collect(),
            known: self.known,
            entries: self.entries,
            error: self.error,
            unsure: self.unsure,
            cancelled: self.cancelled,
            retries,
        }
    }
}

impl Steps for PlacePage {
    fn is_patient(_ctx: &WorkflowContext<Self>) -> bool {
        true
    }

    async fn show_wait(ctx: &WorkflowContext<Self>, wait: Option<Wait>) {
        tell_batch(ctx, wait).await;
    }

    fn count_retries(&mut self, retries: u32) {
        self.retries += retries;
    }

    fn times_woken(&self) -> u32 {
        self.times_woken
    }
}
