//! (f) The floor: the calls of the upstream that a sync makes, made straight at the bundled upstream over MCP,
//! one after the other, without Temporal and without keeping anything.

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    songs::Song,
    world::{Setting, web_requests},
};
use crate::{client::Server, commands::stage::Stage};

/// Rows of a batch that are added by one call, and entries of a playlist that are read by one.
const ROWS_A_PAGE: usize = 100;
const ENTRIES_A_LOOK: u64 = 50;

/// The bundled upstream, on a simulated Spotify of its own.
pub(super) struct Floor {
    stage: Stage,
    upstream: Server,
}

impl Floor {
    pub(super) async fn open(setting: &Setting<'_>) -> anyhow::Result<Self> {
        let stage = setting.stage().await?;
        let upstream = Server::start_as(&stage.launch, "spotify").await?;
        Ok(Self { stage, upstream })
    }

    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.upstream.end().await
    }

    /// Requests of the Web API so far.
    pub(super) fn requests(&self) -> usize {
        web_requests(&self.stage)
    }

    pub(super) async fn make_playlist(&self) -> anyhow::Result<String> {
        self.stage.make_playlist("The floor", &[]).await
    }

    /// What a sync of one song calls: search, look through the playlist, add, look where it must be.
    pub(super) async fn song(&self, song: &Song, playlist: &str) -> anyhow::Result<()> {
        let uri = self.search(song).await?;
        let mut end = 0;
        loop {
            let page = self.look(playlist, end).await?;
            match page["next_offset"].as_u64() {
                Some(next) => end = next,
                None => {
                    end = page["total"].as_u64().unwrap_or_default();
                    break;
                }
            }
        }
        self.add(playlist, &[&uri]).await?;
        let verified = self.look(playlist, end).await?;
        anyhow::ensure!(
            verified["items"][0]["uri"] == uri.as_str(),
            "not added: {verified}"
        );
        Ok(())
    }

    /// What a batch calls: the playlist is read once; of each page every row is searched, what has come
    /// behind the end is looked at, the page is added in one call and read again.
    pub(super) async fn batch(&self, songs: &[Song], playlist: &str) -> anyhow::Result<()> {
        self.look(playlist, 0).await?;
        let mut end = 0;
        for page in songs.chunks(ROWS_A_PAGE) {
            let mut uris = Vec::new();
            for song in page {
                uris.push(self.search(song).await?);
            }
            let uris: Vec<&str> = uris.iter().map(String::as_str).collect();
            self.look(playlist, end).await?;
            self.add(playlist, &uris).await?;
            let after = end + uris.len() as u64;
            while end < after {
                self.look(playlist, end).await?;
                end = after.min(end + ENTRIES_A_LOOK);
            }
        }
        Ok(())
    }

    async fn search(&self, song: &Song) -> anyhow::Result<String> {
        let call = json!({"isrc": song.isrc});
        let found = self.upstream.call("search_by_isrc", call).await?;
        let uri = found["tracks"][0]["uri"].as_str();
        Ok(uri.context("a song is not found")?.to_owned())
    }

    async fn look(&self, playlist: &str, offset: u64) -> anyhow::Result<Value> {
        let call = json!({"playlist_id": playlist, "limit": ENTRIES_A_LOOK, "offset": offset});
        self.upstream.call("get_playlist_items", call).await
    }

    async fn add(&self, playlist: &str, uris: &[&str]) -> anyhow::Result<()> {
        let call = json!({"playlist_id": playlist, "track_uris": uris});
        self.upstream.call("add_tracks_to_playlist", call).await?;
        Ok(())
    }
}
