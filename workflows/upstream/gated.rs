//! The upstream as the activities call it: every single call through the gate.

use std::time::Duration;

use tokio::time::timeout;

use super::{NextPage, PageLook, Playlist, Presence, Upstream, UpstreamError};
use crate::{
    error::ErrorCode,
    gate::{Gate, Group, PATIENCE, Pass},
    matching::Query,
    metrics::Endpoint,
    track::Candidate,
};

/// Entries of a playlist that are read at most: Spotify allows 10,000, with room for growth.
const MOST_ITEMS: u32 = 20_000;

/// How long a page of a playlist waits in line after the first: given up, the pages before it would
/// be read again.
const PATIENCE_BETWEEN_PAGES: Duration = Duration::from_secs(120);

/// What is in a playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entries {
    /// Where the reading began.
    pub(crate) from: u32,
    /// The tracks from there on, in order.
    pub(crate) tracks: Vec<Candidate>,
    /// Entries of the whole playlist.
    pub(crate) total: u32,
}

/// An upstream behind a gate.
#[derive(Clone)]
pub struct GatedUpstream {
    pub(super) upstream: Upstream,
    gate: Gate,
}

impl GatedUpstream {
    /// This upstream behind this gate.
    pub fn new(upstream: Upstream, gate: Gate) -> Self {
        Self { upstream, gate }
    }

    /// The candidates for this query, when its turn has come.
    ///
    /// # Errors
    /// The call failed, or was held back.
    pub async fn search(&self, query: &Query) -> Result<Vec<Candidate>, UpstreamError> {
        self.through(Group::Search, Endpoint::Search, self.asked(query))
            .await
    }

    /// Leave to search, if it is to be had within this time.
    pub(crate) async fn leave_to_search_within(&self, time: Duration) -> Option<Pass> {
        self.gate.pass_within(time, Group::Search).await
    }

    /// The same leave, if there is a connection within this time.
    pub(crate) async fn connected_within(
        &self,
        time: Duration,
        leave: Pass,
    ) -> Result<Option<Pass>, UpstreamError> {
        match timeout(time, self.upstream.connect()).await {
            Ok(Ok(())) => Ok(Some(leave)),
            Ok(Err(error)) => self.judge(leave, Endpoint::Search, Err(error)).await,
            Err(_) => Ok(None),
        }
    }

    /// The candidates, if they come within this time, with leave that was got before.
    pub(crate) async fn candidates_within(
        &self,
        time: Duration,
        leave: Pass,
        query: &Query,
    ) -> Result<Option<Vec<Candidate>>, UpstreamError> {
        // What is learnt from an answer may take longer: it is not part of the time.
        match timeout(time, self.asked(query)).await {
            Ok(found) => self.judge(leave, Endpoint::Search, found).await.map(Some),
            Err(_) => Ok(None),
        }
    }

    async fn asked(&self, query: &Query) -> Result<Vec<Candidate>, UpstreamError> {
        match query {
            Query::Isrc(isrc) => self.upstream.search_isrc(isrc).await,
            Query::Text(text) => self.upstream.search(text).await,
        }
    }

    /// See [`Upstream::playlists`].
    pub async fn playlists(&self) -> Result<Vec<Playlist>, UpstreamError> {
        let call = self.upstream.playlists();
        self.through(Group::Playlist, Endpoint::ListPlaylists, call)
            .await
    }

    /// Whether the track is in the playlist. The page at `from` is read first, because that is
    /// where an add just made has put it; then the others, until it is found.
    pub(crate) async fn contains(
        &self,
        playlist_id: &str,
        track_uri: &str,
        from: u32,
    ) -> Result<Presence, UpstreamError> {
        let mut offset = from;
        // First from there to the end, then from the start to there.
        let mut wrapped = from == 0;
        let (mut pages, mut last_total, mut shrank) = (0, 0, false);
        loop {
            let look = self.upstream.look_at_page(playlist_id, track_uri, offset);
            let patience = match pages {
                0 => PATIENCE,
                _ => PATIENCE_BETWEEN_PAGES,
            };
            pages += 1;
            let pass = self.gate.pass(Group::Playlist, patience).await?;
            let look = look.await;
            let page = match self.judge(pass, Endpoint::ListItems, look).await? {
                PageLook::Whole(present) => {
                    return Ok(Presence {
                        present,
                        total: None,
                    });
                }
                PageLook::Page(page) => page,
            };
            // What was behind the page may stand now on one that was read before.
            shrank |= page.total.is_some_and(|total| total < last_total);
            last_total = page.total.unwrap_or(last_total);
            let end = match page.total {
                Some(total) => total.min(MOST_ITEMS),
                // Without a total only an empty page is the end.
                None if page.entries == 0 => offset,
                None => MOST_ITEMS,
            };
            offset = match page.next {
                NextPage::At(next) if next > offset => next,
                NextPage::None => end.max(offset),
                _ if page.entries == 0 && offset < end => {
                    // What should be on it may be what is looked for.
                    return Err(UpstreamError::bad_answer(format!(
                        "the upstream gave an empty page at {offset} of a playlist of {end}"
                    )));
                }
                _ => offset.saturating_add(page.entries),
            };
            let over = match (wrapped, from) {
                (true, 1..) => offset >= from.min(end),
                _ => offset >= end,
            };
            if page.present || over && (wrapped || end == 0) {
                if shrank && !page.present {
                    return Err(UpstreamError::unavailable(
                        "entries were taken out of the playlist while it was read",
                    ));
                }
                return Ok(Presence {
                    present: page.present,
                    total: page.total,
                });
            }
            if over {
                (offset, wrapped) = (0, true);
            }
        }
    }

