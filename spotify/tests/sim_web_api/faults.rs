//! Each kind of fault, and what the request log says of it.

use std::time::{Duration, Instant};

use reqwest::{Method, Response, StatusCode};
use segue_spotify::sim::{LoggedRequest, Outcome};
use serde_json::{Value, json};

use super::client::{Client, assert_refused, eventually};

impl Client {
    async fn order(&self, fault: Value) {
        self.control("/_sim/faults", fault).await;
    }

    /// Adds one song to the empty playlist.
    async fn add_one(&self) -> reqwest::Result<Response> {
        let body = json!({"uris": self.some_uris(1)});
        let path = self.items_path(self.sim.empty_playlist_id());
        self.request(Method::POST, &path).json(&body).send().await
    }

    /// How many songs the empty playlist holds by now.
    fn added(&self) -> usize {
        self.sim
            .playlist_uris(self.sim.empty_playlist_id())
            .unwrap()
            .len()
    }

    fn last(&self) -> LoggedRequest {
        self.sim.requests().pop().unwrap()
    }
}

#[tokio::test]
async fn a_refusal_has_no_effect_and_says_when_to_come_back() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "status": 429, "retry_after": 7}))
        .await;
    let refused = client.add_one().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "7");
    assert_refused(
        &super::client::answer(refused).await,
        429,
        "API rate limit exceeded",
    );
    assert_eq!((client.added(), client.last().took_effect), (0, false));
    assert_eq!(
        client.add_one().await.unwrap().status(),
        StatusCode::CREATED
    );
    assert_eq!(client.added(), 1);
}

#[tokio::test]
async fn the_token_endpoint_refuses_in_its_own_words() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "token", "status": 503}))
        .await;
    let (status, body) = client.refresh(client.sim.refresh_token()).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (503, &json!("temporarily_unavailable"))
    );
}

#[tokio::test]
async fn skip_and_count_choose_the_requests() {
    let client = Client::new().await;
    client
        .order(json!([{"endpoint": "me", "status": 500, "skip": 1, "count": 2}]))
        .await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(client.get("/v1/me").await.0.as_u16());
    }
    assert_eq!(statuses, [200, 500, 500, 200]);
}

#[tokio::test]
async fn any_hits_everything_until_it_is_cleared() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "any", "status": 502, "count": 0}))
        .await;
    for path in ["/v1/me", "/v1/me/playlists", "/v1/search?q=a&type=track"] {
        assert_eq!(client.get(path).await.0, StatusCode::BAD_GATEWAY, "{path}");
    }
    let (_, state) = client.get("/_sim/state").await;
    assert_eq!(
        state["faults"],
        json!([{"endpoint": "any", "count": 0, "skip": 0, "status": 502}])
    );
    client
        .request(Method::DELETE, "/_sim/faults")
        .send()
        .await
        .unwrap();
    assert_eq!(client.get("/v1/me").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_drop_before_leaves_nothing_behind() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "drop": "before"}))
        .await;
    assert!(client.add_one().await.is_err());
    let last = client.last();
    assert_eq!((client.added(), last.took_effect), (0, false));
    assert_eq!((last.outcome, last.status), (Outcome::Dropped, None));
}

#[tokio::test]
async fn a_drop_after_is_an_add_that_nobody_knows_of() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "drop": "after"}))
        .await;
    assert!(client.add_one().await.is_err());
    let last = client.last();
    assert_eq!((client.added(), last.took_effect), (1, true));
    assert_eq!((last.outcome, last.status), (Outcome::Dropped, None));
    assert_eq!(last.uris, Some(client.some_uris(1)));
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let client = Client::new().await;
    for name in ["latency_ms", "latency_after_ms"] {
        client.order(json!({"endpoint": "me", name: 120})).await;
        let asked = Instant::now();
        assert_eq!(client.get("/v1/me").await.0, StatusCode::OK);
        assert!(asked.elapsed() >= Duration::from_millis(120), "{name}");
    }
}

