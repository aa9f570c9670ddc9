//! The arguments of a call, read so that an error names the field.

use rmcp::{
    ErrorData,
    handler::server::{common::FromContextPart, tool::ToolCallContext},
    model::CallToolRequestParams,
};
use segue_workflows::{names, upstream::clean};
use serde::de::DeserializeOwned;
use tracing::Span;

/// A tool's parameters. Unlike rmcp's own extractor it says which field is wrong.
pub(crate) struct Args<P>(pub P);

impl<S, P: DeserializeOwned> FromContextPart<ToolCallContext<'_, S>> for Args<P> {
    fn from_context_part(context: &mut ToolCallContext<'_, S>) -> Result<Self, ErrorData> {
        let arguments = context.arguments.take().unwrap_or_default();
        read(serde_json::Value::Object(arguments))
            .map(Self)
            .map_err(|message| ErrorData::invalid_params(message, None))
    }
}

/// The sync that a call is about, for its span. A text of another form names none.
pub(crate) fn sync_named(request: &CallToolRequestParams) -> Option<&str> {
    let id = request.arguments.as_ref()?.get("sync_id")?.as_str()?;
    names::is_sync_id(id).then_some(id)
}

/// The id of a sync that the call under way is about to start, noted in its span.
pub(crate) fn new_sync_id() -> String {
    let sync_id = names::new_sync_id();
    Span::current().record("sync_id", &*sync_id);
    sync_id
}

/// Reads the arguments; an error names the field. It repeats what was given, and so is cut and
/// cleaned as that would be.
pub(crate) fn read<P: DeserializeOwned>(arguments: serde_json::Value) -> Result<P, String> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let field = error.path().to_string();
        clean(&match field.as_str() {
            "." => format!("The arguments are not right: {}.", error.inner()),
            _ => format!("The argument {field} is not right: {}.", error.inner()),
        })
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Params {
        title: String,
        #[serde(default)]
        wait_seconds: u32,
    }

    #[test]
    fn an_error_names_the_field_and_what_is_allowed() {
        for (arguments, expected) in [
            (json!({}), "missing field `title`"),
            (json!({"title": 5}), "argument title is not right"),
            (
                json!({"title": "x", "wait_seconds": "soon"}),
                "argument wait_seconds is not right",
            ),
            (
                json!({"title": "x", "titel": "y"}),
                "expected `title` or `wait_seconds`",
            ),
        ] {
            let message = read::<Params>(arguments).expect_err("refused");
            assert!(message.contains(expected), "{message}");
        }
    }
}
