//! The simulated Spotify's tracks: 5,000 real ones built in, or any file of the same columns.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use csv::StringRecord;

/// The built-in catalogue, part of the program so that the simulator runs from any folder.
const BUILTIN: &[u8] = include_bytes!("catalog.csv");

/// The longest field accepted, in bytes: several times the longest real one (323), and short enough
/// that a file which isn't a catalogue is refused early.
const MAX_FIELD_BYTES: usize = 4_096;

/// The most tracks accepted: more would not fit beside their index in the memory of a small machine.
const MAX_TRACKS: usize = 2_000_000;

/// What stands between two artists of one track in the file.
const ARTIST_SEPARATOR: &str = "; ";

/// One track, with what Spotify knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Spotify's id: letters and digits (22 of them on Spotify itself).
    pub id: String,
    /// The title, version included ("Roxanne - Remastered 2003"). Empty for a few withdrawn tracks.
    pub name: String,
    /// The artists in the order of the credits, the main one first.
    pub artists: Vec<String>,
    /// The title of the album.
    pub album: String,
    /// `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, as exact as it is known; empty when it isn't.
    pub release_date: String,
    /// Playing time in milliseconds, 0 when it is unknown.
    pub duration_ms: u32,
    /// Whether Spotify marks the lyrics as explicit.
    pub explicit: bool,
    /// 0 to 100, as Spotify rates it; 0 when it is unknown.
    pub popularity: u8,
    /// The recording's ISRC, 12 letters and digits. Several tracks may share one.
    pub isrc: Option<String>,
}

impl Track {
    /// The year of release, when it is known.
    #[must_use]
    pub fn year(&self) -> Option<u16> {
        self.release_date.get(..4)?.parse().ok()
    }
}

/// Why a catalogue could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The file could not be opened.
    #[error("cannot open the catalogue {}: {source}", path.display())]
    Open {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The first line doesn't name a column that is needed.
    #[error("line 1: the catalogue has no column `{0}`")]
    MissingColumn(&'static str),
    /// The text isn't CSV, isn't UTF-8, or could not be read to its end.
    #[error("line {line}: {source}")]
    Csv {
        /// The line, counted from 1, where reading stopped.
        line: u64,
        /// What the CSV reader said.
        source: csv::Error,
    },
    /// A row is complete but holds a value that can't be right.
    #[error("line {line}: {problem}")]
    Row {
        /// The line, counted from 1, on which the row starts.
        line: u64,
        /// What is wrong, with the name of the column.
        problem: String,
    },
}

/// The tracks of the simulated Spotify, in the order of the file.
#[derive(Clone, Debug)]
pub struct Catalog {
    tracks: Vec<Track>,
    positions: HashMap<String, usize>,
}

impl Catalog {
    /// The 5,000 real tracks that come with Segue.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from_reader(BUILTIN)
            .expect("the built-in catalogue is part of the program, and a test reads it")
    }

    /// Reads a catalogue from a CSV file.
    ///
    /// # Errors
    /// [`CatalogError`], naming the file if it can't be opened, else the line that can't be read.
    pub fn from_path(path: &Path) -> Result<Self, CatalogError> {
        let file = File::open(path).map_err(|source| CatalogError::Open {
            path: path.to_owned(),
            source,
        })?;
        Self::from_reader(file)
    }

    /// Reads a catalogue from CSV text in UTF-8: a heading that names the columns `id`, `name`,
    /// `artists` (separated by `; `), `album`, `release_date`, `duration_ms`, `explicit`, `popularity`
    /// and `isrc` in any order, then a track a row. Every field but the id can be empty.
    ///
    /// # Errors
    /// [`CatalogError`], naming the line that can't be read.
    pub fn from_reader(reader: impl Read) -> Result<Self, CatalogError> {
        let mut csv = csv::Reader::from_reader(reader);
        let columns = Columns::find(csv.headers().map_err(csv_error)?)?;
        let mut tracks = Vec::new();
        let mut positions = HashMap::new();
        for record in csv.records() {
            let record = record.map_err(csv_error)?;
            let line = record.position().map_or(0, csv::Position::line);
            let at_line = |problem: String| CatalogError::Row { line, problem };
            if tracks.len() == MAX_TRACKS {
                return Err(at_line(format!(
                    "a catalogue holds at most {MAX_TRACKS} tracks"
                )));
            }
            let track = columns.track(&record).map_err(at_line)?;
            if positions.insert(track.id.clone(), tracks.len()).is_some() {
                return Err(at_line(format!("`id` {} is there already", track.id)));
            }
            tracks.push(track);
        }
        Ok(Self { tracks, positions })
    }

    /// All tracks, in the order of the file. A position in this slice is what
    /// [`search`](super::search) answers with.
    #[must_use]
    pub fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// The track with this Spotify id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Track> {
        self.tracks.get(self.position(id)?)
    }

    /// Where the track with this Spotify id stands in [`tracks`](Self::tracks).
    #[must_use]
    pub fn position(&self, id: &str) -> Option<usize> {
        self.positions.get(id).copied()
    }
}

