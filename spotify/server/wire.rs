//! Spotify's answers, read leniently.
//!
//! rspotify's own models refuse a track without `external_ids` or `disc_number`, and panic on a
//! playlist without `items`; Spotify has removed fields before. So every field here may be absent,
//! except those whose absence would change the meaning: a page without `items` or `total` is an
//! error, for read as an empty page it would say "not in the playlist", and a track would be added
//! twice.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(super) struct SearchAnswer {
    pub(super) tracks: Page<WireTrack>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    /// `null` stands for something that is no longer available, and still takes its place.
    pub(super) items: Vec<Option<T>>,
    pub(super) total: u32,
    pub(super) snapshot_id: Option<String>,
}

impl<T> Page<T> {
    /// How many places of the list this page covers.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.items.len()).unwrap_or(u32::MAX)
    }

    /// Whether the page is empty where the list goes on: an answer that cannot be true. What is no
    /// longer available would be `null`.
    pub(super) fn is_hollow(&self, offset: u32) -> bool {
        self.items.is_empty() && offset < self.total
    }

    /// Where the next page begins, if there is one.
    pub(super) fn next_offset(&self, offset: u32) -> Option<u32> {
        let next = offset.saturating_add(self.len());
        // An empty page ends the list whatever `total` says, or a scan would never end.
        (self.len() > 0 && next < self.total).then_some(next)
    }
}

/// The answer to a change of a playlist.
#[derive(Debug, Deserialize)]
pub(super) struct Changed {
    pub(super) snapshot_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireTrack {
    pub(super) id: Option<String>,
    pub(super) uri: Option<String>,
    pub(super) name: Option<String>,
    pub(super) artists: Option<Vec<Option<WireArtist>>>,
    pub(super) album: Option<WireAlbum>,
    pub(super) duration_ms: Option<u64>,
    pub(super) explicit: Option<bool>,
    pub(super) external_ids: Option<ExternalIds>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireArtist {
    pub(super) name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireAlbum {
    pub(super) name: Option<String>,
    pub(super) release_date: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExternalIds {
    pub(super) isrc: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlaylistEntry {
    pub(super) added_at: Option<String>,
    item: Option<WireTrack>,
    /// The name of `item` before February 2026; older apps may still get it.
    track: Option<WireTrack>,
}

impl PlaylistEntry {
    pub(super) fn item(&self) -> Option<&WireTrack> {
        self.item.as_ref().or(self.track.as_ref())
    }

    pub(super) fn into_parts(self) -> (Option<String>, Option<WireTrack>) {
        (self.added_at, self.item.or(self.track))
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct WirePlaylist {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) owner: Option<WireUser>,
    pub(super) collaborative: Option<bool>,
    pub(super) public: Option<bool>,
    items: Option<Count>,
    /// The name of `items` before February 2026.
    tracks: Option<Count>,
}

impl WirePlaylist {
    pub(super) fn total(&self) -> u32 {
        let count = self.items.as_ref().or(self.tracks.as_ref());
        count.and_then(|count| count.total).unwrap_or(0)
    }
}

#[derive(Debug, Deserialize)]
struct Count {
    total: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct WireUser {
    pub(super) id: Option<String>,
    /// Since May 2026 the identifier that never changes; not everywhere yet.
    pub(super) account_id: Option<String>,
}

impl WireUser {
    /// Whether both are the same account, by whichever identifiers both have.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same = |one: &Option<String>, two: &Option<String>| {
            one.is_some() && one.as_ref() == two.as_ref()
        };
        same(&self.account_id, &other.account_id) || same(&self.id, &other.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(json: &str) -> serde_json::Result<Page<PlaylistEntry>> {
        serde_json::from_str(json)
    }

    #[test]
    fn an_answer_that_is_no_page_is_not_an_empty_page() {
        assert!(page("{}").is_err());
        assert!(page(r#"{"items":[]}"#).is_err());
        assert!(page(r#"{"total":0}"#).is_err());
        assert_eq!(page(r#"{"items":[],"total":0}"#).unwrap().len(), 0);
    }

    #[test]
    fn both_names_of_an_entry_are_read_and_gaps_keep_their_place() {
        let page = page(
            r#"{"total":4,"items":[
                {"item":{"uri":"spotify:track:a"}},
                {"track":{"uri":"spotify:track:b"}},
                {"item":null},
                null]}"#,
        )
        .unwrap();
        let uris: Vec<_> = page
            .items
            .iter()
            .map(|entry| entry.as_ref()?.item()?.uri.as_deref())
            .collect();
        assert_eq!(
            uris,
            [Some("spotify:track:a"), Some("spotify:track:b"), None, None]
        );
    }

    #[test]
    fn a_list_ends_at_its_total_or_at_an_empty_page() {
        let full = page(r#"{"items":[null,null],"total":5}"#).unwrap();
        assert_eq!(full.next_offset(0), Some(2));
        assert_eq!(full.next_offset(3), None);
        assert_eq!(full.next_offset(u32::MAX), None);
        let empty = page(r#"{"items":[],"total":5}"#).unwrap();
        assert_eq!(empty.next_offset(0), None);
    }

    #[test]
    fn an_empty_page_is_believed_at_the_end_only() {
        let empty = page(r#"{"items":[],"total":5}"#).unwrap();
        assert!(empty.is_hollow(4) && !empty.is_hollow(5) && !empty.is_hollow(50));
        let gone = page(r#"{"items":[null,null],"total":5}"#).unwrap();
        assert!(!gone.is_hollow(0));
    }

    #[test]
    fn accounts_are_compared_by_what_both_have() {
        let user = |id: Option<&str>, account: Option<&str>| WireUser {
            id: id.map(str::to_owned),
            account_id: account.map(str::to_owned),
        };
        assert!(user(Some("a"), Some("x")).is(&user(Some("a"), None)));
        assert!(user(None, Some("x")).is(&user(Some("a"), Some("x"))));
        assert!(!user(None, Some("x")).is(&user(Some("x"), None)));
        assert!(!user(None, None).is(&user(None, None)));
    }
}
