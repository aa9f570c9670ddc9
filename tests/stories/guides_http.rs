//! "It runs elsewhere, and I call it." Every address and every request of the install guides reaches a Segue that
//! serves HTTP, with a token and not without.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use reqwest::header::{HeaderName, HeaderValue};
use rmcp::{
    ServiceExt,
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use segue::client::HttpServer;
use serde_json::Value;

use crate::{
    guide_steps::{Remote, Step, blocks, guides, headers_in, steps},
    installed::tools,
    support::{CLOCKS, World, ended},
};

/// Where the guides say that Segue is, for its own machine and for a phone.
const ADDRESSES: [&str; 2] = ["127.0.0.1:8620", "my-computer.local:8620"];
/// How they write a token that the reader has to put in, or that a client puts in.
const TOKENS: [&str; 4] = [
    "YOUR_TOKEN",
    "${MUSIC_TOKEN}",
    "${input:segue-token}",
    "${env:MUSIC_TOKEN}",
];

/// Segue over HTTP, with a token for its calls.
struct Reachable {
    world: World,
    serving: HttpServer,
    token: String,
}

impl Reachable {
    async fn new() -> Self {
        let world = World::new().await;
        let create = ["token", "create", "--note", "a test"];
        let said = world.launch().command(&create).unwrap().output().await;
        let said = String::from_utf8(said.unwrap().stdout).unwrap();
        let token = said.lines().find_map(|line| line.strip_prefix("  "));
        let token = token.unwrap_or_else(|| panic!("{said}")).trim().to_owned();

        let (host, _) = ADDRESSES[1].split_once(':').unwrap();
        let serving = HttpServer::start(&world.launch(), &["--http-host", host]).await;
        Self {
            world,
            serving: serving.expect("the server starts"),
            token,
        }
    }

    /// The headers that a guide says, with the token put in, and with the address that it says as the host.
    fn headers(&self, remote: &Remote) -> BTreeMap<String, String> {
        let host = remote.url.authority().to_owned();
        assert!(ADDRESSES.contains(&host.as_str()), "{remote:?}");
        let put_in = |value: &String| {
            let value = value.clone();
            TOKENS
                .iter()
                .fold(value, |value, token| value.replace(token, &self.token))
        };
        let headers = remote.headers.iter();
        let headers = headers.map(|(name, value)| (name.clone(), put_in(value)));
        let mut headers: BTreeMap<String, String> = headers.collect();
        assert_eq!(headers["Authorization"], format!("Bearer {}", self.token));
        headers.insert("Host".to_owned(), host);
        headers
    }

    /// Where that is here.
    fn url(&self, remote: &Remote) -> String {
        format!("{}{}", self.serving.url(), remote.url.path())
    }

    /// The tools that a client sees that connects as this says.
    async fn connect(&self, remote: &Remote) -> BTreeSet<String> {
        let mut headers = self.headers(remote);
        headers.remove("Host"); // The client has its own.
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_str(name).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        let config = StreamableHttpClientTransportConfig::with_uri(self.url(remote))
            .custom_headers(headers.collect());
        let transport = StreamableHttpClientTransport::from_config(config);
        let client = ().serve(transport).await;
        let client = client.unwrap_or_else(|error| panic!("{remote:?}: {error}"));
        let tools = client.list_all_tools().await.unwrap().into_iter();
        let tools = tools.map(|tool| tool.name.into_owned()).collect();
        client.cancel().await.unwrap();
        tools
    }

    /// What one request is answered, which is all that is sent.
    async fn send(&self, remote: &Remote, body: &Value) -> Value {
        let mut request = reqwest::Client::new().post(self.url(remote));
        for (name, value) in self.headers(remote) {
            request = request.header(name, value);
        }
        let answer = request.body(body.to_string()).send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{status}: {text}");
        // One message, alone or as the last event of a stream.
        let event = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("data:"));
        let message: Value = serde_json::from_str(event.unwrap_or(&text)).unwrap();
        assert!(message["error"].is_null(), "{message:#}");
        message["result"].clone()
    }
}

#[tokio::test]
async fn a_client_with_a_token_finds_the_tools_at_every_address_of_every_guide() {
    let segue = Reachable::new().await;
    let mut guides_with_one = BTreeSet::new();
    for (guide, text) in guides() {
        for step in blocks(&text).iter().flat_map(steps) {
            let found = match step {
                Step::Connect(remote) => segue.connect(&remote).await,
                Step::Send(remote, body) => {
                    let listed = segue.send(&remote, &body).await;
                    let listed = listed["tools"].as_array().unwrap().iter();
                    let names = listed.map(|tool| tool["name"].as_str().unwrap().to_owned());
                    names.collect()
                }
                _ => continue,
            };
            assert_eq!(found, tools(), "{guide}");
            guides_with_one.insert(guide.clone());
        }
    }
    let expected = ["claude-code.md", "cursor.md", "http.md", "vs-code.md"];
    assert_eq!(guides_with_one, expected.map(str::to_owned).into());

    let without = reqwest::Client::new().post(format!("{}/mcp", segue.serving.url()));
    assert_eq!(without.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_phone_adds_a_song_by_the_one_request_of_its_guide() {
    let segue = Reachable::new().await;
    let all = guides();
    let (_, text) = all.iter().find(|(name, _)| name == "phone.md").unwrap();
    let address = format!("http://{}/mcp", ADDRESSES[1]);
    assert!(text.contains(&format!("A POST to `{address}`")));
    let remote = Remote {
        url: address.parse().unwrap(),
        headers: headers_in(text),
    };
    assert_eq!(remote.headers.len(), 6, "{remote:?}");
    let found = blocks(text);
    let bodies = found.iter().flat_map(steps).map(|step| match step {
        Step::Body(body) => body,
        other => panic!("{other:?} is nothing that a phone does"),
    });
    let bodies: Vec<Value> = bodies.collect();
    assert_eq!(bodies.len(), 2, "by its name, and by a link");

    let client = segue.world.serve().await;
    for body in &bodies {
        let answer = segue.send(&remote, body).await;
        let sync_id = answer["structuredContent"]["sync_id"].as_str().unwrap();
        let view = ended(&client, sync_id).await;
        assert_eq!(view["status"], "completed", "{view:#}");
        assert_eq!(view["success"], true, "{view:#}");
    }
    let playlist = segue.world.sim.full_playlist_id();
    let there = segue.world.in_playlist(playlist);
    let times = there.iter().filter(|uri| *uri == CLOCKS.2).count();
    assert_eq!(times, 1, "the link is of the same song");
    client.end().await.unwrap();
}
