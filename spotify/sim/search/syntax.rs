//! Spotify's query language: free text, and filters such as `artist:"Miles Davis" year:1955-1960`.
//!
//! A value is in quotes, or runs until the next filter. `isrc:` and `year:` take one word, and what
//! follows is free text again. Anything that isn't a filter is text: no query is an error.

use std::ops::RangeInclusive;

/// The longest query, in characters: Spotify answers 400 to a longer one ("Query exceeds maximum
/// length of 250 characters"). The index itself reads this much and leaves the rest.
pub const MAX_QUERY_CHARS: usize = 250;

/// A query, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    /// The text outside the filters.
    pub(super) text: Vec<Phrase>,
    pub(super) filters: Vec<Filter>,
}

/// A stretch of text as it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Phrase {
    pub(super) text: String,
    /// In quotes: the words belong together, in this order.
    pub(super) quoted: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Track(Phrase),
    Artist(Phrase),
    Album(Phrase),
    Isrc(String),
    /// The years, ends included. What isn't a year is an empty range.
    Year(RangeInclusive<u64>),
    /// A filter that Spotify has, on something the catalogue doesn't know: it lets nothing through.
    Unknown,
}

/// The names before the colon.
const FILTERS: [&str; 8] = [
    "track", "artist", "album", "isrc", "year", "upc", "genre", "tag",
];

/// Takes a query apart.
pub(super) fn parse(query: &str) -> Query {
    let end = query
        .char_indices()
        .nth(MAX_QUERY_CHARS)
        .map_or(query.len(), |(at, _)| at);
    let mut rest = &query[..end];
    let mut parsed = Query::default();
    loop {
        let (text, filter) = until_filter(rest);
        parsed.text.extend(phrases(text));
        let Some((name, after)) = filter else {
            return parsed;
        };
        let (value, after) = value(name, after);
        rest = after;
        if !value.text.is_empty() {
            parsed.filters.push(Filter::new(name, value));
        }
    }
}

impl Filter {
    fn new(name: &str, value: Phrase) -> Self {
        match name {
            "track" => Self::Track(value),
            "artist" => Self::Artist(value),
            "album" => Self::Album(value),
            "isrc" => Self::Isrc(value.text),
            "year" => Self::Year(years(&value.text)),
            _ => Self::Unknown,
        }
    }
}

/// The text before the next filter outside quotes; and that filter's name, with what follows its colon.
fn until_filter(text: &str) -> (&str, Option<(&'static str, &str)>) {
    let mut at_word_start = true;
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c == '"' {
            // A quote that is never closed is only a character.
            at += text[at + 1..].find('"').map_or(1, |length| length + 2);
            at_word_start = false;
            continue;
        }
        if at_word_start && let Some((name, after)) = filter_name(&text[at..]) {
            return (&text[..at], Some((name, after)));
        }
        at_word_start = c.is_whitespace();
        at += c.len_utf8();
    }
    (text, None)
}

fn filter_name(text: &str) -> Option<(&'static str, &str)> {
    let (name, after) = text.split_once(':')?;
    let known = FILTERS
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))?;
    Some((known, after))
}

/// The value of the filter `name` at the start of `text`, and what is left.
fn value<'a>(name: &str, text: &'a str) -> (Phrase, &'a str) {
    let text = text.trim_start();
    if let Some(inside) = text.strip_prefix('"')
        && let Some((quoted, rest)) = inside.split_once('"')
    {
        return (
            Phrase {
                text: quoted.trim().to_owned(),
                quoted: true,
            },
            rest,
        );
    }
    let end = match name {
        "isrc" | "year" | "upc" | "tag" => text.find(char::is_whitespace).unwrap_or(text.len()),
        _ => until_filter(text).0.len(),
    };
    let (value, rest) = text.split_at(end);
    (
        Phrase {
            text: value.trim().to_owned(),
            quoted: false,
        },
        rest,
    )
}

/// Free text cut at its quotes.
fn phrases(text: &str) -> Vec<Phrase> {
    let mut phrases = Vec::new();
    let mut rest = text;
    loop {
        let quoted = rest
            .split_once('"')
            .and_then(|(before, after)| Some((before, after.split_once('"')?)));
        let Some((before, (inside, after))) = quoted else {
            phrases.push(Phrase {
                text: rest.trim().to_owned(),
                quoted: false,
            });
            break;
        };
        phrases.push(Phrase {
            text: before.trim().to_owned(),
            quoted: false,
        });
        phrases.push(Phrase {
            text: inside.trim().to_owned(),
            quoted: true,
        });
        rest = after;
    }
    phrases.retain(|phrase| !phrase.text.is_empty());
    phrases
}

/// `1980` or `1980-1990`.
#[expect(
    clippy::reversed_empty_ranges,
    reason = "what isn't a year contains no year"
)]
fn years(text: &str) -> RangeInclusive<u64> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.trim().parse(), to.trim().parse()) {
        (Ok(from), Ok(to)) => from..=to,
        _ => 1..=0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Phrase {
        Phrase {
            text: text.to_owned(),
            quoted: false,
        }
    }

    fn quoted(text: &str) -> Phrase {
        Phrase {
            text: text.to_owned(),
            quoted: true,
        }
    }

    #[test]
    fn spotifys_own_example_parses() {
        let query = parse("remaster track:Doxy artist:Miles Davis");
        assert_eq!(query.text, [plain("remaster")]);
        assert_eq!(
            query.filters,
            [
                Filter::Track(plain("Doxy")),
                Filter::Artist(plain("Miles Davis"))
            ]
        );
    }

    #[test]
    fn a_quoted_value_ends_at_its_quote_and_one_word_filters_at_their_word() {
        let query = parse(r#"track:"So What" live YEAR:1955-1960 blue isrc:us-sm1-59-00113 green"#);
        assert_eq!(query.text, [plain("live"), plain("blue"), plain("green")]);
        let filters = [
            Filter::Track(quoted("So What")),
            Filter::Year(1955..=1960),
            Filter::Isrc("us-sm1-59-00113".to_owned()),
        ];
        assert_eq!(query.filters, filters);
    }

    #[test]
    fn a_quoted_filter_is_text_and_an_open_quote_is_a_character() {
        assert_eq!(
            parse(r#"say "artist: nobody" twice"#).text,
            [plain("say"), quoted("artist: nobody"), plain("twice")]
        );
        assert_eq!(parse(r#"5" of funk"#).text, [plain(r#"5" of funk"#)]);
        assert_eq!(
            parse(r#"artist:"Abba"#).filters,
            [Filter::Artist(plain("\"Abba"))]
        );
        assert_eq!(parse("Re: Stacks subtrack:x").filters, []);
    }

    #[test]
    fn what_says_nothing_filters_nothing_and_a_wrong_year_everything() {
        assert_eq!(parse("track: artist:\"\""), Query::default());
        let Filter::Year(never) = &parse("year:soon").filters[0] else {
            panic!("a year filter")
        };
        assert!(never.is_empty());
        assert_eq!(parse("genre:rock").filters, [Filter::Unknown]);
    }

    #[test]
    fn a_long_query_is_cut_between_characters() {
        let text = &parse(&"é".repeat(5_000)).text[0].text;
        assert_eq!(text.chars().count(), MAX_QUERY_CHARS);
    }
}
