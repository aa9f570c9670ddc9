//! `segue torture`: many syncs, everything that can go wrong, and then the invariant.
//!
//! 1. A seed makes a plan: which songs are asked for when, which faults and kills come when.
//! 2. Two servers on one engine carry it out against the simulated Spotify, with real kills.
//! 3. When calm has come back, all syncs end; those that were dead-lettered are tried again.
//! 4. What the syncs say is compared with what the simulated Spotify holds.
//!
//! The plan is the same for a seed; how the processes interleave is the machine's.

mod faults;
mod fleet;
mod plan;
mod truth;

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use segue_spotify::sim::SimOptions;
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use self::{
    faults::{Blow, KINDS},
    fleet::Fleet,
    plan::{ORDERED, Plan, Victim},
    truth::{Accepted, Wrongs},
};
use super::stage::{Stage, control, is_ended};
use crate::{cli::TortureArgs, config::Config, home::Home, output};

/// The budget of calls: the simulated Spotify limits nothing but by its faults.
const BUDGET: &str = "20000";
/// Time for all syncs to end once calm has come back.
const CALM: Duration = Duration::from_secs(1_800);
/// Time between two looks whether they have.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Calls of ours that are under way at a time while the end is read.
const AT_ONCE: usize = 8;
/// How often what was dead-lettered is tried again.
const RETRIES: usize = 3;

pub(super) async fn run(
    config: &Config,
    home: &Home,
    arguments: TortureArgs,
) -> anyhow::Result<ExitCode> {
    let stage = Stage::set(config, home, SimOptions::default()).await?;
    let plan = Plan::new(arguments.seed, arguments.syncs, arguments.kills);
    let playlists = make_playlists(&stage, &plan).await?;
    let log = stage.home().join("servers.log");
    let launch = stage.launch.clone();
    let launch = launch
        .with("SEGUE_UPSTREAM_BUDGET", BUDGET)
        .logging_to(&log);
    let fleet = Fleet::start(launch, stage.home().display().to_string()).await?;
    // The engine is up before its first kill; on a new machine it is fetched meanwhile.
    fleet.call("list_syncs", &json!({}), |_| false).await?;

    let run = Run {
        stage,
        plan,
        playlists,
        fleet,
        started: Instant::now(),
        tally: Mutex::default(),
    };
    let accepted = match run.go().await {
        Ok(accepted) => accepted,
        Err(error) => {
            let log = run.stage.scratch.keep().join("servers.log");
            return Err(error.context(format!("the servers' log: {}", log.display())));
        }
    };
    let wrongs = run.check(&accepted);
    let table = run.table(&arguments, &accepted, &wrongs).await;
    output::line(table)?;
    let Run { fleet, stage, .. } = run;
    fleet.end().await?;
    if wrongs.none() {
        return Ok(ExitCode::SUCCESS);
    }
    let kept = stage.scratch.keep();
    output::line(format_args!(
        "Not well. Reproduce it: segue torture --seed {} --syncs {} --kills {}\nThe servers' log: {}",
        arguments.seed,
        arguments.syncs,
        arguments.kills,
        kept.join("servers.log").display(),
    ))?;
    for (kind, found) in wrongs.rows() {
        for one in found {
            output::line(format_args!("{kind}: {one}"))?;
        }
    }
    Ok(ExitCode::FAILURE)
}

struct Run {
    stage: Stage,
    plan: Plan,
    playlists: Vec<String>,
    fleet: Fleet,
    started: Instant,
    tally: Mutex<Tally>,
}

/// What was done.
#[derive(Default)]
struct Tally {
    faults: BTreeMap<&'static str, u32>,
    kills: BTreeMap<Victim, u32>,
    unmet: usize,
    tried_again: u32,
}

async fn make_playlists(stage: &Stage, plan: &Plan) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for (number, before) in plan.before.iter().enumerate() {
        let name = format!("Torture {number}");
        ids.push(stage.make_playlist(&name, before).await?);
    }
    Ok(ids)
}

