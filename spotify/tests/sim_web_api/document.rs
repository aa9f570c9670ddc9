//! Every answer has the shape that Spotify's OpenAPI document gives it.
//!
//! `spotify-open-api.json` is that document as of August 2026, reduced to the paths used here:
//! descriptions and examples are left out; `nullable` became a type that includes `null`; a search
//! answers with tracks only; and what the document calls deprecated is not required, since Spotify
//! withdrew such fields in 2026.

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{Answer, Client};

/// Fields that Spotify only sends when there is something to say, and the simulator never has:
/// restrictions, relinked tracks, and the codes of things that aren't recordings.
const OCCASIONAL: [&str; 4] = ["restrictions", "is_playable", "ean", "upc"];

struct Document(Value);

impl Document {
    fn open() -> Self {
        Self(serde_json::from_str(include_str!("spotify-open-api.json")).unwrap())
    }

    /// Checks an answer against the document.
    #[track_caller]
    fn check(&self, method: &str, path: &str, answer: &Answer) {
        let (status, body) = answer;
        let schema = &self.0["paths"][path][method][status.as_str()];
        assert!(
            schema.is_object(),
            "the document has no {status} for {method} {path}: {body}"
        );
        let mut faults: Vec<String> = self
            .validator(schema)
            .iter_errors(body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        self.compare(schema, body, "", &mut faults);
        assert!(
            faults.is_empty(),
            "{method} {path} {status}:\n{}\n{body:#}",
            faults.join("\n")
        );
    }

    fn validator(&self, schema: &Value) -> Validator {
        let mut root = schema.clone();
        root["components"] = self.0["components"].clone();
        jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .unwrap()
    }

    /// Hardly any field is required by the document, so that validation alone would pass `{}`. This
    /// also reports fields it doesn't know, and fields it has that are missing.
    fn compare(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let mut fields = Map::new();
        self.collect(schema, &mut fields);
        match value {
            Value::Object(object) if !fields.is_empty() => {
                for (name, value) in object {
                    let at = format!("{at}/{name}");
                    match fields.get(name) {
                        Some(schema) => self.compare(schema, value, &at, faults),
                        None => faults.push(format!("{at}: unknown to the document")),
                    }
                }
                for (name, schema) in &fields {
                    let may_lack =
                        schema["deprecated"] == true || OCCASIONAL.contains(&name.as_str());
                    if !may_lack && !object.contains_key(name) {
                        faults.push(format!("{at}/{name}: missing"));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.compare(&schema["items"], item, &format!("{at}/{index}"), faults);
                }
            }
            _ => {}
        }
    }

    /// Gathers the properties of a schema, through references and compositions. Where it offers a
    /// choice, of a track or an episode, the simulator always has the first.
    fn collect(&self, schema: &Value, fields: &mut Map<String, Value>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/components/schemas/");
            self.collect(&self.0["components"]["schemas"][name], fields);
        }
        let parts = schema["allOf"].as_array().into_iter().flatten();
        for part in parts.chain(schema["oneOf"].as_array().and_then(|choice| choice.first())) {
            self.collect(part, fields);
        }
        fields.extend(
            schema["properties"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
    }
}

#[tokio::test]
async fn songs() {
    let (client, document) = (Client::new().await, Document::open());
    let found = client
        .get("/v1/search?q=love&type=track&limit=10&offset=10")
        .await;
    assert_eq!(
        found.1["tracks"]["items"].as_array().map(Vec::len),
        Some(10)
    );
    document.check("get", "/search", &found);

    let uri = &client.some_uris(1)[0];
    let id = uri.trim_start_matches("spotify:track:");
    let track = client.get(&format!("/v1/tracks/{id}")).await;
    assert_eq!(track.1["uri"], uri.as_str());
    document.check("get", "/tracks/{id}", &track);
}

#[tokio::test]
async fn the_user_and_the_playlists() {
    let (client, document) = (Client::new().await, Document::open());
    client
        .control(
            "/_sim/playlists",
            json!({"name": "Theirs", "owner": "other"}),
        )
        .await;
    document.check("get", "/me", &client.get("/v1/me").await);

    let mine = client.get("/v1/me/playlists").await;
    assert_eq!(mine.1["total"], 3);
    document.check("get", "/me/playlists", &mine);

    let wanted = json!({"name": "Made", "description": "For a test", "public": false});
    let made = client.send(Method::POST, "/v1/me/playlists", wanted).await;
    assert_eq!(made.1["description"], "For a test");
    document.check("post", "/me/playlists", &made);

    let path = format!("/v1/playlists/{}", client.sim.full_playlist_id());
    let full = client.get(&path).await;
    assert_eq!(full.1["items"]["items"].as_array().map(Vec::len), Some(12));
    document.check("get", "/playlists/{playlist_id}", &full);
}

#[tokio::test]
async fn the_items_of_a_playlist() {
    let (client, document) = (Client::new().await, Document::open());
    let path = client.items_path(client.sim.full_playlist_id());
    let uris = client.some_uris(1);
    let steps = [
        ("get", None),
        ("post", Some(json!({"uris": uris}))),
        ("put", Some(json!({"range_start": 0, "insert_before": 3}))),
        ("delete", Some(json!({"items": [{"uri": uris[0]}]}))),
    ];
    for (method, body) in steps {
        let answer = match body {
            None => client.get(&path).await,
            Some(body) => {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                client.send(method, &path, body).await
            }
        };
        document.check(method, "/playlists/{playlist_id}/items", &answer);
    }
}

#[tokio::test]
async fn refusals() {
    let (client, document) = (Client::new().await, Document::open());
    let anonymous = client
        .anonymous(Method::GET, "/v1/me")
        .send()
        .await
        .unwrap();
    document.check("get", "/me", &super::client::answer(anonymous).await);

    client
        .control("/_sim/faults", json!({"endpoint": "search", "status": 429}))
        .await;
    document.check(
        "get",
        "/search",
        &client.get("/v1/search?q=a&type=track").await,
    );

    client.control("/_sim/tokens", json!({"scopes": []})).await;
    document.check(
        "get",
        "/me/playlists",
        &client.get("/v1/me/playlists").await,
    );
}

/// The check itself would notice.
#[test]
fn a_wrong_answer_is_found_out() {
    let document = Document::open();
    let schema = json!({"$ref": "#/components/schemas/PlaylistTracksRefObject"});
    let faults = |value: Value| {
        let mut faults = Vec::new();
        document.compare(&schema, &value, "", &mut faults);
        faults
    };
    assert_eq!(
        faults(json!({"href": "h", "total": 1})),
        Vec::<String>::new()
    );
    assert_eq!(faults(json!({"href": "h"})), ["/total: missing"]);
    let unknown = faults(json!({"href": "h", "total": 1, "sum": 1}));
    assert_eq!(unknown, ["/sum: unknown to the document"]);
    assert!(
        !document
            .validator(&schema)
            .is_valid(&json!({"href": "h", "total": "1"}))
    );
}
