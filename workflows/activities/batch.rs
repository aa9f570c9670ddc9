//! The activities of a batch: each works on a page, not on a track, because a round trip through the
//! engine is what a track would cost otherwise.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures::FutureExt;
use serde::{Deserialize, Serialize};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use super::{
    attempt::{self, Attempted, KEEPING, reading, reading_on, writing},
    in_flight::InFlight,
    in_time,
};
use crate::{
    batch::{Found, Known},
    error::{ErrorCode, SyncError},
    gate::Pass,
    matching::{Query, find_match},
    track::{Candidate, SourceTrack},
    upstream::{Entries, GatedUpstream, Playlist, UpstreamError},
};

/// The activities of batches, on one upstream server.
pub struct BatchActivities {
    upstream: GatedUpstream,
    adds: InFlight,
    stopping: CancellationToken,
}

impl BatchActivities {
    /// The activities on this upstream, of a worker that ends when `stopping` is cancelled.
    pub fn new(upstream: GatedUpstream, stopping: CancellationToken) -> Self {
        Self {
            upstream,
            adds: InFlight::default(),
            stopping,
        }
    }
}

/// A playlist that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPlaylist {
    /// Its name.
    pub name: String,
    /// The ids of those that had this name before.
    pub namesakes: Vec<String>,
    /// It was tried before, and the answer may have been lost: look before making another.
    #[serde(default)]
    pub tried_before: bool,
}

/// What is in a playlist, as far as a batch has to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaylistRead {
    /// What is in it. Nothing, if the upstream cannot list it.
    pub known: Known,
    /// How many entries it has.
    pub entries: u32,
}

/// Rows to search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchRows {
    /// Their numbers within the page, and what the user has.
    pub rows: Vec<(u32, SourceTrack)>,
    /// The confidence that a match needs, 0.0 to 1.0.
    pub match_threshold: f64,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Searched {
    /// By the number of the row. Not all of them, if something came between.
    pub found: BTreeMap<u32, Found>,
    /// In a heartbeat: the title that is being searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<String>,
}

/// Tracks and the playlist they are to be in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PagePlacement {
    /// Spotify's id of the playlist.
    pub playlist_id: String,
    /// Spotify's URIs of the tracks, in order; at most 100.
    pub track_uris: Vec<String>,
    /// The place behind what was in the playlist before: where they go.
    pub from: u32,
    /// An add was tried before, and its answer may have been lost.
    #[serde(default)]
    pub tried_before: bool,
    /// They are added even if somebody else has added them meanwhile.
    #[serde(default)]
    pub add_duplicates: bool,
    /// None of them was behind that place when it was looked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub looked: bool,
}

impl PagePlacement {
    /// Tracks to take out of this playlist, wherever they stand.
    pub(crate) fn to_take_out(playlist_id: String, track_uris: Vec<String>) -> Self {
        Self {
            playlist_id,
            track_uris,
            from: 0,
            tried_before: false,
            add_duplicates: false,
            looked: false,
        }
    }
}

/// What an add of a page came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageAdded {
    /// Those that somebody else had added since the playlist was read: their places in the page.
    pub there: Vec<u32>,
    /// How many of the tracks it came to, from the first on, if something came between. Of an upstream that takes
    /// one track a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u32>,
    /// What came between has lost an answer: the track after those may have been added.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

/// What a look at a page in the playlist found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageSeen {
    /// Those of the tracks that are not there, by their places in the page.
    pub missing: Vec<u32>,
    /// What has come to the playlist, these tracks and others.
    pub known: Known,
    /// How many entries it has.
    pub entries: u32,
}

#[activities]
impl BatchActivities {
    /// The ids of the user's playlists of this exact name.
    #[activity(name = "namesakes")]
    pub async fn namesakes(
        self: Arc<Self>,
        ctx: ActivityContext,
        name: String,
    ) -> Result<Attempted<Vec<String>>, ActivityError> {
        reading(&ctx, &self.stopping, self.named(&name)).await
    }

