//! What the simulator says it is, whom it lets in, and how it ends.

use std::io::Write as _;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use segue_spotify::sim::{CatalogSource, Sim, SimError, SimOptions, WHAT_THIS_IS};
use serde_json::json;

use super::client::{Client, assert_refused, eventually};

#[tokio::test]
async fn it_says_plainly_what_it_is() {
    let client = Client::new().await;
    let (_, page) = client.get("/").await;
    assert_eq!(page["what"], WHAT_THIS_IS);
    for path in ["/", "/v1/me", "/nowhere"] {
        let response = client.request(Method::GET, path).send().await.unwrap();
        assert!(
            response.headers()["server"]
                .to_str()
                .unwrap()
                .starts_with("segue-sim/"),
            "{path}"
        );
        assert_eq!(
            response.headers()["x-segue-simulated"],
            WHAT_THIS_IS,
            "{path}"
        );
    }
}

#[tokio::test]
async fn ready_names_all_a_client_needs_and_debug_hides_the_token() {
    let client = Client::new().await;
    let ready = client.sim.ready();
    let line = serde_json::to_value(ready).unwrap();
    let url = client.sim.url();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(line["listening"], url);
    assert_eq!(line["api_url"], format!("{url}/v1/"));
    assert_eq!(line["accounts_url"], format!("{url}/"));
    assert_eq!(line["client_id"], client.sim.client_id());
    assert_eq!(line["refresh_token"], client.sim.refresh_token());
    assert!(!format!("{ready:?}").contains(client.sim.refresh_token()));
}

#[tokio::test]
async fn slashes_too_many_do_no_harm() {
    let client = Client::new().await;
    assert_eq!(client.get("/v1/me/").await.0, StatusCode::OK);
    assert_eq!(
        client.get("//v1//search/?q=a&type=track").await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_request_addressed_to_another_host_is_refused() {
    let client = Client::new().await;
    for host in ["evil.example", "10.0.0.1:80"] {
        let request = client
            .request(Method::GET, "/_sim/state")
            .header("Host", host);
        assert_eq!(
            request.send().await.unwrap().status(),
            StatusCode::FORBIDDEN,
            "{host}"
        );
    }
    let request = client
        .request(Method::GET, "/_sim/state")
        .header("Host", "localhost:1");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn bodies_have_a_limit() {
    let client = Client::new().await;
    let body = "x".repeat((1 << 20) + 1);
    let path = client.items_path(client.sim.empty_playlist_id());
    let response = client
        .request(Method::POST, &path)
        .body(body.clone())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let response = client
        .request(Method::POST, "/_sim/faults")
        .body(body)
        .send()
        .await
        .unwrap();
    assert!(response.status().is_client_error());
}

#[tokio::test]
async fn a_catalogue_can_be_brought_along() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(
        file,
        "id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc"
    )
    .unwrap();
    writeln!(
        file,
        "1234567890123456789012,Only Song,Nobody; Someone,,,1000,false,1,"
    )
    .unwrap();
    let catalog = CatalogSource::File(file.path().to_owned());
    let client = Client::with(SimOptions {
        catalog,
        ..SimOptions::default()
    })
    .await;
    let (_, song) = client.get("/v1/tracks/1234567890123456789012").await;
    assert_eq!(song["artists"][1]["name"], "Someone");
    assert_eq!(song["album"]["release_date"], "0000");
    assert_eq!(song["external_ids"], json!({}));
    assert_eq!(client.get("/").await.1["tracks"], 1);
}

#[tokio::test]
async fn a_missing_catalogue_and_a_taken_port_are_errors() {
    let catalog = CatalogSource::File("/nowhere/songs.csv".into());
    let missing = Sim::start(SimOptions {
        catalog,
        ..SimOptions::default()
    })
    .await;
    assert!(matches!(missing.err(), Some(SimError::Catalog(_))));
    let first = Sim::start(SimOptions::default()).await.unwrap();
    let port = first.url().rsplit(':').next().unwrap().parse().unwrap();
    let second = Sim::start(SimOptions {
        port,
        ..SimOptions::default()
    })
    .await;
    assert!(matches!(second.err(), Some(SimError::Listen(_))));
}

#[tokio::test]
async fn it_ends_when_asked_with_a_connection_open() {
    let client = Client::new().await;
    assert_refused(&client.get("/v1/none").await, 404, "Service not found");
    let url = client.sim.url().to_owned();
    client.sim.shutdown().await.unwrap();
    assert!(reqwest::get(url).await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_request_that_would_take_for_ever_does_not_keep_it_from_ending() {
    let client = Client::new().await;
    client
        .control(
            "/_sim/faults",
            json!({"endpoint": "me", "latency_ms": 600_000}),
        )
        .await;
    let request = tokio::spawn(client.request(Method::GET, "/v1/me").send());
    let asked = || {
        client
            .sim
            .requests()
            .iter()
            .any(|request| request.path == "/v1/me")
    };
    eventually("the request is in flight", asked).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), client.sim.shutdown());
    ended.await.unwrap().unwrap();
    assert!(request.await.unwrap().is_err());
}

#[tokio::test]
async fn it_ends_when_let_go_of() {
    let client = Client::new().await;
    let url = client.sim.url().to_owned();
    drop(client);
    let mut gone = false;
    for _ in 0..1_000 {
        gone = reqwest::get(&url).await.is_err();
        if gone {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(gone);
}