/// Where each column stands in a row.
struct Columns {
    id: usize,
    name: usize,
    artists: usize,
    album: usize,
    release_date: usize,
    duration_ms: usize,
    explicit: usize,
    popularity: usize,
    isrc: usize,
}

impl Columns {
    fn find(heading: &StringRecord) -> Result<Self, CatalogError> {
        let find = |name: &'static str| {
            let found = heading.iter().position(|field| field.trim() == name);
            found.ok_or(CatalogError::MissingColumn(name))
        };
        Ok(Self {
            id: find("id")?,
            name: find("name")?,
            artists: find("artists")?,
            album: find("album")?,
            release_date: find("release_date")?,
            duration_ms: find("duration_ms")?,
            explicit: find("explicit")?,
            popularity: find("popularity")?,
            isrc: find("isrc")?,
        })
    }

    fn track(&self, row: &StringRecord) -> Result<Track, String> {
        if let Some(field) = row.iter().find(|field| field.len() > MAX_FIELD_BYTES) {
            return Err(format!(
                "a field of {} bytes, more than {MAX_FIELD_BYTES}",
                field.len()
            ));
        }
        // Rows have as many fields as the heading: the CSV reader refuses others.
        let field = |column: usize| row.get(column).unwrap_or_default().trim();
        let artists = field(self.artists).split(ARTIST_SEPARATOR).map(str::trim);
        Ok(Track {
            id: id(field(self.id))?,
            name: field(self.name).to_owned(),
            artists: artists
                .filter(|artist| !artist.is_empty())
                .map(str::to_owned)
                .collect(),
            album: field(self.album).to_owned(),
            release_date: release_date(field(self.release_date))?,
            duration_ms: number("duration_ms", field(self.duration_ms), u32::MAX)?,
            explicit: explicit(field(self.explicit))?,
            popularity: u8::try_from(number("popularity", field(self.popularity), 100)?)
                .unwrap_or_default(),
            isrc: isrc(field(self.isrc))?,
        })
    }
}

fn id(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !fits {
        return Err(format!(
            "`id` must be 1 to 64 letters and digits, not {text:?}"
        ));
    }
    Ok(text.to_owned())
}

fn release_date(text: &str) -> Result<String, String> {
    let digits = |part: &str, count: usize| {
        part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = text.split('-');
    let year = parts.next().is_some_and(|part| digits(part, 4));
    let rest = parts.all(|part| digits(part, 2)) && text.len() <= "YYYY-MM-DD".len();
    if text.is_empty() || (year && rest) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "`release_date` must be YYYY, YYYY-MM or YYYY-MM-DD, not {text:?}"
    ))
}

fn number(column: &str, text: &str, most: u32) -> Result<u32, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let value = text.parse().ok().filter(|value| *value <= most);
    value.ok_or_else(|| format!("`{column}` must be a whole number from 0 to {most}, not {text:?}"))
}

fn explicit(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "" => Ok(false),
        _ => Err(format!("`explicit` must be true or false, not {text:?}")),
    }
}

fn isrc(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let code: String = text
        .chars()
        .filter(|c| !matches!(c, '-' | ' '))
        .collect::<String>()
        .to_ascii_uppercase();
    if code.len() != 12 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(format!(
            "`isrc` must be 12 letters and digits, not {text:?}"
        ));
    }
    Ok(Some(code))
}