    /// Makes a playlist, unless an earlier attempt already did.
    #[activity(name = "create_playlist")]
    pub async fn create_playlist(
        self: Arc<Self>,
        ctx: ActivityContext,
        new: NewPlaylist,
    ) -> Result<Attempted<Playlist>, ActivityError> {
        let tried_before = new.tried_before || ctx.info().attempt > 1;
        let made = |id: String| Playlist {
            id,
            name: new.name.clone(),
            writable: Some(true),
            total_tracks: Some(0),
        };
        writing(&ctx, async {
            let _alone = self.adds.alone_at(format!("new {}", new.name)).await;
            if tried_before {
                attempt::pause(super::SETTLE).await;
                let named = self.named(&new.name).await?;
                if let Some(id) = named.into_iter().find(|id| !new.namesakes.contains(id)) {
                    return Ok(made(id));
                }
            }
            let leave = self.upstream.leave_to_change().await?;
            Ok(made(self.upstream.create_playlist(leave, &new.name).await?))
        })
        .await
    }

    /// Reads what is in the playlist.
    #[activity(name = "read_playlist")]
    pub async fn read_playlist(
        self: Arc<Self>,
        ctx: ActivityContext,
        playlist_id: String,
    ) -> Result<Attempted<PlaylistRead>, ActivityError> {
        reading(&ctx, &self.stopping, async {
            let read = self.upstream.entries(&playlist_id, 0).await?;
            let read = read.unwrap_or_default();
            Ok(PlaylistRead {
                known: known(&read.tracks),
                entries: read.total,
            })
        })
        .await
    }

    /// Searches rows and matches them. What was found is handed back even when something came
    /// between; only an attempt that found nothing fails.
    #[activity(name = "search_rows")]
    pub async fn search_rows(
        self: Arc<Self>,
        ctx: ActivityContext,
        page: SearchRows,
    ) -> Result<Attempted<Searched>, ActivityError> {
        // What an attempt before this one had found when it was killed.
        let kept = ctx.heartbeat_details().deserialize::<Searched>();
        let search = Search {
            page: Arc::new(page),
            found: Arc::new(Mutex::new(kept.ok().flatten().unwrap_or_default())),
        };
        let told = {
            let search = search.clone();
            move || search.told()
        };
        let searching = self.search_open(search).boxed();
        reading_on(&ctx, &self.stopping, (KEEPING, told), searching).await
    }

