//! What a user of Spotify's search expects of it.

use super::*;
use crate::sim::catalog::Catalog;

/// A small catalogue: title, artist, album, year, popularity, ISRC.
// A table reads better with a row a line.
#[rustfmt::skip]
const SONGS: [(&str, &str, &str, &str, u8, &str); 26] = [
    ("Roxanne", "The Police", "Outlandos D'Amour", "1978", 70, "GBAAM7801028"),
    ("Roxanne - Remastered 2003", "The Police", "Outlandos D'Amour (Remastered)", "1978", 60, "GBAAM0201110"),
    ("Roxanne - Live", "The Police", "Live!", "1995", 40, "GBAAM9500001"),
    ("Roxanne (Karaoke Version) [Originally Performed By The Police]", "Sing Along", "Hits", "2010", 5, ""),
    ("Roxanne", "Cover Kings", "Best of Covers", "2012", 10, ""),
    ("Every Breath You Take", "The Police", "Synchronicity", "1983", 85, "GBAAM8300001"),
    ("Hello", "Adele", "25", "2015", 80, "GBBKS1500214"),
    ("Hello", "Lionel Richie", "Can't Slow Down", "1983", 75, "USMO18390018"),
    ("Hello", "Nobody Known", "Hello", "2020", 0, ""),
    ("Hello, Goodbye", "The Beatles", "Magical Mystery Tour", "1967", 78, "GBAYE0601641"),
    ("Don’t Stop", "Fleetwood Mac", "Rumours", "1977-02-04", 77, "USWB10002758"),
    ("Halo", "Beyoncé", "I AM...SASHA FIERCE", "2008-11-14", 82, "USSM10804556"),
    ("Mrs. Robinson", "Simon & Garfunkel", "Bookends", "1968", 74, "USSM16700384"),
    ("夜に駆ける", "YOASOBI", "夜に駆ける", "2019-12-15", 79, "JPP301900001"),
    ("花道 ∞ Go All Out!!", "星谷悠太", "ミュージカルソング", "2018", 0, "JPPI01750870"),
    ("봄날", "BTS", "You Never Walk Alone", "2017", 76, "KRA381600001"),
    ("Группа крови", "Кино", "Группа крови", "1988", 50, "RUA018800001"),
    ("تملي معاك", "عمرو دياب", "تملي معاك", "2000", 55, "EGA010000001"),
    ("ก้อนหินก้อนนั้น", "โรส ศิรินทิพย์", "Rose", "2005", 30, ""),
    ("Queen", "Perfume Genius", "Too Bright", "2014", 55, ""),
    ("Bohemian Rhapsody", "Queen", "A Night at the Opera", "1975-11-21", 88, "GBUM71029604"),
    ("Killer", "Adamski", "Queen", "1990", 55, ""),
    ("Roadhouse Blues", "The Doors", "Morrison Hotel", "1970", 65, "USEE10000001"),
    ("Blues for the Roadhouse", "Nobody Known", "Bars", "2001", 20, ""),
    ("Losing My Religion", "R.E.M.", "Out Of Time", "1991", 81, "USWB19903477"),
    ("Holiday Medley", "Twice Credited", "Seasons", "", 3, "GBAYE0601641"),
];

fn songs() -> (Vec<Track>, SearchIndex) {
    let track =
        |(name, artist, album, date, popularity, isrc): (&str, &str, &str, &str, u8, &str)| Track {
            id: format!("{name}{artist}{date}"),
            name: name.to_owned(),
            artists: vec![artist.to_owned()],
            album: album.to_owned(),
            release_date: date.to_owned(),
            duration_ms: 200_000,
            explicit: false,
            popularity,
            isrc: (!isrc.is_empty()).then(|| isrc.to_owned()),
        };
    let tracks: Vec<Track> = SONGS.into_iter().map(track).collect();
    let index = SearchIndex::build(&tracks).unwrap();
    (tracks, index)
}

