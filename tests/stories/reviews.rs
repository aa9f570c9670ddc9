//! "Ask me when you are not sure." A match that is too uncertain waits for the user's word.

use segue::client::Server;
use segue_spotify::sim::catalog::Track;
use serde_json::{Value, json};

use crate::{
    batches::{exported, report, songs, uri_of},
    support::{CLOCKS, World, ended, stands, start, start_batch, until},
};

/// A song that is there, spelt so that nobody can be sure, when all must be exact.
pub(crate) fn unsure(playlist: &str) -> Value {
    json!({
        "title": "Clockz", "artist": "Coldplay", "playlist": playlist,
        "match_threshold": 1.0, "on_ambiguous": "review",
    })
}

async fn reviews(server: &Server, sync_id: &str) -> Vec<Value> {
    let listed = server
        .call("list_reviews", json!({"sync_id": sync_id}))
        .await;
    let listed = listed.expect("a list");
    listed["reviews"].as_array().expect("reviews").clone()
}

/// Waits until so many reviews of a sync are open, and gives them.
pub(crate) async fn reviews_open(server: &Server, sync_id: &str, count: usize) -> Vec<Value> {
    until(&format!("{count} reviews"), async || {
        reviews(server, sync_id).await.len() == count
    })
    .await;
    reviews(server, sync_id).await
}

pub(crate) async fn the_review(server: &Server, sync_id: &str) -> Value {
    reviews_open(server, sync_id, 1).await.remove(0)
}

/// Answers a review.
pub(crate) async fn choose(server: &Server, review: &Value, choice: &str) -> anyhow::Result<Value> {
    let call = json!({"review_id": review["review_id"], "choice": choice});
    server.call("review_match", call).await
}

/// The number of the candidate with this URI.
fn number_of(review: &Value, uri: &str) -> String {
    let candidates = review["candidates"].as_array().expect("candidates");
    let mut candidates = candidates.iter();
    let chosen = candidates.find(|candidate| candidate["spotify_track_uri"] == uri);
    chosen.expect("it is among them")["number"].to_string()
}

#[tokio::test]
async fn a_review_outlives_a_kill_is_answered_once_and_the_answer_is_remembered() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let id = start(&server, unsure(playlist)).await;
    let view = stands(&server, &id, "waiting_for_review").await;
    assert_eq!(view["error_code"], "review_needed", "{view:#}");
    assert!(view["waiting_until"].is_string(), "{view:#}");
    let next = view["next_step"].as_str().unwrap();
    assert!(next.contains("review_match"), "{next}");
    server.kill().await.unwrap();

    let server = world.serve().await;
    let review = the_review(&server, &id).await;
    assert_eq!(
        (&review["title"], &review["sync_id"]),
        (&json!("Clockz"), &json!(id))
    );
    let differs = review["candidates"][0]["differs"].to_string();
    assert!(
        differs.contains("called"),
        "what differs is told: {review:#}"
    );
    let answered = choose(&server, &review, &number_of(&review, CLOCKS.2))
        .await
        .unwrap();
    assert_eq!(answered["decided_by"], "user", "{answered:#}");
    assert_eq!(answered["chosen"]["spotify_track_uri"], CLOCKS.2);
    let done = ended(&server, &id).await;
    assert_eq!(
        (&done["success"], &done["match_method"]),
        (&json!(true), &json!("review")),
        "{done:#}"
    );
    assert_eq!(world.in_playlist(playlist), [CLOCKS.2]);

    // The same answer once more changes nothing; another one comes too late.
    choose(&server, &review, CLOCKS.2).await.expect("the same");
    let late = choose(&server, &review, "none").await.expect_err("refused");
    assert!(late.to_string().contains("decided already"), "{late}");
    assert!(reviews(&server, &id).await.is_empty());

    // The same track is not asked about again, until the answer is taken back.
    let again = start(&server, unsure(playlist)).await;
    let done = ended(&server, &again).await;
    assert_eq!(
        (&done["match_method"], &done["already_present"]),
        (&json!("review"), &json!(true)),
        "{done:#}"
    );
    let answers = server.call("list_answers", json!({})).await.unwrap();
    let answer = &answers["answers"][0];
    assert_eq!(
        (&answer["title"], &answer["chosen"]["spotify_track_uri"]),
        (&json!("Clockz"), &json!(CLOCKS.2))
    );
    let forget = json!({"answer_id": answer["answer_id"]});
    server.call("forget_answer", forget.clone()).await.unwrap();
    let unknown = server
        .call("forget_answer", forget)
        .await
        .expect_err("forgotten");
    assert!(unknown.to_string().contains("unknown_answer"), "{unknown}");
    let asked = start(&server, unsure(playlist)).await;
    the_review(&server, &asked).await;
    server
        .call("cancel_sync", json!({"sync_id": asked}))
        .await
        .unwrap();
    let cancelled = ended(&server, &asked).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled:#}");
    assert!(reviews_open(&server, &asked, 0).await.is_empty());
}

