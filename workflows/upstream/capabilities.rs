//! What an upstream can do for a sync: which of its profile's tools it has.

use super::profile::Profile;

/// Something that a sync may need of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capability {
    /// What it is, as a verb phrase.
    pub what: &'static str,
    /// Whether the upstream can do it.
    pub can: bool,
    /// Whether no sync is possible without it.
    pub needed: bool,
    /// What is lost without it.
    pub without: &'static str,
}

/// The capabilities of a server with this profile, of whose tools it `has` some.
pub(super) fn of(profile: &Profile, has: impl Fn(&str) -> bool) -> Vec<Capability> {
    let tool = |name: Option<&str>| name.is_some_and(&has);
    let lists = tool(profile.list_items.as_ref().map(|t| t.call.tool.as_str()));
    let contains = tool(profile.contains.as_ref().map(|t| t.call.tool.as_str()));
    let capability = |what, can, needed, without| Capability {
        what,
        can,
        needed,
        without,
    };
    vec![
        capability(
            "search",
            tool(profile.search.as_ref().map(|t| t.call.tool.as_str())),
            true,
            "no song can be found",
        ),
        capability(
            "look into a playlist",
            lists || contains,
            true,
            "nothing can be added safely, because nobody can see what is there",
        ),
        capability(
            "add to a playlist",
            tool(profile.add.as_ref().map(|t| t.tool.as_str())),
            true,
            "nothing can be added",
        ),
        capability(
            "search by ISRC",
            tool(profile.search_isrc.as_ref().map(|t| t.call.tool.as_str())),
            false,
            "ISRCs are searched as text",
        ),
        capability(
            "list a playlist",
            lists,
            false,
            "batches look song by song, and no playlist can be a source",
        ),
        capability(
            "remove from a playlist",
            tool(profile.remove.as_ref().map(|t| t.tool.as_str())),
            false,
            "a cancelled sync says what it left behind, and mirrors take nothing out",
        ),
        capability(
            "list playlists",
            tool(
                profile
                    .list_playlists
                    .as_ref()
                    .map(|t| t.call.tool.as_str()),
            ),
            false,
            "playlists can be given by id only",
        ),
        capability(
            "create a playlist",
            tool(
                profile
                    .create_playlist
                    .as_ref()
                    .map(|t| t.call.tool.as_str()),
            ),
            false,
            "batches need a playlist that is there",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(profile: &str, gone: &str) -> Vec<&'static str> {
        let profiles = Profile::built_in();
        let profile = profiles.iter().find(|one| one.name == profile);
        let all = of(profile.expect("a profile"), |tool| tool != gone);
        let lacking = all.iter().filter(|capability| !capability.can);
        lacking.map(|capability| capability.what).collect()
    }

    #[test]
    fn the_bundled_server_lacks_nothing() {
        assert!(lacking("segue", "").is_empty());
    }

    #[test]
    fn a_tool_that_the_server_lost_is_a_capability_that_it_lacks() {
        assert_eq!(
            lacking("segue", "add_tracks_to_playlist"),
            ["add to a playlist"]
        );
        let both = ["look into a playlist", "list a playlist"];
        assert_eq!(lacking("segue", "get_playlist_items"), both);
    }

    #[test]
    fn what_a_profile_has_no_tool_for_is_lacking() {
        let lacking = lacking("hunarjain09", "");
        assert!(lacking.contains(&"remove from a playlist"), "{lacking:?}");
        assert!(!lacking.contains(&"look into a playlist"), "{lacking:?}");
    }
}
