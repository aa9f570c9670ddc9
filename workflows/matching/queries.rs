//! What to ask the upstream, in which order.

use serde::{Deserialize, Serialize};

use super::artists::Artists;
use super::normalise::{fold, isrc, transliterate};
use super::reading::untangle;
use super::title::Title;
use crate::track::SourceTrack;

/// A question to the upstream's search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Query {
    /// By recording code: 12 upper-case characters.
    Isrc(String),
    /// By text, with Spotify's field filters or without: at most [`MAX_QUERY_CHARS`] characters.
    Text(String),
}

/// Longest text of a query, in characters. Spotify refuses queries over 250.
pub const MAX_QUERY_CHARS: usize = 200;

/// Most questions asked about one track, those by its further codes aside.
pub const MAX_QUERIES: usize = 5;
/// Further codes that are asked for. A file that was tagged twice has one.
pub const MAX_OTHER_ISRCS: usize = 3;

/// The questions to ask about a track, the most exact first, none twice.
///
/// Each rung is asked only if those before it found nothing good enough. Folding has removed
/// quotes, colons and operators, and lower case keeps `NOT` a word, so no title can change what a
/// query means.
pub fn ladder(source: &SourceTrack) -> Vec<Query> {
    let (raw_title, raw_artist) = untangle(source);
    let title = Title::parse(&raw_title);
    let artists = Artists::from_text(&raw_artist);
    let base = searchable(&title.base);
    let extra = extra_words(&title, &raw_title);
    let album = searchable(&fold(source.album.as_deref().unwrap_or_default()));
    let everyone = if artists.is_empty() {
        String::new()
    } else {
        searchable(&fold(&raw_artist))
    };
    let artist = match artists.main() {
        // A long list is rarely spelt alike on both sides; a short one may be a name ("Earth, Wind
        // & Fire"), and as such is asked for whole.
        Some(main) if artists.names.len() > MAX_NAMES => searchable(main),
        _ => everyone.clone(),
    };
    let mut texts = Vec::new();
    if !artist.is_empty() {
        texts.push(fielded(&base, &artist));
        let detail = if extra.is_empty() { &album } else { &extra };
        texts.push(joined(&[&base, detail, &artist]));
        texts.push(joined(&[&base, &artist]));
        texts.push(joined(&[&transliterate(&base), &transliterate(&artist)]));
    }
    texts.push(joined(&[&searchable(&fold(&raw_title)), &everyone]));
    texts.push(joined(&[&base, &album]));

    let code = source.isrc.as_deref().and_then(isrc);
    let mut queries: Vec<Query> = code.map(Query::Isrc).into_iter().collect();
    let with_first_code = queries.len();
    for other in source.other_isrcs.iter().filter_map(|code| isrc(code)) {
        let query = Query::Isrc(other);
        if queries.len() < with_first_code + MAX_OTHER_ISRCS && !queries.contains(&query) {
            queries.push(query);
        }
    }
    let by_other_codes = queries.len() - with_first_code;
    for text in texts {
        let query = Query::Text(text);
        if query != Query::Text(String::new()) && !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries.truncate(MAX_QUERIES + by_other_codes);
    queries
}

/// More names than this are a list, of which only the first is asked for: the text itself and the
/// pieces of "Earth, Wind & Fire" are four.
const MAX_NAMES: usize = 4;

/// The words of the title beyond its base: subtitle, version, guests.
fn extra_words(title: &Title, raw: &str) -> String {
    let base: Vec<&str> = title.base.split(' ').collect();
    let words = searchable(&fold(raw));
    words
        .split(' ')
        .filter(|w| !base.contains(w))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Spotify's field filters. Both halves are cut by themselves, so that a long title leaves room for
/// the artist.
fn fielded(title: &str, artist: &str) -> String {
    if title.is_empty() {
        return format!("artist:{}", clip(artist, 60));
    }
    format!("track:{} artist:{}", clip(title, 120), clip(artist, 60))
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
    clip(&parts.join(" "), MAX_QUERY_CHARS)
}

/// Words only: what folding kept as symbols would be an operator or nothing.
fn searchable(folded: &str) -> String {
    folded
        .replace([':', '"', '*', '-'], " ")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// At most `limit` characters, cut between words.
fn clip(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let cut: String = text.chars().take(limit).collect();
    cut.rsplit_once(' ')
        .map_or(cut.clone(), |(whole, _)| whole.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(title: &str, artist: &str) -> SourceTrack {
        SourceTrack {
            title: title.into(),
            artist: artist.into(),
            ..SourceTrack::default()
        }
    }

    fn texts(source: &SourceTrack) -> Vec<String> {
        ladder(source)
            .into_iter()
            .filter_map(|query| match query {
                Query::Text(text) => Some(text),
                Query::Isrc(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_recording_code_comes_first_if_it_is_one() {
        let mut track = source("Yesterday", "The Beatles");
        track.isrc = Some("gb-aye-06-01477".into());
        assert_eq!(ladder(&track)[0], Query::Isrc("GBAYE0601477".into()));
        track.isrc = Some("none".into());
        assert!(matches!(ladder(&track)[0], Query::Text(_)));
    }

    #[test]
    fn further_recording_codes_come_before_the_texts_and_take_no_place_from_them() {
        let mut track = source("Get Lucky (Radio Edit)", "Daft Punk & Pharrell Williams");
        track.album = Some("Random Access Memories".into());
        track.isrc = Some("USQX91300104".into());
        let before = ladder(&track);
        let further = ["usqx91300108", "none", "USQX91300104", "USQX91300108"];
        track.other_isrcs = further.map(str::to_owned).to_vec();
        let mut expected = before;
        expected.insert(1, Query::Isrc("USQX91300108".into()));
        assert_eq!(ladder(&track), expected);
        track.other_isrcs = (0..50).map(|n| format!("USQX913002{n:02}")).collect();
        assert_eq!(ladder(&track).len(), expected.len() - 1 + MAX_OTHER_ISRCS);
    }

    #[test]
    fn the_first_text_is_fielded_and_bare() {
        let track = source(
            "Get Lucky (feat. Pharrell Williams) - Radio Edit",
            "Daft Punk",
        );
        assert_eq!(texts(&track)[0], "track:get lucky artist:daft punk");
        assert_eq!(
            texts(&track)[1],
            "get lucky feat pharrell williams radio edit daft punk"
        );
    }

    #[test]
    fn other_scripts_are_also_asked_for_in_latin_letters() {
        let track = source("Группа крови", "Кино");
        assert!(
            texts(&track).contains(&"gruppa krovi kino".to_owned()),
            "{:?}",
            texts(&track)
        );
    }

    #[test]
    fn no_title_can_change_what_a_query_means() {
        for title in [
            "\"Heroes\"",
            "artist:nobody",
            "NOT You OR Me",
            "a* -b year:1999",
            "::",
            "\"",
            "",
        ] {
            // Of a long list the first is asked for alone, also when it is nothing but a symbol.
            let artists = ["David \"Bowie\": x", "\",one,two,three,four"];
            let tracks = artists.map(|artist| source(title, artist));
            for track in &tracks {
                let queries = ladder(track);
                assert!(!queries.is_empty() && queries.len() <= MAX_QUERIES);
            }
            for text in tracks.iter().flat_map(texts) {
                let rest = text.replacen("track:", "", 1).replacen("artist:", "", 1);
                assert!(!rest.contains([':', '"', '*', '-']), "{text}");
                assert!(!rest.contains("NOT") && !rest.contains("OR"), "{text}");
                assert!(text.chars().count() <= MAX_QUERY_CHARS, "{text}");
            }
        }
    }

    #[test]
    fn long_text_is_cut_and_keeps_the_artist() {
        let track = source(&"very long words ".repeat(100), &"name ".repeat(100));
        for text in texts(&track) {
            assert!(text.chars().count() <= MAX_QUERY_CHARS);
        }
        assert!(texts(&track)[0].contains("artist:name"));
    }

    #[test]
    fn nothing_to_ask_for_is_no_question() {
        assert_eq!(ladder(&SourceTrack::default()), []);
    }
}
