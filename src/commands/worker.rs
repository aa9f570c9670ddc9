//! `segue worker`: a worker alone, to take a share of the work.

use segue_tools::EngineState;
use segue_workflows::gate::Gate;
use tokio::sync::watch;

use crate::{config::Config, home::Home, host, metrics, shutdown};

pub(super) async fn run(config: &Config, home: &Home) -> anyhow::Result<()> {
    let stop = shutdown::on_signal();
    let metrics = metrics::start(config, &stop).await?;
    let gate = Gate::counting(config.gate_settings(), metrics);
    let (state, _) = watch::channel(EngineState::Starting("connecting".to_owned()));
    host::run(config, home, &gate, &state, &stop).await
}
