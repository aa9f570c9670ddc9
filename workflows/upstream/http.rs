//! An upstream over HTTP: `rmcp`'s own client, with the context of the trace in the headers as well, for
//! what stands between us and the server.

use std::{collections::HashMap, sync::Arc};

use futures::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode};
use reqwest_13 as reqwest;
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, JsonRpcMessage, RequestMetaObject},
    transport::{
        StreamableHttpClientTransport,
        streamable_http_client::{
            SseError, StreamableHttpClient, StreamableHttpClientTransportConfig,
            StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
        },
    },
};
use segue_spans::Fields;
use sse_stream::Sse;

use super::bound::LARGEST_MESSAGE;

/// Redirects of a request that are followed.
const MOST_REDIRECTS: usize = 3;

/// The transport to a server at this URL.
///
/// # Errors
/// There is no TLS.
pub(super) fn transport(
    url: &str,
) -> Result<StreamableHttpClientTransport<Traced>, reqwest::Error> {
    let config = StreamableHttpClientTransportConfig::with_uri(url)
        .max_json_response_size(LARGEST_MESSAGE)
        .max_sse_event_size(LARGEST_MESSAGE);
    let client = reqwest::Client::builder()
        // As `rmcp` has it: a connection whose last answer was not read to its end stalls the next request.
        .pool_max_idle_per_host(0)
        .redirect(redirects())
        .build()?;
    Ok(StreamableHttpClientTransport::with_client(
        Traced(client),
        config,
    ))
}

/// Redirects that keep the request as it is, and stay with the server that we were sent to.
fn redirects() -> reqwest::redirect::Policy {
    reqwest::redirect::Policy::custom(|attempt| {
        let keeps = [
            StatusCode::TEMPORARY_REDIRECT,
            StatusCode::PERMANENT_REDIRECT,
        ];
        let keeps = keeps.contains(&attempt.status());
        let begun = attempt.previous().first();
        let stays = begun.is_some_and(|url| url.origin() == attempt.url().origin());
        match keeps && stays && attempt.previous().len() <= MOST_REDIRECTS {
            true => attempt.follow(),
            false => attempt.stop(),
        }
    })
}

/// A client that repeats in the headers what a request carries in `_meta`.
#[derive(Clone)]
pub(super) struct Traced(reqwest::Client);

type Failure = StreamableHttpError<reqwest::Error>;

impl StreamableHttpClient for Traced {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(
            uri,
            message,
            session_id,
            auth_header,
            custom_headers,
            limits,
        )
        .await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        mut custom_headers: HashMap<HeaderName, HeaderValue>,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Failure> {
        repeat(&message, &mut custom_headers);
        self.0
            .post_message_with_response_limits(
                uri,
                message,
                session_id,
                auth_header,
                custom_headers,
                limits,
            )
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Failure> {
        self.0
            .delete_session(uri, session_id, auth_header, custom_headers)
            .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.0
            .get_stream(uri, session_id, last_event_id, auth_header, custom_headers)
            .await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        max_sse_event_size: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Failure> {
        self.0
            .get_stream_with_max_sse_event_size(
                uri,
                session_id,
                last_event_id,
                auth_header,
                custom_headers,
                max_sse_event_size,
            )
            .await
    }
}

/// The context that a call of a tool carries, as headers.
fn repeat(message: &ClientJsonRpcMessage, headers: &mut HashMap<HeaderName, HeaderValue>) {
    let JsonRpcMessage::Request(request) = message else {
        return;
    };
    let ClientRequest::CallToolRequest(call) = &request.request else {
        return;
    };
    let metas = [
        call.params.meta.as_ref(),
        call.extensions.get::<RequestMetaObject>(),
    ];
    let carried = Fields::read(|name| {
        let mut metas = metas.into_iter().flatten();
        metas.find_map(|meta| meta.get(name)?.as_str())
    });
    for (name, value) in carried.iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}