/// The "title by artist" of what a query finds in the small catalogue, best first.
fn found(query: &str) -> Vec<String> {
    let (tracks, index) = songs();
    let hits = index.search(query, 50, 0);
    assert_eq!(hits.ids.len(), hits.total.min(50), "{query:?}");
    hits.ids
        .into_iter()
        .map(|at| format!("{} by {}", tracks[at].name, tracks[at].artists[0]))
        .collect()
}

fn first(query: &str) -> String {
    found(query).first().cloned().unwrap_or_default()
}

#[test]
fn title_and_artist_find_the_song_first_and_its_versions_next() {
    for query in [
        "roxanne the police",
        "The Police Roxanne",
        "track:roxanne artist:police",
        "roxanne police",
    ] {
        let found = found(query);
        assert_eq!(found[0], "Roxanne by The Police", "{query:?}");
        assert!(
            found[1..3].contains(&"Roxanne - Remastered 2003 by The Police".to_owned()),
            "{query:?}: {found:?}"
        );
        assert!(
            found[1..3].contains(&"Roxanne - Live by The Police".to_owned()),
            "{query:?}: {found:?}"
        );
    }
    let karaoke =
        "Roxanne (Karaoke Version) [Originally Performed By The Police] by Sing Along".to_owned();
    assert!(found("roxanne the police").contains(&karaoke));
    assert!(found("roxanne").contains(&"Roxanne by Cover Kings".to_owned()));
    assert_eq!(
        first("roxanne live the police"),
        "Roxanne - Live by The Police"
    );
}

#[test]
fn equal_titles_are_ranked_by_popularity_and_a_whole_title_beats_a_part() {
    let hellos = [
        "Hello by Adele",
        "Hello by Lionel Richie",
        "Hello by Nobody Known",
        "Hello, Goodbye by The Beatles",
    ];
    assert_eq!(found("hello")[..4], hellos);
    assert_eq!(first("hello lionel richie"), "Hello by Lionel Richie");
    assert_eq!(first("hello goodbye"), "Hello, Goodbye by The Beatles");
}

#[test]
fn a_title_counts_more_than_an_artist_and_an_artist_more_than_an_album() {
    let (tracks, _) = songs();
    let even: Vec<Track> = tracks
        .into_iter()
        .map(|track| Track {
            popularity: 50,
            ..track
        })
        .collect();
    let index = SearchIndex::build(&even).unwrap();
    let ids = index.search("queen", 3, 0).ids;
    let titles: Vec<&str> = ids.into_iter().map(|at| even[at].name.as_str()).collect();
    assert_eq!(titles, ["Queen", "Bohemian Rhapsody", "Killer"]);
}

#[test]
fn an_isrc_is_exact_but_for_case_and_dashes_and_may_give_several_tracks() {
    for query in [
        "isrc:GBAAM7801028",
        "isrc:gb-aam-78-01028",
        "ISRC:\"GBAAM7801028\"",
    ] {
        assert_eq!(found(query), ["Roxanne by The Police"], "{query:?}");
    }
    assert_eq!(
        found("isrc:GBAYE0601641"),
        [
            "Hello, Goodbye by The Beatles",
            "Holiday Medley by Twice Credited"
        ]
    );
    for nothing in [
        "isrc:GBAAM780102",
        "isrc:GBAAM7801029",
        "isrc:\"\"",
        "isrc:***",
    ] {
        assert_eq!(found(nothing), [""; 0], "{nothing:?}");
    }
    assert_eq!(
        found("isrc:GBAYE0601641 artist:beatles"),
        ["Hello, Goodbye by The Beatles"]
    );
}

#[test]
fn filters_look_in_their_own_field_and_let_nothing_else_through() {
    assert_eq!(found("artist:queen"), ["Bohemian Rhapsody by Queen"]);
    assert_eq!(found("track:queen"), ["Queen by Perfume Genius"]);
    assert_eq!(found("album:queen"), ["Killer by Adamski"]);
    assert_eq!(
        found("album:\"Can't Slow Down\" hello"),
        ["Hello by Lionel Richie"]
    );
    assert_eq!(
        found("artist:Nobody Known track:Hello"),
        ["Hello by Nobody Known"]
    );
    assert_eq!(found("artist:\"Nobody At All\" track:Hello"), [""; 0]);
    assert_eq!(found("genre:rock hello"), [""; 0]);
}