    /// Adds the tracks at the end of the playlist, but for those that are there by now.
    #[activity(name = "add_page")]
    pub async fn add_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        page: PagePlacement,
    ) -> Result<Attempted<PageAdded>, ActivityError> {
        let tried_before = page.tried_before || ctx.info().attempt > 1;
        let looked = reading(&ctx, &self.stopping, async {
            let alone = self.adds.alone_at(page.playlist_id.clone()).await;
            if tried_before {
                attempt::pause(super::SETTLE).await;
            }
            let there = match (page.add_duplicates || page.looked) && !tried_before {
                true => Vec::new(),
                false => self.there(&page, tried_before).await?,
            };
            Ok((alone, there))
        })
        .await?;
        let (_alone, there) = looked.value;
        writing(&ctx, async {
            let missing: Vec<(u32, &str)> = (0..)
                .zip(page.track_uris.iter().map(String::as_str))
                .filter(|(place, _)| !there.contains(place))
                .collect();
            let mut added = PageAdded::default();
            let mut anything = false;
            for some in missing.chunks(self.upstream.tracks_a_change().await?) {
                let leave = self.upstream.leave_to_change_more(anything);
                let change = self.add_some(&ctx, &page.playlist_id, some, leave).await;
                match change {
                    Ok(()) => anything = true,
                    // What was added is known, and stays so whatever becomes of the rest.
                    Err(error) if anything => {
                        added.done = some.first().map(|(place, _)| *place);
                        added.in_doubt = error.may_have_happened();
                        break;
                    }
                    Err(error) => return Err(error),
                }
            }
            // What an attempt before this one had added is ours.
            if !tried_before {
                added.there = there;
            }
            Ok(added)
        })
        .await
    }

    /// Sees whether the tracks are in the playlist, and what else has come to it. Where nothing was
    /// tried in doubt, the absence of one is a failure to be tried again, because Spotify may show an
    /// add a moment late.
    #[activity(name = "verify_page")]
    pub async fn verify_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        page: PagePlacement,
    ) -> Result<Attempted<PageSeen>, ActivityError> {
        let in_doubt = page.looked && page.tried_before;
        reading(&ctx, &self.stopping, async {
            if in_doubt {
                // Time for a request whose answer was lost to arrive.
                attempt::pause(super::SETTLE).await;
            }
            let read = self.behind(&page).await?;
            let mut there = places_of(&page.track_uris, &read.tracks);
            let wanted = page.track_uris.len();
            let expected = page.from.saturating_add(wanted as u32);
            let is_look = page.tried_before && !page.looked;
            if there.len() < wanted && !is_look && read.total < expected {
                there = self.anywhere(&page, there).await?;
            }
            let missing: Vec<u32> = (0..)
                .take(page.track_uris.len())
                .filter(|place| !there.contains(place))
                .collect();
            if !missing.is_empty() && !page.tried_before {
                return Err(UpstreamError::new(
                    ErrorCode::NotVerified,
                    format!(
                        "the upstream reported {} tracks as added, and {} of them are not in the playlist",
                        page.track_uris.len(),
                        missing.len(),
                    ),
                ));
            }
            Ok(PageSeen {
                missing,
                known: known(&read.tracks),
                entries: read.total,
            })
        })
        .await
    }

    /// Takes the tracks out of the playlist.
    #[activity(name = "take_out_page")]
    pub async fn take_out_page(
        self: Arc<Self>,
        ctx: ActivityContext,
        page: PagePlacement,
    ) -> Result<Attempted<()>, ActivityError> {
        writing(&ctx, async {
            let _alone = self.adds.alone_at(page.playlist_id.clone()).await;
            let uris: Vec<&str> = page.track_uris.iter().map(String::as_str).collect();
            for some in uris.chunks(self.upstream.tracks_a_change().await?) {
                let leave = self.upstream.leave_to_change().await?;
                in_time(&ctx, "remove")?;
                self.upstream.remove(leave, &page.playlist_id, some).await?;
            }
            Ok(())
        })
        .await
    }
}

/// A search of rows, and what it has found so far.
#[derive(Clone)]
struct Search {
    page: Arc<SearchRows>,
    found: Arc<Mutex<Searched>>,
}

impl Search {
    fn so_far(&self) -> Searched {
        self.found
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, row: u32, found: Found) {
        let mut so_far = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.found.insert(row, found);
    }

    fn open(&self) -> Vec<(u32, SourceTrack)> {
        let so_far = self.so_far();
        let open = |(row, _): &&(u32, SourceTrack)| !so_far.found.contains_key(row);
        self.page.rows.iter().filter(open).cloned().collect()
    }

    /// What is told in a heartbeat.
    fn told(&self) -> Searched {
        Searched {
            now: self.open().into_iter().next().map(|(_, row)| row.title),
            ..self.so_far()
        }
    }
}

async fn find(
    upstream: GatedUpstream,
    source: SourceTrack,
    threshold: f64,
) -> Result<Found, UpstreamError> {
    let ask = move |query: Query| {
        let upstream = upstream.clone();
        // Boxed, or the compiler does not see that it can be sent to another thread.
        async move { upstream.search(&query).await }.boxed()
    };
    Ok(Found::of(&find_match(&source, threshold, ask).await?))
}

impl BatchActivities {
    async fn named(&self, name: &str) -> Result<Vec<String>, UpstreamError> {
        let all = self.upstream.playlists().await?;
        let named = all.into_iter().filter(|playlist| playlist.name == name);
        Ok(named.map(|playlist| playlist.id).collect())
    }

