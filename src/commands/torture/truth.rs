//! The invariant, checked against what the simulated Spotify really holds.

use std::collections::{BTreeMap, BTreeSet};

use segue_spotify::sim::catalog::Track;
use serde_json::Value;

use super::plan::{ORDERED, Plan, Wish, uri_of};

/// A wish, and the sync that came of it.
pub(super) struct Accepted {
    pub(super) wish: usize,
    /// The sync, and those that tried it again, the last one at the end.
    pub(super) sync_ids: Vec<String>,
    /// How the last one ended.
    pub(super) view: Value,
}

/// What is wrong. Nothing, if all is well.
#[derive(Debug, Default)]
pub(super) struct Wrongs {
    /// Accepted syncs that did not end.
    pub(super) lost: Vec<String>,
    /// Successes whose track is not in the playlist.
    pub(super) missing: Vec<String>,
    /// Tracks that are in a playlist more often than they should.
    pub(super) doubled: Vec<String>,
    /// Tracks that nobody asked for there, or that a cancelled sync left.
    pub(super) unasked: Vec<String>,
    /// Playlists in which what was there before has changed.
    pub(super) changed: Vec<String>,
    /// Tracks that are not in the order asked for.
    pub(super) disordered: Vec<String>,
}

impl Wrongs {
    pub(super) fn rows(&self) -> [(&'static str, &[String]); 6] {
        [
            ("lost", &self.lost),
            ("missing", &self.missing),
            ("doubled", &self.doubled),
            ("not asked for, or left by a cancelled sync", &self.unasked),
            ("changed what was there before", &self.changed),
            ("out of order", &self.disordered),
        ]
    }

    pub(super) fn none(&self) -> bool {
        self.rows().iter().all(|(_, found)| found.is_empty())
    }
}

/// Compares what the syncs say with what the playlists hold.
pub(super) fn check(
    plan: &Plan,
    songs: &[Track],
    accepted: &[Accepted],
    after: &[Vec<String>],
) -> Wrongs {
    let mut wrongs = Wrongs::default();
    let uris: BTreeMap<&str, String> = songs
        .iter()
        .filter_map(|song| Some((song.isrc.as_deref()?, uri_of(song))))
        .collect();
    let wanted = |wish: &Wish| wish.isrc.as_deref().and_then(|isrc| uris.get(isrc));

    // What may be there: of a success it must be, of a failure with a reason it may.
    let mut explained: BTreeSet<(usize, &str)> = BTreeSet::new();
    for one in accepted {
        let wish = &plan.wishes[one.wish];
        let what = || format!("{} ({})", one.sync_ids.join(" > "), wish.title);
        match (one.view["status"].as_str(), one.view["success"].as_bool()) {
            (Some("completed"), Some(true)) => {
                let Some(uri) = one.view["spotify_track_uri"].as_str() else {
                    wrongs.missing.push(what());
                    continue;
                };
                if !after[wish.playlist].iter().any(|there| there == uri) {
                    wrongs.missing.push(what());
                }
                explained.insert((wish.playlist, uri));
            }
            (Some("completed" | "cancelled"), _) => {}
            (Some("failed" | "dead_lettered"), _) => {
                if let Some(uri) = wanted(wish) {
                    explained.insert((wish.playlist, uri));
                }
            }
            _ => wrongs.lost.push(what()),
        }
    }

    for (playlist, (before, after)) in plan.before.iter().zip(after).enumerate() {
        if after.get(..before.len()) != Some(before) {
            wrongs.changed.push(format!("playlist {playlist}"));
            continue;
        }
        let mut seen: BTreeSet<&str> = before.iter().map(String::as_str).collect();
        for uri in &after[before.len()..] {
            if !seen.insert(uri) {
                wrongs.doubled.push(format!("{uri} in playlist {playlist}"));
            }
            if !explained.contains(&(playlist, uri.as_str())) {
                wrongs.unasked.push(format!("{uri} in playlist {playlist}"));
            }
        }
    }

    // The last playlist was filled one song after the other. What came home by a retry has missed its turn.
    let mut order = after[ORDERED].iter().skip(plan.before[ORDERED].len());
    for one in accepted {
        let added = one.view["success"] == true && one.view["already_present"] == false;
        let added = added && one.sync_ids.len() == 1;
        let uri = one.view["spotify_track_uri"].as_str();
        if let Some(uri) = uri.filter(|_| added && plan.wishes[one.wish].playlist == ORDERED)
            && !order.any(|there| there == uri)
        {
            wrongs
                .disordered
                .push(format!("{uri} in playlist {ORDERED}"));
        }
    }
    wrongs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::plan::songs, *};

