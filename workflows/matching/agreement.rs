//! Whether two versions of a song are the same to the ear.
//!
//! Another recording never stands in for the one that was asked for, in either direction. Another
//! cut or pressing of one recording may, at a small cost.

use std::collections::BTreeSet;

use super::kind::Kind;
use super::normalise::similarity;
use super::version::Version;

/// How well two versions agree.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    /// 1.0 for the same version; multiplied into the confidence. Symmetric.
    pub factor: f64,
    /// What differs, in words, if anything does.
    pub note: Option<String>,
}

/// The factor for another recording: low enough that a perfect title, artist and album together
/// stay far below any sensible threshold.
const OTHER_RECORDING: f64 = 0.55;
/// A remix that does not say by whom, against one that does.
const UNNAMED_REMIX: f64 = 0.88;
/// Two concerts that name different places or years.
const OTHER_CONCERT: f64 = 0.8;
/// Two cuts that exclude each other, both stated: mono and stereo.
const CONTRARY_CUTS: f64 = 0.95;

/// Compares two versions.
pub fn compare(asked: &Version, offered: &Version) -> Agreement {
    let (a, b) = (asked.recordings(), offered.recordings());
    if a != b {
        return other_recording(&a, &b);
    }
    let mut factor = 1.0;
    let mut notes: Vec<String> = Vec::new();
    if asked.names != offered.names {
        let f = compare_names(&asked.names, &offered.names);
        if f < 1.0 {
            factor *= f;
            notes.push("not surely the same remix or version".to_owned());
        }
    }
    if a.contains(&Kind::Live) && asked.details != offered.details {
        let apart = asked.details.is_disjoint(&offered.details);
        let silent = asked.details.is_empty() || offered.details.is_empty();
        match (silent, apart) {
            (true, _) => factor *= 0.98,
            (false, false) => factor *= 0.99,
            (false, true) => {
                factor *= OTHER_CONCERT;
                notes.push("another concert".to_owned());
            }
        }
    }
    let (a, b) = (asked.cuts(), offered.cuts());
    for kind in a.symmetric_difference(&b) {
        factor *= kind.cut_factor();
        let side = if a.contains(kind) {
            "asked for"
        } else {
            "offered"
        };
        notes.push(format!("{} {side}", kind.word()));
    }
    if !a.is_empty() && !b.is_empty() && a.is_disjoint(&b) {
        factor *= CONTRARY_CUTS;
    }
    if asked.remastered != offered.remastered {
        factor *= 0.995;
        notes.push("remastered on one side".to_owned());
    } else if asked.remastered && asked.year != offered.year {
        factor *= if asked.year.is_some() && offered.year.is_some() {
            0.985
        } else {
            0.998
        };
    }
    Agreement {
        factor,
        note: (!notes.is_empty()).then(|| notes.join(", ")),
    }
}

fn other_recording(asked: &BTreeSet<Kind>, offered: &BTreeSet<Kind>) -> Agreement {
    let words = |kinds: &BTreeSet<Kind>| {
        if kinds.is_empty() {
            "the usual recording".to_owned()
        } else {
            kinds.iter().map(|k| k.word()).collect::<Vec<_>>().join(" ")
        }
    };
    Agreement {
        factor: OTHER_RECORDING,
        note: Some(format!(
            "{} asked for, {} offered",
            words(asked),
            words(offered)
        )),
    }
}

fn compare_names(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    if a.is_empty() || b.is_empty() {
        return UNNAMED_REMIX;
    }
    if a.is_subset(b) || b.is_subset(a) {
        return 0.95;
    }
    let join = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(" ");
    if similarity(&join(a), &join(b)) >= 0.85 {
        0.98
    } else {
        OTHER_RECORDING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::title::Title;

    fn factor(a: &str, b: &str) -> f64 {
        let (a, b) = (Title::parse(a).version, Title::parse(b).version);
        let (there, back) = (compare(&a, &b).factor, compare(&b, &a).factor);
        assert!((there - back).abs() < 1e-9, "not symmetric");
        there
    }

    #[test]
    fn another_recording_is_never_the_one_asked_for() {
        let versions = [
            "Song",
            "Song (Live)",
            "Song (Karaoke Version)",
            "Song (Acoustic)",
            "Song (Instrumental)",
            "Song (Tiësto Remix)",
            "Song (Avicii Remix)",
            "Song (sped up)",
            "Song (Slowed)",
            "Song (Demo)",
            "Song (Spanish Version)",
            "Song (Taylor's Version)",
            "Song (Re-recorded)",
            "Song (Cover)",
            "Song (Extended Mix)",
        ];
        for (i, a) in versions.iter().enumerate() {
            for (j, b) in versions.iter().enumerate() {
                assert_eq!(factor(a, b) > 0.8, i == j, "{a} and {b}: {}", factor(a, b));
            }
        }
    }

    #[test]
    fn pressings_of_one_recording_cost_little() {
        for (a, b) in [
            ("Song", "Song - Remastered 2011"),
            ("Song - Remastered 2009", "Song (2011 Remaster)"),
            ("Song", "Song (Album Version)"),
            ("Song", "Song - Original Mix"),
            ("Song", "Song - Single Version"),
            ("Song (Live at Leeds)", "Song - Live"),
        ] {
            assert!(factor(a, b) > 0.96, "{a} and {b}: {}", factor(a, b));
        }
    }

    #[test]
    fn cuts_that_are_heard_cost_more() {
        assert!(factor("Song", "Song (Radio Edit)") < 0.92);
        assert!(factor("Song (Mono)", "Song (Stereo)") < 0.92);
        assert!(factor("Song (Live at Leeds 1970)", "Song (Live in Paris)") < 0.85);
    }
}
