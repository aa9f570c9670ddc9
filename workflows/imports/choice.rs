//! Which playlist of a file is meant.

use std::fmt;

use super::{Format, Import, ImportedPlaylist, UnreadableRow};
use crate::track::SourceTrack;

/// What stands for all playlists of a file.
const ALL: &str = "*";
/// Characters that a refusal spends on the names of playlists, and on one of them.
const MOST_NAMED: usize = 350;
const MOST_OF_A_NAME: usize = 80;

/// The songs of the playlist that is meant, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The form in which the file was read.
    pub format: Format,
    /// The songs.
    pub tracks: Vec<SourceTrack>,
    /// The line of each.
    pub lines: Vec<u32>,
    /// The rows that could not be read, but for those of other playlists.
    pub unreadable: Vec<UnreadableRow>,
}

/// Why nothing is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct NotChosen {
    /// What has to be another.
    pub wrong: Wrong,
    /// What is wrong with it, to be said behind its name.
    pub problem: String,
}

/// What has to be another when nothing is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The file itself.
    File,
    /// The name of the playlist.
    Playlist,
}

impl fmt::Display for NotChosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.wrong {
            Wrong::File => "the file",
            Wrong::Playlist => "source_playlist",
        };
        write!(f, "{name} {}", self.problem)
    }
}

impl Import {
    /// The songs of the playlist of this name; of all of them, if it is "*". Nothing has to be said of a
    /// file with one playlist.
    ///
    /// # Errors
    /// No row can be read, or it is not clear which playlist is meant.
    pub fn choose(self, wanted: Option<&str>) -> Result<Chosen, NotChosen> {
        let (format, mut playlists, mut unreadable) =
            (self.format, self.playlists, self.unreadable);
        let refused = |wrong, problem| Err(NotChosen { wrong, problem });
        if playlists.is_empty() {
            let first = told(&unreadable[..1.min(unreadable.len())]);
            let problem = format!(
                "has no row that can be read ({}): {}",
                format.name(),
                first.trim_end_matches('.')
            );
            return refused(Wrong::File, problem);
        }
        match wanted {
            Some(ALL) => {}
            Some(name) => {
                let meant = |list: &ImportedPlaylist| list.name.as_deref() == Some(name);
                if !playlists.iter().any(meant) {
                    let none = format!("is none of the file's: {}", listed(&playlists));
                    return refused(Wrong::Playlist, none);
                }
                playlists.retain(meant);
                // Of a row that is broken it is not always known where it belongs.
                unreadable.retain(|row| row.playlist.as_deref().is_none_or(|own| own == name));
            }
            None if playlists.len() > 1 => {
                let several = format!(
                    "is missing: the file holds {} playlists: {}",
                    playlists.len(),
                    listed(&playlists)
                );
                return refused(Wrong::Playlist, several);
            }
            None => {}
        }
        let rows = playlists.into_iter().flat_map(|playlist| playlist.rows);
        let (lines, tracks) = rows.map(|row| (row.line, row.track)).unzip();
        Ok(Chosen {
            format,
            tracks,
            lines,
            unreadable,
        })
    }
}

/// Playlists with their sizes, as many as there is room for.
fn listed(playlists: &[ImportedPlaylist]) -> String {
    let mut names = String::new();
    for (place, list) in playlists.iter().enumerate() {
        let name = match &list.name {
            Some(name) => format!("{:?}", cut(name)),
            None => "one without a name".to_owned(),
        };
        let name = format!("{name} ({})", list.rows.len());
        if names.chars().count() + name.chars().count() > MOST_NAMED {
            let more = playlists.len() - place;
            return format!("{names} and {more} more");
        }
        let comma = if names.is_empty() { "" } else { ", " };
        names = format!("{names}{comma}{name}");
    }
    names
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(MOST_OF_A_NAME) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// Rows that could not be read, in words.
pub fn told(unreadable: &[UnreadableRow]) -> String {
    let row = |row: &UnreadableRow| format!("line {}, {:?}: {}", row.line, row.text, row.reason);
    let rows: Vec<String> = unreadable.iter().map(row).collect();
    rows.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_as_many_playlists_as_there_is_room_for() {
        let playlist = |n: usize| ImportedPlaylist {
            name: Some(format!("No. {n} {}", "é".repeat(300))),
            rows: Vec::new(),
        };
        let playlists: Vec<ImportedPlaylist> = (0..100).map(playlist).collect();
        let told = listed(&playlists);
        assert!(told.chars().count() < 400, "{told}");
        assert!(
            told.starts_with("\"No. 0 é") && told.ends_with(" and 97 more"),
            "{told}"
        );
    }
}
