//! A simulated Spotify: the part of the Web API and of the accounts service that a music sync uses,
//! as Spotify's OpenAPI document describes it in 2026, with real songs, and with faults to order.
//!
//! ```no_run
//! # async fn example() -> Result<(), segue_spotify::sim::SimError> {
//! use segue_spotify::sim::{Sim, SimOptions};
//!
//! let sim = Sim::start(SimOptions::default()).await?;
//! println!("a simulated Spotify listens on {}", sim.url());
//! sim.shutdown().await
//! # }
//! ```
//!
//! It keeps everything in memory and serves loopback only.

mod api;
pub mod catalog;
mod control;
mod endpoint;
mod error;
mod faults;
mod ids;
mod intercept;
mod library;
mod oauth;
mod playlist;
mod request_log;
mod routes;
pub mod search;
mod serve;
mod shelf;

use std::cmp::Reverse;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use endpoint::Endpoint;
pub use faults::{BodyFault, DropWhen, Fault};
pub use request_log::{LoggedRequest, Outcome};

use catalog::{Catalog, CatalogError};
use faults::FaultBook;
use library::Library;
use oauth::tokens::Tokens;
use playlist::Playlist;
use request_log::RequestLog;
use shelf::Shelf;

/// What the simulator says of itself: on its front page, in a header of every answer, and in the
/// command line's help.
pub const WHAT_THIS_IS: &str =
    "A simulation of Spotify's Web API for tests and demos. Not Spotify.";

/// The largest request body accepted, in bytes. The largest sensible one, a test's playlist of
/// 10,000 URIs, takes 400 KB.
const MAX_BODY_BYTES: usize = 1 << 20;
/// How many tracks the full playlist holds.
const FULL_PLAYLIST_TRACKS: usize = 12;

/// Where the songs come from.
#[derive(Debug, Clone, Default)]
pub enum CatalogSource {
    /// The 5,000 songs that come with the program.
    #[default]
    Builtin,
    /// A CSV file with the same columns.
    File(PathBuf),
}

/// How to start the simulator.
#[derive(Debug, Clone, Default)]
pub struct SimOptions {
    /// The songs on offer.
    pub catalog: CatalogSource,
    /// The TCP port on 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// Whether refreshing replaces the refresh token. Spotify reportedly stopped doing so in 2026.
    pub rotate_refresh_tokens: bool,
}

