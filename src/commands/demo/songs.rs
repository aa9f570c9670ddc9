//! The songs of the demo, as somebody's library spells them, and what should come of each.

/// A song and what is expected of it.
pub(super) struct Song {
    pub(super) title: &'static str,
    pub(super) artist: &'static str,
    /// What makes it worth showing.
    pub(super) why: &'static str,
    pub(super) expected: Expected,
}

/// What should come of a song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Added,
    AlreadyThere,
    NoMatch,
}

/// Real songs of the catalogue that comes with Segue, and one that nobody ever recorded.
pub(super) const SONGS: [Song; 6] = [
    Song {
        title: "Clocks",
        artist: "Coldplay",
        why: "spelt exactly",
        expected: Expected::Added,
    },
    Song {
        title: "Starman (2012 Remastered Version)",
        artist: "David Bowie",
        why: "a remaster, marked another way",
        expected: Expected::Added,
    },
    Song {
        title: "Crazy in Love ft. JAY Z",
        artist: "Beyonce",
        why: "a feature, spelt another way",
        expected: Expected::Added,
    },
    Song {
        title: "Industry Baby",
        artist: "Lil Nas X & Jack Harlow",
        why: "in the playlist already",
        expected: Expected::AlreadyThere,
    },
    Song {
        title: "Lullaby for a Killed Process",
        artist: "The Durable Workers",
        why: "no such song",
        expected: Expected::NoMatch,
    },
    Song {
        title: "Ain't No Sunshine",
        artist: "Bill Withers",
        why: "one more, for Spotify to refuse once",
        expected: Expected::Added,
    },
];