impl Run {
    async fn go(&self) -> anyhow::Result<Vec<Accepted>> {
        let accepted = self.carry_out().await?;
        self.come_to_rest(accepted).await
    }

    /// Asks, breaks and kills by the plan. Gives the syncs that were accepted.
    async fn carry_out(&self) -> anyhow::Result<Vec<Accepted>> {
        let last_wish = self.plan.wishes.last().map(|wish| wish.at);
        let last_kill = self.plan.kills.last().map(|&(at, _)| at);
        let end = self.started + last_wish.max(last_kill).unwrap_or_default();
        let (unordered, ordered, (), (), ()) = tokio::try_join!(
            self.ask(|playlist| playlist != ORDERED),
            self.ask_in_order(),
            self.break_things(end),
            self.kill_processes(),
            async { Ok::<(), anyhow::Error>(self.tell_until(end).await?) },
        )?;
        self.lift_faults().await?;
        Ok(unordered.into_iter().chain(ordered).collect())
    }

    /// Takes the faults back that nobody has met.
    async fn lift_faults(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let of = |what: &str| format!("{}/_sim/{what}", self.stage.sim.url());
        let state = client.get(of("state")).send().await?.text().await?;
        let state: Value = serde_json::from_str(&state)?;
        let unmet = state["faults"].as_array().map_or(0, Vec::len);
        self.tally.lock().await.unmet = unmet;
        let lifted = client.delete(of("faults")).send().await?;
        lifted.error_for_status()?;
        Ok(())
    }

    async fn ask(&self, wanted: impl Fn(usize) -> bool) -> anyhow::Result<Vec<Accepted>> {
        let wishes = self.plan.wishes.iter().enumerate();
        let wishes = wishes.filter(|(_, wish)| wanted(wish.playlist));
        stream::iter(wishes)
            .map(|(number, wish)| async move {
                sleep_until(self.started + wish.at).await;
                let accepted = self.ask_for(number).await?;
                if let Some(after) = wish.cancel_after {
                    sleep(after).await;
                    let cancel = json!({"sync_id": accepted.sync_ids[0]});
                    // It may have ended before.
                    let ended = |answer: &Value| answer["error"]["code"] == "wrong_state";
                    self.fleet.call("cancel_sync", &cancel, ended).await?;
                }
                Ok(accepted)
            })
            // All that may wait for their time at once.
            .buffer_unordered(usize::MAX)
            .try_collect()
            .await
    }

    async fn ask_in_order(&self) -> anyhow::Result<Vec<Accepted>> {
        let mut accepted = Vec::new();
        for (number, wish) in self.plan.wishes.iter().enumerate() {
            if wish.playlist != ORDERED {
                continue;
            }
            sleep_until(self.started + wish.at).await;
            let one = self.ask_for(number).await?;
            let end = Instant::now() + CALM;
            while Instant::now() < end && !is_ended(&self.look(&one.sync_ids[0], 10).await?) {}
            accepted.push(one);
        }
        Ok(accepted)
    }

    async fn ask_for(&self, number: usize) -> anyhow::Result<Accepted> {
        let wish = &self.plan.wishes[number];
        let mut call = json!({"title": wish.title, "artist": wish.artist,
            "playlist": self.playlists[wish.playlist]});
        if let Some(isrc) = &wish.isrc {
            call["isrc"] = json!(isrc);
        }
        let started = |answer: &Value| answer["error"]["sync_id"].is_string();
        let answer = self.fleet.call("sync_track", &call, started).await?;
        let id = answer["sync_id"]
            .as_str()
            .or(answer["error"]["sync_id"].as_str());
        Ok(Accepted {
            wish: number,
            sync_ids: vec![id.context("a sync without an id")?.to_owned()],
            view: Value::Null,
        })
    }

