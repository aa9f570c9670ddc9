//! `segue sim`: the simulated Spotify Web API.

use segue_spotify::sim::{CatalogSource, Sim, SimOptions};

use crate::{cli::SimArgs, output, shutdown};

pub(super) async fn run(arguments: SimArgs) -> anyhow::Result<()> {
    let stop = shutdown::on_signal();
    let sim = Sim::start(SimOptions {
        catalog: arguments
            .catalog
            .map_or(CatalogSource::Builtin, CatalogSource::File),
        port: arguments.port,
        rotate_refresh_tokens: arguments.rotate_refresh_tokens,
    })
    .await?;
    output::line(serde_json::to_string(sim.ready())?)?;
    stop.cancelled().await;
    sim.shutdown().await?;
    Ok(())
}
