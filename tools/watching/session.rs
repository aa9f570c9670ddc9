//! `resources/subscribe` and `resources/unsubscribe`, for sessions of 2025-11-25 and before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rmcp::{
    ErrorData, Peer, RoleServer,
    model::{ErrorCode, InitializeRequestParams, ResourceUpdatedNotificationParam},
    service::RequestContext,
};
use tokio::{task::AbortHandle, time::sleep};

use super::{Follower, MOST_OF_ONE, Watching, watchable};
use crate::{Segue, resources};

/// Time between two looks whether a client is still there, while it has nothing to be told.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The sessions that watch something.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Vec<Session>>>);

/// A client, and what it watches.
struct Session {
    /// The client's own `initialize`: there is one such value a session, and as long as it is held, no
    /// other stands in its place in memory. So it tells sessions apart whatever the transport, also where
    /// each request is served by a handler of its own.
    hello: Arc<InitializeRequestParams>,
    peer: Peer<RoleServer>,
    subscriptions: HashMap<String, AbortHandle>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching {
    /// Tells this session from now on when the resource changes.
    pub(crate) async fn subscribe(
        &self,
        segue: &Segue,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let hello = hello(context)?;
        let Some(sync_id) = watchable(uri) else {
            return Err(match resources::named(uri) {
                Some(_) => ErrorData::invalid_params(
                    "This resource does not tell its changes; sync://{sync_id} and its report do.",
                    None,
                ),
                None => resources::unknown(uri),
            });
        };
        let client = resources::client(segue, context).await?;
        let joined = self.watched.join(&client, segue.user_id(), sync_id).await;
        let seen = joined.map_err(|error| match error.code {
            "unknown_sync" => resources::unknown(uri),
            _ => resources::internal(&error),
        })?;
        let follower = Follower::new(uri, seen);
        let mut sessions = self.sessions.lock();
        sessions.retain(|session| !session.peer.is_transport_closed());
        let place = sessions
            .iter()
            .position(|session| Arc::ptr_eq(&session.hello, &hello));
        let place = place.unwrap_or_else(|| {
            sessions.push(Session {
                hello,
                peer: context.peer.clone(),
                subscriptions: HashMap::new(),
            });
            sessions.len() - 1
        });
        let subscriptions = &mut sessions[place].subscriptions;
        subscriptions.retain(|_, telling| !telling.is_finished());
        if subscriptions.contains_key(uri) {
            return Ok(());
        }
        if subscriptions.len() >= MOST_OF_ONE {
            return Err(ErrorData::new(
                ErrorCode::INVALID_REQUEST,
                format!(
                    "This session watches {MOST_OF_ONE} resources already; unsubscribe one first."
                ),
                None,
            ));
        }
        let telling = tokio::spawn(tell(context.peer.clone(), follower));
        subscriptions.insert(uri.to_owned(), telling.abort_handle());
        Ok(())
    }

    /// Tells this session no longer. To be told no longer of what one is not told of is no fault.
    pub(crate) fn unsubscribe(
        &self,
        uri: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let hello = hello(context)?;
        let mut sessions = self.sessions.lock();
        let session = sessions
            .iter_mut()
            .find(|session| Arc::ptr_eq(&session.hello, &hello));
        if let Some(telling) = session.and_then(|session| session.subscriptions.remove(uri)) {
            telling.abort();
        }
        sessions.retain(|session| {
            !session.peer.is_transport_closed() && !session.subscriptions.is_empty()
        });
        Ok(())
    }
}

/// The `initialize` of the session in which a request came.
fn hello(context: &RequestContext<RoleServer>) -> Result<Arc<InitializeRequestParams>, ErrorData> {
    context.peer.peer_info().ok_or_else(|| {
        ErrorData::new(
            ErrorCode::INVALID_REQUEST,
            "A subscription needs a session; send initialize first.",
            None,
        )
    })
}

/// Tells of every change, until there will be none any more or the client has gone.
async fn tell(peer: Peer<RoleServer>, mut follower: Follower) {
    loop {
        tokio::select! {
            changed = follower.changed() => {
                let update = ResourceUpdatedNotificationParam::new(&follower.uri);
                if !changed || peer.notify_resource_updated(update).await.is_err() {
                    return;
                }
            }
            () = sleep(LOOK_EVERY) => {
                if peer.is_transport_closed() {
                    return;
                }
            }
        }
    }
}
