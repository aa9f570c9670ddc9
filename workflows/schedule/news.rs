//! What is new in a source since the last run, and what has left it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Memory;
use crate::{
    batch::{MOST_PACKED, MOST_ROWS, NotPacked, Packed, ROWS_A_PAGE, SourcePage},
    imports::UnreadableRow,
    track::SourceTrack,
};

/// A source, beside what earlier runs knew of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct News {
    /// The rows that no run has handled, in the order of the source.
    pub pages: Vec<SourcePage>,
    /// How many they are.
    pub rows: u32,
    /// New rows that do not go into one batch: they are as new to the next run.
    #[serde(default)]
    pub left: u32,
    /// Rows of the whole source.
    pub source_rows: u32,
    /// Rows of an export file that could not be read.
    #[serde(default)]
    pub unreadable: u32,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_unreadable: Option<UnreadableRow>,
    /// Entries of a playlist that are no tracks of Spotify's catalogue.
    #[serde(default)]
    pub no_tracks: u32,
    /// What earlier runs left, but for what has left the source.
    pub memory: Memory,
    /// Ids of tracks that earlier runs added and that have left the source, 22 characters each.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gone: String,
    /// The user is to be told what becomes of it. A schedule may be older than the webhook, so it is the worker
    /// that knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub notify: bool,
}

/// Compares a source with what earlier runs knew of it. At most so many rows, and so many bytes, are
/// taken as a batch takes.
///
/// # Errors
/// A row has no form in JSON.
pub fn news_of(rows: Vec<SourceTrack>, before: &Memory) -> Result<News, NotPacked> {
    let mut news = News {
        source_rows: count(rows.len()),
        ..News::default()
    };
    news.memory.playlist_id.clone_from(&before.playlist_id);
    let there: BTreeSet<&str> = rows
        .iter()
        .filter_map(|row| row.spotify_id.as_deref())
        .collect();
    for id in before.our_ids() {
        match there.contains(id) {
            true => news.memory.ours.push_str(id),
            false => news.gone.push_str(id),
        }
    }
    let (old, new): (Vec<_>, Vec<_>) = rows.iter().partition(|row| before.known.has_row(row));
    for row in old {
        news.memory.known.is_repeated(row);
        if before.as_another.has_row(row) {
            news.memory.as_another.is_repeated(row);
        }
    }
    let mut size = 0;
    for page in new.chunks(ROWS_A_PAGE) {
        let page: Vec<SourceTrack> = page.iter().map(|&row| row.clone()).collect();
        let packed = Packed::of(&page)?;
        size += packed.size();
        if size > MOST_PACKED || news.rows as usize + page.len() > MOST_ROWS {
            break;
        }
        news.rows += count(page.len());
        news.pages.push(packed);
    }
    news.left = count(new.len()) - news.rows;
    Ok(news)
}

fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(n: usize) -> SourceTrack {
        SourceTrack {
            title: format!("Song {n} of a list that is as long as Spotify allows"),
            artist: format!("Artist {}, Another {}", n * 7919 % 10_000, n % 97),
            isrc: Some(format!("USRC1{:07}", n * 48_611 % 10_000_000)),
            spotify_id: Some(format!("{:022}", n * 104_729)),
            ..SourceTrack::default()
        }
    }

    /// The next run's memory, if all new rows were added.
    fn after(news: News) -> Memory {
        let mut memory = news.memory;
        for page in news.pages {
            for row in page.unpack().expect("rows") {
                memory.note(&row, true);
            }
        }
        memory
    }

    fn rows_of(news: &News) -> Vec<SourceTrack> {
        let pages = news.pages.iter().map(|page| page.unpack().expect("rows"));
        pages.flatten().collect()
    }

    #[test]
    fn only_what_no_run_has_handled_is_new_and_what_left_is_told() {
        let first = news_of((0..4).map(row).collect(), &Memory::default()).expect("news");
        assert_eq!((first.rows, first.source_rows), (4, 4));
        let memory = after(first);

        let second = news_of((2..6).map(row).collect(), &memory).expect("news");
        assert_eq!(rows_of(&second), [row(4), row(5)]);
        let gone = row(0).spotify_id.expect("an id") + &row(1).spotify_id.expect("an id");
        assert_eq!(second.gone, gone);
        let memory = after(second);
        assert_eq!(memory.our_ids().count(), 4);

        let third = news_of((2..6).map(row).collect(), &memory).expect("news");
        assert_eq!((third.rows, third.gone.as_str()), (0, ""));
        // What has left the source and comes back is new again.
        let back = news_of(vec![row(0)], &memory).expect("news");
        assert_eq!(back.rows, 1);
    }

    #[test]
    fn a_new_row_that_stands_twice_in_the_source_stays_new_until_it_has_had_its_turn() {
        let news = news_of(vec![row(1), row(1)], &Memory::default()).expect("news");
        assert_eq!(news.rows, 2, "the batch tells that one is a repetition");
        assert!(news.memory.known.is_empty());
    }

    #[test]
    fn the_longest_playlist_fits_and_what_does_not_is_left_to_the_next_run() {
        let news = news_of((0..10_000).map(row).collect(), &Memory::default()).expect("news");
        assert_eq!((news.rows, news.left), (10_000, 0));
        let size = serde_json::to_string(&news).expect("written").len();
        assert!(size < 1_400_000, "{size}");
        let memory = after(news);
        let size = serde_json::to_string(&memory).expect("written").len();
        assert!(size < 400_000, "{size}");

        let news = news_of((0..30_000).map(row).collect(), &memory).expect("news");
        assert_eq!(news.source_rows, 30_000);
        assert_eq!(news.rows + news.left, 20_000);
        assert!(news.rows > 10_000, "{}", news.rows);
    }
}
