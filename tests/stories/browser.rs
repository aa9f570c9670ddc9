//! A page in Chromium as somebody uses it who sees, or hears, or has only a keyboard: what is there is found in
//! the accessibility tree, and clicks and keys are those of the input devices. By the DevTools protocol.

use std::{
    collections::HashMap,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin},
    sync::oneshot,
    time::timeout,
};

use crate::{chromium::chromium, support::until};

/// Time for Chromium to do one thing.
const LIMIT: Duration = Duration::from_secs(30);

/// What a page is as wide and as high as, in pixels.
const SIZE: (u32, u32) = (860, 1000);

/// A running Chromium. It ends when it is dropped.
pub(crate) struct Browser {
    _process: Child,
    _profile: TempDir,
    wire: Arc<Wire>,
}

struct Wire {
    commands: tokio::sync::Mutex<ChildStdin>,
    last: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    events: Mutex<Vec<Value>>,
}

impl Wire {
    /// Messages end with a zero byte each.
    async fn listen(self: Arc<Self>, messages: tokio::process::ChildStdout) {
        let mut messages = BufReader::new(messages);
        let mut bytes = Vec::new();
        while messages
            .read_until(0, &mut bytes)
            .await
            .is_ok_and(|length| length > 0)
        {
            bytes.pop();
            let message: Value = serde_json::from_slice(&bytes).expect("a message");
            bytes.clear();
            let Some(id) = message["id"].as_u64() else {
                self.events.lock().unwrap().push(message);
                continue;
            };
            let waiting = self.waiting.lock().unwrap().remove(&id);
            if let Some(waiting) = waiting {
                // Nobody may wait any more.
                let _ = waiting.send(message);
            }
        }
    }

    async fn call(
        &self,
        session: Option<&str>,
        method: &str,
        params: Value,
    ) -> Result<Value, String> {
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        let (answers, answer) = oneshot::channel();
        self.waiting.lock().unwrap().insert(id, answers);
        let bytes = format!("{message}\0");
        self.commands
            .lock()
            .await
            .write_all(bytes.as_bytes())
            .await
            .unwrap();
        let answer = timeout(LIMIT, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} is not answered"));
        let mut answer = answer.expect("Chromium runs");
        match answer["error"]["message"].as_str() {
            Some(error) => Err(format!("{method}: {error}")),
            None => Ok(answer["result"].take()),
        }
    }
}

impl Browser {
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(profile.path().join("log")).unwrap();
        let mut process = chromium()
            .await
            .command(&profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let wire = Arc::new(Wire {
            commands: tokio::sync::Mutex::new(process.stdin.take().unwrap()),
            last: AtomicU64::new(0),
            waiting: Mutex::default(),
            events: Mutex::default(),
        });
        tokio::spawn(wire.clone().listen(process.stdout.take().unwrap()));
        Self {
            _process: process,
            _profile: profile,
            wire,
        }
    }

    /// Opens a page, and watches what it does from its beginning.
    pub(crate) async fn open(&self, url: &str) -> Page {
        let call = async |session: Option<&str>, method, params| {
            self.wire.call(session, method, params).await.unwrap()
        };
        let target = call(None, "Target.createTarget", json!({"url": "about:blank"})).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = call(None, "Target.attachToTarget", attach).await;
        let page = Page {
            wire: self.wire.clone(),
            session: attached["sessionId"].as_str().unwrap().to_owned(),
        };
        for domain in ["Page", "Runtime", "Network", "Log", "DOM", "Accessibility"] {
            page.call(&format!("{domain}.enable"), json!({})).await;
        }
        let focus = json!({"enabled": true});
        page.call("Emulation.setFocusEmulationEnabled", focus).await;
        page.resize(SIZE.0, SIZE.1).await;
        page.call("Page.navigate", json!({"url": url})).await;
        page
    }
}

/// A part of a page, as assistive technology is told of it.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) role: String,
    pub(crate) name: String,
    pub(crate) value: Value,
    node: Value,
}

