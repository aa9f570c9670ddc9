//! The adapter to an upstream Spotify MCP server, whichever it is.
//!
//! The rest of Segue depends on capabilities: search, search by ISRC, look into a playlist, add,
//! remove, list playlists. A [`Profile`] maps them to one server's tools. The connection is
//! shared, made on first use and remade after the server died; nothing is tried again here,
//! because whether a call may be repeated is the workflow's to decide. Activities call it behind the
//! gate ([`GatedUpstream`]); only what is no sync, such as `segue doctor`, goes past that.

mod answer;
mod bound;
mod capabilities;
mod child;
mod connection;
mod error;
mod gated;
mod http;
mod profile;
#[cfg(test)]
mod properties;
mod search_tools;
mod text;
mod vanished;

use std::{sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;

pub use self::{
    answer::{LONGEST_RETRY_AFTER_SECONDS, is_spotify_id, track_id_of},
    capabilities::Capability,
    connection::Endpoint,
    error::UpstreamError,
    gated::GatedUpstream,
    profile::{Profile, ProfileError},
    text::clean,
};
use self::{
    connection::Connection,
    profile::{ItemsTool, Tool},
};
pub(crate) use self::{
    gated::Entries,
    search_tools::{SearchTool, Session},
};
use crate::{batch::ROWS_A_PAGE, error::ErrorCode, track::Candidate};

/// Time for one call of a tool. It ends before the 30 s that an activity's attempt may take, so
/// that an attempt fails with the upstream's words rather than with the engine's timeout; and the
/// bundled upstream gives up its own HTTP request sooner still (20 s), so that after a timeout
/// here no request of its is on the wire any more.
const CALL_TIMEOUT: Duration = Duration::from_secs(25);
/// Playlists that are taken from one answer: Spotify allows about 11,000 a user.
const MOST_PLAYLISTS: usize = 12_000;

/// A playlist of the user's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Playlist {
    /// Spotify's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether the user may add to it, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
    /// How many entries it has, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_tracks: Option<u32>,
}

/// What a look into a playlist found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Whether the track is in it.
    pub present: bool,
    /// How many entries it has, where the upstream tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u32>,
}

/// What a look at one page found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageLook {
    /// Whether the track is anywhere in the playlist.
    Whole(bool),
    /// What is on the page.
    Page(Page),
}

/// Where a playlist goes on. An entry may take a place without being listed, so that only the
/// upstream knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextPage {
    /// Here.
    At(u32),
    /// Nowhere: this page was the last.
    None,
    /// The upstream does not tell.
    Untold,
}

/// A page of a playlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    /// Whether the track is on it.
    pub(crate) present: bool,
    /// Entries on it.
    pub(crate) entries: u32,
    /// Entries of the whole playlist, where the upstream tells.
    pub(crate) total: Option<u32>,
    /// Where the next page begins.
    pub(crate) next: NextPage,
}

/// A page of a playlist, with what is on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntriesPage {
    /// The tracks on it. An entry that is no track takes a place, and is not among them.
    pub(crate) tracks: Vec<Candidate>,
    /// Entries of the whole playlist, where the upstream tells.
    pub(crate) total: Option<u32>,
    /// Entries on this page.
    pub(crate) entries: u32,
    /// Where the next page begins.
    pub(crate) next: NextPage,
}

/// The upstream server, reached when it is first needed.
#[derive(Clone)]
pub struct Upstream {
    endpoint: Endpoint,
    forced_profile: Option<String>,
    connection: Arc<Mutex<Option<Arc<Connection>>>>,
}

impl Upstream {
    /// An upstream at this endpoint; its profile is found from its tools, or forced.
    pub fn new(endpoint: Endpoint, forced_profile: Option<String>) -> Self {
        Self {
            endpoint,
            forced_profile,
            connection: Arc::default(),
        }
    }

    /// The name of the profile by which the server is spoken to.
    ///
    /// # Errors
    /// The server cannot be reached, or no profile fits it.
    pub async fn profile(&self) -> Result<String, UpstreamError> {
        Ok(self.connected().await?.profile.name.clone())
    }

    /// What it can do for a sync, and what it cannot: by its profile, and by the tools that it lists.
    ///
    /// # Errors
    /// As [`profile`](Self::profile).
    pub async fn capabilities(&self) -> Result<Vec<Capability>, UpstreamError> {
        let server = self.connected().await?;
        Ok(capabilities::of(&server.profile, |tool| server.has(tool)))
    }

