//! The `fields` parameter: which parts of an answer a client wants, such as
//! `total,items(added_at,item(name,album.name))` or `items.item(!album,artists)`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::extract::Params;
use crate::sim::error::ApiError;

/// How deep a selection may nest; answers are less than ten levels deep.
const MAX_DEPTH: usize = 16;

/// The parts of an object that are wanted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fields {
    All,
    Only(BTreeMap<String, Fields>),
    Except(Vec<String>),
}

impl Fields {
    /// What a request asks for; everything if it doesn't say.
    pub(crate) fn of(params: &Params) -> Result<Self, ApiError> {
        let Some(text) = params.get("fields") else {
            return Ok(Self::All);
        };
        let mut rest = text;
        let fields = list(&mut rest, MAX_DEPTH).filter(|_| rest.is_empty());
        fields.ok_or(ApiError::bad_request("Invalid fields"))
    }

    /// Takes from `value` what is not wanted. A selection of an array is one of each element.
    pub(crate) fn trim(&self, value: &mut Value) {
        match (self, value) {
            (Self::All, _) => {}
            (_, Value::Array(items)) => items.iter_mut().for_each(|item| self.trim(item)),
            (Self::Only(wanted), Value::Object(object)) => object.retain(|name, value| {
                let fields = wanted.get(name);
                fields.inspect(|fields| fields.trim(value)).is_some()
            }),
            (Self::Except(unwanted), Value::Object(object)) => {
                object.retain(|name, _| !unwanted.contains(name));
            }
            _ => {}
        }
    }

    /// Both selections together.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Only(mut fields), Self::Only(more)) => {
                for (name, selection) in more {
                    add(&mut fields, name, selection);
                }
                Self::Only(fields)
            }
            _ => Self::All,
        }
    }
}

fn add(fields: &mut BTreeMap<String, Fields>, name: String, selection: Fields) {
    let selection = match fields.remove(&name) {
        Some(known) => known.and(selection),
        None => selection,
    };
    fields.insert(name, selection);
}

/// Reads terms with commas between them. An exclamation mark at the start excludes all of them.
fn list(rest: &mut &str, depth: usize) -> Option<Fields> {
    let excluding = rest.starts_with('!');
    let mut fields = BTreeMap::new();
    loop {
        *rest = rest.trim_start_matches(['!', ' ']);
        let (name, selection) = term(rest, depth.checked_sub(1)?)?;
        add(&mut fields, name, selection);
        match rest.strip_prefix(',') {
            Some(after) => *rest = after,
            None if excluding => return Some(Fields::Except(fields.into_keys().collect())),
            None => return Some(Fields::Only(fields)),
        }
    }
}

/// Reads `name`, `name.term` or `name(list)`.
fn term(rest: &mut &str, depth: usize) -> Option<(String, Fields)> {
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let (name, after) = rest
        .split_at_checked(end)
        .filter(|(name, _)| !name.is_empty())?;
    *rest = after;
    let selection = if let Some(inner) = after.strip_prefix('.') {
        *rest = inner;
        let (name, selection) = term(rest, depth.checked_sub(1)?)?;
        Fields::Only(BTreeMap::from([(name, selection)]))
    } else if let Some(inner) = after.strip_prefix('(') {
        *rest = inner;
        let selection = list(rest, depth)?;
        *rest = rest.strip_prefix(')')?;
        selection
    } else {
        Fields::All
    };
    Some((name.to_owned(), selection))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trimmed(fields: &str) -> Value {
        let mut value = json!({
            "total": 2,
            "items": [
                {"added_at": "a", "item": {"name": "n", "album": {"name": "m", "href": "h"}}},
                {"added_at": "b", "item": {"name": "o", "album": {"name": "p", "href": "i"}}},
            ],
        });
        list(&mut &*fields, MAX_DEPTH).unwrap().trim(&mut value);
        value
    }

    #[test]
    fn names_choose_fields() {
        assert_eq!(trimmed("total,unknown"), json!({"total": 2}));
    }

    #[test]
    fn dots_and_parentheses_reach_into_objects_and_arrays() {
        assert_eq!(
            trimmed("items.added_at"),
            json!({"items": [{"added_at": "a"}, {"added_at": "b"}]})
        );
        let deep = json!({"total": 2, "items": [
            {"item": {"name": "n", "album": {"name": "m"}}},
            {"item": {"name": "o", "album": {"name": "p"}}},
        ]});
        assert_eq!(trimmed("total,items(item(name,album.name))"), deep);
        assert_eq!(trimmed("items.item.name,total,items.item.album.name"), deep);
    }

    #[test]
    fn an_exclamation_mark_excludes() {
        assert_eq!(
            trimmed("items.item(!name)"),
            json!({"items": [
                {"item": {"album": {"name": "m", "href": "h"}}},
                {"item": {"album": {"name": "p", "href": "i"}}},
            ]})
        );
        assert_eq!(trimmed("!items,total"), json!({}));
    }

    #[test]
    fn what_is_no_selection_is_refused() {
        for text in ["items(", "a..b", "a,", ",", "a)b", &"a(".repeat(100)] {
            let mut rest = text;
            assert!(
                list(&mut rest, MAX_DEPTH).is_none_or(|_| !rest.is_empty()),
                "{text}"
            );
        }
    }
}
