//! `segue eval`: how often the search and the matching find the right song.
//!
//! Each song is searched and matched exactly as a sync does it: the same ladder of queries, the
//! same adapter, the bundled upstream as a real process, the simulated Spotify behind it. Only
//! nothing is written.

use std::{collections::BTreeSet, fmt::Write as _, fs::File, io::Read, path::Path};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use segue_spotify::sim::{CatalogSource, Sim, SimOptions};
use segue_workflows::{
    matching::{Decision, Query, find_match, normalise::isrc},
    track::SourceTrack,
    upstream::{Endpoint, Upstream},
};
use serde::Deserialize;

use crate::{cli::EvalArgs, config::Config, output};

/// Songs that are looked up at once.
const AT_ONCE: usize = 8;
/// The environment of an upstream that must know nothing but the simulator.
const NO_STORE: (&str, &str) = ("SEGUE_TOKEN_STORE", "file");

/// A song to find, and what is right.
#[derive(Debug, Deserialize)]
pub(crate) struct Row {
    src_service: String,
    src_title: String,
    src_artist: String,
    #[serde(default)]
    src_album: String,
    #[serde(default)]
    isrc: String,
    #[serde(default)]
    truth_ids: String,
}

impl Row {
    /// The song as a user has it.
    pub(super) fn track(&self, hide_isrc: bool) -> SourceTrack {
        SourceTrack {
            title: self.src_title.clone(),
            artist: self.src_artist.clone(),
            album: Some(self.src_album.clone()).filter(|album| !album.is_empty()),
            duration_ms: None,
            isrc: isrc(&self.isrc).filter(|_| !hide_isrc),
            ..SourceTrack::default()
        }
    }

    /// The ids of the tracks of which any is right.
    pub(super) fn truth(&self) -> impl Iterator<Item = &str> {
        self.truth_ids.split('|').filter(|id| !id.is_empty())
    }
}

pub(super) async fn run(config: &Config, arguments: EvalArgs) -> anyhow::Result<()> {
    let rows = read(&arguments.file)?;
    let scratch = tempfile::tempdir()?;
    let sim = Sim::start(SimOptions {
        catalog: arguments
            .catalog
            .map_or(CatalogSource::Builtin, CatalogSource::File),
        ..SimOptions::default()
    })
    .await?;
    let upstream = upstream_on(&sim, scratch.path())?;

    let judged: Vec<Judged> = stream::iter(rows)
        .map(|row| judge(row, arguments.hide_isrc, config.match_threshold, &upstream))
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    output::line(report(&judged, sim.requests().len()))?;
    sim.shutdown().await?;
    Ok(())
}

pub(super) fn read(file: &Path) -> anyhow::Result<Vec<Row>> {
    let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    rows(opened, file)
}

/// The songs in this CSV text, which an error calls by the name of its file.
pub(crate) fn rows(text: impl Read, file: &Path) -> anyhow::Result<Vec<Row>> {
    csv::Reader::from_reader(text)
        .into_deserialize()
        .enumerate()
        .map(|(index, row)| {
            row.with_context(|| format!("{}: song {} cannot be read", file.display(), index + 1))
        })
        .collect()
}

/// The bundled upstream on this simulator.
pub(super) fn upstream_on(sim: &Sim, home: &Path) -> anyhow::Result<Upstream> {
    let ready = sim.ready();
    let variables = [
        ("SEGUE_HOME", home.display().to_string()),
        (NO_STORE.0, NO_STORE.1.to_owned()),
        ("SPOTIFY_API_URL", ready.api_url.clone()),
        ("SPOTIFY_ACCOUNTS_URL", ready.accounts_url.clone()),
        ("SPOTIFY_CLIENT_ID", ready.client_id.clone()),
        ("SPOTIFY_REFRESH_TOKEN", ready.refresh_token.clone()),
    ];
    let endpoint = Endpoint::Command {
        program: std::env::current_exe()?.display().to_string(),
        args: vec!["spotify".to_owned()],
        env: variables
            .map(|(name, value)| (name.to_owned(), value.into()))
            .to_vec(),
    };
    Ok(Upstream::new(endpoint, None))
}

/// What became of one song.
struct Judged {
    row: Row,
    decision: Decision,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The right song; or none, where there is none.
    Right,
    /// Another song.
    Wrong,
    /// None, though it is there.
    Unmatched,
}

async fn judge(
    row: Row,
    hide_isrc: bool,
    threshold: f64,
    upstream: &Upstream,
) -> anyhow::Result<Judged> {
    let track = row.track(hide_isrc);
    let decision = find_match(&track, threshold, async |query| match &query {
        Query::Isrc(isrc) => upstream.search_isrc(isrc).await,
        Query::Text(text) => upstream.search(text).await,
    })
    .await?;
    let truth: BTreeSet<&str> = row.truth().collect();
    let verdict = match &decision.matched {
        Some(found) if truth.contains(found.candidate.id.as_str()) => Verdict::Right,
        Some(_) => Verdict::Wrong,
        None if truth.is_empty() => Verdict::Right,
        None => Verdict::Unmatched,
    };
    Ok(Judged {
        row,
        decision,
        verdict,
    })
}

fn report(judged: &[Judged], requests: usize) -> String {
    let mut text = String::new();
    for one in judged.iter().filter(|one| one.verdict != Verdict::Right) {
        let what = match one.verdict {
            Verdict::Wrong => "wrong",
            _ => "unmatched",
        };
        let best = match one.decision.best() {
            Some(best) => format!(
                "{:.2} \"{}\" by {} [{}] {}",
                best.score.confidence,
                best.candidate.title,
                best.candidate.artists.join(", "),
                best.candidate.album.as_deref().unwrap_or("?"),
                best.candidate.id,
            ),
            None => "no candidate".to_owned(),
        };
        let Row {
            src_service,
            src_title,
            src_artist,
            src_album,
            ..
        } = &one.row;
        let source = format!("\"{src_title}\" by {src_artist} [{src_album}]");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<10} {src_service:<7} {source} -> {best}");
    }
    let total = judged.len().max(1) as f64;
    let _ = writeln!(text, "\n{:<10} {:>6} {:>8}", "", "songs", "share");
    for (name, verdict) in [
        ("right", Verdict::Right),
        ("wrong", Verdict::Wrong),
        ("unmatched", Verdict::Unmatched),
    ] {
        let count = judged.iter().filter(|one| one.verdict == verdict).count();
        let share = 100.0 * count as f64 / total;
        let _ = writeln!(text, "{name:<10} {count:>6} {share:>6.1} %");
    }
    let each = requests as f64 / total;
    let _ = write!(
        text,
        "{:<10} {:>6}\nrequests to Spotify a song: {each:.2}",
        "all",
        judged.len()
    );
    text
}

#[cfg(test)]
mod properties;
