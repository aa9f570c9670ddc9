//! Old and new code at once: which new syncs take a patched path, and which build does which syncs.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use temporalio_common::worker::{
    VersioningBehavior, WorkerDeploymentOptions, WorkerDeploymentVersion,
};
use temporalio_sdk::PatchActivationCallback;

use crate::names;

/// The deployment of which every worker's version is one.
pub const DEPLOYMENT: &str = "segue";

/// Decides for each new sync whether it takes the patched path: this share of them do, 0.0 to 1.0.
/// A sync and what belongs to it decide alike, in every process. Once taken, the engine remembers
/// it; a sync that went the old way where the paths part stays on it.
pub(crate) fn canary(share: f64) -> PatchActivationCallback {
    Arc::new(move |asked| {
        let own = asked.workflow_info.workflow_id();
        let parent = asked.workflow_info.parent();
        let sync_id = match parent.as_ref().filter(|_| !names::is_sync_id(own)) {
            Some(parent) => parent.workflow_id(),
            None => own,
        };
        is_chosen(sync_id, share)
    })
}

/// Whether the sync of this id is among this share of all.
pub fn is_chosen(sync_id: &str, share: f64) -> bool {
    let hash = Sha256::digest(sync_id.as_bytes());
    let (start, _) = hash.split_at(8);
    let place = start
        .iter()
        .fold(0_u64, |sum, &byte| sum << 8 | u64::from(byte));
    // Strictly less, so that a share of 0 chooses none and one of 1 all.
    (place as f64 / 2_f64.powi(64)) < share
}

/// How the engine knows this worker. With a version, the engine gives it work only once an operator
/// has made that version the current one, and moves running syncs to it. Without one it is named by
/// the release of Segue.
pub(crate) fn deployment(version: Option<&str>) -> WorkerDeploymentOptions {
    let Some(version) = version else {
        return unversioned();
    };
    let version = WorkerDeploymentVersion::builder()
        .deployment_name(DEPLOYMENT.to_owned())
        .build_id(version.to_owned())
        .build();
    WorkerDeploymentOptions::new(version)
        .use_worker_versioning(true)
        // A sync may wait for a day. Patches keep it whole on its way to the next version.
        .default_versioning_behavior(VersioningBehavior::AutoUpgrade)
        .build()
}

/// The SDK's own name for a build is a checksum, for which each start would read the whole program.
pub(crate) fn unversioned() -> WorkerDeploymentOptions {
    WorkerDeploymentOptions::from_build_id(env!("CARGO_PKG_VERSION").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_the_share() {
        let chosen = |share: f64| {
            let ids = (0..10_000).map(|number| format!("sync-{number:032x}"));
            ids.filter(|id| is_chosen(id, share)).count()
        };
        assert_eq!((chosen(0.0), chosen(1.0)), (0, 10_000));
        assert!((400..600).contains(&chosen(0.05)), "{}", chosen(0.05));
    }

    #[test]
    fn who_is_chosen_stays_chosen_when_the_share_grows() {
        for number in 0..1000 {
            let id = format!("sync-{number:032x}");
            assert!(!is_chosen(&id, 0.05) || is_chosen(&id, 0.5));
        }
    }
}
