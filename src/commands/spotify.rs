//! `segue spotify`: the bundled upstream, over stdio.

use segue_spotify::{
    auth::{Session, Settings, TokenStore},
    server::{self, SpotifyServer},
};

use crate::{config::Config, home::Home, shutdown};

pub(super) async fn run(config: &Config, home: &Home) -> anyhow::Result<()> {
    let stop = shutdown::on_signal();
    let store = TokenStore::new(config.store_policy(), home.secrets_file());
    let session = Session::new(Settings::from_env()?, store)?;
    server::run_stdio(SpotifyServer::new(session), stop.cancelled()).await?;
    Ok(())
}