    /// Leave to change a playlist, and a connection to do it by: both waited for before the time for the change
    /// begins to run.
    pub(crate) async fn leave_to_change(&self) -> Result<Pass, UpstreamError> {
        self.leave_to_change_more(false).await
    }

    /// The same. `more`: one change of several has been made, and for the next the call waits in line for longer.
    pub(crate) async fn leave_to_change_more(&self, more: bool) -> Result<Pass, UpstreamError> {
        let patience = match more {
            true => PATIENCE_BETWEEN_PAGES,
            false => PATIENCE,
        };
        let pass = self.gate.pass(Group::Playlist, patience).await?;
        match self.upstream.connect().await {
            Ok(()) => Ok(pass),
            failed => {
                self.judge(pass, Endpoint::AddItems, failed).await?;
                Err(UpstreamError::unavailable("there is no connection"))
            }
        }
    }

    /// What is in the playlist from this place on, or the whole of it if it has become shorter than
    /// that; none from an upstream that cannot list.
    pub(crate) async fn entries(
        &self,
        playlist_id: &str,
        from: u32,
    ) -> Result<Option<Entries>, UpstreamError> {
        let mut read = Entries {
            from,
            tracks: Vec::new(),
            total: from,
        };
        let mut offset = from;
        let mut first = true;
        loop {
            let patience = match first {
                true => PATIENCE,
                false => PATIENCE_BETWEEN_PAGES,
            };
            let pass = self.gate.pass(Group::Playlist, patience).await?;
            let page = self.upstream.entries_at(playlist_id, offset).await;
            let Some(page) = self.judge(pass, Endpoint::ListItems, page).await? else {
                return Ok(None);
            };
            let total = page.total.map(|total| total.min(MOST_ITEMS));
            if total.is_some_and(|total| total < read.from) {
                // What was added before may stand further to the front now.
                read = Entries::default();
                (offset, first) = (0, false);
                continue;
            }
            if !first && total.is_some_and(|total| total < read.total) {
                return Err(UpstreamError::unavailable(
                    "entries were taken out of the playlist while it was read",
                ));
            }
            first = false;
            read.tracks.extend(page.tracks);
            offset = match page.next {
                NextPage::At(next) if next > offset => next,
                NextPage::None => total
                    .unwrap_or(offset.saturating_add(page.entries))
                    .max(offset),
                _ if page.entries == 0 && total.is_some_and(|total| offset < total) => {
                    return Err(UpstreamError::bad_answer(format!(
                        "the upstream gave an empty page at {offset} of a playlist"
                    )));
                }
                _ => offset.saturating_add(page.entries),
            };
            read.total = total.unwrap_or(offset);
            if page.entries == 0
                || offset >= read.total.max(1) && total.is_some()
                || offset >= MOST_ITEMS
            {
                return Ok(Some(read));
            }
        }
    }

    /// See [`Upstream::tracks_a_change`].
    pub(crate) async fn tracks_a_change(&self) -> Result<usize, UpstreamError> {
        self.upstream.tracks_a_change().await
    }

    /// See [`Upstream::create_playlist`].
    pub(crate) async fn create_playlist(
        &self,
        leave: Pass,
        name: &str,
    ) -> Result<String, UpstreamError> {
        let made = self.upstream.create_playlist(name).await;
        self.judge(leave, Endpoint::CreatePlaylist, made).await
    }

    /// See [`Upstream::add`].
    pub(crate) async fn add(
        &self,
        leave: Pass,
        playlist_id: &str,
        track_uris: &[&str],
    ) -> Result<(), UpstreamError> {
        let added = self.upstream.add(playlist_id, track_uris).await;
        self.judge(leave, Endpoint::AddItems, added).await
    }

    /// See [`Upstream::remove`].
    pub(crate) async fn remove(
        &self,
        leave: Pass,
        playlist_id: &str,
        track_uris: &[&str],
    ) -> Result<(), UpstreamError> {
        let removed = self.upstream.remove(playlist_id, track_uris).await;
        self.judge(leave, Endpoint::RemoveItems, removed).await
    }

    pub(super) async fn through<T>(
        &self,
        group: Group,
        endpoint: Endpoint,
        call: impl Future<Output = Result<T, UpstreamError>>,
    ) -> Result<T, UpstreamError> {
        let pass = self.gate.pass(group, PATIENCE).await?;
        let result = call.await;
        self.judge(pass, endpoint, result).await
    }

    /// Hands back what a call of this endpoint came to, and lets the gate learn from it.
    async fn judge<T>(
        &self,
        pass: Pass,
        endpoint: Endpoint,
        result: Result<T, UpstreamError>,
    ) -> Result<T, UpstreamError> {
        if let Err(error) = &result
            && error.code == ErrorCode::RateLimited
        {
            self.gate.metrics().rate_limit_hit(endpoint);
        }
        self.gate.learn_of_sign_in(endpoint, result.as_ref().err());
        pass.judge(result).await
    }
}
