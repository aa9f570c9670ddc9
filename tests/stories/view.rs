//! "Show me." A host of MCP Apps shows the view of a sync: how far it is, what became of each song, a button to
//! stop it, and the candidates of a review side by side. In a real Chromium, with mouse and keyboard.

use std::time::Duration;

use rmcp::model::ClientCapabilities;
use segue::client::Server;
use segue_spotify::sim::catalog::Track;
use serde_json::{Value, json};

use crate::{
    app_host::Host,
    batches::{exported, rows, songs, uri_of},
    browser::{Browser, Page},
    reviews::{batch, choose, reviews_open},
    support::{CLOCKS, World, ended, stands, start_batch, until},
};

/// A host that shows views, and its server.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) server: Server,
    pub(crate) host: Host,
    browser: Browser,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::in_world(World::new().await).await
    }

    pub(crate) async fn in_world(world: World) -> Self {
        let server = serve(&world).await;
        Self {
            host: Host::beside(&server).await,
            browser: Browser::start().await,
            server,
            world,
        }
    }

    /// The page on which the model calls this tool.
    pub(crate) async fn show(&self, tool: &str, arguments: &Value) -> Page {
        let url = self.host.page(tool, arguments);
        self.browser.open(url.as_str()).await
    }

    /// The page on which the model asks how far this sync is.
    pub(crate) async fn watch(&self, sync_id: &str) -> Page {
        self.show("get_sync_progress", &json!({"sync_id": sync_id}))
            .await
    }

    /// Lets each search take so long, in milliseconds.
    pub(crate) async fn slow_down(&self, latency: u32) {
        let slow = json!({"endpoint": "search", "count": 500, "latency_ms": latency});
        self.world.fault(slow).await;
    }
}

/// A server whose client shows views.
async fn serve(world: &World) -> Server {
    let mime_types = json!({"mimeTypes": ["text/html;profile=mcp-app"]});
    let settings = mime_types.as_object().unwrap().clone();
    let extensions = [("io.modelcontextprotocol/ui".to_owned(), settings)].into();
    let capabilities = ClientCapabilities::builder()
        .enable_extensions_with(extensions)
        .build();
    Server::start(&world.launch().declaring(capabilities))
        .await
        .unwrap()
}

/// A batch with two questions, of which the rest is done.
pub(crate) async fn with_questions(world: &World, server: &Server) -> String {
    let id = start_batch(server, batch(&songs()[..4], world.empty())).await;
    stands(server, &id, "waiting_for_review").await;
    reviews_open(server, &id, 2).await;
    id
}

/// The songs as rows with their ISRCs, so that every match is certain.
fn certain(songs: &[Track]) -> Vec<Value> {
    songs.iter().map(|song| exported((0, song))).collect()
}