#[test]
fn a_year_is_one_or_a_range_with_both_ends() {
    assert_eq!(found("hello year:1983"), ["Hello by Lionel Richie"]);
    assert_eq!(
        found("year:1967-1970 hello"),
        ["Hello, Goodbye by The Beatles"]
    );
    let in_the_70s = found("year:1970-1978");
    assert_eq!(in_the_70s.len(), 5, "{in_the_70s:?}");
    assert_eq!(in_the_70s[0], "Bohemian Rhapsody by Queen");
    assert_eq!(found("year:2008"), ["Halo by Beyoncé"]);
    for nothing in ["year:1800", "year:soon", "year:1978-1970", "year:-"] {
        assert_eq!(found(nothing), [""; 0], "{nothing:?}");
    }
}

#[test]
fn case_accents_and_punctuation_do_not_matter() {
    for (query, song) in [
        ("dont stop fleetwood mac", "Don’t Stop by Fleetwood Mac"),
        ("DON'T STOP", "Don’t Stop by Fleetwood Mac"),
        ("beyonce halo", "Halo by Beyoncé"),
        ("track:\"hálo\" artist:\"BEYONCÉ\"", "Halo by Beyoncé"),
        (
            "mrs robinson simon and garfunkel",
            "Mrs. Robinson by Simon & Garfunkel",
        ),
        (
            "artist:\"Simon Garfunkel\"",
            "Mrs. Robinson by Simon & Garfunkel",
        ),
        ("artist:rem", "Losing My Religion by R.E.M."),
    ] {
        assert_eq!(first(query), song, "{query:?}");
    }
}

#[test]
fn every_script_can_be_searched() {
    for (query, song) in [
        ("夜に駆ける", "夜に駆ける by YOASOBI"),
        ("駆ける YOASOBI", "夜に駆ける by YOASOBI"),
        ("花道", "花道 ∞ Go All Out!! by 星谷悠太"),
        ("花", "花道 ∞ Go All Out!! by 星谷悠太"),
        ("artist:\"星谷\"", "花道 ∞ Go All Out!! by 星谷悠太"),
        ("봄날", "봄날 by BTS"),
        ("track:\"봄날\" artist:\"BTS\"", "봄날 by BTS"),
        ("группа КРОВИ", "Группа крови by Кино"),
        ("artist:кино", "Группа крови by Кино"),
        ("عمرو دياب", "تملي معاك by عمرو دياب"),
        ("ก้อนหิน", "ก้อนหินก้อนนั้น by โรส ศิรินทิพย์"),
    ] {
        assert_eq!(first(query), song, "{query:?}");
    }
}

#[test]
fn small_slips_and_an_odd_word_still_find_the_song() {
    for query in [
        "bohemain rapsody",
        "bohemian rhapsody quen",
        "bohemian rhapsody queen official",
        "bohemian rhapsody lyrics hd queen",
        "bohemian rhaps",
        "track:\"Bohemian Rhapsody (Remastered)\" artist:\"Queen\"",
        "track:\"Bohemian Rapsody\" artist:\"Qeen\"",
    ] {
        assert_eq!(first(query), "Bohemian Rhapsody by Queen", "{query:?}");
    }
    assert_eq!(found("zzzzzz qqqqqq"), [""; 0]);
}

#[test]
fn what_has_all_the_words_comes_before_what_has_most() {
    let found = found("hello nobody");
    assert_eq!(
        found[0], "Hello by Nobody Known",
        "nobody plays it, but it has both words"
    );
    assert_eq!(found[1], "Hello by Adele");
    assert_eq!(first("roxanne covers"), "Roxanne by Cover Kings");
}

