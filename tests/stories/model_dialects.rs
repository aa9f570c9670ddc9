//! "I use another model." Endpoints that call themselves compatible, each with its own idea of it. The
//! streams are written after recordings, or after what each documents; docs/models.md lists the differences.

use segue::client::Server;
use serde_json::{Value, json};

use crate::{
    scripted_model::{Order, ScriptedModel},
    support::{World, ended, start},
};

const STREAMS: [(&str, &str); 12] = [
    ("openai", include_str!("../data/model_streams/openai.txt")),
    (
        "anthropic",
        include_str!("../data/model_streams/anthropic.txt"),
    ),
    ("gemini", include_str!("../data/model_streams/gemini.txt")),
    ("ollama", include_str!("../data/model_streams/ollama.txt")),
    ("a proxy", include_str!("../data/model_streams/proxy.txt")),
    ("Azure", include_str!("../data/model_streams/azure.txt")),
    (
        "Snowflake Cortex",
        include_str!("../data/model_streams/cortex_claude.txt"),
    ),
    ("Mistral", include_str!("../data/model_streams/mistral.txt")),
    (
        "a reasoning model of Mistral",
        include_str!("../data/model_streams/mistral_parts.txt"),
    ),
    (
        "Claude by OpenRouter",
        include_str!("../data/model_streams/openrouter_claude.txt"),
    ),
    (
        "Perplexity",
        include_str!("../data/model_streams/perplexity.txt"),
    ),
    (
        "a model that thinks aloud",
        include_str!("../data/model_streams/thinking_aloud.txt"),
    ),
];

fn unsure_clocks(playlist: &str) -> Value {
    json!({"title": "Clocks", "artist": "Coldplay", "duration_ms": 900_000, "playlist": playlist,
        "on_ambiguous": "ai"})
}

#[tokio::test]
async fn each_dialect_is_understood() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    for (endpoint, stream) in STREAMS {
        model.order([Order::Stream(stream)]);
        let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
        assert_eq!(view["success"], true, "{endpoint}: {view:#}");
        assert_eq!(view["confidence_score"], 0.93, "{endpoint}: {view:#}");
    }
    assert_eq!(model.requests().len(), STREAMS.len());
    model.assert_well_asked();
    server.end().await.unwrap();
}

#[tokio::test]
async fn a_part_that_an_endpoint_does_not_know_is_left_out_from_then_on() {
    let world = World::new().await;
    let model = ScriptedModel::default();
    let launch = model.beside(world.launch()).await;
    let server = Server::start(&launch).await.unwrap();
    let forbidden = json!({"object": "error", "message": {"detail": [{"type": "extra_forbidden",
        "loc": ["body", "max_completion_tokens"], "msg": "Extra inputs are not permitted"}]}});
    let unknown =
        json!({"error": {"message": "'response_format' of type 'json_schema' is not supported"}});
    model.order([
        Order::Status(422, None, forbidden),
        Order::Status(400, None, unknown),
        Order::AsTheRule,
    ]);
    for _ in 0..2 {
        let view = ended(&server, &start(&server, unsure_clocks(world.empty())).await).await;
        assert_eq!(view["success"], true, "{view:#}");
        assert_eq!(view["retry_count"], 0, "{view:#}");
    }
    let requests = model.requests();
    assert_eq!(
        requests.len(),
        4,
        "two to learn what it knows, and one a song"
    );
    for request in &requests[2..] {
        assert!(request.get("response_format").is_none(), "{request:#}");
        assert!(
            request.get("max_completion_tokens").is_none(),
            "{request:#}"
        );
        assert!(request["max_tokens"].as_u64().unwrap() > 100, "{request:#}");
    }
    model.assert_well_asked();
    server.end().await.unwrap();
}
