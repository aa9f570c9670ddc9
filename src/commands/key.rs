//! `segue key`: lists and renews the keys by which payloads are encrypted.

use crate::{cli::KeyCommand, config::Config, home::Home, output, sealing::keys::KeyInfo};

pub(super) fn run(config: &Config, home: &Home, command: KeyCommand) -> anyhow::Result<()> {
    home.data()?;
    let file = config.engine_options().sealing.keys(home);
    match command {
        KeyCommand::New { standby } => {
            let key = file.add(standby)?;
            let path = file.path().display();
            match key.encrypts {
                true => output::line(format_args!(
                    "The key {} in {path} encrypts from now on. Keep a copy of the file: without it, \
                     nothing that it has sealed can be read.",
                    key.id
                ))?,
                false => output::line(format_args!(
                    "The key {} is in {path}, and stands by. Give the file to every worker, then: segue \
                     key use {}",
                    key.id, key.id
                ))?,
            }
        }
        KeyCommand::Use { id } => {
            file.choose(&id)?;
            output::line(format_args!(
                "The key {id} encrypts from now on; restart what runs, or it goes on with its old key."
            ))?;
        }
        KeyCommand::List { json } => {
            let keys = file.list()?;
            match json {
                true => output::line(serde_json::to_string_pretty(&keys)?)?,
                false => output::line(for_people(&keys))?,
            }
        }
    }
    Ok(())
}

fn for_people(keys: &[KeyInfo]) -> String {
    if keys.is_empty() {
        return "There are no keys yet: the managed engine's is made at its first start."
            .to_owned();
    }
    let line = |key: &KeyInfo| {
        let what = if key.encrypts { "encrypts" } else { "reads" };
        format!("{}  made {:.0}  {what}", key.id, key.created)
    };
    let lines: Vec<String> = keys.iter().map(line).collect();
    lines.join("\n")
}
