//! "Is it safe to expose?" Whatever a stranger sends to `segue serve --http` is refused, and nobody else is
//! kept waiting for it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    issuer::{AUDIENCE, Issuer, Key, unsigned},
    raw_http::{Answer, HttpServer, call, list_tools},
    support::{PATIENCE, World, until},
};

/// By when a client that never ends its request is done with.
const TOO_SLOW: Duration = Duration::from_secs(45);
/// Less than a body may take to come.
const AT_ONCE: Duration = Duration::from_secs(15);

/// Runs `segue token` in this world, and gives the token or whatever it says.
async fn token(world: &World, arguments: &[&str]) -> String {
    let arguments = [&["token"], arguments].concat();
    let output = world.launch().command(&arguments).unwrap().output().await;
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let token = text
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("segue_"));
    token.map_or(text.clone(), str::to_owned)
}

#[tokio::test]
async fn a_page_that_has_made_its_name_lead_here_is_refused() {
    let world = World::new().await;
    let server = HttpServer::start(&world, &world.launch()).await;
    assert!(server.post(&[], &list_tools()).await.lists_tools());
    for (fields, status) in [
        (&[("host", "evil.example")][..], 403),
        (&[("host", "evil.example:80")], 403),
        (&[("host", "localhost.evil.example")], 403),
        (&[("host", "localhost@evil.example")], 400),
        (&[("host", "")], 400),
        (&[("host", "localhost"), ("host", "evil.example")], 400),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "http://localhost:1")], 403),
    ] {
        let answer = server.post(fields, &list_tools()).await;
        assert_eq!(answer.status(), status, "{fields:?}: {answer:?}");
        assert!(!answer.0.contains("sync_track"), "{fields:?}");
        // Nor does a browser learn that it may read anything.
        assert_eq!(answer.field("access-control-allow-origin"), None);
    }
    // A request line with a whole address must name the same host.
    let request = server.request(&[], &list_tools());
    let elsewhere = request.replacen("/mcp", "http://evil.example/mcp", 1);
    assert_eq!(server.send(elsewhere).await.status(), 400);
}

