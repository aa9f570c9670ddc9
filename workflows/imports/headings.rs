//! The names of columns, in every tool and language.

use std::collections::BTreeMap;

use crate::matching::normalise::{compact, fold};

/// What a column holds, as far as it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    /// The title of the song.
    Title,
    /// The artist, or all of them.
    Artist,
    /// The album.
    Album,
    /// One ISRC or several.
    Isrc,
    /// The length in milliseconds.
    Milliseconds,
    /// The length in seconds, as a clock shows it, or in an untold unit.
    Duration,
    /// The name of the playlist that the row belongs to.
    Playlist,
    /// TuneMyMusic's word for what the row is.
    Kind,
    /// What may hold Spotify's id of the track: an id, a URI or a URL.
    SpotifyId,
}

/// Names as [`key`] gives them, those that say most first: where a table has both a "Title" and a
/// "Track", the second is a number.
const NAMES: &[(Column, &[&str])] = &[
    (
        Column::Title,
        &[
            "trackname",
            "tracktitle",
            "songname",
            "songtitle",
            "title",
            "titles",
            "song",
            "track",
            "name", // English, and Apple's German
            "titel",
            "musiktitel",
            "lied",
            "songtitel", // German, Dutch, Swedish
            "titre",
            "nomdelapiste",
            "chanson",
            "nom", // French
            "titulo",
            "cancion",
            "nombredelacancion",
            "nombre",
            "musica",
            "nome", // Spanish, Portuguese
            "titolo",
            "brano",
            "canzone", // Italian
            "nummer",
            "naam", // Dutch
            "曲名",
            "タイトル",
            "曲",
            "名前", // Japanese
            "namn",
            "navn",
            "nimi",
            "kappale", // Nordic
            "tytul",
            "utwor",
            "nazwa",
            "nazev",
            "skladba", // Polish, Czech
            "название",
            "песня",
            "трек", // Russian
            "sarki",
            "parca",
            "ad", // Turkish
            "歌名",
            "歌曲",
            "标题",
            "名称",
            "標題",
            "名稱", // Chinese
            "제목",
            "곡명",
            "이름", // Korean
        ],
    ),
    (
        Column::Artist,
        &[
            "artistnames",
            "artistname",
            "trackartists",
            "trackartist",
            "artists",
            "artist",
            "performer",
            "performers",
            "band",
            "kunstler",
            "kunstlerin",
            "kunstlername",
            "interpret",
            "interpretin",
            "interpreten",
            "artiste",
            "artistes",
            "nomdelartiste",
            "interprete",
            "artista",
            "artistas",
            "artisti",
            "nombredelartista",
            "artiest",
            "artiesten",
            "uitvoerende",
            "アーティスト",
            "アーティスト名",
            "歌手",
            "演奏者",
            "kunstner",
            "esittaja",
            "wykonawca",
            "artysta",
            "umelec",
            "interpreti",
            "исполнитель",
            "артист",
            "sanatci",
            "艺人",
            "艺术家",
            "表演者",
            "藝人",
            "藝術家",
            "演出者",
            "아티스트",
            "가수",
            // Better than none.
            "albumartistnames",
            "albumartists",
            "albumartist",
            "creator",
        ],
    ),
    (
        Column::Album,
        &[
            "albumname",
            "albumtitle",
            "album",
            "albums",
            "albumtitel",
            "nomdelalbum",
            "アルバム",
            "アルバム名",
            "albumi",
            "альбом",
            "专辑",
            "專輯",
            "앨범",
            "release",
        ],
    ),
    (
        Column::Isrc,
        &["isrc", "isrcs", "isrccode", "isrccodes", "trackisrc"],
    ),
    (
        Column::Milliseconds,
        &[
            "trackdurationms",
            "durationms",
            "durationmilliseconds",
            "durationinmillis",
            "durationmillis",
            "lengthms",
            "milliseconds",
            "totaltime",
        ],
    ),
    (
        Column::Duration,
        &[
            "duration",
            "trackduration",
            "durationseconds",
            "durations",
            "durationsec",
            "length",
            "time",
            "seconds",
            // Not "tempo": in most tables that is a number of beats.
            "dauer",
            "lange",
            "zeit",
            "duree",
            "duracion",
            "tiempo",
            "durata",
            "duracao",
            "duur",
            "tijd",
            "lengte",
            "時間",
            "长度",
            "时间",
            "時長",
            "시간",
            "tid",
            "kesto",
            "czas",
            "delka",
            "cas",
            "время",
            "длительность",
            "sure",
        ],
    ),
    (
        Column::Playlist,
        &[
            "playlistname",
            "playlisttitle",
            "playlist",
            "nameofplaylist",
        ],
    ),
    (Column::Kind, &["type"]),
    (
        Column::SpotifyId,
        &[
            "spotifyid",
            "spotifytrackid",
            "spotifyuri",
            "spotifyurl",
            "spotifytrackuri",
            "spotifylink",
            "spotify",
            "trackuri",
            "trackid",
            "trackurl",
            "uri",
            "url",
            "link",
            "id",
        ],
    ),
];

