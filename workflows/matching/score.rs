//! How well a candidate fits a source track, part by part.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::album;
use super::artists::{self, Artists};
use super::kind::Kind;
use super::reading::Reading;
use super::version::Version;
use super::{agreement, likeness};
use crate::track::{Candidate, SourceTrack};

/// The confidence from which a match is made without asking.
pub const DEFAULT_THRESHOLD: f64 = 0.85;

/// The weight of the title in the text score.
const TITLE_WEIGHT: f64 = 0.50;
/// The weight of the artists.
const ARTIST_WEIGHT: f64 = 0.35;
/// The weight of the album; without one on both sides the others share it.
const ALBUM_WEIGHT: f64 = 0.15;

/// Below this a title or an artist is another one, and the rest can't make up for it.
const DIFFERENT: f64 = 0.6;
/// The most confidence a candidate gets whose title or artist is another.
const DIFFERENT_CAP: f64 = 0.55;
/// The most confidence without a known artist: below the default threshold, so a person decides.
const UNKNOWN_ARTIST_CAP: f64 = 0.8;
/// The confidence of a shared ISRC whose title and artist both contradict it.
const SUSPICIOUS_ISRC: f64 = 0.5;
/// Title and artist both below this contradict a shared ISRC.
const CONTRADICTION: f64 = 0.3;

/// How a match was found.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MatchMethod {
    /// Both sides name the same recording by its ISRC.
    Isrc,
    /// Title, artist, album, length and version agree well enough.
    Fuzzy,
    /// A model chose among close candidates.
    Ai,
    /// The user chose.
    Review,
    /// The source names Spotify's track itself: nothing was searched.
    Given,
}

impl MatchMethod {
    /// The method as clients and operators see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Isrc => "isrc",
            Self::Fuzzy => "fuzzy",
            Self::Ai => "ai",
            Self::Review => "review",
            Self::Given => "given",
        }
    }
}

/// What each part of the comparison says. All from 0.0 to 1.0.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScoreParts {
    /// Likeness of the titles, versions and guests aside.
    pub title: f64,
    /// Likeness of the artists.
    pub artist: f64,
    /// Likeness of the albums, where both are known; 0.6 for a different album.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<f64>,
    /// Factor for the lengths, where both are known: 1.0 within 3 seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Factor for the version: 1.0 for the same, 0.55 for another recording.
    pub version: f64,
    /// Whether the ISRCs agree, where both are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isrc: Option<bool>,
}

/// How well a candidate fits, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// 0.0 to 1.0; 1.0 for a shared ISRC.
    pub confidence: f64,
    /// What the confidence rests on.
    pub method: MatchMethod,
    /// The confidence taken apart.
    pub parts: ScoreParts,
    /// What differs about the version, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_note: Option<String>,
}

/// Scores a candidate against a source track.
pub fn score(source: &SourceTrack, candidate: &Candidate) -> Score {
    compare(
        &Reading::of_source(source),
        &Reading::of_candidate(candidate),
    )
}

/// Scores two readings.
pub(super) fn compare(asked: &Reading, offered: &Reading) -> Score {
    let mut known = asked.artists.words();
    known.extend(offered.artists.words());
    let mut told = known.clone();
    told.extend(
        asked
            .album_words()
            .intersection(&offered.album_words())
            .cloned(),
    );

    let artist = artists::compare(&asked.artists, &offered.artists, &offered.title.features)
        * guests(asked, offered);
    let title = likeness::compare(&asked.title, &offered.title, &told);
    let album = match (&asked.album, &offered.album) {
        (Some(a), Some(b)) => Some(album::compare(a, b)),
        _ => None,
    };
    let agreement = agreement::compare(
        &explained(&asked.version, offered),
        &explained(&offered.version, asked),
    );
    let duration = durations(asked.duration_ms, offered.duration_ms);
    let isrc = match (&asked.isrc, &offered.isrc) {
        (Some(a), Some(b)) => Some(a == b || asked.other_isrcs.contains(b)),
        _ => None,
    };
    let parts = ScoreParts {
        title,
        artist,
        album,
        duration,
        version: agreement.factor,
        isrc,
    };
    let (confidence, method) = weigh(&parts, asked.artists.is_empty());
    Score {
        confidence,
        method,
        parts,
        version_note: agreement.note,
    }
}

