//! `segue login`: sign in to Spotify in the browser.

use std::process::{Command, Stdio};

use segue_spotify::auth::{LoginOptions, REDIRECT_URI_TO_REGISTER, Settings, TokenStore, login};

use segue_workflows::{notice, sync::SyncStatus, waking};

use crate::{cli::LoginArgs, config::Config, engine::Engine, home::Home, output};

pub(super) async fn run(config: &Config, home: &Home, arguments: LoginArgs) -> anyhow::Result<()> {
    let mut settings = Settings::from_env()?;
    settings.client_id = arguments.client_id.or(settings.client_id);
    if settings.client_id.is_none() {
        anyhow::bail!(
            "no client id. Make an app at https://developer.spotify.com/dashboard with the \
             redirect URI {REDIRECT_URI_TO_REGISTER}, then run: segue login --client-id ID"
        );
    }
    home.data()?;
    let store = TokenStore::new(config.store_policy(), home.secrets_file());
    let show = |address: &str| {
        let opened = !arguments.no_browser && open(address);
        let how = match opened {
            true => "Your browser opens. If it does not, open this address in it:",
            false => "Open this address in a browser on this machine:",
        };
        // Who cannot read the address can still sign in when the browser was opened.
        let _ = output::line(format_args!("{how}\n\n  {address}\n"));
    };
    let outcome = login(&settings, LoginOptions::default(), &store, show).await?;
    output::line(format_args!(
        "Signed in. The sign-in is kept in {}.",
        outcome.place
    ))?;
    if !outcome.missing_scopes.is_empty() {
        output::line(format_args!(
            "Not granted: {}. Syncs that need it will say so.",
            outcome.missing_scopes.join(", ")
        ))?;
    }
    go_on_waiting_syncs(config, home).await
}

/// Syncs that wait for this sign-in go on. Without an engine there are none: it is not started, let
/// alone fetched, for that.
async fn go_on_waiting_syncs(config: &Config, home: &Home) -> anyhow::Result<()> {
    let options = config.engine_options();
    if !Engine::has_work(home)? {
        return Ok(());
    }
    let woken = match Engine::connect(&options, home).await {
        Ok(engine) => {
            let (client, upstream) = (engine.client(), config.upstream_label());
            // Whoever was not told yet need not sign in any more. The first call that takes the sign-in says so as
            // well.
            let _ = notice::sign_in_is_there(client, &config.user, &upstream).await;
            waking::wake(client, &[SyncStatus::WaitingForSignIn], None).await
        }
        Err(error) => Err(error.into()),
    };
    match woken {
        Ok(0) => {}
        Ok(count) => output::line(format_args!("{count} sync(s) that waited for it go on."))?,
        // The sign-in itself is done; the syncs look by themselves as well.
        Err(error) => output::line(format_args!(
            "Syncs that wait for it go on within some minutes ({error:#})."
        ))?,
    }
    Ok(())
}

/// Opens the address in the user's browser; whether that could be tried.
fn open(address: &str) -> bool {
    let (program, arguments): (&str, &[&str]) = if cfg!(target_os = "macos") {
        ("open", &[])
    } else if cfg!(windows) {
        ("rundll32", &["url.dll,FileProtocolHandler"])
    } else {
        ("xdg-open", &[])
    };
    Command::new(program)
        .args(arguments)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