/// Waits until the frame is as high as what is in it: before, all moves under the mouse, and a click misses.
/// It is also enough if nothing has moved for a while.
async fn at_rest(page: &Page) {
    let over = "innerHeight - document.body.getBoundingClientRect().height";
    until("the view is at rest", async || {
        let before = page.ask(over).await;
        if before
            .as_f64()
            .is_some_and(|over| (0.0..3.0).contains(&over))
        {
            return true;
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        page.ask(over).await == before
    })
    .await;
}

async fn only_sync(server: &Server) -> String {
    let listed = server.call("list_syncs", json!({})).await.unwrap();
    listed["syncs"][0]["sync_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_running_batch_is_shown_live_and_its_end_too() {
    let stage = Stage::new().await;
    stage.slow_down(3_000).await;
    let songs = &songs()[..12];
    let playlist = stage.world.empty();
    let call = json!({"tracks": rows(songs), "playlist": playlist});
    let page = stage.show("sync_playlist", &call).await;

    page.reads("0 of 12 songs done").await;
    page.reads("running").await;
    page.reads("more searched").await;
    let early = page.text().await;
    page.picture("running").await;
    until("more is searched", async || {
        let now = page.text().await;
        now.contains("more searched") && now != early
    })
    .await;
    stage.world.let_go().await;

    page.reads("completed").await;
    page.reads("12 added").await;
    page.find("rowheader", &songs[11].artists[0]).await;
    let text = page.ask("document.querySelector('main').textContent").await;
    for song in songs {
        let told = text.as_str().is_some_and(|text| text.contains(&song.name));
        assert!(told, "{}: {text}", song.name);
    }
    let bar = page.find("progressbar", "12 of 12 songs done").await;
    assert_eq!(bar.value.as_f64(), Some(12.0), "{bar:?}");
    let expected: Vec<String> = songs.iter().map(uri_of).collect();
    assert_eq!(stage.world.in_playlist(playlist), expected);

    // Once it has ended, it is left alone.
    let calls = stage.host.calls("get_sync_progress");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(stage.host.calls("get_sync_progress"), calls);
    assert!(
        page.fetched()
            .iter()
            .all(|url| stage.host.is_at(url) || url == "about:srcdoc")
    );
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_review_is_answered_by_click_and_ends_in_the_playlist() {
    let stage = Stage::new().await;
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    page.reads("waiting for your word").await;
    page.find("heading", "Which one is Clockz by Coldplay?")
        .await;
    page.find("heading", "Which one is No Surprizes by Radiohead?")
        .await;
    page.reads("What you have").await;
    page.reads("called \"Clocks\"").await; // what sets it apart
    page.resize(860, 1180).await;
    page.picture("progress").await;

    at_rest(&page).await;
    page.click("button", "Take Clocks by Coldplay").await;
    until("the question is gone", async || {
        page.all("heading", "Which one is Clockz").await.is_empty()
    })
    .await;
    reviews_open(&stage.server, &id, 1).await;
    at_rest(&page).await;
    page.click("button", "None of these for No Surprizes").await;
    page.reads("completed").await;
    page.reads("1 left out, as you said").await;
    until("no question is left", async || {
        page.all("heading", "Which one is").await.is_empty()
    })
    .await;

    let done = ended(&stage.server, &id).await;
    let counts = &done["batch"]["counts"];
    assert_eq!(
        (&counts["added"], &counts["declined"]),
        (&json!(5), &json!(1)),
        "{done:#}"
    );
    let there = stage.world.in_playlist(stage.world.empty());
    assert_eq!(
        there.last().map(String::as_str),
        Some(CLOCKS.2),
        "{there:?}"
    );
    // The model learns that the user has acted, and none of what outside texts say.
    let told = || stage.host.heard("ui/update-model-context");
    until("it is told of both", async || told().len() >= 2).await;
    let told = told();
    assert_eq!(told.len(), 2, "{told:#?}");
    for told in told {
        let told = told.to_string();
        assert!(told.contains(&id), "{told}");
        assert!(
            !told.contains("Clock") && !told.contains("Surpri"),
            "{told}"
        );
    }
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_review_that_is_answered_in_the_chat_goes_from_the_view() {
    let stage = Stage::new().await;
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    for question in ["Which one is Clockz", "Which one is No Surprizes"] {
        page.find("heading", question).await;
    }
    let reviews = reviews_open(&stage.server, &id, 2).await;
    let clocks = reviews.iter().find(|review| review["title"] == "Clockz");
    let clocks = clocks.expect("it is asked");
    choose(&stage.server, clocks, "none").await.unwrap();
    until("the question is gone", async || {
        page.all("heading", "Which one is Clockz").await.is_empty()
    })
    .await;

    page.find("heading", "Which one is No Surprizes").await;
    at_rest(&page).await;
    page.click("button", "None of these for No Surprizes").await;
    page.reads("completed").await;
    page.reads("2 left out, as you said").await;
    assert_eq!(stage.host.calls("review_match"), 1, "by click");
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_cancel_works_and_asks_first() {
    let stage = Stage::new().await;
    stage.slow_down(3_000).await;
    let call = json!({"tracks": certain(&songs()[..60]), "playlist": stage.world.empty()});
    let page = stage.show("sync_playlist", &call).await;
    page.reads("more searched").await;
    let id = only_sync(&stage.server).await;

    page.click("button", "Stop this sync").await;
    page.reads("Stop it? What it has added stays").await;
    page.click("button", "No, let it go on").await;
    page.find("button", "Stop this sync").await;
    assert_eq!(stage.host.calls("cancel_sync"), 0);

    page.click("button", "Stop this sync").await;
    page.click("button", "Yes, stop it").await;
    page.reads("stopped").await;
    page.reads("The batch was cancelled.").await;
    let view = ended(&stage.server, &id).await;
    assert_eq!(view["status"], "cancelled", "{view:#}");
    assert!(stage.world.in_playlist(stage.world.empty()).is_empty());
    assert!(page.all("button", "Stop").await.is_empty());
    page.picture("stopped").await;

    // What never had its turn can have it now.
    stage.world.lift_faults().await;
    page.click("button", "Try again what failed").await;
    page.reads("completed").await;
    let there = stage.world.in_playlist(stage.world.empty());
    assert_eq!(there.len(), 60, "{there:?}");
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_long_list_is_read_page_by_page() {
    let stage = Stage::new().await;
    let songs = &songs()[..130];
    stage.slow_down(100).await;
    let call = json!({"tracks": certain(songs), "playlist": stage.world.empty()});
    let page = stage.show("sync_playlist", &call).await;
    page.reads("completed").await;
    page.reads("Page 2 of 2").await; // it went along
    let shown = async || {
        page.ask("document.querySelectorAll('#table tr').length")
            .await
    };
    until("its rows are there", async || shown().await == 30).await;

    at_rest(&page).await;
    page.click("button", "Previous page").await;
    page.reads("Page 1 of 2").await;
    until("its rows are there", async || shown().await == 100).await;
    until("the other one is of no use here", async || {
        let focused = page.focused().await;
        focused.is_some_and(|button| button.name == "Next page")
    })
    .await;
    at_rest(&page).await;
    page.click("button", "Next page").await;
    until("the others are back", async || shown().await == 30).await;
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_killed_server_is_told_of_and_survived() {
    let stage = Stage::new().await;
    stage.slow_down(3_000).await;
    let call = json!({"tracks": rows(&songs()[..20]), "playlist": stage.world.empty()});
    let page = stage.show("sync_playlist", &call).await;
    page.reads("more searched").await;
    stage.server.kill().await.unwrap();
    page.reads("It is tried again by itself.").await;

    let server = serve(&stage.world).await;
    stage.host.turn_to(&server);
    stage.world.let_go().await;
    page.reads("completed").await;
    page.reads("20 added").await;
    assert!(!page.text().await.contains("tried again"));
    page.assert_no_fault();
    server.end().await.unwrap();
}

#[tokio::test]
async fn who_does_not_see_it_costs_little_and_who_closes_it_nothing() {
    let stage = Stage::new().await;
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    page.reads("Which one is Clockz").await;
    let looks = || stage.host.calls("get_sync_progress");
    let begun = looks();
    until("it is looked at again and again", async || {
        looks() > begun + 2
    })
    .await;

    page.ask_around("document.body.style.paddingTop = '5000px'")
        .await;
    // A look may be under way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let unseen = looks();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(looks() <= unseen + 1, "{} looks in 10 s", looks() - unseen);
    page.ask_around("document.body.style.paddingTop = ''").await;
    let seen = looks();
    until("it is up to date at once", async || looks() > seen).await;

    page.ask_around("host.close()").await;
    until("it says goodbye", async || {
        stage.host.answer_to("the end").is_some()
    })
    .await;
    assert_eq!(
        stage.host.answer_to("the end").unwrap()["result"],
        json!({})
    );
    let closed = looks();
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(looks(), closed);
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn a_client_without_views_loses_nothing() {
    let world = World::new().await;
    let (plain, with_views) = (world.serve().await, serve(&world).await);
    let tools = async |server: &Server| server.peer().list_all_tools().await.unwrap();
    assert_eq!(
        tools(&plain).await,
        tools(&with_views).await,
        "one list for all"
    );

    let song = exported((0, &songs()[0]));
    let call = json!({"tracks": [song], "playlist": world.empty(), "wait_seconds": 30});
    let answer = plain.call_raw("sync_playlist", call).await.unwrap();
    let texts: Vec<&str> = answer
        .content
        .iter()
        .map(|part| part.as_text().unwrap().text.as_str())
        .collect();
    assert!(
        texts[0].contains("completed") || texts[0].contains("added"),
        "{texts:?}"
    );
    let data: Value = serde_json::from_str(texts[1]).unwrap();
    assert_eq!(answer.structured_content, Some(data));
    for server in [plain, with_views] {
        server.end().await.unwrap();
    }
}
