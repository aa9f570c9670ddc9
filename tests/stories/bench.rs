//! "How fast is it?" A small run of `segue bench`: what it counts must be right, whatever the machine's speed.

use std::{collections::BTreeMap, process::Stdio};

use serde_json::Value;

use crate::support::{PROGRAM, engine_cache};

/// Runs it, and gives what it says.
async fn bench(arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let output = tokio::process::Command::new(PROGRAM)
        .arg("bench")
        .args(arguments)
        .env("SEGUE_HOME", home.path())
        .env("SEGUE_ENGINE_CACHE", engine_cache())
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}\n{log}");
    let left: Vec<_> = std::fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "it leaves nothing in the home: {left:?}");
    shown
}

#[tokio::test]
async fn a_small_run_measures_every_part_and_its_counts_agree() {
    let small = ["--songs", "4", "--at-once", "8", "--tracks", "200"];
    let few = ["--rounds", "1", "--starts", "1", "--grow-to", "100"];
    let options = ["--engine", "both", "--growth", "--json"];
    let shown = bench(&[&small[..], &few, &options].concat()).await;
    let report: Value = serde_json::from_str(&shown).unwrap();
    let build = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    assert_eq!(report["build"], build);
    assert!(report["stock"].as_str().unwrap().contains("start-dev"));

    let figures: BTreeMap<&str, &Value> = report["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| (figure["name"].as_str().unwrap(), figure))
        .collect();
    let of = |name: &str, column: &str| {
        let value = figures.get(name).and_then(|figure| figure[column].as_f64());
        value.unwrap_or_else(|| panic!("no {column} of {name}: {shown}"))
    };
    // Every part has figures, and none of them is nothing.
    for part in ["a", "b", "c", "d", "e", "g"] {
        let of_part = figures.values().filter(|figure| figure["part"] == part);
        let measured: Vec<f64> = of_part
            .flat_map(|figure| ["managed", "stock", "floor"].map(|column| figure[column].as_f64()))
            .flatten()
            .collect();
        assert!(!measured.is_empty(), "part {part}: {shown}");
        assert!(measured.iter().all(|value| value.is_finite()), "{shown}");
    }
    assert!(of("tools", "managed") >= 20.0, "{shown}");
    let (initialize, listed) = (
        of("initialize_p50_ms", "managed"),
        of("tools_list_p50_ms", "managed"),
    );
    assert!(0.0 < initialize && initialize < listed, "{shown}");

    // A song: search, look, add, verify, in every world and on the floor. Where something is in the way, a call is
    // made again.
    assert_eq!(of("requests_a_song", "floor"), 4.0, "{shown}");
    for column in ["managed", "stock", "floor"] {
        let requests = of("requests_a_song", column);
        assert!((4.0..=4.5).contains(&requests), "{column}: {shown}");
        assert!(
            of("sync_p50_ms", column) <= of("sync_p95_ms", column),
            "{shown}"
        );
    }
    // A batch of 200: a look before, 200 searches, and for each page a look, an add and two looks.
    let requests = (1.0 + 200.0 + 2.0 * 4.0) / 200.0;
    assert_eq!(of("requests_a_track", "floor"), requests, "{shown}");
    for column in ["managed", "stock", "floor"] {
        let made = of("requests_a_track", column);
        assert!(
            (requests..requests * 1.05).contains(&made),
            "{column}: {shown}"
        );
        assert!(of("tracks_a_second", column) > 0.0, "{shown}");
    }
    for column in ["managed", "stock"] {
        assert!(of("requests_a_song_at_once", column) >= 4.0, "{shown}");
        // Two workflows, an activity of three events, a search that is one, and what starts and ends them; more
        // where something is in the way.
        let events = of("events_a_song", column);
        assert!((27.0..60.0).contains(&events), "{events}: {shown}");
        let events = of("events_a_track", column);
        assert!((0.1..5.0).contains(&events), "{events}: {shown}");
        assert!(of("history_bytes_a_track", column) > 60.0, "{shown}");
        for process in ["segue", "engine"] {
            let (idle, busy) = (format!("{process}_idle_mb"), format!("{process}_busy_mb"));
            assert!(of(&idle, column) > 5.0, "{idle}: {shown}");
            assert!(of(&busy, column) > 5.0, "{busy}: {shown}");
        }
        let made = of("requests_a_track_100", column);
        assert!((1.05..1.1).contains(&made), "{shown}");
    }
    let times = of("sync_p50_ms", "stock") / of("sync_p50_ms", "managed");
    assert!((of("sync_p50_ms", "times_stock") - times).abs() < 1e-9);
}

#[tokio::test]
async fn for_people_it_is_a_table_that_says_of_which_build_it_is() {
    let shown = bench(&["f", "--songs", "2", "--tracks", "10", "--rounds", "1"]).await;
    assert!(shown.contains("| part | what"), "{shown}");
    assert!(shown.contains("floor: the same calls"), "{shown}");
    assert_eq!(
        shown.contains("debug build"),
        cfg!(debug_assertions),
        "{shown}"
    );
    assert!(!shown.contains("stock"), "it was not measured: {shown}");
}