    /// Searches the rows that are still open, one after the other: a page has several such activities,
    /// which keep the wire busy, and what is under way when a process is killed is searched again. What
    /// was found stays found when something comes between.
    async fn search_open(&self, search: Search) -> Result<Searched, UpstreamError> {
        let threshold = search.page.match_threshold;
        for (row, source) in search.open() {
            let outcome = match find(self.upstream.clone(), source, threshold).await {
                Ok(outcome) => outcome,
                Err(error) if error.code == ErrorCode::InvalidRequest => {
                    Found::Failed(SyncError::new(error.code, error.message))
                }
                Err(error) if search.so_far().found.is_empty() => return Err(error),
                Err(_) => break,
            };
            search.keep(row, outcome);
        }
        Ok(search.so_far())
    }

    async fn add_some(
        &self,
        ctx: &ActivityContext,
        playlist_id: &str,
        some: &[(u32, &str)],
        leave: impl Future<Output = Result<Pass, UpstreamError>>,
    ) -> Result<(), UpstreamError> {
        let uris: Vec<&str> = some.iter().map(|(_, uri)| *uri).collect();
        let leave = leave.await?;
        in_time(ctx, "add")?;
        self.upstream.add(leave, playlist_id, &uris).await
    }

    /// The places in the page of the tracks that have come to the playlist since it was read.
    async fn there(
        &self,
        page: &PagePlacement,
        tried_before: bool,
    ) -> Result<Vec<u32>, UpstreamError> {
        let read = self.behind(page).await?;
        let there = places_of(&page.track_uris, &read.tracks);
        match tried_before && there.len() < page.track_uris.len() {
            true => self.anywhere(page, there).await,
            false => Ok(there),
        }
    }

    /// The same after a look at the whole: when somebody takes out what stands further to the front, the page moves
    /// there. Not of tracks that may have been there before.
    async fn anywhere(
        &self,
        page: &PagePlacement,
        behind: Vec<u32>,
    ) -> Result<Vec<u32>, UpstreamError> {
        if page.add_duplicates || page.from == 0 {
            return Ok(behind);
        }
        let whole = self.upstream.entries(&page.playlist_id, 0).await?;
        Ok(whole.map_or(behind, |whole| places_of(&page.track_uris, &whole.tracks)))
    }

    /// What stands in the playlist behind what was in it before.
    async fn behind(&self, page: &PagePlacement) -> Result<Entries, UpstreamError> {
        match self.upstream.entries(&page.playlist_id, page.from).await? {
            Some(read) => Ok(read),
            None => self.one_by_one(page).await,
        }
    }

    /// What of the page is there, from an upstream that can only be asked for one track at a time.
    async fn one_by_one(&self, page: &PagePlacement) -> Result<Entries, UpstreamError> {
        let mut read = Entries::default();
        for uri in &page.track_uris {
            let seen = self.upstream.contains(&page.playlist_id, uri, 0).await?;
            if seen.present {
                read.tracks.push(Candidate {
                    id: uri.trim_start_matches("spotify:track:").to_owned(),
                    uri: uri.clone(),
                    ..Candidate::default()
                });
            }
            read.total = seen.total.unwrap_or(0);
        }
        Ok(read)
    }
}

fn known(tracks: &[Candidate]) -> Known {
    let mut known = Known::default();
    for track in tracks {
        known.remember(track);
    }
    known
}

/// The places of those of the page that are among the entries; a track that is wanted twice has to be
/// there twice.
fn places_of(wanted: &[String], entries: &[Candidate]) -> Vec<u32> {
    let mut times: HashMap<&str, u32> = HashMap::new();
    for entry in entries {
        *times.entry(&entry.uri).or_default() += 1;
    }
    (0..)
        .zip(wanted)
        .filter(|(_, uri)| match times.get_mut(uri.as_str()) {
            Some(left @ 1..) => {
                *left -= 1;
                true
            }
            _ => false,
        })
        .map(|(place, _)| place)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_that_is_wanted_twice_has_to_be_there_twice() {
        let entry = |uri: &str| Candidate {
            uri: uri.to_owned(),
            ..Candidate::default()
        };
        let wanted = ["a", "b", "a"].map(str::to_owned);
        assert_eq!(places_of(&wanted, &[entry("x"), entry("a")]), [0]);
        assert_eq!(places_of(&wanted, &[entry("a"), entry("a")]), [0, 2]);
        assert!(places_of(&wanted, &[]).is_empty());
    }
}