    async fn break_things(&self, end: Instant) -> anyhow::Result<()> {
        for &(requests, kind, number) in &self.plan.faults {
            while self.stage.sim.requests().len() < requests {
                if Instant::now() >= end {
                    return Ok(());
                }
                sleep(Duration::from_millis(100)).await;
            }
            let (name, blow) = KINDS[kind];
            let struck = match blow {
                Blow::Order(order) => control(&self.stage.sim, "faults", &order(number))
                    .await
                    .is_ok(),
                Blow::ExpireTokens => {
                    let expire = json!({"expire_access": true});
                    control(&self.stage.sim, "tokens", &expire).await.is_ok()
                }
                Blow::FreezeUpstream => self.fleet.freeze_upstream(number as usize).await?,
            };
            *self.tally.lock().await.faults.entry(name).or_default() += u32::from(struck);
        }
        Ok(())
    }

    async fn kill_processes(&self) -> anyhow::Result<()> {
        for (number, &(at, victim)) in self.plan.kills.iter().enumerate() {
            sleep_until(self.started + at).await;
            // One that is just being started again is waited for, so that every kill is one.
            while !self.fleet.kill(victim, number).await? {
                sleep(Duration::from_millis(100)).await;
            }
            *self.tally.lock().await.kills.entry(victim).or_default() += 1;
        }
        Ok(())
    }

    /// Says now and then how far it is.
    async fn tell_until(&self, end: Instant) -> std::io::Result<()> {
        while Instant::now() < end {
            sleep_until(end.min(Instant::now() + Duration::from_secs(30))).await;
            let tally = self.tally.lock().await;
            output::line(format_args!(
                "{:>4} s: {} faults, {} kills, {} requests",
                self.started.elapsed().as_secs(),
                tally.faults.values().sum::<u32>(),
                tally.kills.values().sum::<u32>(),
                self.stage.sim.requests().len(),
            ))?;
        }
        Ok(())
    }

    /// Waits until every sync has ended, tries what failed again, and reads how each ended. Syncs that
    /// were started though their answer was lost are found as well.
    async fn come_to_rest(&self, mut accepted: Vec<Accepted>) -> anyhow::Result<Vec<Accepted>> {
        self.until_all_ended().await?;
        self.add_unanswered(&mut accepted).await?;
        accepted.sort_by_key(|one| one.wish);
        for _ in 0..=RETRIES {
            self.read_all(&mut accepted).await?;
            let mut again = 0;
            for one in &mut accepted {
                if matches!(
                    one.view["status"].as_str(),
                    Some("failed" | "dead_lettered")
                ) {
                    let call = json!({"sync_id": one.view["sync_id"]});
                    let answer = self.fleet.call("retry_failed", &call, |_| false).await?;
                    let id = answer["sync_id"]
                        .as_str()
                        .context("a retry without an id")?;
                    one.sync_ids.push(id.to_owned());
                    again += 1;
                }
            }
            if again == 0 {
                break;
            }
            self.tally.lock().await.tried_again += again;
            self.until_all_ended().await?;
        }
        Ok(accepted)
    }

