//! "Does it find the right song?" Measured on 250 real spellings of other services, end to end:
//! search, upstream and matching as in a sync.

use std::collections::BTreeMap;

use crate::support::PROGRAM;

/// The shares of right, wrong and unmatched songs, in percent, as `segue eval` prints them.
async fn shares(arguments: &[&str]) -> BTreeMap<String, f64> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/pairs_dev.csv");
    let output = tokio::process::Command::new(PROGRAM)
        .args(["eval", file])
        .args(arguments)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let rows = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [name, _, share, "%"] => Some((name.to_owned(), share.parse().ok()?)),
            _ => None,
        }
    });
    rows.collect()
}

#[tokio::test]
async fn by_text_alone_nearly_all_are_right_and_hardly_any_wrong() {
    let shares = shares(&["--hide-isrc"]).await;
    assert!(shares["right"] >= 88.0, "{shares:?}");
    assert!(shares["wrong"] <= 2.0, "{shares:?}");
}

#[tokio::test]
async fn with_isrcs_all_but_a_few_are_right() {
    let shares = shares(&[]).await;
    assert!(shares["right"] >= 99.0, "{shares:?}");
    assert!(shares["wrong"] <= 1.0, "{shares:?}");
}
