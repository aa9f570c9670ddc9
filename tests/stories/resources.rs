//! "Let me pick it from a list." Syncs, reports and health can be listed, read and completed, in both eras
//! of the protocol, and by their owner alone.

use std::collections::BTreeSet;

use rmcp::model::{CacheScope, ErrorCode, PaginatedRequestParams, Resource};
use serde_json::json;

use crate::{
    assistant::{Assistant, BOTH, Era, code, text},
    batches::{rows, songs},
    support::{CLOCKS, World, ended, song, start, start_batch},
    watching,
};

const SYNC: &str = "sync://{sync_id}";
const REPORT: &str = "sync://{sync_id}/report.json";

async fn listed(assistant: &Assistant) -> Vec<Resource> {
    assistant.peer().list_all_resources().await.unwrap()
}

#[tokio::test]
async fn what_there_is_is_listed_and_read_in_both_eras_and_by_its_owner_alone() {
    let world = World::new().await;
    let server = world.serve().await;
    let id = start(&server, song(CLOCKS, world.empty())).await;
    let done = ended(&server, &id).await;
    let batch = start_batch(
        &server,
        json!({"tracks": rows(&songs()[..3]), "playlist": world.empty()}),
    )
    .await;
    ended(&server, &batch).await;
    let (uri, report) = (
        format!("sync://{id}"),
        format!("sync://{batch}/report.json"),
    );

    for era in BOTH {
        let assistant = Assistant::start(&world.launch(), era).await;
        let templates = assistant.peer().list_resource_templates(None).await;
        let templates = templates.unwrap();
        let forms: Vec<&str> = templates
            .resource_templates
            .iter()
            .map(|template| template.uri_template.as_str())
            .collect();
        assert_eq!(forms, [SYNC, REPORT, "sync://{sync_id}/report.csv"]);
        assert_eq!(templates.cache_scope, Some(CacheScope::Public));
        assert!(templates.ttl_ms.unwrap() > 60_000);

        // The engine may still be on its way to this one: a read waits for it, a list does not.
        assert_eq!(assistant.json(&uri).await["sync_id"], json!(id));
        let page = assistant.peer().list_resources(None).await.unwrap();
        assert_eq!(page.cache_scope, Some(CacheScope::Private));
        let uris: Vec<&str> = page.resources.iter().map(|r| r.uri.as_str()).collect();
        assert_eq!(
            uris,
            ["segue://health", &format!("sync://{batch}"), &uri],
            "the latest first"
        );
        let title = page.resources[2].title.as_deref().unwrap();
        assert_eq!(title, "\"Clocks\" by Coldplay: completed");

        let read = assistant.read(&uri).await.unwrap();
        assert_eq!(read.cache_scope, Some(CacheScope::Private));
        assert!(read.ttl_ms.unwrap() > 60_000, "it has ended");
        let mut view = assistant.json(&uri).await;
        view["elapsed_seconds"] = done["elapsed_seconds"].clone();
        assert_eq!(view, done, "as get_sync_progress tells it");
        let health = assistant.read("segue://health").await.unwrap();
        assert_eq!(health.ttl_ms, Some(0));
        let health = assistant.json("segue://health").await;
        assert_eq!(health["engine"]["ready"], true, "{health:#}");
        let rows = assistant.json(&report).await;
        assert_eq!(rows["rows"].as_array().unwrap().len(), 3);
        let table = assistant.read(&format!("sync://{batch}/report.csv")).await;
        let table = table.unwrap();
        assert!(text(&table.contents[0]).starts_with("row,line,title"));

        for unknown in [
            "segue://secrets".to_owned(),
            format!("sync://sync-{:032x}", 7),
            // A single sync has no report.
            format!("{uri}/report.json"),
            format!("{uri}/../../etc/passwd"),
        ] {
            let error = code(assistant.read(&unknown).await);
            assert_eq!(error, era.not_found(), "{era:?} {unknown}");
        }

        let launch = world.launch().with("SEGUE_USER", "somebody-else");
        let other = Assistant::start(&launch, era).await;
        for theirs in [&uri, &report] {
            assert_eq!(code(other.read(theirs).await), era.not_found());
        }
        let uris = listed(&other).await;
        assert_eq!(uris.len(), 1, "health alone: {uris:?}");
        assert!(other.complete_uri(SYNC, "sync-").await.values.is_empty());
    }
}

