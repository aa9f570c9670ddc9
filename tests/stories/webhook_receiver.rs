//! A webhook's receiver: a real HTTP server that notes what it is sent, and answers as it was ordered to.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    body::Bytes,
    extract::{OriginalUri, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use segue::client::Launch;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::until;

/// The secret of the messages. It must be found nowhere else.
pub(crate) const SECRET: &str = "whsec_c2VndWUtdGVzdHMtc2lnbi13aXRoLXRoaXMtc2VjcmV0";
/// The secret in the address, as Slack's addresses have one. It must be found nowhere else.
pub(crate) const SECRET_PATH: &str = "B0verysecretpathofthewebhook";

/// What it is ordered to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// This status, and when to come back if that is given.
    Status(u16, Option<u32>),
    /// Nothing, until it is let go.
    Hang,
}

/// A message, as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// The headers of the specification.
    pub(crate) headers: Value,
    pub(crate) body: String,
    /// The status with which it was answered; none, if the sender was left without an answer.
    pub(crate) status: Option<u16>,
}

impl Message {
    /// The body as JSON.
    pub(crate) fn event(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn id(&self) -> &str {
        self.headers["webhook-id"].as_str().unwrap()
    }
}

#[derive(Default)]
struct Inside {
    orders: VecDeque<Order>,
    /// What it answers when no order is left; otherwise it takes everything.
    rule: Option<Order>,
    messages: Vec<Message>,
}

/// The receiver. Clones are the same one.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    inside: Arc<Mutex<Inside>>,
    let_go: Arc<Notify>,
}

impl Receiver {
    /// Serves it, and gives the address to name it by.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/in/{SECRET_PATH}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/in/{*secret}", post(answer))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    /// The launch of a server that tells it.
    pub(crate) async fn beside(&self, launch: Launch) -> Launch {
        launch
            .with("SEGUE_WEBHOOK_URL", self.serve().await)
            .with("SEGUE_WEBHOOK_SECRET", SECRET)
    }

    /// Orders the next answers, one each.
    pub(crate) fn order(&self, orders: impl IntoIterator<Item = Order>) {
        self.inside().orders.extend(orders);
    }

    /// What it answers when no order is left; none if it takes everything.
    pub(crate) fn rule(&self, rule: Option<Order>) {
        self.inside().rule = rule;
    }

    /// Lets those go that hang, without an answer.
    pub(crate) fn let_go(&self) {
        self.let_go.notify_waiters();
    }

    /// What it was sent.
    pub(crate) fn messages(&self) -> Vec<Message> {
        self.inside().messages.clone()
    }

    /// What it was sent and took.
    pub(crate) fn taken(&self) -> Vec<Message> {
        let mut messages = self.messages();
        messages.retain(|message| message.status == Some(200));
        messages
    }

    /// The events of this type that it took.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let events = self.taken().into_iter().map(|message| message.event());
        events.filter(|event| event["type"] == kind).collect()
    }

    /// Waits until it has been sent so many messages.
    pub(crate) async fn until_sent(&self, count: usize) {
        let what = format!("{count} messages");
        until(&what, async || self.messages().len() >= count).await;
    }

    /// Waits until it took an event of this type, and gives it.
    pub(crate) async fn until_told(&self, kind: &str) -> Value {
        until(kind, async || !self.events(kind).is_empty()).await;
        self.events(kind).remove(0)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap()
    }
}

async fn answer(
    State(receiver): State<Receiver>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    assert!(uri.path().ends_with(SECRET_PATH), "{uri}");
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(text("content-type"), Some("application/json"));
    let (order, place) = {
        let mut inside = receiver.inside();
        let order = inside.orders.pop_front().or(inside.rule);
        let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
        let headers = names.map(|name| (name.to_owned(), json!(text(name))));
        inside.messages.push(Message {
            headers: Value::Object(headers.into_iter().collect()),
            body: String::from_utf8(body.to_vec()).unwrap(),
            status: match order {
                Some(Order::Status(status, _)) => Some(status),
                Some(Order::Hang) => None,
                None => Some(200),
            },
        });
        (order, inside.messages.len())
    };
    match order {
        None => StatusCode::OK.into_response(),
        Some(Order::Status(status, come_back)) => {
            let mut response = StatusCode::from_u16(status).unwrap().into_response();
            if let Some(seconds) = come_back {
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, seconds.into());
            }
            response
        }
        Some(Order::Hang) => {
            receiver.let_go.notified().await;
            // As a server that breaks down: the connection ends without an answer.
            panic!("message {place} is let go")
        }
    }
}
