//! A tool that is not there, or is there no more.

use super::{Upstream, UpstreamError, connection::Connection, missing, profile::Profile};
use crate::error::ErrorCode;

/// Whether the server may have said that it does not know the tool. Servers have no one way to say
/// it: as a method that is not found, as wrong parameters, or as a result in words of their own.
pub(super) fn is_unknown_tool(error: &UpstreamError) -> bool {
    let words = error.message.to_lowercase();
    error.code == ErrorCode::CapabilityMissing
        || (words.contains("tool") && (words.contains("unknown") || words.contains("not found")))
}

impl Upstream {
    /// What to make of a tool that is not in the list, or of the server's words that it has none
    /// (`told`). The list is made anew once, because the server may have been restarted with other
    /// tools. The call is not made again here: if it may succeed now, the error is one that the
    /// workflow tries again, and the next call connects anew and chooses a profile anew.
    pub(super) async fn look_for_tool(
        &self,
        server: &Connection,
        tool: &str,
        capability: &str,
        told: Option<UpstreamError>,
    ) -> UpstreamError {
        let label = self.endpoint.label();
        let now = match server.list_tools(&label).await {
            Ok(now) => now,
            Err(error) => {
                self.forget(server).await;
                return error;
            }
        };
        if server.lists(&now) {
            return told.unwrap_or_else(|| missing(capability));
        }
        self.forget(server).await;
        let fits = Profile::choose(self.forced_profile.as_deref(), &now);
        let other_profile = fits.is_ok_and(|profile| profile.name != server.profile.name);
        if now.contains(tool) || other_profile {
            return UpstreamError::unavailable(format!("{label} has other tools than before"));
        }
        missing(capability)
    }
}