    /// A plan of one wish, the song of this number, and the playlists after it.
    fn one_wish(status: &str, success: bool) -> (Plan, Vec<Track>, Accepted, Vec<Vec<String>>) {
        let (songs, mut plan) = (songs(), Plan::new(3, 40, 0));
        let there: BTreeSet<_> = plan.before.iter().flatten().cloned().collect();
        let song = songs.iter().find(|song| !there.contains(&uri_of(song)));
        let song = song.expect("a song that is nowhere");
        plan.wishes.truncate(1);
        plan.wishes[0].isrc.clone_from(&song.isrc);
        plan.wishes[0].playlist = 1;
        let mut after = plan.before.clone();
        if success {
            after[1].push(uri_of(song));
        }
        let accepted = Accepted {
            wish: 0,
            sync_ids: vec!["sync".to_owned()],
            view: json!({"status": status, "success": success, "already_present": false,
                "spotify_track_uri": uri_of(song)}),
        };
        (plan, songs, accepted, after)
    }

    #[test]
    fn what_is_right_is_not_wrong() {
        for (status, success) in [("completed", true), ("cancelled", false), ("failed", false)] {
            let (plan, songs, accepted, after) = one_wish(status, success);
            let wrongs = check(&plan, &songs, &[accepted], &after);
            assert!(wrongs.none(), "{status}: {wrongs:?}");
        }
    }

    #[test]
    fn each_wrong_is_found() {
        let (plan, songs, accepted, after) = one_wish("completed", true);
        let uri = accepted.view["spotify_track_uri"]
            .as_str()
            .expect("a uri")
            .to_owned();
        let accepted = [accepted];
        let found = |after: &[Vec<String>]| check(&plan, &songs, &accepted, after);
        let with = |change: fn(&mut Vec<Vec<String>>, &str)| {
            let mut after = after.clone();
            change(&mut after, &uri);
            found(&after)
        };
        assert_eq!(
            with(|after, uri| after[1].push(uri.to_owned()))
                .doubled
                .len(),
            1
        );
        assert_eq!(with(|after, _| _ = after[1].pop()).missing.len(), 1);
        assert_eq!(
            with(|after, uri| after[2].push(uri.to_owned()))
                .unasked
                .len(),
            1
        );
        assert_eq!(with(|after, _| after[3].swap(0, 1)).changed.len(), 1);

        let (plan, songs, accepted, after) = one_wish("running", true);
        assert_eq!(check(&plan, &songs, &[accepted], &after).lost.len(), 1);
        let (plan, songs, accepted, mut after) = one_wish("cancelled", false);
        after[1].push(uri);
        assert_eq!(check(&plan, &songs, &[accepted], &after).unasked.len(), 1);
    }

    #[test]
    fn the_order_of_the_ordered_playlist_is_checked() {
        let (plan, songs, mut first, mut after) = one_wish("completed", false);
        let mut plan = plan;
        plan.wishes[0].playlist = ORDERED;
        let mut second = plan.wishes[0].clone();
        let other = songs.iter().find(|song| song.isrc != second.isrc);
        let other = other.expect("another song");
        second.isrc.clone_from(&other.isrc);
        plan.wishes.push(second);
        let uri = first.view["spotify_track_uri"]
            .as_str()
            .expect("a uri")
            .to_owned();
        first.view["success"] = json!(true);
        let then = Accepted {
            wish: 1,
            sync_ids: vec!["then".to_owned()],
            view: json!({"status": "completed", "success": true, "already_present": false,
                "spotify_track_uri": uri_of(other)}),
        };
        after[ORDERED].extend([uri_of(other), uri]);
        let mut accepted = [first, then];
        let wrongs = check(&plan, &songs, &accepted, &after);
        assert_eq!(wrongs.disordered.len(), 1);
        // A dead letter that was tried again at the end stands behind what came meanwhile.
        accepted[0].sync_ids.push("again".to_owned());
        let wrongs = check(&plan, &songs, &accepted, &after);
        assert!(wrongs.none(), "{wrongs:?}");
    }
}
