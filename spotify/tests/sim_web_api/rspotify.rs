//! A client that Segue did not write works with it: rspotify, which the bundled upstream is built on.

use std::collections::HashSet;

use rspotify::model::{PlayableId, PlaylistId, SearchResult, SearchType, TrackId};
use rspotify::prelude::{BaseClient as _, Id as _, OAuthClient as _};
use rspotify::{AuthCodePkceSpotify, Config, Credentials, OAuth, Token};
use segue_spotify::sim::{Sim, SimOptions};

async fn signed_in(sim: &Sim) -> AuthCodePkceSpotify {
    let config = Config {
        api_base_url: sim.ready().api_url.clone(),
        auth_base_url: sim.ready().accounts_url.clone(),
        token_refreshing: true,
        ..Config::default()
    };
    let token = Token {
        refresh_token: Some(sim.refresh_token().to_owned()),
        scopes: HashSet::new(),
        ..Token::default()
    };
    let credentials = Credentials::new_pkce(sim.client_id());
    AuthCodePkceSpotify::from_token_with_config(token, credentials, OAuth::default(), config)
}

#[tokio::test]
async fn rspotify_searches_adds_reads_and_removes() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let spotify = signed_in(&sim).await;
    let found = spotify
        .search("love", SearchType::Track, None, None, Some(3), None)
        .await
        .unwrap();
    let SearchResult::Tracks(page) = found else {
        panic!("{found:?}")
    };
    let tracks: Vec<TrackId<'static>> = page
        .items
        .into_iter()
        .filter_map(|track| track.id)
        .collect();
    assert_eq!(tracks.len(), 3);

    let id = PlaylistId::from_id(sim.empty_playlist_id()).unwrap();
    let items = || tracks.iter().map(|id| PlayableId::Track(id.as_ref()));
    let added = spotify
        .playlist_add_items(id.as_ref(), items(), None)
        .await
        .unwrap();
    let page = spotify
        .playlist_items_manual(id.as_ref(), None, None, Some(50), None)
        .await
        .unwrap();
    let read: Vec<Option<String>> = page
        .items
        .iter()
        .map(|entry| Some(entry.item.as_ref()?.id()?.uri()))
        .collect();
    let expected: Vec<Option<String>> = tracks.iter().map(|id| Some(id.uri())).collect();
    assert_eq!(read, expected);

    let first = items().take(1);
    let snapshot = Some(added.snapshot_id.as_str());
    spotify
        .playlist_remove_all_occurrences_of_items(id.as_ref(), first, snapshot)
        .await
        .unwrap();
    assert_eq!(
        sim.playlist_uris(sim.empty_playlist_id())
            .map(|uris| uris.len()),
        Some(2)
    );
}

#[tokio::test]
async fn rspotify_knows_the_user_and_the_playlists() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let spotify = signed_in(&sim).await;
    assert_eq!(
        spotify.me().await.unwrap().display_name.as_deref(),
        Some("Segue Listener")
    );
    let page = spotify
        .current_user_playlists_manual(Some(50), None)
        .await
        .unwrap();
    let totals: Vec<u32> = page
        .items
        .iter()
        .map(|playlist| playlist.items.total)
        .collect();
    assert_eq!(totals, [0, 12]);
}