#[tokio::test]
async fn nonsense_is_refused_and_nothing_is_lost_by_it() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let id = start(&server, unsure(playlist)).await;
    let review = the_review(&server, &id).await;
    for nonsense in [
        "99",
        "0",
        "the second one, I think",
        "spotify:album:0VjIjW4GlUZAMYd2vXMi3b",
    ] {
        let refused = choose(&server, &review, nonsense)
            .await
            .expect_err(nonsense);
        assert!(refused.to_string().contains("choice"), "{refused}");
    }
    let nobody_says = json!({"review_id": review["review_id"]});
    let refused = server
        .call("review_match", nobody_says)
        .await
        .expect_err("this client cannot ask");
    assert!(refused.to_string().contains("is missing"), "{refused}");
    for unknown in [
        "review-1",
        &format!("review-sync-{:032x}", 7),
        "'; DROP TABLE reviews",
    ] {
        let call = json!({"review_id": unknown, "choice": "1"});
        let refused = server.call("review_match", call).await.expect_err(unknown);
        assert!(refused.to_string().contains("unknown_review"), "{refused}");
    }
    assert_eq!(reviews(&server, &id).await.len(), 1, "it still waits");

    choose(&server, &review, "none").await.unwrap();
    let done = ended(&server, &id).await;
    assert_eq!(
        (&done["status"], &done["success"]),
        (&json!("completed"), &json!(false)),
        "{done:#}"
    );
    assert!(
        done["message"].as_str().unwrap().contains("you said"),
        "{done:#}"
    );
    assert!(world.in_playlist(playlist).is_empty());
}

#[tokio::test]
async fn somebody_elses_review_and_answer_are_as_unknown_as_none() {
    let world = World::new().await;
    let server = world.serve().await;
    let id = start(&server, unsure(world.empty())).await;
    let review = the_review(&server, &id).await;
    let launch = world.launch().with("SEGUE_USER", "somebody-else");
    let other = Server::start(&launch).await.unwrap();
    assert!(reviews(&other, &id).await.is_empty());
    let refused = choose(&other, &review, "1").await.expect_err("refused");
    assert!(refused.to_string().contains("unknown_review"), "{refused}");
    choose(&server, &review, "1").await.unwrap();
    let answers = server.call("list_answers", json!({})).await.unwrap();
    let answer = json!({"answer_id": answers["answers"][0]["answer_id"]});
    let listed = other.call("list_answers", json!({})).await.unwrap();
    assert_eq!(listed["answers"], json!([]));
    let refused = other
        .call("forget_answer", answer)
        .await
        .expect_err("refused");
    assert!(refused.to_string().contains("unknown_answer"), "{refused}");
}

/// A batch whose second and fourth row are uncertain, and the others certain by their ISRCs.
pub(crate) fn batch(songs: &[Track], playlist: &str) -> Value {
    let mut tracks: Vec<Value> = songs.iter().map(|song| exported((0, song))).collect();
    for (place, title, artist) in [(1, "Clockz", "Coldplay"), (3, "No Surprizes", "Radiohead")] {
        tracks.insert(place, json!({"title": title, "artist": artist}));
    }
    json!({
        "tracks": tracks, "playlist": playlist,
        "match_threshold": 1.0, "on_ambiguous": "review",
    })
}

#[tokio::test]
async fn in_a_batch_the_others_go_on_and_what_is_answered_goes_in_behind_them() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let songs = &songs()[..4];
    let call = batch(songs, playlist);
    let id = start_batch(&server, call.clone()).await;
    let view = stands(&server, &id, "waiting_for_review").await;
    let counts = &view["batch"]["counts"];
    assert_eq!(
        (&counts["added"], &counts["waiting_for_review"]),
        (&json!(4), &json!(2)),
        "{view:#}"
    );
    let mut expected: Vec<String> = songs.iter().map(uri_of).collect();
    assert_eq!(world.in_playlist(playlist), expected, "the others are in");
    let open = reviews_open(&server, &id, 2).await;
    let by_title = |title: &str| open.iter().find(|review| review["title"] == title).unwrap();
    assert_eq!(by_title("Clockz")["row"], 2);
    server.kill().await.unwrap();

    let server = world.serve().await;
    choose(
        &server,
        by_title("Clockz"),
        &number_of(by_title("Clockz"), CLOCKS.2),
    )
    .await
    .unwrap();
    expected.push(CLOCKS.2.to_owned());
    let page = json!({"sync_id": id, "page": 1});
    let rows = async || {
        server
            .call("get_sync_progress", page.clone())
            .await
            .unwrap()
    };
    until("it is in", async || {
        rows().await["batch"]["rows"][1]["outcome"] == "added"
    })
    .await;
    assert_eq!(world.in_playlist(playlist), expected);
    let page = rows().await;
    let row = &page["batch"]["rows"][1];
    assert_eq!(
        (&row["outcome"], &row["matched"]["match_method"]),
        (&json!("added"), &json!("review")),
        "{row:#}"
    );
    assert_eq!(page["batch"]["rows"][3]["outcome"], "waiting_for_review");

    // A track that was not among the candidates, by its link.
    let other = a_song_of_another_artist();
    let link = format!("https://open.spotify.com/track/{}?si=0", other.id);
    choose(&server, by_title("No Surprizes"), &link)
        .await
        .unwrap();
    expected.push(uri_of(&other));
    let done = ended(&server, &id).await;
    assert_eq!(
        (&done["status"], &done["success"]),
        (&json!("completed"), &json!(true)),
        "{done:#}"
    );
    assert_eq!(world.in_playlist(playlist), expected);

    // The same batch again asks nothing, and finds all of them there.
    let asked = world.asked("add_items").len();
    let again = start_batch(&server, call).await;
    let done = ended(&server, &again).await;
    assert_eq!(done["batch"]["counts"]["already_there"], 6, "{done:#}");
    assert_eq!(world.asked("add_items").len(), asked);
}