impl Part {
    fn read(node: &Value) -> Option<Self> {
        let text = |field: &str| node[field]["value"].as_str().unwrap_or_default().to_owned();
        let (role, name) = (text("role"), text("name"));
        (node["ignored"] == false).then(|| Self {
            role,
            name,
            value: node["value"]["value"].clone(),
            node: node.clone(),
        })
    }

    /// Something else that is said of it, such as `focused` or `live`.
    pub(crate) fn property(&self, name: &str) -> Value {
        let properties = self.node["properties"].as_array().into_iter().flatten();
        let mut named = properties.filter(|property| property["name"] == name);
        named
            .next()
            .map(|property| property["value"]["value"].clone())
            .unwrap_or_default()
    }
}

/// What Chromium says of a frame that has been replaced while it was asked.
const GONE: [&str; 3] = [
    "Cannot find context",
    "No frame for given id",
    "Execution context was destroyed",
];

/// A page. What is asked of it is asked of the frame in it, where there is one.
pub(crate) struct Page {
    wire: Arc<Wire>,
    session: String,
}

impl Page {
    async fn call(&self, method: &str, params: Value) -> Value {
        self.try_call(method, params).await.unwrap()
    }

    async fn try_call(&self, method: &str, params: Value) -> Result<Value, String> {
        self.wire.call(Some(&self.session), method, params).await
    }