#[tokio::test]
async fn with_a_token_made_every_call_needs_one_and_a_revoked_one_ends_at_once() {
    let world = World::new().await;
    let server = HttpServer::start(&world, &world.launch()).await;
    assert!(server.post(&[], &list_tools()).await.lists_tools());
    // From the first token on, also in a server that runs.
    let ann = token(&world, &["create", "--user", "ann", "--note", "phone"]).await;
    until("a token is asked for", async || {
        server.post(&[], &list_tools()).await.status() == 401
    })
    .await;
    let missing = server.post(&[], &list_tools()).await;
    assert_eq!(
        missing.field("www-authenticate"),
        Some("Bearer realm=\"segue\"")
    );
    assert!(server.list_tools(&ann).await.lists_tools());

    let shorter = &ann[..ann.len() - 1];
    let changed = format!("{shorter}{}", if ann.ends_with('A') { 'B' } else { 'A' });
    let longer = format!("{ann}A");
    let wrong = ["x", "segue_", "a.b.c", shorter, &changed, &longer];
    for wrong in wrong {
        let answer = server.list_tools(wrong).await;
        assert_eq!(answer.status(), 401, "{wrong}");
        let told = answer.field("www-authenticate").unwrap();
        assert!(told.contains("error=\"invalid_token\""), "{told}");
        // Nothing tells how near it was.
        assert!(!answer.0.contains("ann"), "{answer:?}");
    }
    // A token in the address is in every log on the way, and is not looked at.
    let in_address =
        server
            .request(&[], &list_tools())
            .replacen("/mcp", &format!("/mcp?access_token={ann}"), 1);
    assert_eq!(server.send(in_address).await.status(), 401);
    let basic = format!("Basic {ann}");
    let good = format!("Bearer {ann}");
    for fields in [
        &[("authorization", basic.as_str())][..],
        &[("authorization", &good), ("authorization", &good)],
        &[("authorization", &ann)],
    ] {
        assert_eq!(
            server.post(fields, &list_tools()).await.status(),
            401,
            "{fields:?}"
        );
    }
    // Every door is the same: the older transport, too.
    for path in ["/sse", "/messages"] {
        let method = if path == "/sse" { "GET" } else { "POST" };
        let host = server.address;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
        );
        assert_eq!(server.send(request).await.status(), 401, "{path}");
    }

    let bob = token(&world, &["create", "--user", "bob"]).await;
    until("the second token is taken", async || {
        server.list_tools(&bob).await.lists_tools()
    })
    .await;
    let listed = token(&world, &["list", "--json"]).await;
    assert!(
        !listed.contains(&ann) && listed.contains("phone"),
        "{listed}"
    );
    // A stream that is open when its token is taken back ends, with the reason.
    let stream = format!(
        "GET /sse HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {ann}\r\nconnection: close\r\n\r\n",
        server.address
    );
    let mut open = TcpStream::connect(server.address).await.unwrap();
    open.write_all(stream.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    until("the stream is open", async || {
        let more = timeout(PATIENCE, open.read_buf(&mut heard)).await;
        assert_ne!(more.unwrap().unwrap(), 0, "it ends: {heard:?}");
        String::from_utf8_lossy(&heard).contains("event: endpoint")
    })
    .await;
    token(&world, &["revoke", &ann]).await;
    let revoked = Instant::now();
    let rest = timeout(PATIENCE, open.read_to_end(&mut heard)).await;
    rest.expect("it ends").unwrap();
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("the token is no longer good"), "{heard:?}");
    until("the revoked token is refused", async || {
        server.list_tools(&ann).await.status() == 401
    })
    .await;
    assert!(
        revoked.elapsed() < Duration::from_secs(20),
        "{:?}",
        revoked.elapsed()
    );
    assert!(server.list_tools(&bob).await.lists_tools());
    // What is kept is no token.
    let kept = std::fs::read_to_string(world.home.path().join("tokens.json")).unwrap();
    let secret = bob.rsplit('_').next().unwrap();
    assert!(!kept.contains(secret) && kept.contains("bob"));
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(!log.contains(secret) && !log.contains(&ann));
}

/// A server that takes the tokens of this issuer.
async fn serve_for(world: &World, issuer: &Issuer) -> HttpServer {
    let launch = world
        .launch()
        .with("SEGUE_OAUTH_ISSUER", &issuer.url)
        .with("SEGUE_OAUTH_AUDIENCE", AUDIENCE)
        .with("SEGUE_OAUTH_SCOPE", "music:sync");
    HttpServer::start(world, &launch).await
}

fn challenge(answer: &Answer) -> &str {
    answer.field("www-authenticate").unwrap_or_default()
}

