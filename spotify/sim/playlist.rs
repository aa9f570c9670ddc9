//! One playlist and its edits. Pure: no HTTP, no clock.

use super::ids;

/// Spotify's limit for the items of one playlist.
pub(crate) const MAX_ITEMS: usize = 10_000;

/// A playlist, with every version it went through.
#[derive(Debug, Clone)]
pub(crate) struct Playlist {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    /// The user id of its owner.
    pub(crate) owner: String,
    pub(crate) public: bool,
    pub(crate) collaborative: bool,
    entries: Vec<Entry>,
    /// Each snapshot id, at the index of its revision. Never empty.
    snapshots: Vec<String>,
}

/// A song in a playlist. The same track may be there several times.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The track's index in the catalogue.
    pub(crate) track: usize,
    /// When it was added: RFC 3339, UTC.
    pub(crate) added_at: String,
    /// The user id of who added it.
    pub(crate) added_by: String,
    /// The first revision that held it.
    since: usize,
}

/// What a new playlist is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewPlaylist {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) owner: String,
    pub(crate) public: bool,
    pub(crate) collaborative: bool,
}

/// Who edits, and when.
#[derive(Debug, Clone)]
pub(crate) struct Editor {
    pub(crate) user: String,
    /// RFC 3339, UTC.
    pub(crate) now: String,
}

/// An edit that Spotify refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditError {
    /// A position or a range beyond the end.
    OutOfBounds,
    /// The playlist would outgrow [`MAX_ITEMS`].
    Full,
    /// No version of this playlist has that snapshot id.
    UnknownSnapshot,
}

