//! "I have no assistant at hand." The page at `/` of `segue serve --http` in a browser: the same view, which speaks
//! MCP with the server by itself.

use segue::client::HttpServer;

use crate::{
    browser::Browser,
    support::{CLOCKS, World, until},
    view::with_questions,
};

/// A server for browsers in this world.
async fn serve(world: &World) -> HttpServer {
    let server = HttpServer::start(&world.launch(), &[]).await;
    server.expect("the server starts")
}

#[tokio::test]
async fn the_page_lists_syncs_and_shows_each_without_a_host() {
    let world = World::new().await;
    let server = world.serve().await;
    let page_server = serve(&world).await;
    let url = page_server.url();
    let id = with_questions(&world, &server).await;

    let browser = Browser::start().await;
    let page = browser.open(url).await;
    page.reads("Your syncs").await;
    page.find("button", "waiting for your word").await;
    page.picture("syncs").await;
    page.click("button", "Many songs into").await;
    page.find("heading", "6 songs").await;
    page.click("button", "Take Clocks by Coldplay").await;
    until("the question is gone", async || {
        page.all("heading", "Which one is Clockz").await.is_empty()
    })
    .await;
    page.click("button", "None of these for No Surprizes").await;
    page.reads("completed").await;
    page.reads("1 left out, as you said").await;
    page.picture("page").await;
    let there = world.in_playlist(world.empty());
    assert_eq!(
        there.last().map(String::as_str),
        Some(CLOCKS.2),
        "{there:?}"
    );

    // Its address names the sync, so it can be kept, and the list is one step back.
    let address = page.ask("location.hash").await;
    assert_eq!(address, format!("#{id}"));
    page.click("button", "All syncs").await;
    page.reads("Your syncs").await;
    page.find("button", "completed").await;

    let ours = |address: &String| address.starts_with(url);
    assert!(page.fetched().iter().all(ours), "{:?}", page.fetched());
    page.assert_no_fault();

    // What comes from elsewhere is not let in.
    let refused = "fetch('https://evil.example/').then(() => 'let out', () => 'kept in')";
    assert_eq!(page.ask_around(refused).await, "kept in");
    let handler = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=window.hit=1>'), \
                   new Promise(done => setTimeout(() => done(window.hit ?? 'kept out'), 300))";
    assert_eq!(page.ask_around(handler).await, "kept out");
    assert!(
        page.events("Log.entryAdded").len() >= 2,
        "the policy speaks of it"
    );
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_is_told_of_with_what_to_do() {
    let world = World::new().await;
    let server = world.serve().await;
    let page_server = serve(&world).await;
    let id = with_questions(&world, &server).await;
    let browser = Browser::start().await;
    let page = browser.open(&format!("{}/#{id}", page_server.url())).await;
    page.reads("Which one is Clockz").await;
    page_server.kill().await.unwrap();
    page.reads("Segue does not answer. See that `segue serve` still runs.")
        .await;
    page.find("button", "Take Clocks by Coldplay").await; // what was known stays
    server.end().await.unwrap();
}

#[tokio::test]
async fn who_comes_for_a_sync_that_is_not_there_finds_the_way_to_those_that_are() {
    let world = World::new().await;
    let page_server = serve(&world).await;
    let url = format!("{}/#sync-{:032x}", page_server.url(), 1);
    let browser = Browser::start().await;
    let page = browser.open(&url).await;
    page.reads("There is no sync with the id").await;
    assert!(!page.text().await.contains("Waiting for a sync"));
    page.click("button", "All syncs").await;
    page.reads("Your syncs").await;
    until("the way back has been gone", async || {
        let text = page.text().await;
        !text.contains("All syncs") && !text.contains("There is no sync")
    })
    .await;
    page.assert_no_fault();
    page_server.kill().await.unwrap();
}

/// Makes a token, as an operator does.
async fn token(world: &World) -> String {
    let mut command = world.launch().command(&["token", "create"]).unwrap();
    let output = command.output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let mut words = told.split_whitespace();
    words
        .find(|word| word.starts_with("segue_"))
        .expect("a token")
        .to_owned()
}

#[tokio::test]
async fn where_a_token_is_wanted_the_page_asks_for_it_and_forgets_it_with_the_tab() {
    let world = World::new().await;
    let server = world.serve().await;
    let token = token(&world).await;
    let page_server = serve(&world).await;
    let id = with_questions(&world, &server).await;
    let browser = Browser::start().await;
    let page = browser.open(&format!("{}/#{id}", page_server.url())).await;
    page.reads("Sign in to Segue").await;
    let focused = page.focused().await.expect("the field");
    assert_eq!(
        (focused.role.as_str(), focused.name.as_str()),
        ("textbox", "Token")
    );

    page.write("segue_000000000000_wrong").await;
    page.press("Enter").await;
    page.reads("This token is not known.").await;
    let field = "document.activeElement.id + ' ' + document.getElementById('token').value";
    until("it is asked for again", async || {
        page.ask(field).await == "token "
    })
    .await;
    page.write(&token).await;
    page.click("button", "Sign in").await;
    page.reads("Which one is Clockz").await;

    // It is in no address, in no cookie and in nothing that outlives the tab.
    let kept = page
        .ask_around("[location.href, document.cookie, JSON.stringify({...localStorage})].join()")
        .await;
    assert!(!kept.to_string().contains("segue_"), "{kept}");
    assert!(!page.fetched().iter().any(|url| url.contains("segue_")));
    page.click("button", "All syncs").await;
    page.click("button", "Forget the token").await;
    page.reads("Sign in to Segue").await;
    let left = page.ask_around("JSON.stringify({...sessionStorage})").await;
    assert_eq!(left, "{}");
    let again = browser.open(page_server.url()).await;
    again.reads("Sign in to Segue").await;
    server.end().await.unwrap();
}