#[tokio::test]
async fn of_access_tokens_only_the_issuers_own_for_this_server_and_this_time_are_taken() {
    let world = World::new().await;
    let (key, other, stranger) = (Key::es256("one"), Key::eddsa("two"), Key::es256("one"));
    let issuer = Issuer::start(&[&key, &other]).await;
    let server = serve_for(&world, &issuer).await;

    let where_to = "https://music.example.com/.well-known/oauth-protected-resource/mcp";
    let missing = server.post(&[], &list_tools()).await;
    assert_eq!(missing.status(), 401);
    let told = challenge(&missing);
    assert!(
        told.contains(&format!("resource_metadata=\"{where_to}\"")),
        "{told}"
    );
    assert!(!told.contains("error"), "{told}");
    for path in ["", "/mcp"] {
        let host = server.address;
        let request = format!(
            "GET /.well-known/oauth-protected-resource{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"
        );
        let answer = server.send(request).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let body = answer.0.split_once("\r\n\r\n").unwrap().1;
        let metadata: Value = serde_json::from_str(body).unwrap();
        assert_eq!(metadata["resource"], AUDIENCE);
        assert_eq!(metadata["authorization_servers"], json!([issuer.url]));
        assert_eq!(metadata["scopes_supported"], json!(["music:sync"]));
    }

    for good in [
        key.token(&issuer.claims()),
        other.token(&issuer.claims()),
        key.token_with(&json!({"typ": "JWT"}), &issuer.claims()),
        key.token(&issuer.claims_but(&json!({"aud": ["https://else.example", AUDIENCE]}))),
        key.token(&issuer.claims_but(&json!({"scope": null, "scp": ["music:sync"]}))),
    ] {
        let answer = server.list_tools(&good).await;
        assert!(answer.lists_tools(), "{answer:?}");
    }

    let now = jiff::Timestamp::now().as_second();
    let claims = issuer.claims();
    let but = |other: Value| issuer.claims_but(&other);
    let good = key.token(&claims);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let foreign = unsigned(
        &json!({"alg": "ES256", "kid": "one"}),
        &but(json!({"sub": "bob"})),
    );
    let bad = [
        ("expired", key.token(&but(json!({"exp": now - 120})))),
        ("without an end", key.token(&but(json!({"exp": null})))),
        (
            "an end that is no time",
            key.token(&but(json!({"exp": "never"}))),
        ),
        ("not yet", key.token(&but(json!({"nbf": now + 600})))),
        (
            "another audience",
            key.token(&but(json!({"aud": "https://else.example/mcp"}))),
        ),
        (
            "a longer audience",
            key.token(&but(json!({"aud": format!("{AUDIENCE}/x")}))),
        ),
        ("no audience", key.token(&but(json!({"aud": null})))),
        (
            "another issuer",
            key.token(&but(json!({"iss": "https://else.example"}))),
        ),
        (
            "one of several issuers",
            key.token(&but(json!({"iss": [issuer.url, "x"]}))),
        ),
        ("no issuer", key.token(&but(json!({"iss": null})))),
        ("nobody", key.token(&but(json!({"sub": null})))),
        ("an empty name", key.token(&but(json!({"sub": ""})))),
        (
            "no signature",
            format!("{}.", unsigned(&json!({"alg": "none"}), &claims)),
        ),
        ("a cut signature", format!("{head}.{}", &signature[..20])),
        ("claims of another", format!("{foreign}.{signature}")),
        ("a shared secret", key.token_by_public_key(&claims)),
        ("a stranger's key of that name", stranger.token(&claims)),
        (
            "a key of another kind",
            key.token_with(&json!({"kid": "two"}), &claims),
        ),
        (
            "an unknown key",
            key.token_with(&json!({"kid": "three"}), &claims),
        ),
        (
            "its own key",
            stranger.token_with(&json!({"jwk": stranger.public()}), &claims),
        ),
        (
            "a logout token",
            key.token_with(&json!({"typ": "logout+jwt"}), &claims),
        ),
        (
            "what must be understood",
            key.token_with(&json!({"crit": ["b64"]}), &claims),
        ),
        ("too long", key.token(&but(json!({"x": "y".repeat(9_000)})))),
    ];
    for (what, token) in bad {
        let answer = server.list_tools(&token).await;
        assert_eq!(answer.status(), 401, "{what}: {answer:?}");
        let told = challenge(&answer);
        assert!(told.contains("error=\"invalid_token\""), "{what}: {told}");
        // Which of the reasons it was is nobody's business.
        let body = answer.0.split_once("\r\n\r\n").unwrap().1.to_lowercase();
        for word in ["expired", "audience", "signature", "issuer"] {
            assert!(!body.contains(word), "{what}: {body}");
        }
    }

    let narrow = key.token(&but(json!({"scope": "openid music:sync2"})));
    let answer = server.list_tools(&narrow).await;
    assert_eq!(answer.status(), 403, "{answer:?}");
    let told = challenge(&answer);
    assert!(told.contains("error=\"insufficient_scope\""), "{told}");
    assert!(told.contains("scope=\"music:sync\""), "{told}");
    let log = std::fs::read_to_string(world.log()).unwrap();
    assert!(
        !log.contains(&good) && !log.contains(signature),
        "a token was logged"
    );
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_and_made_up_ones_do_not_flood_it() {
    let world = World::new().await;
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let issuer = Issuer::start(&[&old]).await;
    let server = serve_for(&world, &issuer).await;
    let made_up = Key::es256("made-up");
    // Before its keys were ever had, nobody can be judged.
    issuer.breaks(true);
    let answer = server.list_tools(&old.token(&issuer.claims())).await;
    assert_eq!(answer.status(), 503, "{answer:?}");
    assert!(answer.field("retry-after").is_some());
    issuer.breaks(false);
    until("the issuer is asked again", async || {
        server
            .list_tools(&old.token(&issuer.claims()))
            .await
            .lists_tools()
    })
    .await;

    let asked = issuer.asked();
    let flood = (0..200).map(async |at| {
        let header = json!({"kid": format!("made-up-{at}")});
        let token = made_up.token_with(&header, &issuer.claims());
        assert_eq!(server.list_tools(&token).await.status(), 401);
    });
    let began = Instant::now();
    futures::future::join_all(flood).await;
    let most = 2 + began.elapsed().as_secs() as usize / 10;
    assert!(
        issuer.asked() - asked <= most,
        "asked {} times",
        issuer.asked() - asked
    );

    issuer.show(&[&new]);
    until("the new key is found", async || {
        server
            .list_tools(&new.token(&issuer.claims()))
            .await
            .lists_tools()
    })
    .await;
    // The old one is gone with the set that it was in.
    let answer = server.list_tools(&old.token(&issuer.claims())).await;
    assert_eq!(answer.status(), 401);
    // An issuer that is down keeps nobody out whose key is known.
    issuer.breaks(true);
    assert!(
        server
            .list_tools(&new.token(&issuer.claims()))
            .await
            .lists_tools()
    );
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_is_read() {
    let world = World::new().await;
    let server = HttpServer::start(&world, &world.launch()).await;
    let usual = server.request(&[], &list_tools());
    let head = usual.split("content-length").next().unwrap().to_owned();
    let huge = format!("{head}content-length: 1099511627776\r\n\r\n{{");
    assert_eq!(server.send(huge).await.status(), 413);
    // Of a stranger nothing is read, whatever is to come; the page is answered all the same.
    for body in ["content-length: 5000000", "transfer-encoding: chunked"] {
        let page = format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{body}\r\n\r\n");
        let answer = timeout(AT_ONCE, server.send(page)).await;
        assert!(matches!(answer.expect("at once").status(), 200 | 503));
    }
    // A body that does not say how long it is, and never ends.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!("{head}transfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn(async move {
        let mut sent = 0_usize;
        while writer.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
            assert!(sent < 200 << 20, "it takes everything");
        }
        sent
    });
    let mut answer = Vec::new();
    let _ = timeout(TOO_SLOW, reader.read_to_end(&mut answer))
        .await
        .expect("an end");
    let answer = Answer(String::from_utf8_lossy(&answer).into_owned());
    // A client that still sends may find the connection closed before it reads why.
    assert!(matches!(answer.status(), 413 | 0), "{answer:?}");
    drop(reader);
    let sent = writing.await.unwrap();
    assert!(sent < 100 << 20, "{sent} bytes were taken");
    for (what, field) in [
        ("a long field", format!("x: {}\r\n", "y".repeat(100_000))),
        ("many fields", "x: y\r\n".repeat(1_000)),
    ] {
        let request = usual.replacen("\r\n\r\n", &format!("\r\n{field}\r\n"), 1);
        let answer = server.send(request).await;
        assert!(
            matches!(answer.status(), 431 | 400 | 0),
            "{what}: {answer:?}"
        );
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let request = usual.split("content-length").next().unwrap();
    let request = format!("{request}content-length: {}\r\n\r\n{deep}", deep.len());
    let answer = server.send(request).await;
    assert!((400..500).contains(&answer.status()), "{answer:?}");
    assert!(server.post(&[], &list_tools()).await.lists_tools());
}

