//! Where the tracks of a batch come from: the call itself, the text of an export, or an export file.

use std::path::PathBuf;

use segue_workflows::{
    batch::{Imported, MOST_ROWS},
    import_file::{self, FileError},
    imports::{self, Import, ImportError, UnreadableRow, Wrong},
    track::SourceTrack,
};

use crate::{
    error::ToolError,
    rows::{self, Track},
    text,
};

/// Bytes of an export that is given as text: what fits a message of 16 MiB with its quotation marks
/// escaped. More than that is a message which no server on this SDK takes.
const LONGEST_EXPORT: usize = 10_000_000;
/// Characters of a playlist's name; other services allow longer ones than Spotify.
pub(crate) const LONGEST_NAME: usize = 500;
/// Unreadable rows that an answer names.
pub(crate) const MOST_SHOWN: usize = 5;
const ONE_OF: &str = "exactly one of tracks, export and file";

/// What a call says of its source.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// The tracks themselves.
    pub(crate) tracks: Option<Vec<Track>>,
    /// The text of an export.
    pub(crate) export: Option<String>,
    /// The path of an export.
    pub(crate) file: Option<String>,
    /// Which playlist of the export is meant.
    pub(crate) playlist: Option<String>,
}

/// The tracks of a source, in its order.
#[derive(Debug)]
pub(crate) struct Tracks {
    pub(crate) tracks: Vec<SourceTrack>,
    /// If they were imported: what is remembered of it.
    pub(crate) imported: Option<Imported>,
}

impl Source {
    /// Reads it. An export of 20 MB takes a second, and a disk may be slow, so it has a thread of its own.
    ///
    /// # Errors
    /// It is not exactly one source, or nothing can be made of it; the error names the argument.
    pub(crate) async fn read(self, folders: &[PathBuf]) -> Result<Tracks, ToolError> {
        let folders = folders.to_vec();
        let read = tokio::task::spawn_blocking(move || self.read_at_once(&folders)).await;
        read.map_err(|error| ToolError::engine_failed("read the source", &error))?
    }

    /// As [`Source::read`], on this thread.
    pub(crate) fn read_at_once(self, folders: &[PathBuf]) -> Result<Tracks, ToolError> {
        let given = [
            ("tracks", self.tracks.is_some()),
            ("export", self.export.is_some()),
            ("file", self.file.is_some()),
        ];
        let mut given = given.into_iter().filter(|(_, given)| *given);
        let (Some((first, _)), second) = (given.next(), given.next()) else {
            return Err(ToolError::invalid("tracks", "is missing", ONE_OF));
        };
        if let Some((second, _)) = second {
            let together = format!("was given together with {first}");
            return Err(ToolError::invalid(second, together, ONE_OF));
        }
        let playlist = self.playlist.as_deref();
        let playlist = text::optional("source_playlist", playlist, LONGEST_NAME)?;
        if let Some(tracks) = self.tracks {
            if playlist.is_some() {
                return Err(ToolError::invalid(
                    "source_playlist",
                    "goes with export and file alone",
                    "left out, where the tracks themselves are given",
                ));
            }
            return Ok(Tracks {
                tracks: rows::checked(tracks)?,
                imported: None,
            });
        }
        let import = match (&self.export, &self.file) {
            (Some(export), _) if export.len() > LONGEST_EXPORT => {
                return Err(ToolError::invalid(
                    "export",
                    "is too long",
                    "up to 10 MB of text; give a larger file as file, or export fewer playlists",
                ));
            }
            (Some(export), _) => imports::read(export.as_bytes()),
            (_, Some(file)) => imports::read(&import_file::read(file, folders).map_err(not_read)?),
            (None, None) => return Err(ToolError::invalid("tracks", "is missing", ONE_OF)),
        };
        let import = import.map_err(|error| refused(first, &error))?;
        taken(import, playlist.as_deref(), first)
    }
}

/// The songs of the playlist that is meant.
fn taken(import: Import, wanted: Option<&str>, field: &'static str) -> Result<Tracks, ToolError> {
    let chosen = import.choose(wanted).map_err(|error| match error.wrong {
        Wrong::File => ToolError::invalid(field, error.problem, "an export with at least one song"),
        Wrong::Playlist => ToolError::invalid("source_playlist", error.problem, NAMES),
    })?;
    let songs = chosen.tracks.len();
    if songs > MOST_ROWS {
        return Err(ToolError::invalid(
            field,
            format!("has {songs} songs"),
            &format!("up to {MOST_ROWS}: choose one playlist with source_playlist, or split it"),
        ));
    }
    let imported = Imported::new(chosen.format, &chosen.unreadable, &chosen.lines)
        .map_err(|error| ToolError::engine_failed("pack the rows", &error))?;
    Ok(Tracks {
        tracks: chosen.tracks,
        imported: Some(imported),
    })
}