    async fn until_all_ended(&self) -> anyhow::Result<()> {
        let end = Instant::now() + CALM;
        loop {
            let health = self.fleet.call("get_health", &json!({}), |_| false).await?;
            let count = |name: &str| health["syncs"][name].as_u64();
            let open = [
                "running",
                "waiting_for_rate_limit",
                "waiting_for_upstream",
                "waiting_for_sign_in",
            ];
            let open: Option<u64> = open.iter().map(|name| count(name)).sum();
            output::line(format_args!(
                "{:>4} s: {} syncs under way",
                self.started.elapsed().as_secs(),
                open.map_or("?".to_owned(), |open| open.to_string()),
            ))?;
            match open {
                Some(0) => return Ok(()),
                _ if Instant::now() >= end => return Ok(()),
                _ => sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn add_unanswered(&self, accepted: &mut Vec<Accepted>) -> anyhow::Result<()> {
        let mut call = json!({"limit": 100});
        loop {
            let page = self.fleet.call("list_syncs", &call, |_| false).await?;
            for row in page["syncs"].as_array().into_iter().flatten() {
                let id = row["sync_id"].as_str().unwrap_or_default();
                if accepted.iter().any(|one| one.sync_ids[0] == id) {
                    continue;
                }
                let is_it = |wish: &plan::Wish| {
                    row["track"] == wish.title.as_str()
                        && row["playlist"] == self.playlists[wish.playlist].as_str()
                };
                let wish = self.plan.wishes.iter().position(is_it);
                accepted.push(Accepted {
                    wish: wish.with_context(|| format!("nobody asked for {row}"))?,
                    sync_ids: vec![id.to_owned()],
                    view: Value::Null,
                });
            }
            match page["next_cursor"].as_str() {
                Some(token) => call["cursor"] = json!(token),
                None => return Ok(()),
            }
        }
    }

    async fn read_all(&self, accepted: &mut [Accepted]) -> anyhow::Result<()> {
        let views: Vec<Value> = stream::iter(accepted.iter())
            .map(|one| {
                let id = one.sync_ids.last().unwrap_or(&one.sync_ids[0]);
                self.look(id, 0)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        for (one, view) in accepted.iter_mut().zip(views) {
            one.view = view;
        }
        Ok(())
    }

    async fn look(&self, sync_id: &str, wait_seconds: u32) -> anyhow::Result<Value> {
        let call = json!({"sync_id": sync_id, "wait_seconds": wait_seconds});
        self.fleet.call("get_sync_progress", &call, |_| false).await
    }

    fn check(&self, accepted: &[Accepted]) -> Wrongs {
        let after: Vec<Vec<String>> = self
            .playlists
            .iter()
            .map(|id| self.stage.sim.playlist_uris(id).unwrap_or_default())
            .collect();
        truth::check(&self.plan, &plan::songs(), accepted, &after)
    }

    async fn table(
        &self,
        arguments: &TortureArgs,
        accepted: &[Accepted],
        wrongs: &Wrongs,
    ) -> String {
        let count =
            |is: &dyn Fn(&Value) -> bool| accepted.iter().filter(|one| is(&one.view)).count();
        let tally = self.tally.lock().await;
        let kills = |victim| tally.kills.get(&victim).copied().unwrap_or_default();
        let requests = self.stage.sim.requests();
        let mut rows = vec![
            ("seed".to_owned(), arguments.seed.to_string()),
            ("syncs accepted".to_owned(), accepted.len().to_string()),
            (
                "added".to_owned(),
                count(&|view| view["success"] == true && view["already_present"] == false)
                    .to_string(),
            ),
            (
                "were there already".to_owned(),
                count(&|view| view["already_present"] == true).to_string(),
            ),
            (
                "no match (given to the user)".to_owned(),
                count(&|view| view["status"] == "completed" && view["success"] == false)
                    .to_string(),
            ),
            (
                "cancelled".to_owned(),
                count(&|view| view["status"] == "cancelled").to_string(),
            ),
            (
                "failed for good, with a reason".to_owned(),
                count(&|view| view["status"] == "failed" || view["status"] == "dead_lettered")
                    .to_string(),
            ),
            (
                "dead letters tried again".to_owned(),
                tally.tried_again.to_string(),
            ),
            (
                "kills: server / upstream / engine".to_owned(),
                format!(
                    "{} / {} / {}",
                    kills(Victim::Server),
                    kills(Victim::Upstream),
                    kills(Victim::Engine)
                ),
            ),
            (
                "faults met, of kinds".to_owned(),
                format!(
                    "{}, {}",
                    tally.faults.values().sum::<u32>() as usize - tally.unmet,
                    tally.faults.values().filter(|&&count| count > 0).count()
                ),
            ),
            ("requests".to_owned(), requests.len().to_string()),
            (
                "minutes".to_owned(),
                format!("{:.1}", self.started.elapsed().as_secs_f64() / 60.0),
            ),
        ];
        rows.extend(
            wrongs
                .rows()
                .map(|(kind, found)| (format!("**{kind}**"), format!("**{}**", found.len()))),
        );
        let rows = rows
            .into_iter()
            .map(|(name, value)| format!("| {name} | {value} |"));
        let head = ["| | |".to_owned(), "|---|---|".to_owned()];
        head.into_iter().chain(rows).collect::<Vec<_>>().join("\n")
    }
}