#[tokio::test]
async fn clients_that_take_for_ever_are_left_and_keep_nobody_out() {
    let world = World::new().await;
    let server = HttpServer::start(&world, &world.launch()).await;
    let usual = server.request(&[], &list_tools());
    let in_head = &usual[..40];
    let (head, body) = usual.split_once("\r\n\r\n").unwrap();
    let in_body = format!("{head}\r\n\r\n{}", &body[..10]);
    // A head that grows by a byte a second, a body that does, and silence.
    let slow = (0..300).map(async |at| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let began = Instant::now();
        let first = [in_head, &in_body, ""][at % 3];
        stream.write_all(first.as_bytes()).await.unwrap();
        let drip = [&b"x"[..], b" ", b""][at % 3];
        loop {
            let mut byte = [0; 1024];
            match timeout(Duration::from_secs(1), stream.read(&mut byte)).await {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(_)) => {}
                Err(_) => {
                    if stream.write_all(drip).await.is_err() {
                        break;
                    }
                }
            }
            assert!(began.elapsed() < TOO_SLOW, "it waits for ever ({at})");
        }
    });
    let others = async {
        let mut worst = Duration::ZERO;
        for _ in 0..10 {
            let began = Instant::now();
            assert!(server.post(&[], &list_tools()).await.lists_tools());
            worst = worst.max(began.elapsed());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        worst
    };
    let (_, worst) = tokio::join!(futures::future::join_all(slow), others);
    assert!(worst < Duration::from_secs(20), "others wait {worst:?}");
}

