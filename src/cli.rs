//! The command line.

use std::{collections::BTreeSet, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use secrecy::SecretString;

use crate::engine::SupervisorArgs;

/// Where HTTP is served when nobody says.
const DEFAULT_HTTP: &str = "127.0.0.1:8620";

/// Durable music sync, as an MCP server.
///
/// An assistant says "add these songs to my playlist"; Segue answers at once, and the work survives
/// a closed chat, a killed process, a rate-limited Spotify and a lost network: every song ends in
/// the playlist exactly once, or in front of you with a reason.
///
/// Without a command, `segue` is `segue serve`.
#[derive(Debug, Parser)]
#[command(
    name = "segue",
    version,
    max_term_width = 100,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Settings that win over the environment and the configuration file.
    #[command(flatten)]
    pub settings: Settings,
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(ServeArgs::default())
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve MCP over stdio or HTTP, with a worker in the same process (the default)
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Run a worker alone, to take a share of an engine's work
    ///
    /// Syncs are done by the processes that run. With the managed engine they pause when the last
    /// of them ends, and go on with the next; a worker left running carries them through.
    Worker,
    /// Sign in to Spotify in the browser, and keep the sign-in
    Login(LoginArgs),
    /// Make, list and revoke the bearer tokens of those who may call over HTTP
    #[command(subcommand)]
    Token(TokenCommand),
    /// List and renew the keys by which payloads are encrypted
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show the main job in one terminal, against a simulated Spotify, in under a minute
    Demo(DemoArgs),
    /// Check every part, say what is wrong and the command that mends it
    ///
    /// Ends with 0 if all is well, with 1 if something is broken, with 2 if the command line is wrong.
    Doctor(DoctorArgs),
    /// Keep the engine up until stdin closes, and say where it is, for Temporal's own tools
    Engine,
    /// Serve Spotify's Web API as an MCP server over stdio: the bundled upstream
    Spotify,
    /// Serve a simulated Spotify Web API on 127.0.0.1, for tests and demos; it is not Spotify
    Sim(SimArgs),
    /// Measure the matching on a file of songs whose right answers are known
    Eval(EvalArgs),
    /// Find the same songs by the pipeline and by agents of a model, add nothing, and show the two
    /// side by side
    Compare(CompareArgs),
    /// Measure how fast Segue is and what it costs, on this machine, against a simulated Spotify
    ///
    /// Nothing of yours is touched: each run makes its own engine and its own home, and removes them.
    /// Give it the machine for itself; what counts are ratios of one run.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchArgs),
    /// Check the promises under random faults and kills, against the simulated Spotify
    #[command(hide = true)]
    Torture(TortureArgs),
    /// Own the managed engine (started by Segue itself)
    #[command(hide = true)]
    EngineSupervisor(SupervisorArgs),
}

impl Command {
    /// What a process of this command is called where traces are collected.
    pub(crate) fn service(&self) -> &'static str {
        match self {
            Self::Spotify => "segue-spotify",
            _ => "segue",
        }
    }
}

