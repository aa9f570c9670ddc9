//! MCP's log messages: a client that asks for them is told what a call waits for, as it changes. Before 2026-07-28
//! a session asks once (`logging/setLevel`); since then each request does, in its `_meta`. Who asks for nothing is
//! told nothing.

#![expect(
    deprecated,
    reason = "MCP has deprecated them with 2026-07-28, and clients of both eras still ask"
)]

use std::sync::atomic::{AtomicU8, Ordering};

use rmcp::{
    ErrorData, RoleServer,
    model::{
        LoggingLevel, LoggingMessageNotificationParam, ProtocolVersion, SetLevelRequestMethod,
        SetLevelRequestParams,
    },
    service::RequestContext,
};
use serde_json::json;

use crate::view::SyncView;

/// The level of all that is told.
const OURS: LoggingLevel = LoggingLevel::Info;

/// What a session has asked for: the least level, as a number from 1, or nothing. A clone is another session's, and
/// has asked for nothing yet.
#[derive(Debug, Default)]
pub(crate) struct Asked(AtomicU8);

impl Clone for Asked {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// Among the extensions of a request: it is to be told.
#[derive(Debug, Clone, Copy)]
struct ToBeTold;

impl Asked {
    /// `logging/setLevel`. It is no method of a request that says itself what it asks for.
    pub(crate) fn set(
        &self,
        request: &SetLevelRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if asks_by_request(context) {
            return Err(ErrorData::method_not_found::<SetLevelRequestMethod>());
        }
        self.0.store(rank(&request.level), Ordering::Relaxed);
        Ok(())
    }

    /// Notes with a request whether it is to be told.
    pub(crate) fn note(&self, context: &mut RequestContext<RoleServer>) {
        let asked = match asks_by_request(context) {
            true => context.meta.log_level().map_or(0, |level| rank(&level)),
            false => self.0.load(Ordering::Relaxed),
        };
        if (1..=rank(&OURS)).contains(&asked) {
            context.extensions.insert(ToBeTold);
        }
    }
}

/// Tells where a sync stands that the call waits for, if that was asked for.
pub(crate) async fn tell(context: &RequestContext<RoleServer>, view: &SyncView, message: &str) {
    if context.extensions.get::<ToBeTold>().is_none() {
        return;
    }
    let data = json!({
        "sync_id": view.sync_id, "status": view.status.as_str(), "message": message,
    });
    let told = LoggingMessageNotificationParam::new(OURS, data).with_logger("segue");
    // A client that is gone will not read the answer either.
    let _ = context.peer.notify_logging_message(told).await;
}

fn asks_by_request(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28)
}

fn rank(level: &LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 1,
        LoggingLevel::Info => 2,
        LoggingLevel::Notice => 3,
        LoggingLevel::Warning => 4,
        LoggingLevel::Error => 5,
        LoggingLevel::Critical => 6,
        LoggingLevel::Alert => 7,
        LoggingLevel::Emergency => 8,
    }
}