#[tokio::test]
async fn a_request_that_is_released_goes_on_at_once() {
    let client = Client::new().await;
    for name in ["latency_ms", "latency_after_ms"] {
        client.order(json!({"endpoint": "me", name: 600_000})).await;
        // Released until it is answered: whoever comes first.
        let releases = async {
            loop {
                client.control("/_sim/release", Value::Null).await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let status = tokio::select! {
            (status, _) = client.get("/v1/me") => status,
            () = releases => unreachable!(),
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("{name}: it is held on"),
        };
        assert_eq!(status, StatusCode::OK, "{name}");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_effect_takes_its_request_along() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "latency_ms": 600_000}))
        .await;
    tokio::select! {
        _ = client.add_one() => panic!("it can't have been answered"),
        () = eventually("the request is in flight", || client.last().outcome == Outcome::InFlight
            && client.last().uris.is_some()) => {}
    }
    eventually("the request is gone", || {
        client.last().outcome == Outcome::Dropped
    })
    .await;
    assert_eq!((client.added(), client.last().took_effect), (0, false));
}

#[tokio::test]
async fn a_client_that_hangs_up_after_the_effect_leaves_it_behind() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "latency_after_ms": 600_000}))
        .await;
    tokio::select! {
        _ = client.add_one() => panic!("it can't have been answered"),
        () = eventually("the add took effect", || client.last().took_effect) => {}
    }
    assert_eq!(client.added(), 1);
    eventually("the request is gone", || {
        client.last().outcome == Outcome::Dropped
    })
    .await;
    assert_eq!(client.last().status, None);
}

#[tokio::test]
async fn bodies_are_spoiled_after_the_effect() {
    let client = Client::new().await;
    let mut adds = 0;
    for kind in ["malformed", "truncated", "empty"] {
        client
            .order(json!({"endpoint": "add_items", "body": kind}))
            .await;
        let response = client.add_one().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED, "{kind}");
        adds += 1;
        assert_eq!(client.added(), adds, "{kind}");
        match kind {
            "malformed" => assert!(response.json::<Value>().await.unwrap_err().is_decode()),
            // The connection ends before the body does, which is no JSON error.
            "truncated" => assert!(response.bytes().await.is_err()),
            _ => assert_eq!(response.bytes().await.unwrap().len(), 0),
        }
    }
}

#[tokio::test]
async fn an_error_after_the_effect_is_an_error_and_an_add() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "status_after": 429, "retry_after": 7}))
        .await;
    let refused = client.add_one().await.unwrap();
    assert_eq!(refused.headers()["retry-after"], "7");
    assert_refused(
        &super::client::answer(refused).await,
        429,
        "API rate limit exceeded",
    );
    let last = client.last();
    assert_eq!((client.added(), last.took_effect), (1, true));
    assert_eq!((last.outcome, last.status), (Outcome::Answered, Some(429)));
}

#[tokio::test]
async fn a_success_without_effect_looks_like_any_other() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "no_effect": true}))
        .await;
    let (status, pretended) = super::client::answer(client.add_one().await.unwrap()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!((client.added(), client.last().took_effect), (0, false));
    let (_, real) = super::client::answer(client.add_one().await.unwrap()).await;
    assert_eq!((client.added(), client.last().took_effect), (1, true));
    let lengths = [&pretended, &real].map(|answer| answer["snapshot_id"].as_str().unwrap().len());
    assert_eq!(lengths[0], lengths[1], "{pretended} {real}");

    // A removal that does not happen, either.
    client
        .order(json!({"endpoint": "remove_items", "no_effect": true}))
        .await;
    let body = json!({"items": [{"uri": client.some_uris(1)[0]}]});
    let path = client.items_path(client.sim.empty_playlist_id());
    let (status, _) = client.send(Method::DELETE, &path, body).await;
    assert_eq!((status, client.added()), (StatusCode::OK, 1));
    assert!(!client.last().took_effect);
}