#[tokio::test]
async fn no_path_leads_out() {
    let world = World::new().await;
    let secret = world.home.path().join("secret.txt");
    std::fs::write(&secret, "hidden in plain sight").unwrap();
    let secret = secret.display().to_string();
    // Folders that a local client may import from are no folders for one that comes over HTTP.
    let folder = world.home.path().display().to_string();
    let launch = world.launch().with("SEGUE_IMPORT_FOLDERS", folder);
    let server = HttpServer::start(&world, &launch).await;
    let host = server.address;
    for path in [
        secret.clone(),
        format!("/../../../../../..{secret}"),
        format!("/mcp/../../../../..{secret}"),
        format!("/%2e%2e/%2e%2e/%2e%2e/%2e%2e{secret}"),
        format!("/..%2f..%2f..%2f..%2f..{secret}"),
        format!("//{secret}"),
        format!("/ui/..\\..\\{secret}"),
        "/.well-known/../tokens.json".to_owned(),
        "/.git/config".to_owned(),
        "/segue.toml".to_owned(),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = server.send(request).await;
        assert!((400..500).contains(&answer.status()), "{path}: {answer:?}");
        assert!(!answer.0.contains("hidden"), "{path}");
    }
    for uri in [
        format!("file://{secret}"),
        format!("sync://../../..{secret}"),
        format!("sync://{}/report.json", "..%2f".repeat(8)),
        "ui://segue/../../tokens.json".to_owned(),
    ] {
        let read = call("resources/read", json!({"uri": uri}));
        let answer = server.post(&[("mcp-name", &uri)], &read).await;
        assert!(answer.0.contains("\"error\""), "{uri}: {answer:?}");
        assert!(!answer.0.contains("hidden"), "{uri}");
    }
    for file in [secret.clone(), "../secret.txt".to_owned()] {
        let arguments = json!({"file": file, "playlist": world.empty()});
        let sync = call(
            "tools/call",
            json!({"name": "sync_playlist", "arguments": arguments}),
        );
        let answer = server.post(&[], &sync).await;
        assert!(answer.0.contains("isError\":true"), "{answer:?}");
        assert!(!answer.0.contains("hidden"), "{file}");
    }
}

