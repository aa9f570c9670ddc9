//! An event in the form that its receiver reads.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Event;

/// Characters of a text of Slack's, which takes 3,000 in a block.
const LONGEST_TEXT: usize = 2_900;

/// The form in which events are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The event as it stands, signed.
    #[default]
    Json,
    /// A message as Slack's incoming webhooks take it; other chats take it as well.
    Slack,
}

impl Form {
    /// The body that says this.
    pub(super) fn body(self, event: &Event) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Json => serde_json::to_vec(event),
            Self::Slack => serde_json::to_vec(&for_slack(event)),
        }
    }
}

fn for_slack(event: &Event) -> Value {
    let said = for_text(&event.message);
    let about = match &event.sync_id {
        Some(sync_id) => format!("{} · {} · {sync_id}", event.what.as_str(), event.user),
        None => format!("{} · {}", event.what.as_str(), event.user),
    };
    // Verbatim: Slack makes no link or mention of what a title happens to hold.
    let text = |text: &str| json!({"type": "mrkdwn", "text": text, "verbatim": true});
    json!({
        "text": said,
        "blocks": [
            {"type": "section", "text": text(&said)},
            {"type": "context", "elements": [text(&for_text(&about))]},
        ],
    })
}

/// The text with the three characters escaped that Slack reads commands from, cut where it takes no more.
fn for_text(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        let before = escaped.len();
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
        if escaped.len() > LONGEST_TEXT {
            escaped.truncate(before);
            escaped.push('…');
            break;
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(message: &str) -> Event {
        let time = "2026-11-26T04:00:00Z".parse().expect("a time");
        Event {
            message: message.to_owned(),
            ..Event::ping(time, "ada <ada@example.com>")
        }
    }

    #[test]
    fn a_title_commands_nothing_in_slack() {
        let body = for_slack(&event("\"<!channel> R&B <https://x|y>\" failed"));
        let escaped = "\"&lt;!channel&gt; R&amp;B &lt;https://x|y&gt;\" failed";
        assert_eq!(body["text"], escaped);
        assert_eq!(body["blocks"][0]["text"]["text"], escaped);
        assert_eq!(
            body["blocks"][1]["elements"][0]["text"],
            "ping · ada &lt;ada@example.com&gt;"
        );
    }

    #[test]
    fn a_text_is_cut_between_characters_and_never_inside_an_escape() {
        for filler in ["é", "&", "a"] {
            let body = for_slack(&event(&filler.repeat(20_000)));
            let text = body["text"].as_str().expect("a text");
            assert!(text.len() <= 3_000 && text.ends_with('…'), "{filler}");
            let whole = text.trim_end_matches('…');
            assert!(filler != "&" || whole.ends_with("&amp;"), "{filler}");
        }
    }
}
