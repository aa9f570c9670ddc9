//! The server's own search tools, for an agent that is to call them in the server's words.
//!
//! Only these: what an agent calls by name must change nothing and tell nothing of the user, and of a
//! server's tools the profile alone says which those are. What they answer is read as any search's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    GatedUpstream, Upstream, UpstreamError, answer, connection::Connection, profile::TrackTool,
    text::clean,
};
use crate::{error::ErrorCode, gate::Group, metrics::Endpoint, track::Candidate};

/// Characters of a description that a model is told.
const LONGEST_DESCRIPTION: usize = 1_000;
/// Bytes of an input schema, and of the arguments of a call.
const LARGEST_SCHEMA: usize = 8 * 1024;
const LARGEST_ARGUMENTS: usize = 4 * 1024;

/// A tool of the server's that searches, as the server describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchTool {
    /// Its name at the server.
    pub name: String,
    /// What the server says of it, cut and cleaned.
    pub description: String,
    /// The schema of its arguments.
    pub parameters: Value,
    /// It takes an ISRC, and not words.
    pub by_isrc: bool,
}

/// A connection of its own, for one who wants to speak with the same server all along. It is not made
/// anew when it breaks.
#[derive(Clone)]
pub(crate) struct Session {
    upstream: Upstream,
    server: Arc<Connection>,
}

impl Upstream {
    /// The server's tools that search.
    async fn search_tools(&self) -> Result<Vec<SearchTool>, UpstreamError> {
        let server = self.connected().await?;
        let listed = server.tools_now(&self.endpoint.label()).await?;
        let mut tools = Vec::new();
        for (wanted, by_isrc) in [
            (&server.profile.search, false),
            (&server.profile.search_isrc, true),
        ] {
            let Some(wanted) = wanted else { continue };
            let Some(tool) = listed.iter().find(|tool| tool.name == wanted.call.tool) else {
                continue;
            };
            let mut parameters = Value::Object((*tool.input_schema).clone());
            cleaned(&mut parameters);
            if parameters.to_string().len() > LARGEST_SCHEMA {
                return Err(UpstreamError::bad_answer(format!(
                    "the schema of the tool {} has more than {LARGEST_SCHEMA} bytes",
                    clean(&tool.name)
                )));
            }
            let description = clean(tool.description.as_deref().unwrap_or_default());
            tools.push(SearchTool {
                name: tool.name.to_string(),
                description: description.chars().take(LONGEST_DESCRIPTION).collect(),
                parameters,
                by_isrc,
            });
        }
        Ok(tools)
    }

    /// Calls a search tool by its name and with arguments in the server's own words.
    async fn call_search_tool(
        &self,
        server: &Connection,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Vec<Candidate>, UpstreamError> {
        let refused = |why: &str| UpstreamError::new(ErrorCode::InvalidRequest, why);
        let searches = [&server.profile.search, &server.profile.search_isrc];
        let mut searches = searches.into_iter().flatten();
        let tool: &TrackTool = searches
            .find(|tool| tool.call.tool == name)
            .ok_or_else(|| refused("this is no search tool of the server"))?;
        if Value::Object(arguments.clone()).to_string().len() > LARGEST_ARGUMENTS {
            return Err(refused("the arguments are too long"));
        }
        let answer = self.call_with(server, name, "search", arguments).await?;
        let found = answer::list(&answer, &tool.tracks)?;
        answer::candidates(found, &server.profile.track)
    }
}

/// Cleans every text in a schema: descriptions are the server's words.
fn cleaned(schema: &mut Value) {
    match schema {
        Value::String(text) => *text = clean(text),
        Value::Array(items) => items.iter_mut().for_each(cleaned),
        Value::Object(fields) => fields.values_mut().for_each(cleaned),
        _ => {}
    }
}

impl GatedUpstream {
    /// The server's tools that search. It costs no request to Spotify, but it waits as one does where the
    /// server is down.
    pub(crate) async fn search_tools(&self) -> Result<Vec<SearchTool>, UpstreamError> {
        self.through(
            Group::Search,
            Endpoint::Search,
            self.upstream.search_tools(),
        )
        .await
    }

    /// Calls one of them on the shared connection, which is made anew if it broke.
    pub(crate) async fn call_search_tool(
        &self,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Vec<Candidate>, UpstreamError> {
        self.through(Group::Search, Endpoint::Search, async {
            let server = self.upstream.connected().await?;
            self.upstream
                .call_search_tool(&server, name, arguments)
                .await
        })
        .await
    }

    /// Opens a session.
    pub(crate) async fn open_session(&self) -> Result<Session, UpstreamError> {
        let upstream = Upstream::new(
            self.upstream.endpoint.clone(),
            self.upstream.forced_profile.clone(),
        );
        let opening = upstream.connected();
        let server = self
            .through(Group::Search, Endpoint::Search, opening)
            .await?;
        Ok(Session { upstream, server })
    }

    /// Calls a search tool in a session.
    ///
    /// # Errors
    /// [`ErrorCode::McpSessionLost`] if the session broke, before the call or during it.
    pub(crate) async fn call_in(
        &self,
        session: &Session,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Vec<Candidate>, UpstreamError> {
        let Session { upstream, server } = session;
        let lost = || UpstreamError::new(ErrorCode::McpSessionLost, "the server has gone");
        if server.is_closed() {
            return Err(lost());
        }
        let called = upstream.call_search_tool(server, name, arguments);
        match self.through(Group::Search, Endpoint::Search, called).await {
            Err(error) if error.broke || server.is_closed() => Err(lost()),
            // It hangs, or says what is no MCP: nobody would call it again.
            Err(_) if !upstream.holds(server).await => Err(lost()),
            result => result,
        }
    }
}
