//! "I can't see it." The view by keyboard alone, as a screen reader is told of it, in the dark and in the light;
//! and with titles that would rather be programs.

use std::collections::BTreeSet;

use segue_spotify::sim::{CatalogSource, SimOptions};
use serde_json::{Value, json};

use crate::{
    batches::{rows, songs},
    support::{CLOCKS, World, ended, start_batch, until},
    view::{Stage, with_questions},
};

#[tokio::test]
async fn by_keyboard_alone() {
    let stage = Stage::new().await;
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    page.find("button", "Take Clocks by Coldplay").await;

    page.tab_to("button", "Stop this sync").await;
    page.press("Enter").await;
    let focus = async || {
        page.focused()
            .await
            .map(|part| part.name)
            .unwrap_or_default()
    };
    until("the harmless answer comes first", async || {
        focus().await == "No, let it go on"
    })
    .await;
    page.press("Escape").await;
    until("it is as it was", async || {
        focus().await == "Stop this sync"
    })
    .await;
    assert_eq!(stage.host.calls("cancel_sync"), 0);

    page.tab_to("button", "Take Clocks by Coldplay").await;
    page.press("Enter").await;
    until("the next question has the focus", async || {
        focus().await.starts_with("Which one is No Surprizes")
    })
    .await;
    page.tab_to("button", "None of these for No Surprizes")
        .await;
    page.press(" ").await;
    page.reads("completed").await;
    until("it goes on at the top", async || {
        focus().await.starts_with("6 songs")
    })
    .await;
    page.tab_to("region", "Song by song").await; // whose rows can be scrolled so
    let done = ended(&stage.server, &id).await;
    assert_eq!(done["batch"]["counts"]["declined"], 1, "{done:#}");
    assert!(
        stage
            .world
            .in_playlist(stage.world.empty())
            .contains(&CLOCKS.2.to_owned())
    );
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

#[tokio::test]
async fn what_a_screen_reader_is_told() {
    let stage = Stage::new().await;
    stage.slow_down(1_000).await;
    let call = json!({"tracks": rows(&songs()[..20]), "playlist": stage.world.empty()});
    let page = stage.show("sync_playlist", &call).await;
    page.reads("more searched").await;
    let spoken = async || {
        page.ask("document.getElementById('spoken').textContent")
            .await
    };
    assert_eq!(
        spoken().await,
        "running, 0 of 20 done",
        "not every song is told"
    );
    let now = page
        .ask("document.querySelector('[aria-current=step]').textContent")
        .await;
    assert_eq!(now, "Search and add");
    let status = page.find("status", "").await;
    assert_eq!(status.property("live"), "polite");
    page.find("alert", "").await;
    for (role, name) in [
        ("main", ""),
        ("heading", "20 songs into"),
        ("list", "Phases"),
        ("progressbar", "0 of 20 songs done"),
        ("list", "What became of the songs"),
    ] {
        page.find(role, name).await;
    }

    page.reads("completed").await;
    until("the end is told", async || {
        spoken()
            .await
            .as_str()
            .is_some_and(|told| told.starts_with("completed. Of 20 tracks"))
    })
    .await;
    for heading in ["No.", "Your song", "What became of it"] {
        page.find("columnheader", heading).await;
    }
    assert_eq!(page.all("rowheader", "").await.len(), 20);

    // And the questions: each button says by itself what it does.
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    page.find("button", "None of these for Clockz by Coldplay")
        .await;
    let buttons = page.all("button", "").await;
    let names: BTreeSet<&str> = buttons.iter().map(|button| button.name.as_str()).collect();
    assert!(!names.contains(""), "{buttons:#?}");
    assert_eq!(names.len(), buttons.len(), "no two of one name: {names:#?}");
    page.find("region", "Which song is it?").await;
    page.find("article", "Which one is Clockz by Coldplay?")
        .await;
    page.find("group", "What you have").await;
    page.find("group", "Candidate 1").await;
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

/// Texts with less contrast to what is behind them than WCAG's 4.5 to 1.
const FAINT_TEXTS: &str = r#"(() => {
    const parts = (color) => color.match(/[\d.]+/g).map(Number);
    const light = (color) => parts(color).slice(0, 3)
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const behind = (node) => {
        for (let at = node; at; at = at.parentElement) {
            const color = getComputedStyle(at).backgroundColor;
            if (parts(color)[3] !== 0) return color;
        }
        return "rgb(255, 255, 255)";
    };
    const faint = [];
    const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const node = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !node.checkVisibility() || node.disabled) continue;
        const [one, other] = [light(getComputedStyle(node).color), light(behind(node))];
        const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${texts.currentNode.data}`);
    }
    return faint;
})()"#;

#[tokio::test]
async fn in_the_dark_and_in_the_light_as_the_system_or_the_host_says() {
    let stage = Stage::new().await;
    let id = with_questions(&stage.world, &stage.server).await;
    let page = stage.watch(&id).await;
    page.find("button", "Take Clocks by Coldplay").await;
    let paper = async || {
        page.ask("getComputedStyle(document.documentElement).backgroundColor")
            .await
    };
    let (light, dark) = (json!("rgb(255, 255, 255)"), json!("rgb(25, 24, 28)"));
    let legible = async |what: &str| {
        assert_eq!(page.ask(FAINT_TEXTS).await, json!([]), "{what}");
        page.picture(what).await;
    };

    page.prefer("light").await;
    assert_eq!(paper().await, light);
    legible("light").await;
    page.prefer("dark").await;
    until("it turns dark", async || paper().await == dark).await;
    legible("dark").await;

    // The host's word counts for more than the system's.
    page.ask_around("host.wear('light')").await;
    until("it turns light", async || paper().await == light).await;
    page.ask_around("host.wear('dark')").await;
    until("it turns dark again", async || paper().await == dark).await;
    // So do its colours; what is no colour, or has an address in it, is let be.
    page.ask_around(
        "host.style({'--color-background-primary': 'rgb(10, 20, 30)', '--color-text-primary': \
         'url(https://evil.example/)', 'color': 'red', '--evil': 'red'})",
    )
    .await;
    until("it is in the host's colour", async || {
        paper().await == "rgb(10, 20, 30)"
    })
    .await;
    let style = page
        .ask("document.documentElement.getAttribute('style')")
        .await;
    assert!(!style.as_str().unwrap().contains("evil"), "{style}");
    page.resize(360, 900).await;
    let wider = page
        .ask("document.documentElement.scrollWidth > innerWidth")
        .await;
    assert_eq!(wider, false, "on a phone nothing is cut off");
    page.picture("narrow").await;
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}

/// Titles that are programs to whoever takes them for markup.
const HOSTILE: [&str; 7] = [
    "<img src=x onerror=console.log('HIT')>",
    "<script>console.log('HIT')</script>",
    "</script><script>console.log('HIT')</script>",
    "\"><svg onload=console.log('HIT')>",
    "' onmouseover='console.log(1)",
    "<iframe srcdoc='<script>top.postMessage(1)</script>'>",
    "&lt;img src=x onerror=console.log('HIT')&gt;",
];

/// A catalogue in which every name is hostile.
fn catalogue() -> String {
    let mut csv =
        "id,name,artists,album,release_date,duration_ms,explicit,popularity,isrc\n".to_owned();
    let field = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
    for (place, hostile) in HOSTILE.iter().enumerate() {
        let fields = [
            format!("hostile{place:015}"),
            field(format!("Midnight Train {place} {hostile}")),
            field(format!("The Night Owls {}", hostile.replace(';', ","))),
            field(format!("Late {hostile}")),
        ];
        csv.push_str(&format!(
            "{},2020-01-01,200000,false,50,\n",
            fields.join(",")
        ));
    }
    csv
}

#[tokio::test]
async fn hostile_titles_stay_text() {
    let plain = World::new().await;
    let file = plain.home.path().join("catalogue.csv");
    std::fs::write(&file, catalogue()).unwrap();
    let options = SimOptions {
        catalog: CatalogSource::File(file),
        ..SimOptions::default()
    };
    let world = World::with(options).await;
    let stage = Stage::in_world(world).await;
    // The first are as the catalogue has them; of the others it has to be asked.
    let tracks: Vec<Value> = HOSTILE
        .iter()
        .enumerate()
        .map(|(place, hostile)| {
            let title = if place < 3 { "Midnight Train" } else { "Midnite Trane" };
            let title = format!("{title} {place} {hostile}");
            json!({"title": title, "artist": format!("The Night Owls {}", hostile.replace(';', ","))})
        })
        .collect();
    let call = json!({
        "tracks": tracks, "playlist": stage.world.empty(), "match_threshold": 0.99, "on_ambiguous": "review",
    });
    let id = start_batch(&stage.server, call).await;
    let page = stage.watch(&id).await;
    page.reads("waiting for your word").await;
    page.find("button", "Take Midnight Train").await;
    until("its rows are there", async || {
        page.ask("document.querySelectorAll('#table tr').length")
            .await
            == HOSTILE.len()
    })
    .await;

    let first = json!({"sync_id": id, "page": 1});
    let told = stage.server.call("get_sync_progress", first).await.unwrap();
    let reviews = json!({"sync_id": id});
    let asked = stage.server.call("list_reviews", reviews).await.unwrap();
    assert!(!asked["reviews"].as_array().unwrap().is_empty(), "{told:#}");
    let text = page.ask("document.querySelector('main').textContent").await;
    let text = text.as_str().unwrap();
    let rows = told["batch"]["rows"].as_array().unwrap().iter();
    let mut names: Vec<&Value> = rows
        .flat_map(|row| [&row["title"], &row["artist"]])
        .collect();
    for review in asked["reviews"].as_array().unwrap() {
        names.extend([
            &review["title"],
            &review["candidates"][0]["title"],
            &review["candidates"][0]["artists"],
        ]);
    }
    for name in names {
        let name = name.as_str().expect("a name");
        assert!(
            text.contains(name),
            "{name:?} is not there as it is in {text}"
        );
    }

    let elements = page
        .ask("[...new Set([...document.querySelectorAll('main *')].map(one => one.localName))]")
        .await;
    for element in ["img", "script", "svg", "iframe"] {
        assert!(
            !elements.as_array().unwrap().contains(&json!(element)),
            "{elements}"
        );
    }
    page.click("button", "Take Midnight Train").await;
    until("it is answered", async || {
        stage.host.calls("review_match") == 1
    })
    .await;
    assert_eq!(page.events("Runtime.consoleAPICalled"), Vec::<Value>::new());
    assert!(
        page.fetched()
            .iter()
            .all(|url| stage.host.is_at(url) || url == "about:srcdoc")
    );
    page.assert_no_fault();
    stage.server.end().await.unwrap();
}