    /// At most 10 tracks for a text, which may hold Spotify's field filters.
    pub async fn search(&self, query: &str) -> Result<Vec<Candidate>, UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.search, "search")?;
        let answer = self
            .call(&server, &tool.call, "search", &[("query", query.into())])
            .await?;
        let found = answer::list(&answer, &tool.tracks)?;
        answer::candidates(found, &server.profile.track)
    }

    /// The tracks with this ISRC. A server without a tool for it is asked by Spotify's filter.
    pub async fn search_isrc(&self, isrc: &str) -> Result<Vec<Candidate>, UpstreamError> {
        let server = self.connected().await?;
        let Some(tool) = &server.profile.search_isrc else {
            return self.search(&format!("isrc:{isrc}")).await;
        };
        let answer = self
            .call(
                &server,
                &tool.call,
                "search by ISRC",
                &[("isrc", isrc.into())],
            )
            .await?;
        let found = answer::list(&answer, &tool.tracks)?;
        answer::candidates(found, &server.profile.track)
    }

    /// Whether the track is on the page of the playlist that begins at `offset`. An upstream that can
    /// only say whether it is anywhere in the playlist says that.
    pub(crate) async fn look_at_page(
        &self,
        playlist_id: &str,
        track_uri: &str,
        offset: u32,
    ) -> Result<PageLook, UpstreamError> {
        let server = self.connected().await?;
        let Some(tool) = &server.profile.list_items else {
            let tool = wanted(&server.profile.contains, "look into a playlist")?;
            let values = [
                ("playlist_id", playlist_id.into()),
                ("track_uri", track_uri.into()),
            ];
            let answer = self
                .call(&server, &tool.call, "look into a playlist", &values)
                .await?;
            let present = answer.pointer(&tool.present).and_then(Value::as_bool);
            return present.map(PageLook::Whole).ok_or_else(|| {
                UpstreamError::bad_answer("the upstream does not say whether the track is there")
            });
        };
        let values = [
            ("playlist_id", playlist_id.into()),
            ("offset", offset.into()),
        ];
        let answer = self
            .call(&server, &tool.call, "look into a playlist", &values)
            .await?;
        let page = page_of(&answer, tool)?;
        let is_it =
            |item: &Value| item.pointer(&tool.uri).and_then(Value::as_str) == Some(track_uri);
        Ok(PageLook::Page(Page {
            present: page.items.iter().any(is_it),
            entries: u32::try_from(page.items.len()).unwrap_or(u32::MAX),
            total: page.total,
            next: page.next,
        }))
    }

    /// The page of the playlist that begins at `offset`; none from an upstream that cannot list.
    pub(crate) async fn entries_at(
        &self,
        playlist_id: &str,
        offset: u32,
    ) -> Result<Option<EntriesPage>, UpstreamError> {
        let server = self.connected().await?;
        let Some(tool) = &server.profile.list_items else {
            return Ok(None);
        };
        let values = [
            ("playlist_id", playlist_id.into()),
            ("offset", offset.into()),
        ];
        let answer = self
            .call(&server, &tool.call, "read a playlist", &values)
            .await?;
        let page = page_of(&answer, tool)?;
        Ok(Some(EntriesPage {
            tracks: answer::entries(page.items, &tool.uri, &server.profile.track),
            total: page.total,
            entries: u32::try_from(page.items.len()).unwrap_or(u32::MAX),
            next: page.next,
        }))
    }

    /// How many tracks one call may add, or take out: 1, or what Spotify takes.
    pub(crate) async fn tracks_a_change(&self) -> Result<usize, UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.add, "add to a playlist")?;
        Ok(match tool.takes("track_uris") {
            true => ROWS_A_PAGE,
            false => 1,
        })
    }

    /// Adds tracks at the end of the playlist, in this order: one effectful call, whatever comes of
    /// it. Not more than [`tracks_a_change`](Self::tracks_a_change).
    pub async fn add(&self, playlist_id: &str, track_uris: &[&str]) -> Result<(), UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.add, "add to a playlist")?;
        let values = change(playlist_id, track_uris);
        self.call(&server, tool, "add to a playlist", &values)
            .await?;
        Ok(())
    }

    /// Takes tracks out of the playlist, wherever they stand in it: one effectful call.
    pub async fn remove(
        &self,
        playlist_id: &str,
        track_uris: &[&str],
    ) -> Result<(), UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.remove, "remove from a playlist")?;
        let values = change(playlist_id, track_uris);
        self.call(&server, tool, "remove from a playlist", &values)
            .await?;
        Ok(())
    }

    /// The user's playlists.
    pub async fn playlists(&self) -> Result<Vec<Playlist>, UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.list_playlists, "list playlists")?;
        let answer = self
            .call(&server, &tool.call, "list playlists", &[])
            .await?;
        let text = |value: &Value, pointer: &str| {
            value.pointer(pointer).and_then(Value::as_str).map(clean)
        };
        Ok(answer::list(&answer, &tool.playlists)?
            .iter()
            .take(MOST_PLAYLISTS)
            .filter_map(|value| {
                let at = |pointer: &Option<String>| pointer.as_ref().and_then(|p| value.pointer(p));
                Some(Playlist {
                    id: text(value, &tool.id).filter(|id| is_spotify_id(id))?,
                    name: text(value, &tool.title)?,
                    writable: at(&tool.writable).and_then(Value::as_bool),
                    total_tracks: at(&tool.total_tracks)
                        .and_then(Value::as_u64)
                        .and_then(|total| u32::try_from(total).ok()),
                })
            })
            .collect())
    }

    /// Makes an empty playlist, private where the upstream lets it choose, and gives its id.
    pub async fn create_playlist(&self, name: &str) -> Result<String, UpstreamError> {
        let server = self.connected().await?;
        let tool = wanted(&server.profile.create_playlist, "create a playlist")?;
        let values = [("name", name.into())];
        let answer = self
            .call(&server, &tool.call, "create a playlist", &values)
            .await?;
        let id = answer.pointer(&tool.id).and_then(Value::as_str);
        id.filter(|id| is_spotify_id(id))
            .map(str::to_owned)
            .ok_or_else(|| {
                UpstreamError::bad_answer("the upstream gives no id of the new playlist")
            })
    }

    /// Makes sure that there is a connection: for a call that must not wait for one once it is begun.
    pub(crate) async fn connect(&self) -> Result<(), UpstreamError> {
        self.connected().await.map(drop)
    }

    /// The live connection, made anew when there is none. One that is being made is not broken off by a caller who
    /// waits no longer: the next one has it.
    #[expect(clippy::disallowed_methods, reason = "in an activity")]
    async fn connected(&self) -> Result<Arc<Connection>, UpstreamError> {
        let mut slot = Arc::clone(&self.connection).lock_owned().await;
        if let Some(live) = slot.as_ref().filter(|connection| !connection.is_closed()) {
            return Ok(Arc::clone(live));
        }
        *slot = None;
        let (endpoint, profile) = (self.endpoint.clone(), self.forced_profile.clone());
        let opening = tokio::spawn(async move {
            let opened = Arc::new(Connection::open(&endpoint, profile.as_deref()).await?);
            *slot = Some(Arc::clone(&opened));
            Ok(opened)
        });
        let broken = |_| Err(UpstreamError::unavailable("the connection broke off"));
        opening.await.unwrap_or_else(broken)
    }

    async fn call(
        &self,
        server: &Connection,
        tool: &Tool,
        capability: &str,
        values: &[(&str, Value)],
    ) -> Result<Value, UpstreamError> {
        self.call_with(server, &tool.tool, capability, tool.fill(values))
            .await
    }

    async fn call_with(
        &self,
        server: &Connection,
        tool: &str,
        capability: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, UpstreamError> {
        if !server.has(tool) {
            let told = None;
            return Err(self.look_for_tool(server, tool, capability, told).await);
        }
        let result = server
            .call(&self.endpoint.label(), tool, arguments, CALL_TIMEOUT)
            .await;
        if let Err(error) = &result
            && matches!(
                error.code,
                ErrorCode::UpstreamUnavailable | ErrorCode::BadUpstreamAnswer
            )
        {
            self.forget(server).await;
        }
        match result.and_then(|result| answer::read(&result, &server.profile.error)) {
            Err(error) if vanished::is_unknown_tool(&error) => Err(self
                .look_for_tool(server, tool, capability, Some(error))
                .await),
            answer => answer,
        }
    }

    /// Whether this is the connection that the next call would use.
    async fn holds(&self, server: &Connection) -> bool {
        is_in(self.connection.lock().await.as_ref(), server)
    }

    /// Leaves a connection that broke, or on which the server hangs: the next call makes its own.
    async fn forget(&self, server: &Connection) {
        let mut slot = self.connection.lock().await;
        if is_in(slot.as_ref(), server) {
            *slot = None;
        }
    }
}

