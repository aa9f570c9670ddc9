//! A page of metrics, read as strictly as Prometheus's text format is written.

use std::collections::{BTreeMap, BTreeSet};

/// The labels of a sample.
type Labels = BTreeMap<String, String>;

/// The samples of a page.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples {
    /// By name and labels.
    values: BTreeMap<(String, Labels), f64>,
    /// The kind of each family.
    kinds: BTreeMap<String, String>,
}

impl Samples {
    /// Reads a page; panics at the first line that is not right.
    #[track_caller]
    pub(crate) fn read(page: &str) -> Self {
        let mut samples = Self::default();
        let mut described = BTreeSet::new();
        let mut family = String::new();
        assert!(page.ends_with('\n'), "the last line has an end");
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, says) = help.split_once(' ').expect("a description");
                assert!(!says.is_empty(), "{line}");
                assert!(described.insert(name.to_owned()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(described.contains(name), "described before: {line}");
                let before = samples.kinds.insert(name.to_owned(), kind.to_owned());
                assert!(before.is_none(), "twice: {line}");
                family = name.to_owned();
            } else {
                let (name, labels, value) = sample(line);
                let own = match samples.kinds[&family].as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .any(|end| name.strip_suffix(end) == Some(&family)),
                    _ => name == family,
                };
                assert!(own, "of the family before it: {line}");
                let before = samples.values.insert((name, labels), value);
                assert!(before.is_none(), "twice: {line}");
            }
        }
        samples.check_histograms();
        samples
    }

    /// The sum of the samples of this name that have these labels; 0 if there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |own: &Labels| {
            let mut labels = labels.iter();
            labels.all(|(key, value)| own.get(*key).is_some_and(|own| own == value))
        };
        let of_name = self.values.iter().filter(|((own, _), _)| own == name);
        of_name
            .filter(|((_, labels), _)| has(labels))
            .map(|(_, value)| value)
            .sum()
    }

    /// The samples of this name by one label.
    pub(crate) fn by(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut by = BTreeMap::new();
        for ((own, labels), value) in &self.values {
            if own == name && *value > 0.0 {
                *by.entry(labels[label].clone()).or_default() += *value as u64;
            }
        }
        by
    }

    /// The kind of a family.
    pub(crate) fn kind(&self, name: &str) -> Option<&str> {
        self.kinds.get(name).map(String::as_str)
    }

    /// The families there are.
    pub(crate) fn families(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// Every value of a label.
    pub(crate) fn label_values(&self) -> BTreeSet<&str> {
        let labels = self.values.keys().flat_map(|(_, labels)| labels.values());
        labels.map(String::as_str).collect()
    }

    /// This page and another one's counts together, as after a restart.
    pub(crate) fn and(mut self, other: Self) -> Self {
        for (key, value) in other.values {
            *self.values.entry(key).or_default() += value;
        }
        self.kinds.extend(other.kinds);
        self
    }

    #[track_caller]
    fn check_histograms(&self) {
        let mut buckets: BTreeMap<(&str, Labels), Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.values {
            let Some(family) = name.strip_suffix("_bucket") else {
                continue;
            };
            let mut labels = labels.clone();
            let bound = labels.remove("le").expect("a bound");
            let bound = match bound.as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().expect("a number"),
            };
            let of_one = buckets.entry((family, labels)).or_default();
            of_one.push((bound, *value));
        }
        for ((family, labels), mut buckets) in buckets {
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by_key(|(_, count)| *count), "{family}");
            let (last, all) = buckets.last().expect("a bucket");
            assert_eq!(*last, f64::INFINITY, "{family}");
            let count = self.values[&(format!("{family}_count"), labels.clone())];
            assert_eq!(*all, count, "{family} {labels:?}");
            let sum = self.values.get(&(format!("{family}_sum"), labels));
            assert!(sum.is_some_and(|sum| *sum >= 0.0), "{family}");
        }
    }
}

/// The name, the labels and the value of a line.
#[track_caller]
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).expect("a name");
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => labels_in(rest),
        None => (Labels::new(), rest),
    };
    let value = value.strip_prefix(' ').expect("a space");
    let value: f64 = value.parse().expect("a number, and no time");
    (name.to_owned(), labels, value)
}

/// The labels that begin here, and what is behind them.
#[track_caller]
fn labels_in(mut rest: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        let (key, value) = rest.split_once("=\"").expect("a label");
        assert!(is_name(key) && !key.contains(':'), "{rest}");
        let mut text = String::new();
        let mut letters = value.char_indices();
        let end = loop {
            match letters.next().expect("the end of a label") {
                (end, '"') => break end,
                (_, '\\') => text.push(match letters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, letter @ ('"' | '\\'))) => letter,
                    other => panic!("no such escape: {other:?}"),
                }),
                (_, letter) => text.push(letter),
            }
        };
        assert!(labels.insert(key.to_owned(), text).is_none(), "{rest}");
        rest = &value[end + 1..];
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        rest = rest.strip_prefix(',').expect("another label");
    }
}

fn is_name(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}
