//! How single values are spelt: in the file, in the environment, and in words.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use anyhow::{anyhow, bail};
use secrecy::SecretString;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
};

/// The longest time that a review may wait, in seconds: a year.
const LONGEST_REVIEW: u64 = 366 * 24 * 3600;

pub(super) fn secret<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(value).map(|text| text.map(SecretString::from))
}

/// Serialised is only what keys there are, and what doctor shows; that shows the upstream's label.
pub(super) fn untold<S: Serializer>(
    _: &Option<SecretString>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_none()
}

/// The time that a review has, in seconds; a day is 24 hours.
pub(super) fn review_seconds(text: &str) -> anyhow::Result<u64> {
    let span: Option<jiff::Span> = text.parse().ok();
    let time = span.and_then(|span| {
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        span.to_duration(days).ok()
    });
    let seconds = time.and_then(|time| u64::try_from(time.as_secs()).ok());
    match seconds {
        Some(seconds @ 1..=LONGEST_REVIEW) => Ok(seconds),
        _ => bail!(
            "review_deadline is {text:?}; it must be a number with a unit, such as \"7d\" or \"36h\", \
             from a second to a year"
        ),
    }
}

/// The address that a setting names; a port alone is one of the loopback address.
pub(super) fn address(key: &str, text: &str, example: &str) -> anyhow::Result<SocketAddr> {
    let on_loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let port = text.parse().map(on_loopback);
    port.or_else(|_| text.parse()).map_err(|_| {
        anyhow!("{key} is {text:?}; it must be a port, or an address such as {example}")
    })
}

/// A list of folders, or in the environment a text as of `PATH`.
pub(super) fn folders<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<PathBuf>, D::Error> {
    let split = |text: &str| std::env::split_paths(text).collect::<Vec<_>>();
    let folders = deserializer.deserialize_any(List {
        split,
        what: "a list of folders",
    })?;
    let folders = folders.into_iter();
    Ok(folders.filter(|f| !f.as_os_str().is_empty()).collect())
}

/// A list of names, or in the environment a text with commas between them.
pub(super) fn listed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let split = |text: &str| {
        let names = text.split(',').map(str::trim);
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let names = deserializer.deserialize_any(List {
        split,
        what: "a list of names",
    })?;
    Ok(names.into_iter().filter(|name| !name.is_empty()).collect())
}

/// Reads a list, or a text that is one.
struct List<T> {
    split: fn(&str) -> Vec<T>,
    what: &'static str,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.what)
    }

    fn visit_str<E>(self, text: &str) -> Result<Vec<T>, E> {
        Ok((self.split)(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(items)
    }
}

/// The name that a setting's value has in the file.
pub(super) fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
