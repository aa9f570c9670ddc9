//! How long the simulated Spotify takes to index 150,000 tracks and to answer.
//!
//! `cargo bench -p segue-spotify --bench search`. Run as a test (`cargo test --benches`), it only shows
//! that it still runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::{Duration, Instant};

use segue_spotify::sim::catalog::{Catalog, Track};
use segue_spotify::sim::search::SearchIndex;

/// As many tracks as the catalogue that the matcher is measured on, and how many queries of each kind.
const MEASURED: (usize, usize) = (150_000, 2_000);

/// The same, to see that it runs.
const TRIED: (usize, usize) = (6_000, 10);

/// Makes a query that should find a track.
type Asking = fn(&Track, &mut Dice) -> String;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (tracks, queries) = if measured { MEASURED } else { TRIED };
    let mut dice = Dice(1);
    let tracks = perturbed(Catalog::builtin().tracks(), tracks, &mut dice);
    let started = Instant::now();
    let index = SearchIndex::build(&tracks)?;
    println!(
        "{} tracks indexed in {:.2?}",
        tracks.len(),
        started.elapsed()
    );

    let kinds: [(&str, Asking); 7] = [
        ("isrc:", |track, _| {
            format!("isrc:{}", track.isrc.as_deref().unwrap_or("USUM71703861"))
        }),
        ("track: artist:", |track, _| {
            format!("track:\"{}\" artist:\"{}\"", track.name, artist(track))
        }),
        ("free text", |track, _| {
            format!("{} {}", track.name, artist(track))
        }),
        ("with an odd word", |track, _| {
            format!("{} {} lyrics", track.name, artist(track))
        }),
        ("misspelt", |track, dice| {
            format!(
                "{} {}",
                misspelt(&track.name, dice),
                misspelt(artist(track), dice)
            )
        }),
        ("one common word", |_, dice| {
            dice.pick(&["love", "the", "you", "version", "live", "a"])
                .to_string()
        }),
        ("garbage", |track, dice| {
            format!("\"{} {}", track.album, dice.letters(300))
        }),
    ];
    println!("{:<18}{:>10}{:>10}{:>10}", "query", "median", "p99", "max");
    for (name, query) in kinds {
        let mut times: Vec<Duration> = Vec::with_capacity(queries);
        let mut found = 0;
        for _ in 0..queries {
            let query = query(dice.pick(&tracks), &mut dice);
            let started = Instant::now();
            found += usize::from(index.search(&query, 10, 0).total > 0);
            times.push(started.elapsed());
        }
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        println!(
            "{name:<18}{:>10.1?}{:>10.1?}{:>10.1?}   {found} found something",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// The built-in tracks over and over: as they are at first, then with words of each other's titles,
/// with each other's artists, and with new spellings, so that the vocabulary grows as a real one does.
fn perturbed(tracks: &[Track], count: usize, dice: &mut Dice) -> Vec<Track> {
    let mut perturbed = tracks.to_vec();
    while perturbed.len() < count {
        let track = dice.pick(tracks).clone();
        let mut words: Vec<String> = track.name.split(' ').map(str::to_owned).collect();
        let at = dice.below(words.len());
        words[at] = match dice.below(3) {
            0 => misspelt(&words[at], dice),
            1 => dice.letters(6),
            _ => dice
                .pick(tracks)
                .name
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        perturbed.push(Track {
            id: format!("{}{}", track.id, perturbed.len()),
            name: words.join(" "),
            artists: dice.pick(tracks).artists.clone(),
            album: dice.pick(tracks).album.clone(),
            popularity: u8::try_from(dice.below(100)).unwrap_or_default(),
            ..track
        });
    }
    perturbed
}

fn artist(track: &Track) -> &str {
    track.artists.first().map_or("", String::as_str)
}

/// `text` without one of its letters.
fn misspelt(text: &str, dice: &mut Dice) -> String {
    let lost = dice.below(text.chars().count().max(1));
    text.chars()
        .enumerate()
        .filter(|(at, _)| *at != lost)
        .map(|(_, c)| c)
        .collect()
}

/// Numbers that look random and are the same on every run (a xorshift generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn letters(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| char::from(*self.pick(b"abcdefghijklmnopqrstuvwxyz ")))
            .collect()
    }
}
