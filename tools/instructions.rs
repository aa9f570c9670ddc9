//! What a model is told about when to use which tool, in ten lines.

/// Given with `initialize` and `server/discover`.
pub(crate) const INSTRUCTIONS: &str = "\
Segue adds songs to Spotify playlists durably: once a tool has answered with a sync_id, the work survives a closed chat, a restart and rate limits, and every song ends in the playlist exactly once or with a reason. Never call again for the same songs.
- One song: sync_track. Several: sync_playlist, once, with all of them; what another program exported (CSV, text, M3U, XML, JSON) goes in as it is, as export or file. To see first what would be done: preview_sync, then sync_playlist with from_preview.
- The user names a playlist loosely: list_playlists first, and use its id.
- What came of it: get_sync_progress (wait_seconds waits for the end, page tells the rows of a batch), or the resources sync://SYNC_ID and sync://SYNC_ID/report.json. Earlier work: list_syncs.
- completed with success false: no match was good enough and nothing was added; tell the user best_candidate and why. After any other end, message says what is in the playlist.
- A sync that waits has not failed: waiting_for_rate_limit and waiting_for_upstream go on by themselves at waiting_until, waiting_for_sign_in when the user has run `segue login`.
- Uncertain matches: on_ambiguous skip leaves them out, ai lets a model choose, review asks the user. At waiting_for_review call list_reviews, show the candidates side by side, and give the user's choice to review_match; never choose for them. list_answers and forget_answer: what is remembered of that.
- To stop: cancel_sync; it takes out what a single song or an atomic batch had added, what another batch has added stays. To try again what failed or is dead_lettered: retry_failed.
- Again and again (keep every week's Discover Weekly, mirror a playlist): schedule_sync; list_schedules tells what came of it.
- Syncs do not move: get_health says what is wrong, and what to do.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segue;

    #[test]
    fn they_are_ten_lines_and_name_only_tools_that_there_are() {
        assert_eq!(INSTRUCTIONS.lines().count(), 10);
        let tools: Vec<String> = Segue::router()
            .list_all()
            .into_iter()
            .map(|tool| tool.name.into_owned())
            .collect();
        let verbs = [
            "cancel", "compare", "delete", "forget", "get", "list", "pause", "preview", "reset",
            "resume", "retry", "review", "run", "schedule", "sync", "update",
        ];
        let words = INSTRUCTIONS.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        let named: Vec<&str> = words
            .filter(|word| {
                let verb = word.split_once('_').map(|(verb, _)| verb);
                *word != "sync_id" && verb.is_some_and(|verb| verbs.contains(&verb))
            })
            .collect();
        assert!(named.len() > 12, "{named:?}");
        for name in named {
            assert!(tools.iter().any(|tool| tool == name), "{name}");
        }
    }
}
