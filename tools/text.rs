//! Text arguments, checked at the border: not empty, not endless, without hidden characters.

use segue_workflows::upstream::clean;

use crate::error::ToolError;

/// The text, cleaned; an error that names the field if nothing is left or it is too long.
pub(crate) fn required(
    field: &'static str,
    given: &str,
    longest: usize,
) -> Result<String, ToolError> {
    let allowed = format!("1 to {longest} characters of text");
    if given.chars().count() > longest {
        return Err(ToolError::invalid(field, "is too long", &allowed));
    }
    match clean(given) {
        cleaned if cleaned.is_empty() => Err(ToolError::invalid(field, "is empty", &allowed)),
        cleaned => Ok(cleaned),
    }
}

/// The same for an argument that may be left out; an empty one counts as left out.
pub(crate) fn optional(
    field: &'static str,
    given: Option<&str>,
    longest: usize,
) -> Result<Option<String>, ToolError> {
    match given.map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => required(field, text, longest).map(Some),
    }
}
