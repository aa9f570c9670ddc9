//! A profile says in what words a server speaks: which tool gives a capability, how its arguments
//! are called, where in its answer things stand. One small file a server, in `profiles/`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::text::clean;
use crate::error::ErrorCode;

/// The profiles that Segue brings, the more particular first.
const BUILT_IN: [&str; 2] = [
    include_str!("profiles/segue.toml"),
    include_str!("profiles/hunarjain09.toml"),
];

/// How to speak to one kind of server. A capability that is absent is one the server lacks.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// What the profile is called, and forced by.
    pub name: String,
    /// The tools by which a server is recognised: it must have all of them.
    pub fits: BTreeSet<String>,
    pub(crate) search: Option<TrackTool>,
    pub(crate) search_isrc: Option<TrackTool>,
    pub(crate) list_items: Option<ItemsTool>,
    pub(crate) contains: Option<ContainsTool>,
    pub(crate) add: Option<Tool>,
    pub(crate) remove: Option<Tool>,
    pub(crate) list_playlists: Option<PlaylistsTool>,
    pub(crate) create_playlist: Option<CreateTool>,
    pub(crate) track: TrackFields,
    pub(crate) error: ErrorFields,
}

/// A tool and its arguments. In an argument, `"{name}"` stands for the value of that name.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    pub(crate) tool: String,
    pub(crate) arguments: BTreeMap<String, Value>,
}

/// A tool that answers tracks: a list at this place, or a single one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackTool {
    #[serde(flatten)]
    pub(crate) call: Tool,
    pub(crate) tracks: String,
}

/// A tool that answers a page of a playlist.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemsTool {
    #[serde(flatten)]
    pub(crate) call: Tool,
    pub(crate) items: String,
    pub(crate) uri: String,
    pub(crate) total: String,
    /// Where the next page begins, where the server tells.
    pub(crate) next: Option<String>,
}

/// A tool that answers whether a track is in a playlist.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ContainsTool {
    #[serde(flatten)]
    pub(crate) call: Tool,
    pub(crate) present: String,
}

/// A tool that answers the user's playlists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlaylistsTool {
    #[serde(flatten)]
    pub(crate) call: Tool,
    pub(crate) playlists: String,
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) writable: Option<String>,
    pub(crate) total_tracks: Option<String>,
}

/// A tool that makes a playlist and answers its id.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTool {
    #[serde(flatten)]
    pub(crate) call: Tool,
    pub(crate) id: String,
}

/// Where the parts of a track stand, as JSON pointers below the track.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrackFields {
    pub(crate) id: String,
    pub(crate) uri: Option<String>,
    pub(crate) title: String,
    pub(crate) artists: String,
    pub(crate) album: Option<String>,
    pub(crate) duration_ms: Option<String>,
    pub(crate) isrc: Option<String>,
}

/// Where an error stands in an answer, and what its words mean where it has no code of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorFields {
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_seconds: Option<String>,
    #[serde(default)]
    pub(crate) patterns: Vec<ErrorPattern>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorPattern {
    pub(crate) contains: String,
    pub(crate) code: ErrorCode,
}

/// No profile could be had.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// A profile was forced that does not exist.
    #[error("there is no upstream profile {name:?}; there are: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// No profile has all its tools on this server.
    #[error("no upstream profile fits the server's tools ({tools}); there are: {known}")]
    NoneFits {
        /// The server's tools.
        tools: String,
        /// The names that exist.
        known: String,
    },
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// The text is no profile; the error names the line and the key.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The profiles that Segue brings.
    pub fn built_in() -> Vec<Self> {
        BUILT_IN
            .iter()
            .filter_map(|text| Self::parse(text).ok())
            .collect()
    }

    /// The forced profile, or the first that fits the server's tools.
    pub fn choose(forced: Option<&str>, tools: &BTreeSet<String>) -> Result<Self, ProfileError> {
        let mut profiles = Self::built_in();
        let known = profiles
            .iter()
            .map(|p| p.name.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let position =
            match forced {
                Some(name) => profiles.iter().position(|p| p.name == name).ok_or_else(|| {
                    ProfileError::Unknown {
                        name: name.to_owned(),
                        known: known.clone(),
                    }
                }),
                None => profiles
                    .iter()
                    .position(|p| p.fits.is_subset(tools))
                    .ok_or_else(|| ProfileError::NoneFits {
                        tools: tools
                            .iter()
                            .take(20)
                            .map(|tool| clean(tool))
                            .collect::<Vec<_>>()
                            .join(", "),
                        known,
                    }),
            }?;
        Ok(profiles.swap_remove(position))
    }
}

impl Tool {
    /// Whether a value of this name goes along with a call.
    pub(crate) fn takes(&self, name: &str) -> bool {
        let placeholder = format!("{{{name}}}");
        self.arguments
            .values()
            .any(|template| template.as_str() == Some(&placeholder))
    }

    /// The arguments of one call, each `"{name}"` replaced by its value.
    pub(crate) fn fill(&self, values: &[(&str, Value)]) -> serde_json::Map<String, Value> {
        self.arguments
            .iter()
            .map(|(key, template)| (key.clone(), fill(template, values)))
            .collect()
    }
}

fn fill(template: &Value, values: &[(&str, Value)]) -> Value {
    match template {
        Value::String(text) => values
            .iter()
            .find(|(name, _)| {
                text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) == Some(name)
            })
            .map_or_else(|| template.clone(), |(_, value)| value.clone()),
        Value::Array(items) => items.iter().map(|item| fill(item, values)).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), fill(value, values)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn every_built_in_profile_is_readable_and_named_once() {
        let names: BTreeSet<_> = Profile::built_in().into_iter().map(|p| p.name).collect();
        assert_eq!(names.len(), BUILT_IN.len());
    }

    #[test]
    fn the_profile_is_found_from_the_servers_own_tools() {
        let hunarjain = tools(&[
            "search_track",
            "add_track_to_playlist",
            "verify_track_added",
            "get_user_playlists",
            "search_by_isrc",
        ]);
        let found = Profile::choose(None, &hunarjain).map(|p| p.name);
        assert_eq!(found, Ok("hunarjain09".to_owned()));
        assert_eq!(
            Profile::choose(Some("segue"), &hunarjain).map(|p| p.name),
            Ok("segue".to_owned())
        );
    }

    #[test]
    fn an_unknown_server_or_profile_is_an_error_that_names_what_there_is() {
        for refused in [
            Profile::choose(None, &tools(&["play", "pause"])),
            Profile::choose(Some("nobody"), &tools(&[])),
        ] {
            let message = refused.map(|p| p.name).unwrap_err().to_string();
            assert!(message.contains("segue, hunarjain09"), "{message}");
        }
    }

    #[test]
    fn placeholders_keep_the_type_of_their_value() {
        let tool = Tool {
            tool: "t".into(),
            arguments: BTreeMap::from([
                ("uris".into(), json!(["{uri}"])),
                ("offset".into(), json!("{offset}")),
                ("limit".into(), json!(50)),
                ("title".into(), json!("{not ours}")),
            ]),
        };
        assert_eq!(
            Value::Object(tool.fill(&[("uri", json!("a{offset}")), ("offset", json!(7))])),
            json!({"uris": ["a{offset}"], "offset": 7, "limit": 50, "title": "{not ours}"})
        );
    }
}
