//! How well two titles agree, whatever the version.

use std::collections::BTreeSet;

use super::normalise::{is_foreign, is_latin, similarity, transliterate};
use super::numerals::{numbers, same_words};
use super::title::Title;

/// How well two titles agree: 0.0 to 1.0, versions and guests aside. Symmetric.
///
/// `known` are words that both sides account for otherwise (the artists' names, the other side's
/// album), so that a subtitle made of them is no difference.
pub fn compare(a: &Title, b: &Title, known: &BTreeSet<String>) -> f64 {
    let best = |xs: &[String], ys: &[String]| {
        xs.iter()
            .flat_map(|x| ys.iter().map(move |y| likeness(x, y)))
            .fold(0.0, f64::max)
    };
    let (forms_a, forms_b) = (forms(a), forms(b));
    let mut score = best(&forms_a, &forms_b);
    // "Mozart: Piano Sonata" and "Piano Sonata", "Artist - Title" and "Title".
    let (short_a, short_b) = (without(&forms_a[0], known), without(&forms_b[0], known));
    if short_a.split(' ').count() > 2 && short_b.split(' ').count() > 2 {
        score = score.max(likeness(&short_a, &short_b) * 0.99);
    }
    if forms_a[0] == forms_b[0] {
        score = score.min(subtitles(a, b, known));
    }
    if all_numbers(a) != all_numbers(b) && !numbers_explained(a, b, known) {
        score = score.min(OTHER_NUMBER);
    }
    if a.literal.ends_with('?') != b.literal.ends_with('?') {
        score *= QUESTION;
    }
    score
}

/// A question is now and then another track on the same album ("In the Flesh?", "In the Flesh").
const QUESTION: f64 = 0.985;
/// The title score of another part, movement or volume.
const OTHER_NUMBER: f64 = 0.5;
/// One side has a subtitle of which the other says nothing.
const SUBTITLE_MISSING: f64 = 0.95;
/// Both sides have one, and not the same.
const SUBTITLE_OTHER: f64 = 0.7;

/// The likeness of two forms, sharpened: a letter counts double, and a word that has no near twin
/// on the other side makes another song ("Stay High", "Stay Hungry").
fn likeness(a: &str, b: &str) -> f64 {
    let s = similarity(a, b);
    if s >= 0.999 {
        return 1.0;
    }
    let stray = |xs: &BTreeSet<&str>, ys: &BTreeSet<&str>| {
        xs.difference(ys)
            .any(|x| ys.iter().all(|y| similarity(x, y) < 0.75))
    };
    let (wa, wb) = (words(a), words(b));
    let sharpened = (1.0 - 2.0 * (1.0 - s)).max(0.0);
    if stray(&wa, &wb) && stray(&wb, &wa) {
        sharpened * 0.75
    } else {
        sharpened
    }
}

fn subtitles(a: &Title, b: &Title, known: &BTreeSet<String>) -> f64 {
    let told = |t: &Title| {
        let all = t.subtitles.join(" ");
        without(&same_words(&transliterate(&all)), known)
    };
    let (sa, sb) = (told(a), told(b));
    match (sa.is_empty(), sb.is_empty()) {
        (true, true) => 1.0,
        (false, false) => {
            let s = likeness(&sa, &sb);
            let contained = words(&sa).is_subset(&words(&sb)) || words(&sb).is_subset(&words(&sa));
            if s >= 0.8 {
                0.95 + (s - 0.8) / 4.0
            } else if contained {
                SUBTITLE_MISSING
            } else {
                SUBTITLE_OTHER
            }
        }
        _ => SUBTITLE_MISSING,
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(' ').filter(|w| !w.is_empty()).collect()
}

fn without(text: &str, known: &BTreeSet<String>) -> String {
    text.split(' ')
        .filter(|w| !known.contains(*w))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A number that only one side has, in a subtitle of words that are known anyway.
fn numbers_explained(a: &Title, b: &Title, known: &BTreeSet<String>) -> bool {
    let of = |t: &Title| numbers(&same_words(&t.base));
    let told = |t: &Title| t.subtitles.iter().any(|s| !without(s, known).is_empty());
    of(a) == of(b) && !(told(a) && told(b))
}

/// The spellings under which the song may be known: the base, the base with its subtitles,
/// and, where a title gives two scripts, each by ittitle. All in Latin letters.
fn forms(title: &Title) -> Vec<String> {
    let mut forms = vec![title.base.clone()];
    if !title.subtitles.is_empty() {
        forms.push(format!("{} {}", title.base, title.subtitles.join(" ")));
    }
    for subtitle in &title.subtitles {
        if is_foreign(subtitle) != is_foreign(&title.base) {
            forms.push(subtitle.clone());
        }
    }
    let (foreign, latin): (Vec<&str>, Vec<&str>) = title
        .base
        .split(' ')
        .partition(|w| w.chars().any(|c| c.is_alphabetic() && !is_latin(c)));
    // A lone Latin word beside others is rarely the title: "EP", "MV", "OP".
    if !foreign.is_empty() && latin.iter().map(|w| w.len()).sum::<usize>() > 3 {
        forms.push(latin.join(" "));
        forms.push(foreign.join(" "));
    }
    forms
        .iter()
        .map(|f| same_words(&transliterate(f)))
        .collect()
}

/// The numbers in the title: "Pt. 1" and "Part One" are never "Pt. 2".
fn all_numbers(title: &Title) -> BTreeSet<u32> {
    std::iter::once(&title.base)
        .chain(&title.subtitles)
        .flat_map(|part| numbers(&same_words(part)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(a: &str, b: &str) -> f64 {
        let (a, b) = (Title::parse(a), Title::parse(b));
        let known = BTreeSet::new();
        let (there, back) = (compare(&a, &b, &known), compare(&b, &a, &known));
        assert!((there - back).abs() < 1e-9, "not symmetric");
        there
    }

    #[test]
    fn spellings_of_one_title_agree() {
        for (a, b) in [
            ("House of the Rising Sun", "The House of the Rising Sun"),
            (
                "Another Brick in the Wall, Pt. 1",
                "Another Brick in the Wall (Part I)",
            ),
            ("D.A.N.C.E.", "DANCE"),
            ("Rock & Roll", "Rock and Roll"),
            ("Weird Fishes / Arpeggi", "Weird Fishes/Arpeggi"),
            ("Handclap", "Hand Clap"),
            ("강남스타일 (Gangnam Style)", "Gangnam Style"),
            ("러시안 룰렛 Russian Roulette", "Russian Roulette"),
            ("Группа крови", "Gruppa krovi"),
            (
                "Come Out and Play (Keep 'Em Separated)",
                "Come Out and Play",
            ),
        ] {
            assert!(like(a, b) >= 0.95, "{a} and {b}: {}", like(a, b));
        }
    }

    #[test]
    fn small_differences_that_matter_are_seen() {
        for (a, b) in [
            (
                "Another Brick in the Wall, Pt. 1",
                "Another Brick in the Wall, Pt. 2",
            ),
            (
                "String Quartet No. 12: III. Vivace",
                "String Quartet No. 12: IV. Vivace",
            ),
            ("Stay High", "Stay Hungry"),
            ("Stay", "Slay"),
            ("Stay", "Stay With Me"),
            ("Baby", "Baby One More Time"),
            ("Loyal (East Side)", "Loyal (West Side)"),
        ] {
            assert!(like(a, b) < 0.75, "{a} and {b}: {}", like(a, b));
        }
        assert!(like("In the Flesh?", "In the Flesh") < like("In the Flesh?", "In the Flesh?"));
    }
}