#[test]
fn words_in_quotes_belong_together() {
    assert_eq!(
        found("track:\"roadhouse blues\""),
        ["Roadhouse Blues by The Doors"]
    );
    let unordered = found("track:roadhouse blues");
    assert_eq!(
        unordered,
        [
            "Roadhouse Blues by The Doors",
            "Blues for the Roadhouse by Nobody Known"
        ]
    );
}

#[test]
fn pages_follow_one_another_without_gaps() {
    let catalog = Catalog::builtin();
    let index = SearchIndex::build(catalog.tracks()).unwrap();
    let whole = index.search("love", 50, 0);
    assert!(whole.total > 50);
    for page in 0..5 {
        let part = index.search("love", 10, page * 10);
        assert_eq!(part.total, whole.total);
        assert_eq!(part.ids, whole.ids[page * 10..page * 10 + 10]);
    }
    assert_eq!(index.search("love", 10, whole.total).ids, [0; 0]);
    assert_eq!(
        index.search("love", 0, 0),
        Hits {
            ids: Vec::new(),
            total: whole.total
        }
    );
    assert_eq!(
        index.search("love", usize::MAX, usize::MAX).total,
        whole.total
    );
    assert_eq!(index.search("love", usize::MAX, 0).ids.len(), whole.total);
}

#[test]
fn garbage_is_no_error() {
    let (_, index) = songs();
    let long = "hello ".repeat(1_000);
    for nothing in [
        "",
        " ",
        "\"",
        "\"\"",
        ":",
        "track:",
        "artist:\"\"",
        "\u{0}\u{7f}",
        "-",
        "isrc:",
        "year:",
    ] {
        assert_eq!(index.search(nothing, 10, 0), Hits::default(), "{nothing:?}");
    }
    for found in [
        "\"hello",
        "hello\"",
        "(hello",
        "hello AND",
        "hello OR (",
        "+hello",
        "-hello",
        "hello*",
        "hello~2",
        "hello^9",
        "[hello TO",
        "{hello}",
        "\\hello\\",
        "hello\u{0}",
        "track:hello\"",
        "foo:hello",
        long.as_str(),
    ] {
        assert!(index.search(found, 10, 0).total >= 4, "{found:?}");
    }
    let all: String = ('\u{20}'..'\u{3100}').collect();
    for query in all.chars().collect::<Vec<_>>().chunks(200) {
        let query: String = query.iter().collect();
        assert!(index.search(&query, 10, 0).total <= SONGS.len());
    }
}

#[test]
fn an_index_of_nothing_finds_nothing() {
    let index = SearchIndex::build(&[]).unwrap();
    for query in [
        "hello",
        "isrc:GBAAM7801028",
        "year:1999",
        "track:\"a b\" artist:c",
    ] {
        assert_eq!(index.search(query, 10, 0), Hits::default());
    }
}

#[test]
fn every_tenth_real_track_is_found_by_its_own_names() {
    let catalog = Catalog::builtin();
    let tracks = catalog.tracks();
    let index = SearchIndex::build(tracks).unwrap();
    let mut sampled = 0;
    let mut missed = Vec::new();
    for (at, track) in tracks
        .iter()
        .enumerate()
        .step_by(10)
        .filter(|(_, track)| !track.artists.is_empty())
    {
        let artist = &track.artists[0];
        let query = format!(
            "track:\"{}\" artist:\"{artist}\"",
            track.name.replace('"', "")
        );
        if query.chars().count() > MAX_QUERY_CHARS {
            continue;
        }
        sampled += 1;
        let same =
            |hit: &usize| tracks[*hit].name == track.name && tracks[*hit].artists.contains(artist);
        if !index.search(&query, 10, 0).ids.iter().any(same) {
            missed.push(&track.name);
        }
        if let Some(isrc) = &track.isrc {
            let hits = index.search(&format!("isrc:{isrc}"), 50, 0);
            assert!(
                hits.ids.contains(&at)
                    && hits.ids.iter().all(|hit| tracks[*hit].isrc == track.isrc),
                "{isrc}"
            );
        }
    }
    assert!(sampled > 450, "{sampled}");
    assert!(missed.is_empty(), "{missed:?}");
}