impl Playlist {
    pub(crate) fn new(wanted: NewPlaylist) -> Self {
        let NewPlaylist {
            name,
            description,
            owner,
            public,
            collaborative,
        } = wanted;
        Self {
            id: ids::random_id(),
            name,
            description,
            owner,
            public,
            collaborative,
            entries: Vec::new(),
            snapshots: vec![ids::snapshot_id(0)],
        }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The id of the version it is in now.
    pub(crate) fn snapshot_id(&self) -> &str {
        self.snapshots.last().map_or("", String::as_str)
    }

    /// Whether `user` may read and change its items.
    pub(crate) fn open_to(&self, user: &str) -> bool {
        self.owner == user || self.collaborative
    }

    /// Inserts `tracks` in their order at `position`, or at the end. Duplicates are welcome.
    pub(crate) fn add(
        &mut self,
        tracks: &[usize],
        position: Option<usize>,
        editor: &Editor,
    ) -> Result<(), EditError> {
        let position = position.unwrap_or(self.entries.len());
        if position > self.entries.len() {
            return Err(EditError::OutOfBounds);
        }
        if self.entries.len() + tracks.len() > MAX_ITEMS {
            return Err(EditError::Full);
        }
        let since = self.new_version();
        let added = tracks.iter().map(|&track| entry(track, since, editor));
        self.entries.splice(position..position, added);
        Ok(())
    }

    /// Removes every occurrence of `tracks` that the version `snapshot` held, by default the
    /// present one. Tracks that are not there are passed over. Returns how many entries went.
    pub(crate) fn remove(
        &mut self,
        tracks: &[usize],
        snapshot: Option<&str>,
    ) -> Result<usize, EditError> {
        let as_of = self.revision_of(snapshot)?;
        let before = self.entries.len();
        self.entries
            .retain(|entry| entry.since > as_of || !tracks.contains(&entry.track));
        let removed = before - self.entries.len();
        if removed > 0 {
            self.new_version();
        }
        Ok(removed)
    }

    /// Puts `tracks` in the place of everything.
    pub(crate) fn replace(&mut self, tracks: &[usize], editor: &Editor) {
        let since = self.new_version();
        self.entries = tracks
            .iter()
            .map(|&track| entry(track, since, editor))
            .collect();
    }

    /// Moves the `length` entries from `start` to before the entry that is now at `before`.
    pub(crate) fn reorder(
        &mut self,
        start: usize,
        length: usize,
        before: usize,
        snapshot: Option<&str>,
    ) -> Result<(), EditError> {
        self.revision_of(snapshot)?;
        let end = start.checked_add(length).ok_or(EditError::OutOfBounds)?;
        if end > self.entries.len() || before > self.entries.len() {
            return Err(EditError::OutOfBounds);
        }
        if before < start {
            self.entries[before..end].rotate_right(length);
        } else if before > end {
            self.entries[start..before].rotate_left(length);
        }
        self.new_version();
        Ok(())
    }

    fn revision_of(&self, snapshot: Option<&str>) -> Result<usize, EditError> {
        match snapshot {
            None => Ok(self.snapshots.len() - 1),
            Some(id) => self
                .snapshots
                .iter()
                .rposition(|known| known == id)
                .ok_or(EditError::UnknownSnapshot),
        }
    }

    /// Starts a new version and returns its revision.
    fn new_version(&mut self) -> usize {
        let revision = self.snapshots.len();
        self.snapshots.push(ids::snapshot_id(revision));
        revision
    }
}

fn entry(track: usize, since: usize, editor: &Editor) -> Entry {
    Entry {
        track,
        added_at: editor.now.clone(),
        added_by: editor.user.clone(),
        since,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn editor() -> Editor {
        Editor {
            user: "me".into(),
            now: "2026-01-01T00:00:00Z".into(),
        }
    }

    fn holding(tracks: &[usize]) -> Playlist {
        let mut playlist = Playlist::new(NewPlaylist {
            name: "Test".into(),
            description: None,
            owner: "me".into(),
            public: false,
            collaborative: false,
        });
        playlist.add(tracks, None, &editor()).unwrap();
        playlist
    }

    fn tracks(playlist: &Playlist) -> Vec<usize> {
        playlist.entries().iter().map(|entry| entry.track).collect()
    }

    #[test]
    fn adding_keeps_the_order_and_the_duplicates() {
        let mut playlist = holding(&[1, 2, 1]);
        playlist.add(&[8, 9], Some(1), &editor()).unwrap();
        assert_eq!(tracks(&playlist), [1, 8, 9, 2, 1]);
    }

    #[test]
    fn a_position_beyond_the_end_changes_nothing() {
        let mut playlist = holding(&[1]);
        let snapshot = playlist.snapshot_id().to_owned();
        assert_eq!(
            playlist.add(&[2], Some(2), &editor()),
            Err(EditError::OutOfBounds)
        );
        assert_eq!(
            (tracks(&playlist), playlist.snapshot_id()),
            (vec![1], snapshot.as_str())
        );
    }

    #[test]
    fn a_playlist_has_a_last_place() {
        let mut playlist = holding(&vec![1; MAX_ITEMS]);
        assert_eq!(playlist.add(&[2], None, &editor()), Err(EditError::Full));
    }

    #[test]
    fn removing_takes_every_occurrence() {
        let mut playlist = holding(&[1, 2, 1, 3]);
        assert_eq!(playlist.remove(&[1, 7], None), Ok(2));
        assert_eq!(tracks(&playlist), [2, 3]);
    }

    #[test]
    fn removing_from_an_old_version_spares_what_came_later() {
        let mut playlist = holding(&[1, 2]);
        let old = playlist.snapshot_id().to_owned();
        playlist.add(&[1], None, &editor()).unwrap();
        assert_eq!(playlist.remove(&[1], Some(&old)), Ok(1));
        assert_eq!(tracks(&playlist), [2, 1]);
        assert_eq!(
            playlist.remove(&[1], Some("stranger")),
            Err(EditError::UnknownSnapshot)
        );
    }

    #[test]
    fn the_snapshot_changes_with_every_edit_and_only_then() {
        let mut playlist = holding(&[1, 2]);
        let snapshot = playlist.snapshot_id().to_owned();
        playlist.remove(&[5], None).unwrap();
        assert_eq!(playlist.snapshot_id(), snapshot);
        playlist.remove(&[1], None).unwrap();
        assert_ne!(playlist.snapshot_id(), snapshot);
    }

    #[test]
    fn reordering_follows_spotifys_examples() {
        let all: Vec<usize> = (0..10).collect();
        let mut playlist = holding(&all);
        playlist.reorder(0, 1, 10, None).unwrap();
        assert_eq!(tracks(&playlist), [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]);
        playlist.reorder(9, 1, 0, None).unwrap();
        assert_eq!(tracks(&playlist), all);
        playlist.reorder(8, 2, 0, None).unwrap();
        assert_eq!(tracks(&playlist), [8, 9, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(playlist.reorder(9, 2, 0, None), Err(EditError::OutOfBounds));
    }

    #[test]
    fn moving_a_range_into_itself_leaves_the_order() {
        let mut playlist = holding(&[1, 2, 3, 4]);
        playlist.reorder(1, 2, 2, None).unwrap();
        assert_eq!(tracks(&playlist), [1, 2, 3, 4]);
    }

    #[test]
    fn replacing_leaves_nothing_of_the_old() {
        let mut playlist = holding(&[1, 2, 3]);
        playlist.replace(&[4], &editor());
        assert_eq!(tracks(&playlist), [4]);
    }
}