/// Settings as flags. Each can also stand in the environment as SEGUE_… or in segue.toml.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings (also SEGUE_… in the environment, or segue.toml)")]
pub struct Settings {
    /// Folder for every file that Segue writes
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// The user whose syncs these are [default: local]
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// The upstream Spotify MCP server: a command line or an http(s) URL [default: segue spotify]
    #[arg(long, global = true, value_name = "COMMAND|URL")]
    pub upstream: Option<SecretString>,
    /// The profile by which the upstream is spoken to [default: found from its tools]
    #[arg(long, global = true, value_name = "NAME")]
    pub upstream_profile: Option<String>,
    /// The Temporal CLI for the managed engine [default: found or fetched]
    #[arg(long, global = true, value_name = "PATH")]
    pub temporal_cli: Option<PathBuf>,
    /// Folder in which a fetched Temporal CLI is kept [default: Segue's cache]
    #[arg(long, global = true, value_name = "DIR")]
    pub engine_cache: Option<PathBuf>,
    /// How sure a match must be to be added, 0.0 to 1.0 [default: 0.85]
    #[arg(long, global = true, value_name = "SCORE")]
    pub match_threshold: Option<f64>,
    /// Folder whose files a call may name for an import; may be given several times [default: none]
    #[arg(long = "import-folder", global = true, value_name = "DIR")]
    pub import_folders: Vec<PathBuf>,
    /// How long a review waits for the user, such as 36h [default: 7d]
    #[arg(long, global = true, value_name = "TIME")]
    pub review_deadline: Option<String>,
    /// What becomes of a track whose review was not answered by then [default: skip]
    #[arg(long, global = true, value_parser = ["skip", "best"])]
    pub at_review_deadline: Option<String>,
    /// Calls of the upstream that all workers make together in 30 s [default: 100]
    #[arg(long, global = true, value_name = "CALLS")]
    pub upstream_budget: Option<u32>,
    /// Failures of the upstream in a row after which it is left alone for a while [default: 3]
    #[arg(long, global = true, value_name = "COUNT")]
    pub breaker_failures: Option<u32>,
    /// The share of new syncs that take a path which is new in this build, 0.0 to 1.0 [default: 1]
    #[arg(long, global = true, value_name = "SHARE")]
    pub canary: Option<f64>,
    /// The build by which an external engine routes syncs to this worker [default: it takes any]
    #[arg(long, global = true, value_name = "BUILD")]
    pub worker_version: Option<String>,
    /// What is logged to stderr: a level, or directives as of tracing's EnvFilter [default: warn]
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
    /// The form of the log
    #[arg(long, global = true, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Where `segue serve` and `segue worker` serve /metrics: a port, or an address with one [default:
    /// nowhere, and with --http at its own address]
    #[arg(long, global = true, value_name = "PORT|ADDRESS")]
    pub metrics: Option<String>,
    /// The OAuth authorization server whose access tokens are taken over HTTP [default: none]
    #[arg(long, global = true, value_name = "URL")]
    pub oauth_issuer: Option<String>,
    /// Whom such a token must be meant for: as a rule the URL at which clients reach /mcp
    #[arg(long, global = true, value_name = "AUDIENCE")]
    pub oauth_audience: Option<String>,
    /// The URL at which clients reach /mcp [default: the audience, if it is a URL]
    #[arg(long, global = true, value_name = "URL")]
    pub oauth_resource: Option<String>,
    /// Where the issuer's keys are [default: where its metadata says]
    #[arg(long, global = true, value_name = "URL")]
    pub oauth_jwks_url: Option<String>,
    /// The scope that a token must have [default: none]
    #[arg(long, global = true, value_name = "SCOPE")]
    pub oauth_scope: Option<String>,
    /// Calls over HTTP that one user may make in a minute [default: 12000]
    #[arg(long, global = true, value_name = "CALLS")]
    pub user_calls_per_minute: Option<u32>,
    /// Calls over HTTP that one user may have open at once [default: 256]
    #[arg(long, global = true, value_name = "CALLS")]
    pub user_calls_at_once: Option<u32>,
    /// Where the Spotify sign-in is kept
    #[arg(long, global = true, value_enum)]
    pub token_store: Option<TokenStorePlace>,
    /// Whether what the engine keeps is encrypted [default: on the managed engine; on another with a key file]
    #[arg(long, global = true, value_name = "BOOL")]
    pub encrypt_payloads: Option<bool>,
    /// The file with the keys for that [default: one in the home]
    #[arg(long, global = true, value_name = "FILE")]
    pub payload_key_file: Option<PathBuf>,
    /// The model that decides between close matches, at OPENAI_BASE_URL with OPENAI_API_KEY
    #[arg(long, global = true, value_name = "NAME")]
    pub model: Option<String>,
    /// The share of syncs of one song that agents do when a call does not say [default: 0]
    #[arg(long, global = true, value_name = "SHARE")]
    pub agents_share: Option<f64>,
    /// How an agent speaks with the upstream server [default: stateless]
    #[arg(long, global = true, value_parser = ["stateless", "stateful"])]
    pub agent_connection: Option<String>,
    /// What a million tokens of questions to the model cost, for comparisons, in any currency
    #[arg(long, global = true, value_name = "PRICE")]
    pub model_prompt_price: Option<f64>,
    /// What a million tokens of the model's answers cost
    #[arg(long, global = true, value_name = "PRICE")]
    pub model_completion_price: Option<f64>,
    /// Seconds that a whole answer of the model may take [default: 110]
    #[arg(long, global = true, value_name = "SECONDS")]
    pub model_timeout_seconds: Option<u64>,
    /// Tokens of the model that one sync may use [default: 200000]
    #[arg(long, global = true, value_name = "TOKENS")]
    pub model_tokens_per_sync: Option<u64>,
    /// Tokens of the model that one user's syncs may use in a day [default: 2000000]
    #[arg(long, global = true, value_name = "TOKENS")]
    pub model_tokens_per_day: Option<u64>,
}

