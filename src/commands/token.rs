//! `segue token`: makes, lists and revokes the bearer tokens of those who may call over HTTP.

use anyhow::{Context, bail};
use jiff::{Span, SpanRelativeTo, Timestamp};

use crate::{
    access::tokens::{Kept, TokenFile},
    cli::TokenCommand,
    config::Config,
    home::Home,
    output,
};

pub(super) fn run(config: &Config, home: &Home, command: TokenCommand) -> anyhow::Result<()> {
    home.data()?;
    let file = TokenFile::at(home.tokens_file());
    match command {
        TokenCommand::Create { note, expires } => {
            let expires = expires.as_deref().map(end_of).transpose()?;
            let (token, kept) = file.create(&config.user, note.as_deref(), expires)?;
            output::line(format_args!(
                "The token {} for the calls of user {:?}. It is shown this once:\n\n  {token}\n",
                kept.id, kept.user
            ))?;
            output::line(format_args!(
                "A client sends it as \"Authorization: Bearer TOKEN\". Every call over HTTP needs one now."
            ))?;
        }
        TokenCommand::List { json } => {
            let kept = file.list()?;
            match json {
                true => output::line(serde_json::to_string_pretty(&listed(&kept))?)?,
                false => output::line(for_people(&kept))?,
            }
        }
        TokenCommand::Revoke { id } => match file.revoke(&id)? {
            true => output::line("Revoked. Running servers refuse it within two seconds.")?,
            false => bail!("there is no such token; the ids are shown by: segue token list"),
        },
    }
    Ok(())
}

/// When a token ends that is good for so long; a day is 24 hours.
fn end_of(text: &str) -> anyhow::Result<Timestamp> {
    let span: Option<Span> = text.parse().ok();
    let time = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let time = time.filter(|time| time.is_positive());
    let time = time.context("--expires must be a number with a unit, such as 90d or 12h")?;
    let end = Timestamp::now().checked_add(time);
    end.context("--expires is too far away; leave it out for a token without an end")
}

fn listed(kept: &[Kept]) -> serde_json::Value {
    let tokens = kept.iter().map(|token| {
        serde_json::json!({
            "id": token.id,
            "user": token.user,
            "created": token.created,
            "expires": token.expires,
            "expired": token.has_expired(),
            "note": token.note,
        })
    });
    tokens.collect()
}

fn for_people(kept: &[Kept]) -> String {
    if kept.is_empty() {
        return "There are no tokens. Make one: segue token create --user NAME".to_owned();
    }
    let lines = kept.iter().map(|token| {
        let end = match token.expires {
            None => "no end".to_owned(),
            Some(end) if token.has_expired() => format!("ended {end:.0}"),
            Some(end) => format!("until {end:.0}"),
        };
        let note = token.note.as_deref().unwrap_or_default();
        format!(
            "{}  {}  made {:.0}, {end}  {note}",
            token.id, token.user, token.created
        )
    });
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}
