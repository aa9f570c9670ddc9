//! `search_by_isrc`: the tracks that carry a recording code.

use rmcp::{Json, handler::server::wrapper::Parameters, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::{SpotifyServer, ToolError, Track, spotify_api::MAX_SEARCH_LIMIT};

/// Which recording to find.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// International Standard Recording Code of 12 letters and digits, for example `GBUM71029604`;
    /// hyphens and lower case are fine.
    #[schemars(length(min = 12, max = 15))]
    pub isrc: String,
}

/// What was found. Nothing found does not prove absence: reissues get new codes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Output {
    /// Tracks with this code, at most ten: one recording can be on several albums.
    pub tracks: Vec<Track>,
    /// How many tracks there are in all.
    pub total: u32,
}

#[tool_router(router = search_by_isrc_router, vis = "pub(super)")]
impl SpotifyServer {
    /// Find the tracks of a recording by its ISRC, the surest way to identify one.
    #[tool(
        name = "search_by_isrc",
        annotations(
            title = "Find a recording by ISRC",
            read_only_hint = true,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = true
        )
    )]
    async fn search_by_isrc(
        &self,
        Parameters(params): Parameters<Params>,
    ) -> Result<Json<Output>, ToolError> {
        let isrc = normalized(&params.isrc).ok_or_else(|| {
            ToolError::invalid_request(
                "`isrc` is not an ISRC: two letters, three letters or digits, seven digits",
            )
        })?;
        let query = format!("isrc:{isrc}");
        let page = self.api.search_tracks(&query, MAX_SEARCH_LIMIT, 0).await?;
        let found: Vec<Track> = page
            .items
            .into_iter()
            .flatten()
            .filter_map(Track::from_wire)
            .collect();
        // Spotify searches loosely when a code is unknown; another recording is no answer.
        let (tracks, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|track| {
            let code = track.isrc.as_deref().and_then(normalized);
            code.is_none_or(|code| code == isrc)
        });
        let others = u32::try_from(others.len()).unwrap_or(u32::MAX);
        Ok(Json(Output {
            total: page.total.saturating_sub(others),
            tracks,
        }))
    }
}

/// The code in capitals and without hyphens, if it has the shape of one (ISO 3901).
fn normalized(text: &str) -> Option<String> {
    let code: String = text
        .trim()
        .chars()
        .filter(|char| *char != '-')
        .map(|char| char.to_ascii_uppercase())
        .collect();
    let bytes = code.as_bytes();
    let is_isrc = bytes.len() == 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..5].iter().all(u8::is_ascii_alphanumeric)
        && bytes[5..].iter().all(u8::is_ascii_digit);
    is_isrc.then_some(code)
}

#[cfg(test)]
mod tests {
    use super::normalized;

    #[test]
    fn codes_are_normalized_and_others_refused() {
        for text in ["GBUM71029604", "gbum71029604", " GB-UM7-10-29604 "] {
            assert_eq!(normalized(text).as_deref(), Some("GBUM71029604"));
        }
        for text in [
            "",
            "GBUM7102960",
            "GBUM710296041",
            "1BUM71029604",
            "GBUM7102960X",
            "éBUM71029604",
        ] {
            assert_eq!(normalized(text), None, "{text:?}");
        }
    }
}
