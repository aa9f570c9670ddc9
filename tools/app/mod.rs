//! The view that a host shows beside the conversation (MCP Apps, SEP-1865), and the page that the HTTP server
//! has at `/`: one HTML file for both.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rmcp::model::{
    CacheScope, ExtensionCapabilities, JsonObject, MetaObject, ReadResourceResult, ResourceContents,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::caching;

/// The extension by which hosts and servers agree on views.
const EXTENSION: &str = "io.modelcontextprotocol/ui";
/// What a view is, as hosts want to be told.
const MIME: &str = "text/html;profile=mcp-app";
/// The view of a sync.
pub(crate) const URI: &str = "ui://segue/progress";

/// The view of a sync, and the page at `/`. It fetches nothing but what it is told over MCP.
pub const PROGRESS_HTML: &str = include_str!("progress.html");

/// The `Content-Security-Policy` under which [`PROGRESS_HTML`] is served as a page: its one script and its
/// one style by their hashes, MCP of the same origin, and nothing else.
pub fn page_policy() -> String {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash_of("script"),
        hash_of("style"),
    )
}

/// What is between the tags of this name, of which the page has one pair.
fn inside(tag: &str) -> &'static str {
    let (_, rest) = PROGRESS_HTML
        .split_once(&format!("<{tag}>"))
        .unwrap_or_default();
    let (inside, _) = rest.split_once(&format!("</{tag}>")).unwrap_or_default();
    inside
}

fn hash_of(tag: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(inside(tag))))
}

/// What the server says of views when it is asked what it can.
pub(crate) fn capability() -> ExtensionCapabilities {
    let settings = object(json!({ "mimeTypes": [MIME] }));
    [(EXTENSION.to_owned(), settings)].into()
}

/// What a tool whose answer the view shows says of it.
pub(crate) fn of_tool() -> MetaObject {
    MetaObject(object(json!({ "ui": { "resourceUri": URI } })))
}

/// The view, as hosts read it.
pub(crate) fn read() -> ReadResourceResult {
    let contents = ResourceContents::text(PROGRESS_HTML, URI)
        .with_mime_type(MIME)
        .with_meta(on_display());
    ReadResourceResult::new(vec![contents])
        .with_ttl_ms(caching::DEFINITIONS_MS)
        .with_cache_scope(CacheScope::Public)
}

/// How it wants to be shown: it needs no network at all, and draws no border of its own.
fn on_display() -> MetaObject {
    MetaObject(object(
        json!({ "ui": { "csp": { "connectDomains": [], "resourceDomains": [] }, "prefersBorder": true } }),
    ))
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        _ => JsonObject::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the page: it is sent to every host whole.
    const MOST: usize = 64 * 1024;
    /// Where a click may lead, if the user and the host allow it. Nothing is fetched from there.
    const LINKS: [&str; 2] = [
        "https://open.spotify.com/playlist/",
        "https://open.spotify.com/track/",
    ];

    #[test]
    fn the_page_is_one_file_that_refers_to_nothing_outside() {
        assert!(PROGRESS_HTML.len() < MOST, "{}", PROGRESS_HTML.len());
        let mut rest = PROGRESS_HTML.to_owned();
        for link in LINKS {
            assert!(rest.contains(link));
            rest = rest.replace(link, "");
        }
        for reference in [
            "://",
            "src=",
            "href=",
            "@import",
            "url(\"",
            "url('",
            "<link",
            "<img",
            "<iframe",
            "import(",
            "XMLHttpRequest",
            "WebSocket",
            "EventSource",
            "sendBeacon",
        ] {
            let known = reference == "://" && rest.matches(reference).count() == 1;
            let ours = known && rest.contains(URI);
            assert!(ours || !rest.contains(reference), "{reference}");
        }
        assert_eq!(rest.matches("fetch(").count(), 1, "of MCP");
        assert!(rest.contains("fetch(\"/mcp\""));
    }

    #[test]
    fn text_from_outside_has_no_way_to_become_markup() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "eval(",
            "new Function",
            "srcdoc",
            "setTimeout(\"",
        ] {
            assert!(!PROGRESS_HTML.contains(way), "{way}");
        }
    }

    #[test]
    fn the_policy_knows_all_that_the_page_runs() {
        for tag in ["script", "style"] {
            let opened = PROGRESS_HTML.matches(&format!("<{tag}")).count();
            assert_eq!(opened, 1, "one {tag}");
            assert!(inside(tag).len() > 1000, "{tag}");
            assert!(page_policy().contains(&hash_of(tag)), "{tag}");
        }
        // None of these would be let through by a hash.
        let (markup, _) = PROGRESS_HTML.split_once("<script>").expect("a script");
        let (_, markup) = markup.split_once("</style>").expect("a style");
        for inline in ["style=", " on", "javascript:"] {
            let handler = markup.match_indices(inline).find(|(place, _)| {
                let after = markup[place + inline.len()..].chars();
                inline != " on" || after.take_while(|c| *c != ' ').any(|c| c == '=')
            });
            assert_eq!(handler, None);
        }
    }

    #[test]
    fn a_hash_is_as_browsers_write_it() {
        // The empty text, from the specification's own example of SHA-256.
        let empty = STANDARD.encode(Sha256::digest(""));
        assert_eq!(empty, "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }
}