const NAMES: &str = "the name of one of them, or \"*\" for all in the order of the file";

/// What it means that a file is not read.
fn not_read(error: FileError) -> ToolError {
    match error {
        FileError::NoFolder => ToolError::invalid(
            "file",
            "cannot be read: there is no folder to import from",
            "none so far. Set import_folders in segue.toml (or SEGUE_IMPORT_FOLDERS, or \
             --import-folder) to the folder it is in, or give the text of the file as export",
        ),
        FileError::Outside { folders } => ToolError::invalid(
            "file",
            format!("names no file that can be read inside the folders to import from ({folders})"),
            "the absolute path of a file in one of them; import_folders in segue.toml (or \
             SEGUE_IMPORT_FOLDERS, or --import-folder) allows more folders",
        ),
        FileError::TooLarge(error) => refused("file", &error),
    }
}

/// A file that was read, and of which nothing can be made.
fn refused(field: &'static str, error: &ImportError) -> ToolError {
    ToolError {
        message: error.to_string(),
        next_step: "Nothing was started: mend the export, or name another, and call again."
            .to_owned(),
        ..ToolError::invalid(field, "", "")
    }
}

/// The first rows that could not be read, in words.
pub(crate) fn told(unreadable: &[UnreadableRow]) -> String {
    imports::told(&unreadable[..MOST_SHOWN.min(unreadable.len())])
}

#[cfg(test)]
mod tests {
    use segue_workflows::imports::Format;

    use super::*;

    const FILE: &str = "Track name,Artist name,Album,Playlist name,Type,ISRC\n\
                        Halo,Beyoncé,,Mix,Playlist,\n\
                        Clocks,Coldplay,,Drive,Playlist,\n\
                        ,Coldplay,,Drive,Playlist,\n\
                        Yellow,Coldplay,,Mix,Playlist,\n\
                        broken\n";

    fn read(export: &str, playlist: Option<&str>) -> Result<Tracks, ToolError> {
        let source = Source {
            export: Some(export.to_owned()),
            playlist: playlist.map(str::to_owned),
            ..Source::default()
        };
        source.read_at_once(&[])
    }

    fn titles(read: &Tracks) -> Vec<&str> {
        read.tracks
            .iter()
            .map(|track| track.title.as_str())
            .collect()
    }

    #[test]
    fn exactly_one_source_is_taken() {
        let tracks = || Some(Vec::new());
        let export = || Some("A - B".to_owned());
        let source = |tracks, export, file: Option<&str>| Source {
            tracks,
            export,
            file: file.map(str::to_owned),
            playlist: None,
        };
        for (field, source) in [
            ("tracks", source(None, None, None)),
            ("tracks", source(tracks(), None, None)),
            ("export", source(tracks(), export(), None)),
            ("file", source(None, export(), Some("/x"))),
            ("file", source(None, None, Some("/x"))),
            ("export", source(None, Some(String::new()), None)),
            (
                "export",
                source(None, Some(" ".repeat(LONGEST_EXPORT + 1)), None),
            ),
        ] {
            let error = source.read_at_once(&[]).expect_err(field);
            assert_eq!(error.field, Some(field), "{error}");
        }
    }

    #[test]
    fn of_several_playlists_one_or_all_are_taken() {
        let error = read(FILE, None).expect_err("refused");
        assert_eq!(error.field, Some("source_playlist"));
        assert!(
            error.message.contains("\"Mix\" (2), \"Drive\" (1)"),
            "{error}"
        );
        let error = read(FILE, Some("mix")).expect_err("refused");
        assert!(error.message.contains("\"Mix\" (2)"), "{error}");

        for (wanted, songs, lines, unreadable) in [
            ("Mix", vec!["Halo", "Yellow"], vec![2, 5], 1),
            ("Drive", vec!["Clocks"], vec![3], 2),
            ("*", vec!["Halo", "Yellow", "Clocks"], vec![2, 5, 3], 2),
        ] {
            let read = read(FILE, Some(wanted)).expect("read");
            assert_eq!(titles(&read), songs);
            let imported = read.imported.expect("an import");
            assert_eq!(imported.format, Format::TuneMyMusic);
            assert_eq!(imported.lines(), Ok(lines));
            assert_eq!(imported.unreadable, unreadable, "{wanted}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_broken_rows_says_why() {
        let file = "title;artist;album;isrc\n;Queen;;\n";
        let error = read(file, None).expect_err("refused");
        assert_eq!(error.field, Some("export"));
        assert!(error.message.contains("line 2"), "{error}");
        assert!(error.message.contains("It has no title."), "{error}");
    }

    #[test]
    fn more_than_a_batch_holds_is_refused() {
        let file = "A - B\n".repeat(MOST_ROWS + 1);
        let error = read(&file, None).expect_err("refused");
        assert!(error.to_string().contains("source_playlist"), "{error}");
        assert!(read(&file[6..], None).is_ok());
    }
}