fn csv_error(source: csv::Error) -> CatalogError {
    CatalogError::Csv {
        line: source.position().map_or(1, csv::Position::line),
        source,
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str =
        "id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc\n";

    fn read(rows: &str) -> Result<Catalog, CatalogError> {
        Catalog::from_reader(format!("{HEADING}{rows}").as_bytes())
    }

    #[test]
    fn the_builtin_catalogue_holds_5000_tracks_with_their_details() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.tracks().len(), 5_000);
        let track = catalog.get("00s8dO3RWrFkBqC9JIy6ag").unwrap();
        assert_eq!(track.name, "Right Back Where We Started From");
        assert_eq!(track.artists, ["Maxine Nightingale"]);
        assert_eq!(
            (track.duration_ms, track.popularity, track.explicit),
            (192_266, 58, false)
        );
        assert_eq!(track.isrc.as_deref(), Some("GBAYE7500076"));
        assert_eq!(track.year(), Some(2019));
        assert_eq!(
            catalog.tracks()[catalog.position(&track.id).unwrap()],
            *track
        );
        assert!(catalog.get("nobody").is_none());
    }

    #[test]
    fn a_row_may_leave_all_but_the_id_empty_and_name_several_artists() {
        let catalog =
            read("a1,,,,,,,,\nb2,Duet,\"One; Two, of Three\",,1999-05,1,TRUE,,gb-aye-75-00076\n")
                .unwrap();
        let [bare, duet] = catalog.tracks() else {
            panic!("two rows")
        };
        assert_eq!(
            (
                bare.artists.len(),
                bare.duration_ms,
                bare.year(),
                &bare.isrc
            ),
            (0, 0, None, &None)
        );
        assert_eq!(duet.artists, ["One", "Two, of Three"]);
        assert_eq!((duet.explicit, duet.year()), (true, Some(1999)));
        assert_eq!(duet.isrc.as_deref(), Some("GBAYE7500076"));
    }

    #[test]
    fn an_error_names_the_line_and_the_column() {
        let good = "a1,\"Two\nlines\",A,B,1999,1000,false,5,\n";
        for (row, problem) in [
            (
                "a1,N,A,B,1999,1000,false,5,\n",
                "line 4: `id` a1 is there already",
            ),
            (",N,A,B,1999,1000,false,5,\n", "line 4: `id` must be"),
            (
                "b2,N,A,B,May 1999,1000,false,5,\n",
                "line 4: `release_date` must be",
            ),
            (
                "b2,N,A,B,1999,3:20,false,5,\n",
                "line 4: `duration_ms` must be",
            ),
            (
                "b2,N,A,B,1999,1000,maybe,5,\n",
                "line 4: `explicit` must be",
            ),
            (
                "b2,N,A,B,1999,1000,false,101,\n",
                "line 4: `popularity` must be",
            ),
            (
                "b2,N,A,B,1999,1000,false,5,GB123\n",
                "line 4: `isrc` must be",
            ),
            ("b2,N\n", "line 4: "),
        ] {
            let error = read(&format!("{good}{row}")).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{row:?} gave {error:?}");
        }
        let long = "x".repeat(MAX_FIELD_BYTES + 1);
        assert!(
            read(&format!("b2,{long},A,B,1999,1,false,5,\n"))
                .unwrap_err()
                .to_string()
                .contains("4097 bytes")
        );
    }

    #[test]
    fn what_is_not_a_catalogue_is_refused() {
        let missing = Catalog::from_reader("id,name,artists\n".as_bytes()).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "line 1: the catalogue has no column `album`"
        );
        let latin1 = [
            HEADING.as_bytes(),
            b"b2,Beyonc\xe9,A,B,1999,1000,false,5,\n",
        ]
        .concat();
        assert!(
            Catalog::from_reader(&latin1[..])
                .unwrap_err()
                .to_string()
                .starts_with("line 2: ")
        );
        let folder = tempfile::tempdir().unwrap();
        let absent = Catalog::from_path(&folder.path().join("none.csv"))
            .unwrap_err()
            .to_string();
        assert!(absent.contains("none.csv"), "{absent}");
    }
}
