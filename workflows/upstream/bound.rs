//! A bound on one message of an upstream, so that no answer, however long, fills the memory.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, ReadBuf};

/// The largest message that is read, in bytes. A tool's answer may take half of it (`answer.rs`),
/// because servers send it twice: as structured content and as text.
pub(super) const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// Whether a message was longer than the bound. Clones tell of the same connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Overrun(Arc<AtomicBool>);

impl Overrun {
    pub(super) fn happened(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a server writes, a message a line. A line longer than [`LARGEST_MESSAGE`] is the end of it:
/// left to itself, the transport would skip the line, and its call would wait in vain.
#[derive(Debug)]
pub(super) struct BoundedLines<R> {
    inner: R,
    /// Bytes since the last end of a line.
    line: usize,
    overrun: Overrun,
}

impl<R> BoundedLines<R> {
    pub(super) fn new(inner: R, overrun: Overrun) -> Self {
        Self {
            inner,
            line: 0,
            overrun,
        }
    }

    /// Counts these bytes, and says whether all lines are within the bound.
    fn count(&mut self, bytes: &[u8]) -> bool {
        let mut lines = bytes.split(|&byte| byte == b'\n');
        let mut longest = self.line + lines.next().map_or(0, <[u8]>::len);
        self.line = longest;
        for line in lines {
            self.line = line.len();
            longest = longest.max(self.line);
        }
        longest <= LARGEST_MESSAGE
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BoundedLines<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.overrun.happened() {
            return Poll::Ready(Err(too_long()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if self.count(&buffer.filled()[before..]) {
            return Poll::Ready(Ok(()));
        }
        self.overrun.note();
        Poll::Ready(Err(too_long()))
    }
}

fn too_long() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message is longer than {LARGEST_MESSAGE} bytes"),
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What is read of a writer that sends these pieces, and whether one was too long.
    async fn read(pieces: Vec<Vec<u8>>) -> (usize, bool) {
        let (mut theirs, ours) = tokio::io::duplex(64 * 1024);
        let overrun = Overrun::default();
        let mut lines = BoundedLines::new(ours, overrun.clone());
        let writing = async move {
            for piece in pieces {
                // The reader hangs up on what is too long.
                if theirs.write_all(&piece).await.is_err() {
                    return;
                }
            }
        };
        let reading = async move {
            let mut piece = vec![0; 8 * 1024];
            let mut total = 0;
            while let Ok(bytes @ 1..) = lines.read(&mut piece).await {
                total += bytes;
            }
            total
        };
        let ((), total) = tokio::join!(writing, reading);
        (total, overrun.happened())
    }

    #[tokio::test]
    async fn lines_within_the_bound_pass_however_many() {
        let mut line = vec![b'x'; LARGEST_MESSAGE];
        line.push(b'\n');
        let sent = 3 * line.len();
        assert_eq!(read(vec![line; 3]).await, (sent, false));
    }

    #[tokio::test]
    async fn a_line_that_grows_past_the_bound_ends_the_stream_there() {
        // 50 MB, and nothing in it says where it ends.
        let pieces = vec![vec![b'x'; 1 << 20]; 50];
        let (total, too_long) = read(pieces).await;
        assert!(too_long);
        assert!(total <= LARGEST_MESSAGE, "{total}");
    }

    #[tokio::test]
    async fn a_long_line_is_noticed_among_short_ones() {
        let mut bytes = b"{}\n".to_vec();
        bytes.extend(vec![b'x'; LARGEST_MESSAGE + 1]);
        bytes.extend(b"\n{}\n");
        assert!(read(vec![bytes]).await.1);
    }
}
