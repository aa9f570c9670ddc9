//! The upstream: whether it can be reached, and what it can do.

use super::check::Check;
use crate::{config::Config, home::Home};

const PART: &str = "upstream";
const CAPABILITIES: &str = "capabilities";

pub(super) async fn checks(config: &Config, home: &Home) -> Vec<Check> {
    let mend = "check SEGUE_UPSTREAM, or unset it for the bundled server";
    let broken = |error: String| {
        vec![
            Check::broken(PART, error, mend),
            Check::not_checked(CAPABILITIES, "the upstream cannot be used"),
        ]
    };
    let upstream = match config.upstream(home) {
        Ok(upstream) => upstream,
        Err(error) => return broken(format!("{error:#}")),
    };
    let known = async {
        let profile = upstream.profile().await?;
        Ok::<_, segue_workflows::upstream::UpstreamError>((profile, upstream.capabilities().await?))
    };
    let (profile, capabilities) = match known.await {
        Ok(known) => known,
        Err(error) => return broken(error.to_string()),
    };
    let reached = format!("{}, profile {profile}", config.upstream_label());
    let lacking: Vec<_> = capabilities.iter().filter(|one| !one.can).collect();
    let finding: Vec<String> = lacking
        .iter()
        .map(|one| format!("it cannot {}: {}", one.what, one.without))
        .collect();
    let finding = finding.join("; ");
    let can = if lacking.iter().any(|one| one.needed) {
        Check::broken(
            CAPABILITIES,
            finding,
            "update the upstream server, or unset SEGUE_UPSTREAM for the bundled one",
        )
    } else if lacking.is_empty() {
        Check::ok(CAPABILITIES, "everything that a sync may need")
    } else {
        Check::attention(
            CAPABILITIES,
            finding,
            "nothing, if you can do without; the bundled server can (unset SEGUE_UPSTREAM)",
        )
    };
    vec![Check::ok(PART, reached), can]
}
