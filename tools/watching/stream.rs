//! `subscriptions/listen`, since 2026-07-28: one stream for the changes of several resources.

use std::collections::BTreeSet;

use futures::{StreamExt, stream::FuturesUnordered};
use rmcp::{ErrorData, model::SubscriptionFilter, service::SubscriptionContext};

use super::{Follower, MOST_OF_ONE, MOST_STREAMS, Watching, watchable};
use crate::{Segue, resources};

/// Of what a client wants to hear, what it can: the changes of syncs and their reports, so many at a time.
///
/// Whose they are is not looked at here, because the acknowledgement must not tell: of a sync of somebody
/// else's it hears as little as of one that there is not. Lists change without a word; they say how long
/// they may be kept.
pub(crate) fn acceptable(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let uris = uris.filter(|uri| watchable(uri).is_some());
    SubscriptionFilter::builder()
        .resource_subscriptions(uris.take(MOST_OF_ONE).cloned())
        .build()
}

impl Watching {
    /// Tells of every change, until the client ends the stream or the server does. It stays open when all
    /// syncs have ended: a stream that ends by itself would be opened anew by clients that expect one.
    pub(crate) async fn listen(
        &self,
        segue: &Segue,
        stream: SubscriptionContext,
    ) -> Result<(), ErrorData> {
        let Ok(_place) = self.streams.try_acquire() else {
            return Err(ErrorData::internal_error(
                format!("{MOST_STREAMS} streams are open already; end one, or read the resource."),
                None,
            ));
        };
        tokio::select! {
            () = stream.cancelled() => Ok(()),
            // The client is told by the result of the call, and not by a connection that breaks.
            () = segue.stop().cancelled() => Ok(()),
            ended = self.tell(segue, &stream) => ended,
        }
    }

    async fn tell(&self, segue: &Segue, stream: &SubscriptionContext) -> Result<(), ErrorData> {
        // Each once, however often it was asked for.
        let accepted = stream.accepted().resource_subscriptions.iter().flatten();
        let accepted: BTreeSet<&String> = accepted.collect();
        let mut followers = FuturesUnordered::new();
        if !accepted.is_empty() {
            let client = resources::client(segue, stream.request_context()).await?;
            for uri in accepted {
                let Some(sync_id) = watchable(uri) else {
                    continue;
                };
                match self.watched.join(&client, segue.user_id(), sync_id).await {
                    Ok(seen) => followers.push(next(Follower::new(uri, seen))),
                    Err(error) if error.code == "unknown_sync" => {}
                    Err(error) => return Err(resources::internal(&error)),
                }
            }
        }
        while let Some((follower, changed)) = followers.next().await {
            if !changed {
                continue;
            }
            let update = stream.sink().notify_resource_updated(&follower.uri).await;
            // A client that is gone hears nothing any more.
            if update.is_err() {
                return Ok(());
            }
            followers.push(next(follower));
        }
        stream.cancelled().await;
        Ok(())
    }
}

/// The follower, once its resource has changed or will not any more.
async fn next(mut follower: Follower) -> (Follower, bool) {
    let changed = follower.changed().await;
    (follower, changed)
}

#[cfg(test)]
mod tests {
    use segue_workflows::names;

    use super::*;

    #[test]
    fn only_what_can_change_is_accepted_and_not_without_end() {
        let uris: Vec<String> = (0..80)
            .map(|_| format!("sync://{}", names::new_sync_id()))
            .collect();
        let requested = SubscriptionFilter::builder()
            .tools_list_changed()
            .resources_list_changed()
            .resource_subscription("segue://health")
            .resource_subscription("file:///etc/passwd")
            .build();
        let accepted = acceptable(&requested);
        assert_eq!(accepted.tools_list_changed, None);
        assert_eq!(accepted.resources_list_changed, None);
        assert_eq!(accepted.resource_subscriptions, Some(vec![]));
        let requested = SubscriptionFilter::builder()
            .resource_subscriptions(uris.clone())
            .build();
        let accepted = acceptable(&requested).resource_subscriptions;
        assert_eq!(accepted.as_deref(), Some(&uris[..MOST_OF_ONE]));
    }
}