/// A heading for comparing: `Artist Name(s)`, `artist_names` and `artistNames` are one.
pub(super) fn key(heading: &str) -> String {
    if heading.is_ascii() {
        let letters = heading.bytes().filter(u8::is_ascii_alphanumeric);
        return letters
            .map(|b| char::from(b.to_ascii_lowercase()))
            .collect();
    }
    compact(&fold(heading))
}

/// What a column of this name holds, and how many names are better for it.
pub(super) fn column(key: &str) -> Option<(Column, usize)> {
    NAMES.iter().find_map(|(column, names)| {
        let rank = names.iter().position(|name| *name == key)?;
        Some((*column, rank))
    })
}

/// The heading of a table.
pub(super) struct Headings {
    /// The names as they are compared.
    keys: Vec<String>,
    /// Where each column is.
    places: BTreeMap<Column, usize>,
    /// Every column that may hold Spotify's id: a table may have several, most of them empty.
    ids: Vec<usize>,
}

impl Headings {
    /// Reads a row as a heading, whether it is one or not.
    pub(super) fn new(row: &[String]) -> Self {
        let keys: Vec<String> = row.iter().map(|field| key(field)).collect();
        let mut best: BTreeMap<Column, (usize, usize)> = BTreeMap::new();
        let mut ids = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            match column(key) {
                Some((Column::SpotifyId, _)) => ids.push(place),
                Some((column, rank)) => {
                    let known = best.entry(column).or_insert((rank, place));
                    *known = (*known).min((rank, place));
                }
                None => {}
            }
        }
        let places = best.into_iter().map(|(column, (_, place))| (column, place));
        Self {
            keys,
            places: places.collect(),
            ids,
        }
    }

    /// Where a column is.
    pub(super) fn place(&self, column: Column) -> Option<usize> {
        self.places.get(&column).copied()
    }

    /// Says where a column is whose name is not known.
    pub(super) fn assume(&mut self, column: Column, place: usize) {
        self.places.entry(column).or_insert(place);
    }

    /// The columns that may hold Spotify's id.
    pub(super) fn ids(&self) -> &[usize] {
        &self.ids
    }

    /// Whether a column has this name, as [`key`] gives it.
    pub(super) fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key)
    }

    /// Whether these are its names, in this order.
    pub(super) fn are(&self, keys: &[&str]) -> bool {
        self.keys == keys
    }

    /// Columns it has.
    pub(super) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Columns of which it is known what they hold.
    pub(super) fn known(&self) -> usize {
        self.places.len() + self.ids.len()
    }

    /// Whether a row is this heading once more, as in two exports of which one file was made.
    pub(super) fn repeats(&self, row: &[String]) -> bool {
        self.keys.len() == row.len() && self.keys.iter().zip(row).all(|(k, field)| *k == key(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_written_as_headings_are_compared() {
        for (column, names) in NAMES {
            for name in *names {
                assert_eq!(compact(&fold(name)), *name, "{column:?}");
                assert_eq!(key(name), *name, "{column:?}");
            }
        }
    }

    #[test]
    fn spellings_of_one_heading_are_one() {
        for (heading, expected) in [
            ("Artist Name(s)", Column::Artist),
            ("artistNames", Column::Artist),
            ("TRACK_NAME", Column::Title),
            (" Künstler:in ", Column::Artist),
            ("Título", Column::Title),
            ("Álbum", Column::Album),
            ("Sanatçı", Column::Artist),
            ("Durée", Column::Duration),
            ("ｱｰﾃｨｽﾄ", Column::Artist),
            ("Track Duration (ms)", Column::Milliseconds),
            ("Spotify - id", Column::SpotifyId),
        ] {
            assert_eq!(
                column(&key(heading)).map(|c| c.0),
                Some(expected),
                "{heading}"
            );
        }
        assert_eq!(column(&key("Composer")), None);
        assert_eq!(column(""), None);
    }

    #[test]
    fn the_name_that_says_more_wins() {
        let row = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        // Roon's workbook, saved as CSV.
        let headings = Headings::new(&row(&[
            "Album Artist",
            "Album",
            "Disc#",
            "Track#",
            "Title",
            "Track Artist(s)",
        ]));
        assert_eq!(headings.place(Column::Title), Some(4));
        assert_eq!(headings.place(Column::Artist), Some(5));
        assert_eq!(headings.place(Column::Isrc), None);
    }
}