#[tokio::test]
async fn a_head_that_says_other_than_the_body_is_refused() {
    let world = World::new().await;
    let server = HttpServer::start(&world, &world.launch()).await;
    let health = call("tools/call", json!({"name": "get_health", "arguments": {}}));
    assert_eq!(server.post(&[], &health).await.status(), 200);
    // What stands between looks at the head: it must not be told of one call and we of another.
    for fields in [
        &[("mcp-name", "cancel_sync")][..],
        &[("mcp-method", "tools/list")],
        &[("mcp-name", "get_health"), ("mcp-name", "cancel_sync")],
        &[("mcp-method", "tools/call"), ("mcp-method", "tools/list")],
        &[("mcp-name", "=?base64?Z2V0X3N5bmM=?=")],
        &[("mcp-protocol-version", "2025-11-25")],
        &[("mcp-name", " ")],
    ] {
        let answer = server.post(fields, &health).await;
        assert_eq!(answer.status(), 400, "{fields:?}: {answer:?}");
        assert!(answer.0.contains("-32020"), "{fields:?}: {answer:?}");
    }
    // Nor may two readers of one connection disagree where a request ends.
    let usual = server.request(&[], &list_tools());
    let second = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let lengths = usual.replacen("content-length", "content-length: 5\r\ncontent-length", 1);
    let both = usual.replacen(
        "content-length",
        "transfer-encoding: chunked\r\ncontent-length",
        1,
    );
    let unknown = usual.replacen(
        "content-length",
        "transfer-encoding: xchunked\r\nx-length",
        1,
    );
    let spaced = usual.replacen("content-length:", "content-length :", 1);
    for request in [lengths, both, unknown, spaced] {
        let answer = server.send(format!("{request}{second}")).await;
        assert!(
            (400..500).contains(&answer.status()),
            "{request}: {answer:?}"
        );
        assert_eq!(answer.answers(), 1, "{request}: {answer:?}");
        assert!(!answer.lists_tools(), "{request}");
    }
}

#[tokio::test]
async fn others_reach_it_only_where_they_must_say_who_they_are() {
    let world = World::new().await;
    let serve = async |address: &str| {
        let mut command = world
            .launch()
            .command(&["serve", "--http", address])
            .unwrap();
        timeout(Duration::from_secs(20), command.output()).await
    };
    for address in ["0.0.0.0:0", "[::]:0"] {
        let refused = serve(address).await.expect("it ends").unwrap();
        assert!(!refused.status.success());
        let told = String::from_utf8(refused.stderr).unwrap();
        assert!(told.contains("segue token create"), "the next step: {told}");
    }
    token(&world, &["create"]).await;
    let launch = world.launch();
    let mut command = launch.command(&["serve", "--http", "0.0.0.0:0"]).unwrap();
    let mut served = command.spawn().unwrap();
    until("it listens", async || {
        let log = std::fs::read_to_string(world.log()).unwrap();
        log.contains("listening at http://0.0.0.0:")
    })
    .await;
    served.kill().await.unwrap();
}

#[tokio::test]
async fn one_user_s_flood_is_told_to_wait_and_no_other_user_feels_it() {
    let world = World::new().await;
    let (ann, bob) = (
        token(&world, &["create", "--user", "ann"]).await,
        token(&world, &["create", "--user", "bob"]).await,
    );
    let launch = world.launch().with("SEGUE_USER_CALLS_PER_MINUTE", "30");
    let server = HttpServer::start(&world, &launch).await;
    let flood = (0..60).map(async |_| server.list_tools(&ann).await);
    let answers = futures::future::join_all(flood).await;
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status() == 429)
        .collect();
    assert!(
        (20..=30).contains(&refused.len()),
        "{} of 60",
        refused.len()
    );
    for answer in refused {
        let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
        assert!((1..=60).contains(&wait), "{wait}");
    }
    assert!(server.list_tools(&bob).await.lists_tools());
    assert!(server.pid() > 0);
}
