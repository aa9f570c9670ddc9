//! A reader that tells when there is no more to read: the client at the other end has gone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Reads on for others, and cancels a token at the end.
pub struct Watched<R> {
    reader: R,
    gone: CancellationToken,
}

impl<R> Watched<R> {
    /// The reader, at whose end this is cancelled.
    pub fn new(reader: R, gone: CancellationToken) -> Self {
        Self { reader, gone }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.reader).poll_read(context, buffer);
        let is_end = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_end {
            self.gone.cancel();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn everything_is_read_and_the_end_is_told() {
        let gone = CancellationToken::new();
        let mut reader = Watched::new(&b"{}\n"[..], gone.clone());
        let mut first = [0; 2];
        reader.read_exact(&mut first).await.expect("two bytes");
        assert!(!gone.is_cancelled(), "there is more");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).await.expect("the rest");
        assert_eq!((&first[..], rest.as_str()), (&b"{}"[..], "\n"));
        assert!(gone.is_cancelled());
    }
}