#[tokio::test]
async fn ids_and_playlists_are_completed_from_their_beginning() {
    let world = World::new().await;
    let server = world.serve().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = start(&server, song(CLOCKS, world.empty())).await;
        ended(&server, &id).await;
        ids.insert(0, id);
    }
    let tracks = rows(&songs()[..2]);
    let batch = json!({"tracks": tracks, "playlist": world.empty()});
    let batch = start_batch(&server, batch).await;
    ended(&server, &batch).await;

    for era in BOTH {
        let assistant = Assistant::start(&world.launch(), era).await;
        // Waits for the engine; a completion does not.
        assistant.json(&format!("sync://{batch}")).await;
        let all = assistant.complete_uri(SYNC, "").await;
        assert_eq!(all.values[0], batch, "the latest first");
        assert_eq!(all.values[1..], ids);
        assert_eq!((all.total, all.has_more), (Some(4), Some(false)));
        let begun = &ids[1][..12];
        let found = assistant.complete_uri(SYNC, begun).await;
        assert!(found.values.contains(&ids[1]), "{found:?}");
        assert!(found.values.iter().all(|id| id.starts_with(begun)));
        let reports = assistant.complete_uri(REPORT, "sync-").await;
        assert_eq!(reports.values, [batch.as_str()], "only a batch has one");
        let nonsense = assistant.complete_uri(SYNC, "sync-' OR 1=1").await;
        assert!(nonsense.values.is_empty());

        let peer = assistant.peer();
        let names = peer
            .complete_prompt_simple("move_my_library", "playlist", "fRE")
            .await
            .unwrap();
        assert_eq!(names, ["Fresh Start"], "{era:?}");
        let ids = peer.complete_prompt_simple("what_went_wrong", "sync_id", "sync-");
        assert_eq!(ids.await.unwrap().len(), 4);
        let from = peer.complete_prompt_simple("move_my_library", "from", "app");
        assert!(from.await.unwrap().is_empty(), "only the user knows");
        for wrong in [
            peer.complete_prompt_simple("no_such_prompt", "playlist", "")
                .await,
            peer.complete_prompt_simple("move_my_library", "sync_id", "")
                .await,
            peer.complete_resource_simple("file:///{path}", "path", "/etc")
                .await,
        ] {
            assert_eq!(code(wrong), ErrorCode::INVALID_PARAMS);
        }
    }
    let read = world.asked("list_playlists").len();
    let assistant = Assistant::start(&world.launch(), Era::Requests).await;
    assistant.json(&format!("sync://{batch}")).await;
    for begun in ["f", "fr", "fre", "fres", "fresh"] {
        let names = assistant
            .peer()
            .complete_prompt_simple("move_my_library", "playlist", begun)
            .await
            .unwrap();
        assert_eq!(names, ["Fresh Start"]);
    }
    let asked = world.asked("list_playlists").len() - read;
    assert!(
        asked <= 1,
        "Spotify is not asked with every letter: {asked}"
    );
}

#[tokio::test]
async fn more_than_a_page_of_running_syncs_is_listed_page_by_page() {
    let world = World::new().await;
    // So that all of them are still at work when they are listed.
    world
        .fault(json!({"endpoint": "search", "count": 0, "latency_ms": 25_000}))
        .await;
    let server = world.serve().await;
    let mut ids = BTreeSet::new();
    for _ in 0..53 {
        ids.insert(format!(
            "sync://{}",
            start(&server, song(CLOCKS, world.empty())).await
        ));
    }
    let assistant = Assistant::start(&world.launch(), Era::Sessions).await;
    assistant.json(ids.first().unwrap()).await;
    let first = assistant.peer().list_resources(None).await.unwrap();
    assert_eq!(first.resources.len(), 51, "and health before them");
    let cursor = first.next_cursor.clone().expect("there are more");
    let next = PaginatedRequestParams::default().with_cursor(Some(cursor));
    let second = assistant.peer().list_resources(Some(next)).await.unwrap();
    assert_eq!(second.next_cursor, None);
    let both = first.resources.iter().chain(&second.resources);
    let listed: BTreeSet<String> = both.map(|resource| resource.uri.clone()).collect();
    assert_eq!(listed.len(), 54, "none twice");
    assert!(ids.is_subset(&listed));
    // Nobody watches all of them.
    let mut refused = None;
    for (place, uri) in ids.iter().enumerate() {
        if let Err(error) = watching::subscribe(&assistant, uri).await {
            refused = Some((place, code(Err::<(), _>(error))));
            break;
        }
    }
    assert_eq!(refused, Some((50, ErrorCode::INVALID_REQUEST)));
    let wrong = PaginatedRequestParams::default().with_cursor(Some("no cursor!".to_owned()));
    let refused = assistant.peer().list_resources(Some(wrong)).await;
    assert_eq!(code(refused), ErrorCode::INVALID_PARAMS);
}