fn is_in(slot: Option<&Arc<Connection>>, server: &Connection) -> bool {
    slot.is_some_and(|live| std::ptr::eq(Arc::as_ptr(live), server))
}

/// A page as the server's tool tells it.
struct PageAnswer<'a> {
    items: &'a [Value],
    total: Option<u32>,
    next: NextPage,
}

fn page_of<'a>(answer: &'a Value, tool: &ItemsTool) -> Result<PageAnswer<'a>, UpstreamError> {
    let number = |pointer: &str| {
        let number = answer.pointer(pointer).and_then(Value::as_u64)?;
        Some(u32::try_from(number).unwrap_or(u32::MAX))
    };
    Ok(PageAnswer {
        items: answer::list(answer, &tool.items)?,
        total: number(&tool.total),
        next: match tool.next.as_deref().map(number) {
            Some(Some(offset)) => NextPage::At(offset),
            Some(None) => NextPage::None,
            None => NextPage::Untold,
        },
    })
}

/// The values of a call that changes a playlist: a server takes one track a call, or a list.
fn change(playlist_id: &str, track_uris: &[&str]) -> [(&'static str, Value); 3] {
    [
        ("playlist_id", playlist_id.into()),
        (
            "track_uri",
            track_uris.first().copied().unwrap_or_default().into(),
        ),
        ("track_uris", track_uris.into()),
    ]
}

fn wanted<'a, T>(tool: &'a Option<T>, capability: &str) -> Result<&'a T, UpstreamError> {
    tool.as_ref().ok_or_else(|| missing(capability))
}

fn missing(capability: &str) -> UpstreamError {
    UpstreamError::new(
        ErrorCode::CapabilityMissing,
        format!("this upstream server has no tool to {capability}"),
    )
}