    pub(crate) async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the user's system is set to: `light` or `dark`.
    pub(crate) async fn prefer(&self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// The frame of the view: the one inside, where there is one.
    async fn frame(&self) -> Value {
        let tree = self.call("Page.getFrameTree", json!({})).await;
        let tree = &tree["frameTree"];
        let inner = &tree["childFrames"][0]["frame"]["id"];
        if inner.is_string() {
            inner.clone()
        } else {
            tree["frame"]["id"].clone()
        }
    }

    /// What this JavaScript comes to in the view, run beside its own and out of its reach.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        loop {
            let world = json!({"frameId": self.frame().await, "worldName": "story"});
            let asked = async {
                let world = self.try_call("Page.createIsolatedWorld", world).await?;
                let context = &world["executionContextId"];
                self.try_evaluate(json!({"expression": script, "contextId": context}))
                    .await
            };
            match asked.await {
                Ok(value) => return value,
                // The frame has begun anew meanwhile.
                Err(error) if GONE.iter().any(|gone| error.contains(gone)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The same in the page around the view, and in its own world.
    pub(crate) async fn ask_around(&self, script: &str) -> Value {
        self.evaluate(json!({"expression": script})).await
    }

    async fn evaluate(&self, params: Value) -> Value {
        self.try_evaluate(params).await.unwrap()
    }

    async fn try_evaluate(&self, mut params: Value) -> Result<Value, String> {
        params["returnByValue"] = json!(true);
        params["awaitPromise"] = json!(true);
        let answer = self.try_call("Runtime.evaluate", params).await?;
        assert!(answer["exceptionDetails"].is_null(), "{answer:#}");
        Ok(answer["result"]["value"].clone())
    }

    /// The text that can be read.
    pub(crate) async fn text(&self) -> String {
        let text = self.ask("document.body?.innerText ?? ''").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this can be read.
    pub(crate) async fn reads(&self, text: &str) {
        let mut last = String::new();
        let reads = timeout(crate::support::PATIENCE / 2, async {
            loop {
                last = self.text().await;
                if last.contains(text) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if reads.await.is_err() {
            panic!("{text:?} is not to be read in:\n{last}");
        }
    }

    /// All parts, as assistive technology is told of them.
    pub(crate) async fn parts(&self) -> Vec<Part> {
        let frame = json!({"frameId": self.frame().await});
        let tree = self.try_call("Accessibility.getFullAXTree", frame).await;
        let tree = tree.unwrap_or_default(); // a frame that is just being made has none
        let nodes = tree["nodes"].as_array().cloned().unwrap_or_default();
        nodes.iter().filter_map(Part::read).collect()
    }

    /// The parts of this role and with this in their name.
    pub(crate) async fn all(&self, role: &str, name: &str) -> Vec<Part> {
        let mut parts = self.parts().await;
        parts.retain(|part| part.role == role && part.name.contains(name));
        parts
    }

    /// The first of them, as soon as there is one.
    pub(crate) async fn find(&self, role: &str, name: &str) -> Part {
        let mut found = Vec::new();
        until(&format!("a {role} {name:?}"), async || {
            found = self.all(role, name).await;
            !found.is_empty()
        })
        .await;
        found.remove(0)
    }

    /// The part that has the focus.
    pub(crate) async fn focused(&self) -> Option<Part> {
        let mut parts = self.parts().await;
        parts.retain(|part| part.role != "RootWebArea" && part.property("focused") == true);
        parts.pop()
    }

    /// Clicks into the middle of it with the mouse.
    pub(crate) async fn click(&self, role: &str, name: &str) {
        let part = self.find(role, name).await;
        let node = json!({"backendNodeId": part.node["backendDOMNodeId"]});
        self.call("DOM.scrollIntoViewIfNeeded", node.clone()).await;
        // It may still be on its way: what is above it grows.
        let mut place = self.call("DOM.getContentQuads", node.clone()).await;
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.call("DOM.getContentQuads", node.clone()).await;
            if now == place {
                break;
            }
            place = now;
        }
        let corners: Vec<f64> = serde_json::from_value(place["quads"][0].clone()).unwrap();
        let (x, y) = (
            (corners[0] + corners[4]) / 2.0,
            (corners[1] + corners[5]) / 2.0,
        );
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Presses a key: `Tab`, `Enter`, `Escape` or a space.
    pub(crate) async fn press(&self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab", 9, ""),
            "Enter" => ("Enter", 13, "\r"),
            "Escape" => ("Escape", 27, ""),
            " " => ("Space", 32, " "),
            other => panic!("no key {other:?}"),
        };
        for kind in [
            if text.is_empty() {
                "rawKeyDown"
            } else {
                "keyDown"
            },
            "keyUp",
        ] {
            let mut event =
                json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number});
            if kind == "keyDown" {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Presses Tab until this has the focus; says by what way.
    pub(crate) async fn tab_to(&self, role: &str, name: &str) -> Vec<String> {
        let mut way = Vec::new();
        while way.len() < 60 {
            self.press("Tab").await;
            let Some(part) = self.focused().await else {
                continue;
            };
            way.push(format!("{} {}", part.role, part.name));
            if part.role == role && part.name.contains(name) {
                return way;
            }
        }
        panic!("no way leads to the {role} {name:?}: {way:#?}");
    }

    /// Types this where the focus is.
    pub(crate) async fn write(&self, text: &str) {
        self.call("Input.insertText", json!({"text": text})).await;
    }

    /// What has happened in this page of this kind, such as `Runtime.exceptionThrown`.
    pub(crate) fn events(&self, method: &str) -> Vec<Value> {
        let events = self.wire.events.lock().unwrap();
        let ours = |event: &&Value| event["sessionId"] == self.session && event["method"] == method;
        events
            .iter()
            .filter(ours)
            .map(|event| event["params"].clone())
            .collect()
    }

    /// The addresses that were asked for.
    pub(crate) fn fetched(&self) -> Vec<String> {
        let sent = self.events("Network.requestWillBeSent");
        let url = |sent: &Value| sent["request"]["url"].as_str().unwrap().to_owned();
        sent.iter().map(url).collect()
    }

    /// That no script has failed, and nothing was refused by a policy.
    pub(crate) fn assert_no_fault(&self) {
        assert_eq!(self.events("Runtime.exceptionThrown"), Vec::<Value>::new());
        let mut logged = self.events("Log.entryAdded");
        // Chromium asks every site for it, and a stand-in has none.
        logged.retain(|entry| !entry["entry"]["url"].to_string().contains("favicon.ico"));
        assert_eq!(logged, Vec::<Value>::new());
    }

    /// Takes a picture of it, and keeps it under this name in `target/`.
    pub(crate) async fn picture(&self, name: &str) {
        let picture = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("pictures");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }
}
