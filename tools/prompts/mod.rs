//! Prompts: what a user picks by name, and a model is then told to do with our tools. Each file is one.

mod move_my_library;
mod review_what_waits;
mod what_went_wrong;

use rmcp::{
    ErrorData, RoleServer,
    model::{GetPromptRequestParams, GetPromptResult, JsonObject, Prompt, PromptMessage, Role},
    service::RequestContext,
};
use serde_json::Value;

use crate::{Segue, error::ToolError, resources, text};

/// Every prompt there is.
pub(crate) fn all() -> Vec<Prompt> {
    vec![
        move_my_library::definition(),
        what_went_wrong::definition(),
        review_what_waits::definition(),
    ]
}

/// The prompt of this name, if there is one.
pub(crate) fn named(name: &str) -> Option<Prompt> {
    all().into_iter().find(|prompt| prompt.name == name)
}

/// The words of a prompt, with what the engine knows now.
pub(crate) async fn get(
    segue: &Segue,
    request: GetPromptRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<GetPromptResult, ErrorData> {
    let Some(prompt) = named(&request.name) else {
        return Err(unknown());
    };
    let arguments = Arguments::of(&prompt, request.arguments.unwrap_or_default())?;
    let messages = match prompt.name.as_str() {
        move_my_library::NAME => move_my_library::messages(&arguments),
        what_went_wrong::NAME => what_went_wrong::messages(segue, &arguments, context).await,
        review_what_waits::NAME => review_what_waits::messages(segue, &arguments, context).await,
        _ => return Err(unknown()),
    };
    let messages = messages.map_err(|error| match error.code {
        "invalid_argument" | "unknown_sync" => ErrorData::invalid_params(error.to_string(), None),
        _ => resources::internal(&error),
    })?;
    let mut result = GetPromptResult::new(messages);
    result.description = prompt.description;
    Ok(result)
}

/// There is no prompt of this name.
pub(crate) fn unknown() -> ErrorData {
    let names: Vec<String> = all().into_iter().map(|prompt| prompt.name).collect();
    ErrorData::invalid_params(
        format!("There is no such prompt; there are {}.", names.join(", ")),
        None,
    )
}

/// What a user gave for a prompt.
struct Arguments(JsonObject);

impl Arguments {
    /// These, if the prompt knows each of them.
    fn of(prompt: &Prompt, given: JsonObject) -> Result<Self, ErrorData> {
        let known = prompt.arguments.as_deref().unwrap_or_default();
        let unknown = given
            .keys()
            .any(|name| known.iter().all(|argument| argument.name != *name));
        if unknown {
            let names: Vec<&str> = known.iter().map(|known| known.name.as_str()).collect();
            return Err(ErrorData::invalid_params(
                format!(
                    "The prompt {} has no such argument; it has {}.",
                    prompt.name,
                    names.join(", ")
                ),
                None,
            ));
        }
        Ok(Self(given))
    }

    /// The text of an argument, cleaned; nothing if it was left out.
    fn text(&self, name: &'static str, longest: usize) -> Result<Option<String>, ToolError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(given)) => text::optional(name, Some(given), longest),
            Some(_) => Err(ToolError::invalid(name, "is not a text", "text")),
        }
    }
}

/// What the user says: the words of a prompt.
fn user(text: String) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(value: Value) -> JsonObject {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn an_argument_is_text_that_the_prompt_knows() {
        let prompt = named(move_my_library::NAME).expect("a prompt");
        let of = |value| Arguments::of(&prompt, given(value));
        assert!(of(json!({"paylist": "x"})).is_err());
        let arguments = of(json!({"playlist": " Fresh\u{200b} Start ", "from": 7})).expect("known");
        let playlist = arguments.text("playlist", 300);
        assert_eq!(playlist, Ok(Some("Fresh Start".to_owned())));
        assert_eq!(arguments.text("absent", 300), Ok(None));
        let error = arguments.text("from", 300).expect_err("a number");
        assert_eq!(error.field, Some("from"));
    }

    #[test]
    fn each_has_a_title_and_describes_itself_and_its_arguments() {
        for prompt in all() {
            assert!(prompt.title.is_some(), "{}", prompt.name);
            assert!(prompt.icons.is_some(), "{}", prompt.name);
            let description = prompt.description.as_deref().unwrap_or_default();
            assert!(description.len() > 40, "{}", prompt.name);
            for argument in prompt.arguments.unwrap_or_default() {
                let described = argument.description.as_deref().unwrap_or_default();
                assert!(described.len() > 20, "{} {}", prompt.name, argument.name);
            }
        }
    }
}