#[tokio::test]
async fn what_would_be_refused_is_refused_also_without_effect() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "add_items", "no_effect": true, "count": 0}))
        .await;
    let body = json!({"uris": client.some_uris(1)});
    let path = client.items_path("0000000000000000000000");
    let (status, _) = client.send(Method::POST, &path, body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_empty_page_has_the_right_total() {
    let client = Client::new().await;
    for (endpoint, path, at) in [
        (
            "playlist_items",
            client.items_path(client.sim.full_playlist_id()),
            "",
        ),
        ("my_playlists", "/v1/me/playlists".to_owned(), ""),
        (
            "search",
            "/v1/search?q=love&type=track".to_owned(),
            "/tracks",
        ),
    ] {
        client
            .order(json!({"endpoint": endpoint, "body": "no_items"}))
            .await;
        let (status, empty) = client.get(&path).await;
        assert_eq!(status, StatusCode::OK);
        let page = |answer: &Value, field: &str| answer.pointer(at).unwrap()[field].clone();
        assert_eq!(page(&empty, "items"), json!([]), "{path}");
        let (_, full) = client.get(&path).await;
        assert_ne!(page(&full, "items"), json!([]), "{path}");
        assert_eq!(page(&empty, "total"), page(&full, "total"), "{path}");
    }
}

#[tokio::test]
async fn a_search_answers_wrong_ids_or_other_songs() {
    let client = Client::new().await;
    let path = "/v1/search?q=love&type=track&limit=10";
    let (_, right) = client.get(path).await;
    let songs = |answer: &Value| answer["tracks"]["items"].as_array().unwrap().clone();
    let right = songs(&right);

    client
        .order(json!({"endpoint": "search", "body": "wrong_ids"}))
        .await;
    let wrong = songs(&client.get(path).await.1);
    assert_eq!(wrong.len(), right.len());
    for (wrong, right) in wrong.iter().zip(&right) {
        assert_eq!(wrong["name"], right["name"]);
        let id = wrong["id"].as_str().unwrap();
        assert_eq!(wrong["uri"], format!("spotify:track:{id}"));
        assert!(id.len() != 22 || id.contains('-'), "{id}");
    }

    client
        .order(json!({"endpoint": "search", "body": "unrelated"}))
        .await;
    let other = songs(&client.get(path).await.1);
    assert_eq!(other.len(), right.len());
    for song in &other {
        assert!(right.iter().all(|right| right["id"] != song["id"]));
        let track = format!("/v1/tracks/{}", song["id"].as_str().unwrap());
        assert_eq!(client.get(&track).await.0, StatusCode::OK, "a real song");
    }
}

#[tokio::test]
async fn an_endless_body_ends_with_the_client() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "me", "body": "endless"}))
        .await;
    let mut response = client.request(Method::GET, "/v1/me").send().await.unwrap();
    let mut body = Vec::new();
    while body.iter().filter(|&&byte| byte == b' ').count() < 3 {
        body.extend_from_slice(&response.chunk().await.unwrap().expect("it goes on"));
    }
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        client.get("/v1/me").await.1
    );
}

#[tokio::test]
async fn a_huge_body_is_the_right_answer_and_64_mib() {
    let client = Client::new().await;
    client
        .order(json!({"endpoint": "me", "body": "huge"}))
        .await;
    let response = client.request(Method::GET, "/v1/me").send().await.unwrap();
    let body = response.bytes().await.unwrap();
    assert!(body.len() > 64 << 20);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        client.get("/v1/me").await.1
    );
}

#[tokio::test]
async fn orders_that_cannot_be_served_are_refused_whole() {
    let client = Client::new().await;
    for order in [
        json!({"endpoint": "nowhere", "status": 500}),
        json!({"endpoint": "me", "statsu": 500}),
        json!([{"endpoint": "me", "status": 500}, {"endpoint": "me"}]),
        json!("me"),
    ] {
        let (status, body) = client
            .send(Method::POST, "/_sim/faults", order.clone())
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{order}: {body}");
    }
    assert_eq!(client.get("/_sim/state").await.1["faults"], json!([]));
}

#[tokio::test]
async fn the_log_lists_what_was_asked() {
    let client = Client::new().await;
    client
        .request(Method::DELETE, "/_sim/requests")
        .send()
        .await
        .unwrap();
    client.get("/v1/search?q=a%20b&type=track").await;
    client.add_one().await.unwrap();
    let (_, log) = client.get("/_sim/requests").await;
    let [search, add] = log["requests"].as_array().unwrap().as_slice() else {
        panic!("two requests, and none of the controls: {log:#}");
    };
    assert_eq!(search["seq"], 2, "the first was for a token");
    assert!(search["at_ms"].is_u64());
    for (field, value) in [
        ("endpoint", json!("search")),
        ("method", json!("GET")),
        ("path", json!("/v1/search")),
        ("query", json!("q=a%20b&type=track")),
        ("status", json!(200)),
        ("outcome", json!("answered")),
        ("took_effect", json!(false)),
    ] {
        assert_eq!(search[field], value, "{field}");
    }
    assert_eq!(search.get("uris"), None);
    assert_eq!(
        (&add["endpoint"], &add["took_effect"]),
        (&json!("add_items"), &json!(true))
    );
    assert_eq!(add["uris"], json!(client.some_uris(1)));
    assert!(!log.to_string().contains("Bearer"));
}