/// The confidence that the parts add up to.
fn weigh(parts: &ScoreParts, artist_unknown: bool) -> (f64, MatchMethod) {
    if parts.isrc == Some(true) {
        let contradicted = parts.title < CONTRADICTION
            && parts.artist < CONTRADICTION
            && parts.duration.is_none_or(|d| d < 1.0);
        let confidence = if contradicted { SUSPICIOUS_ISRC } else { 1.0 };
        return (confidence, MatchMethod::Isrc);
    }
    let mut sum = TITLE_WEIGHT * parts.title;
    let mut weight = TITLE_WEIGHT;
    if !artist_unknown {
        sum += ARTIST_WEIGHT * parts.artist;
        weight += ARTIST_WEIGHT;
    }
    if let Some(album) = parts.album {
        sum += ALBUM_WEIGHT * album;
        weight += ALBUM_WEIGHT;
    }
    let mut confidence = sum / weight * parts.version * parts.duration.unwrap_or(1.0);
    if artist_unknown {
        confidence = confidence.min(UNKNOWN_ARTIST_CAP);
    } else if parts.artist < DIFFERENT {
        confidence = confidence.min(DIFFERENT_CAP);
    }
    if parts.title < DIFFERENT {
        confidence = confidence.min(DIFFERENT_CAP);
    }
    (confidence.clamp(0.0, 1.0), MatchMethod::Fuzzy)
}

/// A version without the names that the other side tells elsewhere: "B-Sides Version" of a track
/// on the album "B-Sides", "Skrillex Remix" by Skrillex.
fn explained(version: &Version, other: &Reading) -> Version {
    let mut version = version.clone();
    if version.kinds.contains(&Kind::Named) {
        let words = other.album_words();
        if version.names.iter().all(|n| words.contains(n)) {
            version.kinds.remove(&Kind::Named);
            version.names.clear();
        }
    }
    version
}

/// The factor for the guests that both titles name: other guests, another recording.
fn guests(asked: &Reading, offered: &Reading) -> f64 {
    if asked.title.features.is_empty() {
        return 1.0;
    }
    let theirs = Artists::from_list(
        offered
            .title
            .features
            .iter()
            .map(String::as_str)
            .chain(offered.artists.names.iter().map(String::as_str)),
    );
    let found = asked
        .title
        .features
        .iter()
        .any(|guest| artists::compare(&Artists::from_text(guest), &theirs, &[]) >= 0.85);
    match (found, offered.title.features.is_empty()) {
        (true, _) => 1.0,
        (false, true) => 0.9,
        (false, false) => 0.7,
    }
}

/// The factor for the lengths: 1.0 within 3 seconds (services round and trim silence), 0.97 at 10,
/// 0.9 at 20, and 0.75 from 60 seconds on.
fn durations(a: Option<u32>, b: Option<u32>) -> Option<f64> {
    let seconds = f64::from(a?.abs_diff(b?)) / 1000.0;
    let points = [(3.0, 1.0), (10.0, 0.97), (20.0, 0.9), (60.0, 0.75)];
    let mut factor = 1.0;
    for pair in points.windows(2) {
        let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
        let along = ((seconds - x0) / (x1 - x0)).clamp(0.0, 1.0);
        factor += (y1 - y0) * along;
    }
    Some(factor)
}

