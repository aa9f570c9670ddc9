//! A server as a child process, spoken to over its stdin and stdout within a bound.

use std::{io, process::Stdio, time::Duration};

use rmcp::{
    RoleClient,
    service::{RxJsonRpcMessage, TxJsonRpcMessage},
    transport::{Transport, async_rw::AsyncRwTransport},
};
use tokio::{
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::bound::{BoundedLines, Overrun};

/// Time for the server to end by itself, and again after SIGTERM.
const TIME_TO_END: Duration = Duration::from_secs(3);

type Wire = AsyncRwTransport<RoleClient, BoundedLines<ChildStdout>, ChildStdin>;

/// The process and the wire to it. `rmcp` has one of these too, but its wire has no bound that
/// ends it. The process is killed when this is dropped.
pub(super) struct ChildServer {
    process: Child,
    wire: Option<Wire>,
    overrun: Overrun,
}

impl ChildServer {
    /// Starts the program; its stderr is ours.
    pub(super) fn spawn(mut command: Command, overrun: Overrun) -> io::Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()?;
        let pipes = process.stdout.take().zip(process.stdin.take());
        let (stdout, stdin) = pipes.ok_or_else(|| io::Error::other("the process has no pipes"))?;
        let lines = BoundedLines::new(stdout, overrun.clone());
        Ok(Self {
            process,
            wire: Some(AsyncRwTransport::new_client(lines, stdin)),
            overrun,
        })
    }

    async fn has_ended(&mut self) -> bool {
        timeout(TIME_TO_END, self.process.wait()).await.is_ok()
    }

    #[cfg(unix)]
    fn terminate(&self) {
        use rustix::process::{Pid, Signal, kill_process};
        let id = self.process.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may have ended just now.
            let _ = kill_process(id, Signal::TERM);
        }
    }

    #[cfg(not(unix))]
    fn terminate(&self) {}
}

impl Transport<RoleClient> for ChildServer {
    type Error = io::Error;

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let sending = self.wire.as_mut().map(|wire| wire.send(message));
        async move {
            match sending {
                Some(sending) => sending.await,
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
        self.wire.as_mut()?.receive().await
    }

    /// As MCP has it: its stdin is closed, then it is asked to end, then it is killed.
    async fn close(&mut self) -> io::Result<()> {
        if let Some(wire) = &mut self.wire {
            wire.close().await?;
        }
        if self.overrun.happened() {
            // It is still writing what nobody reads any more, and would not see the end of stdin.
            self.wire = None;
        }
        if self.has_ended().await {
            return Ok(());
        }
        self.terminate();
        if self.has_ended().await {
            return Ok(());
        }
        self.process.kill().await
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> (ChildServer, Overrun) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let overrun = Overrun::default();
        let server = ChildServer::spawn(command, overrun.clone()).expect("sh starts");
        (server, overrun)
    }

    #[tokio::test]
    async fn a_server_whose_answer_has_no_end_is_left_and_ended() {
        let (mut server, overrun) = shell("tr '\\0' x < /dev/zero");
        assert!(server.receive().await.is_none());
        assert!(overrun.happened());
        // It needs no signal, and so none of the time that it would have before one.
        let closed = timeout(TIME_TO_END, server.close()).await;
        closed.expect("at once").expect("it is ended");
    }

    #[tokio::test]
    async fn a_server_ends_with_its_stdin() {
        let (mut server, overrun) = shell("cat > /dev/null");
        server.close().await.expect("it ends");
        assert!(matches!(server.process.try_wait(), Ok(Some(status)) if status.success()));
        assert!(!overrun.happened());
    }

    #[tokio::test]
    async fn a_server_that_stays_is_told_to_end() {
        let (mut server, _) = shell("trap 'exit 7' TERM; while :; do sleep 0.1; done");
        server.close().await.expect("it ends");
        let status = server.process.try_wait().expect("known").expect("ended");
        assert_eq!(status.code(), Some(7));
    }
}