fn a_song_of_another_artist() -> Track {
    let mut all = songs().into_iter().rev();
    all.find(|song| !song.artists.iter().any(|artist| artist == "Coldplay"))
        .unwrap()
}

#[tokio::test]
async fn a_batch_that_is_cancelled_takes_its_questions_back() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let id = start_batch(&server, batch(&songs()[..2], playlist)).await;
    stands(&server, &id, "waiting_for_review").await;
    let there = world.in_playlist(playlist);
    reviews_open(&server, &id, 2).await;
    server
        .call("cancel_sync", json!({"sync_id": id}))
        .await
        .unwrap();
    let view = ended(&server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert_eq!(view["batch"]["counts"]["pending"], 2, "a retry asks again");
    for row in report(&server, &view).await {
        if row["outcome"] == "pending" {
            assert!(row["matched"].is_null(), "nobody chose it: {row:#}");
            assert!(row["candidates"][0].is_object(), "{row:#}");
        }
    }
    assert!(reviews_open(&server, &id, 0).await.is_empty());
    assert_eq!(world.in_playlist(playlist), there, "what is in stays");
}

#[tokio::test]
async fn nobody_answers_before_the_deadline() {
    let world = World::new().await;
    let serve = async |then: &str| {
        let launch = world
            .launch()
            .with("SEGUE_REVIEW_DEADLINE", "2s")
            .with("SEGUE_AT_REVIEW_DEADLINE", then);
        Server::start(&launch).await.expect("the server starts")
    };
    let server = serve("skip").await;
    let id = start(&server, unsure(world.empty())).await;
    let done = ended(&server, &id).await;
    assert_eq!(
        (&done["status"], &done["success"]),
        (&json!("completed"), &json!(false)),
        "{done:#}"
    );
    let message = done["message"].as_str().unwrap();
    assert!(message.contains("deadline"), "{message}");
    assert!(world.in_playlist(world.empty()).is_empty());
    let late = json!({"review_id": format!("review-{id}"), "choice": "1"});
    let late = server.call("review_match", late).await;
    let late = late.expect_err("too late").to_string();
    assert!(late.contains("deadline was over"), "{late}");

    // Nobody said it, so it is not remembered; and of a batch the rest is not held up.
    server.end().await.unwrap();
    let server = serve("best").await;
    let id = start_batch(&server, batch(&songs()[..2], world.empty())).await;
    let done = ended(&server, &id).await;
    assert_eq!(
        (&done["success"], &done["batch"]["counts"]["added"]),
        (&json!(true), &json!(4)),
        "{done:#}"
    );
    assert!(world.in_playlist(world.empty()).contains(&CLOCKS.2.into()));
    let answers = server.call("list_answers", json!({})).await.unwrap();
    assert_eq!(answers["answers"], json!([]));
}

#[tokio::test]
async fn all_or_nothing_is_nothing_as_soon_as_the_user_says_none() {
    let world = World::new().await;
    let server = world.serve().await;
    let playlist = world.empty();
    let mut call = batch(&songs()[..2], playlist);
    call["atomic"] = json!(true);
    let id = start_batch(&server, call).await;
    let open = reviews_open(&server, &id, 2).await;
    stands(&server, &id, "waiting_for_review").await;
    assert_eq!(world.in_playlist(playlist).len(), 2, "the others are in");
    choose(&server, &open[0], "none").await.unwrap();
    let done = ended(&server, &id).await;
    let counts = &done["batch"]["counts"];
    assert_eq!(
        (&done["success"], &counts["declined"], &counts["taken_out"]),
        (&json!(false), &json!(1), &json!(2)),
        "{done:#}"
    );
    assert!(world.in_playlist(playlist).is_empty(), "as before");
    assert!(reviews_open(&server, &id, 0).await.is_empty());
}