/// The form of the log.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Where the Spotify sign-in is kept.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "snake_case")]
pub enum TokenStorePlace {
    /// In the system's keyring if there is one, else in the file.
    #[default]
    Auto,
    /// In a file that only the user can read, under Segue's home.
    File,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  segue serve                          over stdio, as an assistant starts it
  segue serve --http                   at http://127.0.0.1:8620/mcp, for any client on this machine";

/// Options of `segue serve`.
#[derive(Debug, Default, Args)]
pub struct ServeArgs {
    /// Serve HTTP instead of stdio: MCP at /mcp (and /sse), metrics at /metrics
    #[arg(
        long,
        value_name = "PORT|ADDRESS",
        num_args = 0..=1,
        default_missing_value = DEFAULT_HTTP,
    )]
    pub http: Option<String>,
    /// A name by which clients call the HTTP server, beside localhost; may be given several times
    #[arg(long = "http-host", value_name = "HOST")]
    pub hosts: Vec<String>,
    /// A web page that may call the HTTP server, such as https://app.example; may be given several times
    #[arg(long = "http-origin", value_name = "ORIGIN")]
    pub origins: Vec<String>,
}

/// Options of `segue login`.
#[derive(Debug, Args)]
pub struct LoginArgs {
    /// The client id of your Spotify app [default: SPOTIFY_CLIENT_ID]
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Only print the address, for a browser elsewhere on this machine
    #[arg(long)]
    pub no_browser: bool,
}

/// What `segue token` does.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token, and show it this once
    ///
    /// From the first token on, every call over HTTP needs one.
    Create {
        /// A word on what it is for, such as the device
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// After which time it ends by itself, such as 90d [default: never]
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
    },
    /// List the tokens: ids, users and times, and no token
    List {
        /// Answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token; running servers refuse it within two seconds
    Revoke {
        /// The id that `segue token list` shows, or the token itself
        #[arg(value_name = "ID")]
        id: String,
    },
}

/// What `segue key` does.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new key, which encrypts from now on; what older ones have sealed stays readable
    ///
    /// Processes begin to use it when they start, or when they first read what it has sealed.
    New {
        /// Only add it: to give the file to all machines before `segue key use`
        #[arg(long)]
        standby: bool,
    },
    /// Let this key encrypt from now on
    Use {
        /// The id that `segue key list` shows
        #[arg(value_name = "ID")]
        id: String,
    },
    /// List the keys: ids and times, and no key
    List {
        /// Answer as JSON
        #[arg(long)]
        json: bool,
    },
}

/// Options of `segue demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// One line a step instead of a display that moves
    #[arg(long)]
    pub plain: bool,
}

const BENCH_EXAMPLES: &str = "\
Examples:
  segue bench                          parts a to f, on the managed engine
  segue bench --engine both            the same in turns with an untuned dev server
  segue bench b f --songs 200          one song after the other, and the floor
  segue bench --growth --grow-to 5000  also batches of 100, 1,000 and 5,000 tracks";

