//! "I was changing that playlist myself." Others put songs into it and take some out while a batch is at it: what is
//! theirs stays, and what the batch added is known.

use serde_json::json;

use crate::{
    batches::{certain, playlist_of, songs, uri_of},
    support::{World, ended, start_batch, until},
};

#[tokio::test]
async fn what_somebody_else_added_meanwhile_is_not_taken_out_with_the_batch() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    // All or nothing, and the second page has a song that nobody knows.
    let mut tracks = certain(&songs[..100]);
    tracks.push(json!({"title": "Zzyzx Nonesuch Qwv", "artist": "Nobody Of That Name"}));
    // The first reads what is in the playlist; the look before the add fails, and is made again.
    world
        .fault(json!({"endpoint": "playlist_items", "skip": 1, "count": 1, "status": 500}))
        .await;
    let call = json!({"tracks": tracks, "playlist": world.empty(), "atomic": true});
    let id = start_batch(&server, call).await;
    world.until_asked("playlist_items", 2).await;
    let theirs = uri_of(&songs[40]);
    world
        .refill(world.empty(), std::slice::from_ref(&theirs))
        .await;
    let view = ended(&server, &id).await;
    let counts = &view["batch"]["counts"];
    assert_eq!(counts["taken_out"], 99, "{view:#}");
    assert_eq!(counts["already_there"], 1, "{view:#}");
    assert_eq!(world.in_playlist(world.empty()), [theirs]);
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_moves_to_the_front_because_others_are_taken_out_is_still_seen() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    let before: Vec<String> = songs[20..25].iter().map(uri_of).collect();
    let playlist = playlist_of(&world, &songs[20..25]).await;
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "latency_after_ms": 3_000}))
        .await;
    let call = json!({"tracks": certain(&songs[..8]), "playlist": playlist, "atomic": true});
    let id = start_batch(&server, call).await;
    until("they are added", async || {
        world.in_playlist(&playlist).len() == 13
    })
    .await;
    let left = world.in_playlist(&playlist).split_off(3);
    assert!(left.starts_with(&before[3..]));
    world.refill(&playlist, &left).await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["batch"]["counts"]["added"], 8, "{view:#}");
    assert_eq!(world.in_playlist(&playlist), left);
    assert_eq!(world.effective_adds(), 1);
    server.end().await.unwrap();
}

#[tokio::test]
async fn what_somebody_else_added_while_the_batch_waited_is_not_added_again() {
    let world = World::new().await;
    let server = world.serve().await;
    let songs = songs();
    world
        .fault(json!({"endpoint": "add_items", "count": 1, "status": 429, "retry_after": 4}))
        .await;
    let call = json!({"tracks": certain(&songs[..5]), "playlist": world.empty()});
    let id = start_batch(&server, call).await;
    world.until_asked("add_items", 1).await;
    let theirs = uri_of(&songs[2]);
    world
        .refill(world.empty(), std::slice::from_ref(&theirs))
        .await;
    let view = ended(&server, &id).await;
    assert_eq!(view["success"], true, "{view:#}");
    assert_eq!(view["batch"]["counts"]["already_there"], 1, "{view:#}");
    let mut expected: Vec<String> = songs[..5].iter().map(uri_of).collect();
    expected.remove(2);
    expected.insert(0, theirs);
    assert_eq!(world.in_playlist(world.empty()), expected);
    server.end().await.unwrap();
}