impl Score {
    /// The score in one sentence, for a person.
    pub fn explanation(&self) -> String {
        let p = &self.parts;
        let mut said = vec![grade(p.title, "title"), grade(p.artist, "artist")];
        said.extend(p.album.map(|a| grade(a, "album")));
        said.extend(p.duration.map(|d| {
            if d >= 1.0 {
                "same length".to_owned()
            } else {
                format!("other length ({d:.2})")
            }
        }));
        said.push(match &self.version_note {
            Some(note) => format!("version: {note}"),
            None => "same version".to_owned(),
        });
        let basis = match (self.method, self.confidence >= 1.0) {
            (MatchMethod::Given, _) => return "The source names this very track.".to_owned(),
            (MatchMethod::Isrc, true) => "Same ISRC; ",
            (MatchMethod::Isrc, false) => "Same ISRC, but it contradicts the names; ",
            _ => "",
        };
        let sentence = format!("{basis}{} ({:.2}).", said.join(", "), self.confidence);
        let mut letters = sentence.chars();
        letters
            .next()
            .map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
    }
}

fn grade(value: f64, part: &str) -> String {
    match value {
        v if v >= 0.985 => format!("same {part}"),
        v if v >= 0.8 => format!("nearly the same {part} ({v:.2})"),
        v => format!("another {part} ({v:.2})"),
    }
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

    fn candidate(title: &str, artists: &[&str]) -> Candidate {
        Candidate {
            id: title.into(),
            title: title.into(),
            artists: artists.iter().map(|&a| a.to_owned()).collect(),
            ..Candidate::default()
        }
    }

    #[test]
    fn a_shared_isrc_wins_over_spelling() {
        let mut asked = source("Blue and White Porcelain", "Jay Chou");
        let mut offered = candidate("青花瓷", &["周杰倫"]);
        asked.isrc = Some("tw-k97-07-00001".into());
        offered.isrc = Some("TWK970700001".into());
        offered.title = "青花瓷 (Blue and White Porcelain)".into();
        let score = score(&asked, &offered);
        assert_eq!((score.confidence, score.method), (1.0, MatchMethod::Isrc));
    }

    #[test]
    fn a_shared_isrc_that_everything_contradicts_is_left_to_a_person() {
        let mut asked = source("Yesterday", "The Beatles");
        let mut offered = candidate("Toxic", &["Britney Spears"]);
        asked.isrc = Some("GBAYE0601477".into());
        offered.isrc.clone_from(&asked.isrc);
        let doubtful = score(&asked, &offered);
        assert!(doubtful.confidence < DEFAULT_THRESHOLD);
        assert!(doubtful.explanation().contains("contradicts"));
        // The same length speaks for the code after all: the names may be in other languages.
        (asked.duration_ms, offered.duration_ms) = (Some(125_000), Some(125_500));
        assert_eq!(score(&asked, &offered).confidence, 1.0);
    }

    #[test]
    fn another_isrc_proves_nothing() {
        let mut asked = source("Yesterday", "The Beatles");
        let mut offered = candidate("Yesterday - Remastered 2009", &["The Beatles"]);
        asked.isrc = Some("GBAYE6500521".into());
        offered.isrc = Some("GBAYE0601477".into());
        let score = score(&asked, &offered);
        assert_eq!(score.method, MatchMethod::Fuzzy);
        assert!(score.confidence > DEFAULT_THRESHOLD);
        assert_eq!(score.parts.isrc, Some(false));
    }

    #[test]
    fn another_album_does_not_sink_a_right_song() {
        let mut asked = source("Yesterday", "The Beatles");
        let mut offered = candidate("Yesterday", &["The Beatles"]);
        (asked.album, offered.album) = (Some("Help!".into()), Some("1".into()));
        let other = score(&asked, &offered).confidence;
        offered.album = Some("Help! (Remastered)".into());
        let same = score(&asked, &offered).confidence;
        assert!(DEFAULT_THRESHOLD < other && other < same);
    }

    #[test]
    fn length_decides_where_words_do_not() {
        let mut asked = source("Animals", "Martin Garrix");
        let mut offered = candidate("Animals", &["Martin Garrix"]);
        asked.duration_ms = Some(303_000);
        offered.duration_ms = Some(304_500);
        assert!(score(&asked, &offered).confidence > 0.99);
        offered.duration_ms = Some(176_000);
        assert!(score(&asked, &offered).confidence < DEFAULT_THRESHOLD);
    }

    #[test]
    fn a_single_names_its_version_on_the_cover() {
        let mut asked = source("Humble", "Skrillex");
        asked.album = Some("Humble (Skrillex Remix)".into());
        let remix = candidate("Humble - Skrillex Remix", &["Skrillex", "Kendrick Lamar"]);
        let usual = candidate("Humble", &["Kendrick Lamar", "Skrillex"]);
        assert!(score(&asked, &remix).confidence > DEFAULT_THRESHOLD);
        assert!(score(&asked, &usual).confidence < DEFAULT_THRESHOLD);
    }

    #[test]
    fn a_version_named_after_the_album_is_no_other_version() {
        let mut asked = source("Elective Amnesia", "Rise Against");
        let mut offered = candidate("Elective Amnesia - B-Sides Version", &["Rise Against"]);
        asked.album = Some("Long Forgotten Songs: B-Sides & Covers".into());
        offered.album.clone_from(&asked.album);
        assert!(score(&asked, &offered).confidence > 0.95);
    }

    #[test]
    fn other_guests_are_another_recording() {
        let asked = source("Bad (feat. Rihanna)", "Wale");
        let same = candidate("Bad - feat. Rihanna", &["Wale", "Rihanna"]);
        let listed = candidate("Bad", &["Wale", "Rihanna"]);
        let other = candidate("Bad (feat. Tiara Thomas)", &["Wale", "Tiara Thomas"]);
        assert!(score(&asked, &same).confidence > 0.95);
        assert!(score(&asked, &listed).confidence > 0.95);
        assert!(score(&asked, &other).confidence < 0.9);
    }

    #[test]
    fn videos_that_carry_the_artist_in_the_title_are_read() {
        let offered = candidate("Never Gonna Give You Up", &["Rick Astley"]);
        for artist in ["Rick Astley", ""] {
            let asked = source(
                "Rick Astley - Never Gonna Give You Up (Official Video)",
                artist,
            );
            assert!(score(&asked, &offered).confidence > 0.95, "{artist}");
        }
    }

    #[test]
    fn without_an_artist_a_person_decides() {
        let score = score(
            &source("Yesterday", ""),
            &candidate("Yesterday", &["The Beatles"]),
        );
        assert!(score.confidence < DEFAULT_THRESHOLD && score.confidence > 0.5);
    }

    #[test]
    fn any_text_scores_within_bounds_and_explains_itself() {
        let texts = [
            "",
            " ",
            "-",
            " - ",
            "(",
            ")",
            "((",
            "()",
            "(()",
            "[feat. ]",
            "feat.",
            "💿🎵",
            "\u{202e}abc",
            "é\u{301}\u{301}",
            "ﷺ",
            "\0",
            "a - - b",
            "(live)",
            "12\" Mix",
            "&",
            "x & x",
            "Ⅳ",
            "ǅ",
            "夜 - 夜",
        ];
        for title in texts {
            for other in texts {
                let mut asked = source(title, other);
                asked.album = Some(other.into());
                let mut offered = candidate(other, &[title, other]);
                offered.album = Some(title.into());
                let score = score(&asked, &offered);
                assert!(
                    (0.0..=1.0).contains(&score.confidence),
                    "{title:?} {other:?}"
                );
                assert!(score.explanation().ends_with('.'));
            }
        }
    }

    #[test]
    fn the_score_survives_json() {
        let before = score(&source("One", "U2"), &candidate("One - Live", &["U2"]));
        let text = serde_json::to_string(&before).expect("a score is plain data");
        assert!(text.contains("\"method\":\"fuzzy\""));
        assert_eq!(
            serde_json::from_str::<Score>(&text).expect("it reads back"),
            before
        );
    }
}