/// Why the simulator did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// The catalogue could not be read.
    #[error("the catalogue could not be read: {0}")]
    Catalog(#[from] CatalogError),
    /// The songs could not be indexed for searching.
    #[error("the catalogue could not be indexed: {0}")]
    Index(#[from] search::SearchError),
    /// The port could not be bound or served.
    #[error("the simulator could not listen: {0}")]
    Listen(#[from] io::Error),
    /// A task of the simulator panicked.
    #[error("the simulator broke: {0}")]
    Broken(#[from] JoinError),
}

/// What a client needs to use a simulator: one line of JSON when it is ready.
#[derive(Clone, Serialize)]
pub struct Ready {
    /// The URL it listens on, without a slash at the end.
    pub listening: String,
    /// The base address of the Web API, for `SPOTIFY_API_URL`.
    pub api_url: String,
    /// The base address of the accounts service, for `SPOTIFY_ACCOUNTS_URL`.
    pub accounts_url: String,
    /// The client id of the one app it knows. The app is public: it has no secret.
    pub client_id: String,
    /// A refresh token that works, with all playlist scopes.
    pub refresh_token: String,
    /// The id of a playlist that starts empty.
    pub empty_playlist_id: String,
    /// The id of a playlist that starts with songs in it.
    pub full_playlist_id: String,
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("listening", &self.listening)
            .field("client_id", &self.client_id)
            .field("refresh_token", &"[redacted]")
            .finish_non_exhaustive()
    }
}

/// All that the simulated service knows.
struct World {
    /// The URL it is reached at, without a slash at the end.
    url: String,
    client_id: String,
    shelf: Arc<Shelf>,
    library: Mutex<Library>,
    tokens: Mutex<Tokens>,
    faults: Mutex<FaultBook>,
    /// Tells requests that are held that they are let go.
    released: Notify,
    requests: RequestLog,
}

impl World {
    fn uris_of(&self, playlist: &Playlist) -> Vec<String> {
        playlist
            .entries()
            .iter()
            .map(|entry| self.shelf.uri(entry.track))
            .collect()
    }
}

/// A lock that survives a panic elsewhere: no invariant of ours spans two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running simulator. It serves until it is shut down or let go of.
pub struct Sim {
    ready: Ready,
    world: Arc<World>,
    stop: DropGuard,
    serving: JoinHandle<io::Result<()>>,
}

impl Sim {
    /// Reads the catalogue, binds the port, and serves on a task of its own.
    ///
    /// # Errors
    /// When the catalogue cannot be read or indexed, or the port is taken.
    pub async fn start(options: SimOptions) -> Result<Self, SimError> {
        let shelf = spawn_blocking(move || match options.catalog {
            CatalogSource::Builtin => Ok::<_, SimError>(Shelf::builtin()?),
            CatalogSource::File(path) => Ok(Arc::new(Shelf::new(Catalog::from_path(&path)?)?)),
        })
        .await??;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let scopes = oauth::PLAYLIST_SCOPES.map(str::to_owned).into();
        let (tokens, refresh_token) = Tokens::new(scopes, options.rotate_refresh_tokens);
        let mut library = Library::default();
        let full_playlist_id = library.add_for_user("Evening Drive", &first_tracks(&shelf));
        let empty_playlist_id = library.add_for_user("Fresh Start", &[]);
        let ready = Ready {
            api_url: format!("{url}/v1/"),
            accounts_url: format!("{url}/"),
            client_id: ids::random_client_id(),
            refresh_token,
            empty_playlist_id,
            full_playlist_id,
            listening: url,
        };
        let world = Arc::new(World {
            url: ready.listening.clone(),
            client_id: ready.client_id.clone(),
            shelf,
            library: Mutex::new(library),
            tokens: Mutex::new(tokens),
            faults: Mutex::default(),
            released: Notify::new(),
            requests: RequestLog::new(),
        });
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serving = tokio::spawn(serve::serve(
            listener,
            routes::router(world.clone()),
            stopped,
        ));
        Ok(Self {
            ready,
            world,
            stop: stop.drop_guard(),
            serving,
        })
    }

    /// What a client needs to use it.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Its URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.ready.listening
    }

    /// The client id of the one app it knows.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.ready.client_id
    }

    /// A refresh token that works at the start, with all playlist scopes.
    #[must_use]
    pub fn refresh_token(&self) -> &str {
        &self.ready.refresh_token
    }

    /// The id of the playlist that starts empty.
    #[must_use]
    pub fn empty_playlist_id(&self) -> &str {
        &self.ready.empty_playlist_id
    }

    /// The id of the playlist that starts with songs in it.
    #[must_use]
    pub fn full_playlist_id(&self) -> &str {
        &self.ready.full_playlist_id
    }

    /// The URIs a playlist holds now, or `None` if there is no such playlist.
    #[must_use]
    pub fn playlist_uris(&self, id: &str) -> Option<Vec<String>> {
        locked(&self.world.library)
            .get(id)
            .map(|playlist| self.world.uris_of(playlist))
    }

    /// The requests for Spotify since the start, or since the log was last cleared.
    #[must_use]
    pub fn requests(&self) -> Vec<LoggedRequest> {
        self.world.requests.all()
    }

    /// Every token it has given out and still remembers: what a test must find nowhere else.
    #[must_use]
    pub fn issued_tokens(&self) -> Vec<String> {
        locked(&self.world.tokens).issued()
    }

    /// Closes the port, lets requests in flight end (for two seconds at most), and returns.
    ///
    /// # Errors
    /// When serving failed earlier.
    pub async fn shutdown(self) -> Result<(), SimError> {
        drop(self.stop);
        Ok(self.serving.await??)
    }
}

/// The songs that the full playlist starts with: the most played of the catalogue.
fn first_tracks(shelf: &Shelf) -> Vec<usize> {
    let mut all: Vec<usize> = (0..shelf.tracks().len()).collect();
    all.sort_by_key(|&at| Reverse(shelf.tracks()[at].popularity));
    all.truncate(FULL_PLAYLIST_TRACKS);
    all
}