/// Options of `segue bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure [default: a b c d e f]
    #[arg(value_name = "PART", value_enum)]
    pub parts: Vec<BenchPart>,
    /// The engine to measure on
    #[arg(long, value_enum, default_value_t)]
    pub engine: BenchEngine,
    /// Let the untuned dev server keep its data in memory, as it does unless it is told a file
    #[arg(long)]
    pub stock_in_memory: bool,
    /// Songs that are synced one after the other (b)
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub songs: u32,
    /// Songs that are synced at once (c)
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub at_once: u32,
    /// Tracks of a batch (d)
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub tracks: u32,
    /// How often (c) and (d) are repeated; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How often the program is started (a)
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub starts: u32,
    /// Also measure how a batch grows (g), which takes minutes
    #[arg(long)]
    pub growth: bool,
    /// The largest batch of (g): of 100, 1,000, 5,000 and 20,000 tracks those up to it
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..=20_000))]
    pub grow_to: u32,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

impl BenchArgs {
    /// The parts that are asked for.
    #[must_use]
    pub fn parts(&self) -> BTreeSet<BenchPart> {
        use BenchPart::{A, B, C, D, E, F, G};
        let mut parts: BTreeSet<_> = match self.parts.is_empty() {
            true => [A, B, C, D, E, F].into(),
            false => self.parts.iter().copied().collect(),
        };
        if self.growth {
            parts.insert(G);
        }
        parts
    }
}

/// A part of `segue bench`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchPart {
    /// Process start to the answers of `initialize` and `tools/list`, with the engine cold
    A,
    /// `sync_track` to its end, one song after the other
    B,
    /// Many songs at once
    C,
    /// A batch: tracks a second, requests, history
    D,
    /// Memory, idle and under d (which is measured with it)
    E,
    /// The floor: the same calls of the upstream without Temporal, beside b and d
    F,
    /// How d grows from 100 to 20,000 tracks
    G,
}

impl BenchPart {
    /// Its letter.
    #[must_use]
    pub fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
            Self::D => "d",
            Self::E => "e",
            Self::F => "f",
            Self::G => "g",
        }
    }
}

/// The engine that `segue bench` measures on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum BenchEngine {
    /// The one that Segue starts and tunes
    #[default]
    Managed,
    /// A dev server as it comes
    Stock,
    /// Both in turns, with their ratio
    Both,
}

/// Options of `segue doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Send a notice of type `ping` to the webhook, to see whether it is taken
    #[arg(long)]
    pub ping_webhook: bool,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `segue sim`.
#[derive(Debug, Args)]
pub struct SimArgs {
    /// A CSV file of songs: id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc
    /// [default: the 5,000 songs that come with Segue]
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Give a new refresh token with every refresh, as Spotify used to
    #[arg(long)]
    pub rotate_refresh_tokens: bool,
}

/// Options of `segue eval`.
#[derive(Debug, Args)]
pub struct EvalArgs {
    /// A CSV file: src_service,src_title,src_artist,src_album,isrc,truth_ids (`|` between ids; none
    /// for a song that is not in the catalogue)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The catalogue to search, as for `segue sim` [default: the songs that come with Segue]
    #[arg(long, value_name = "FILE")]
    pub catalog: Option<PathBuf>,
    /// Match by text alone
    #[arg(long)]
    pub hide_isrc: bool,
}

/// Options of `segue compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A CSV file: src_service,src_title,src_artist,src_album,isrc,truth_ids (`|` between ids; none
    /// for a song that is not in the catalogue)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The first so many songs of the file
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub songs: u32,
    /// Search the simulated Spotify and not the real one; the model is the configured one
    #[arg(long)]
    pub simulated: bool,
    /// Match by text alone
    #[arg(long)]
    pub hide_isrc: bool,
    /// Answer as JSON
    #[arg(long)]
    pub json: bool,
}

/// Options of `segue torture`.
#[derive(Debug, Args)]
pub struct TortureArgs {
    /// What the faults, the kills and the songs are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Syncs to start
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub syncs: u32,
    /// Processes to kill: servers, upstreams, engines
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub kills: u32,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
