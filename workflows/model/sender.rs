//! What sends async-openai's requests: once each, and with a bound on the answer.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use async_openai::{error::OpenAIError, middleware::HttpRequestFactory};
use futures::{Stream, StreamExt};
use reqwest_13::{Body, Client, Response, header::RETRY_AFTER, redirect};

use super::refusal::Refusal;

/// Time to reach the endpoint.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer. A streamed token takes some 300.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;
/// Bytes of a refusal.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// Sends a request once.
#[derive(Clone)]
pub(super) struct Sender {
    http: Client,
}

impl Sender {
    /// One that waits so long for a whole answer.
    pub(super) fn new(patience: Duration) -> Result<Self, String> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(patience)
            // The key is for this endpoint, and for no other that it may name.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("segue/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Self { http })
    }
}

impl Sender {
    /// Asks for what is at this address, which costs nothing, and gives the answer's beginning.
    pub(super) async fn get(
        &self,
        url: &str,
        key: &str,
    ) -> Result<Result<String, Refusal>, reqwest_13::Error> {
        let response = self.http.get(url).bearer_auth(key).send().await?;
        if !response.status().is_success() {
            return Ok(Err(refused(response).await));
        }
        let body = bounded(response).bytes_stream();
        Ok(Ok(beginning_of(body, LONGEST_ANSWER).await))
    }
}

type Sent = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

impl tower::Service<HttpRequestFactory> for Sender {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Sent;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Sent {
        let http = self.http.clone();
        Box::pin(async move {
            let response = http.execute(request.build().await?).await?;
            match response.status().is_success() {
                true => Ok(bounded(response)),
                false => Err(OpenAIError::Boxed(Box::new(refused(response).await))),
            }
        })
    }
}

/// The response with a body that ends, with an error, where it is longer than any answer.
fn bounded(response: Response) -> Response {
    let (status, headers) = (response.status(), response.headers().clone());
    let mut left = LONGEST_ANSWER;
    let body = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(io::Error::other)?;
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => return Err(io::Error::other("the answer is too long")),
        }
        Ok(piece)
    });
    let mut rebuilt = http::Response::new(Body::wrap_stream(body));
    *rebuilt.status_mut() = status;
    *rebuilt.headers_mut() = headers;
    rebuilt.into()
}

async fn refused(response: Response) -> Refusal {
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok()?.trim().parse::<f64>().ok())
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .map(|seconds| seconds.ceil() as u64);
    Refusal {
        status: response.status().as_u16(),
        retry_after,
        body: beginning_of(response.bytes_stream(), LONGEST_REFUSAL).await,
    }
}

/// The beginning of a body, as text, of so many bytes at most.
async fn beginning_of<E>(
    body: impl Stream<Item = Result<impl AsRef<[u8]>, E>>,
    most: usize,
) -> String {
    let mut body = std::pin::pin!(body);
    let mut read = Vec::new();
    while let Some(Ok(piece)) = body.next().await {
        read.extend_from_slice(piece.as_ref());
        if read.len() >= most {
            read.truncate(most);
            break;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}
