//! The install guides: `docs/install/`, made from `packaging/guides/`.
//!
//! Where the program is, what it is called with, where it listens: that stands once, in `values.toml`, and so
//! does each piece of JSON. A guide names them as `{{name}}`; `{{json name}}` is a block of JSON, which must be
//! some, and `{{base64 name}}` is for links.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::Value;

use crate::repository;

/// The file of what the guides name.
const VALUES: &str = "values.toml";
/// Where the guides go.
const GUIDES: &str = "docs/install";
/// Values within values, and no more: a value that names itself would never end.
const DEEPEST: usize = 4;

/// A guide that was made.
#[derive(Debug)]
pub struct Guide {
    /// Where it belongs.
    pub file: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// What the guides are made from.
#[derive(Debug, Default)]
pub struct Source {
    values: Values,
    /// By the names of their files.
    guides: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Values {
    values: BTreeMap<String, String>,
}

impl Source {
    /// Reads the folder of the source.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |file: &Path| {
            fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
        };
        let mut source = Self {
            values: toml::from_str(&read(&folder.join(VALUES))?).context(VALUES)?,
            ..Self::default()
        };
        for entry in fs::read_dir(folder)? {
            let file = entry?.path();
            if file.extension().is_some_and(|is| is == "md") {
                let name = file.file_name().unwrap_or_default();
                let name = name.to_string_lossy().into_owned();
                source.guides.insert(name, read(&file)?);
            }
        }
        Ok(source)
    }

    /// Makes them all, in the order of their names.
    ///
    /// # Errors
    /// A guide names what there is not, or as JSON what is none.
    pub fn guides(&self) -> anyhow::Result<Vec<Guide>> {
        let make = |(name, text): (&String, &String)| {
            let made = self.values.put_into(text, DEEPEST);
            let made = made.with_context(|| format!("packaging/guides/{name}"))?;
            Ok(Guide {
                file: repository().join(GUIDES).join(name),
                text: format!(
                    "<!-- Made from packaging/guides/{name}: change that, and run `just guides`. -->\n\n{made}"
                ),
            })
        };
        self.guides.iter().map(make).collect()
    }
}

impl Values {
    fn put_into(&self, text: &str, deepest: usize) -> anyhow::Result<String> {
        let mut made = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once("{{") {
            let (named, after) = from
                .split_once("}}")
                .with_context(|| format!("no end of {{{{ before {from:.40?}"))?;
            made.push_str(before);
            made.push_str(&self.called(named, deepest)?);
            rest = after;
        }
        made.push_str(rest);
        Ok(made)
    }

    /// What a name between the braces stands for.
    fn called(&self, named: &str, deepest: usize) -> anyhow::Result<String> {
        let (form, name) = named.split_once(' ').unwrap_or(("", named));
        let Some(value) = self.values.get(name) else {
            bail!("{VALUES} has no {name:?}");
        };
        if deepest == 0 {
            bail!("{name:?} names itself");
        }
        let value = self.put_into(value, deepest - 1)?;
        let value = value.trim();
        match form {
            "" => Ok(value.to_owned()),
            "json" => {
                serde_json::from_str::<Value>(value).with_context(|| format!("{name:?}"))?;
                Ok(format!("```json\n{value}\n```"))
            }
            "base64" => Ok(STANDARD.encode(value)),
            other => bail!("there is no form {other:?}, only json and base64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_GUIDES=1 cargo test --package segue-packaging guides` writes them anew.
    #[test]
    fn the_guides_are_as_their_source_makes_them() {
        let source = Source::read(&repository().join("packaging/guides")).unwrap();
        let mut made = Vec::new();
        for guide in source.guides().unwrap() {
            if std::env::var_os("UPDATE_GUIDES").is_some() {
                fs::write(&guide.file, &guide.text).unwrap();
            }
            let found = fs::read_to_string(&guide.file).unwrap_or_default();
            let name = guide.file.display().to_string();
            assert_eq!(found, guide.text, "{name} is stale: run `just guides`");
            made.push(guide.file);
        }
        let there = fs::read_dir(repository().join(GUIDES)).unwrap();
        let mut there: Vec<PathBuf> = there.map(|entry| entry.unwrap().path()).collect();
        there.sort();
        assert_eq!(there, made, "each guide has a source");
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Values {
            values: pairs.iter().map(owned).collect(),
        }
    }

    #[test]
    fn a_value_may_name_another_and_is_put_in_as_json_and_base64() {
        let values = values(&[
            ("program", "/bin/segue"),
            ("entry", r#"{"command": "{{program}}"}"#),
        ]);
        let made = values.put_into("{{program}}: {{json entry}} {{base64 program}}", DEEPEST);
        assert_eq!(
            made.unwrap(),
            "/bin/segue: ```json\n{\"command\": \"/bin/segue\"}\n``` L2Jpbi9zZWd1ZQ=="
        );
    }

    #[test]
    fn what_is_not_there_is_no_json_or_never_ends_is_an_error() {
        let values = values(&[("word", "segue"), ("ring", "{{ring}}")]);
        for (text, said) in [
            ("{{wrod}}", "has no \"wrod\""),
            ("{{json word}}", "word"),
            ("{{ring}}", "names itself"),
            ("{{upper word}}", "no form"),
            ("{{word", "no end"),
        ] {
            let error = values.put_into(text, DEEPEST).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
        }
    }
}
