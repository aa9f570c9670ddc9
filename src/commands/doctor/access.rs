//! Who may call over HTTP: the tokens, and the OAuth issuer.

use super::check::Check;
use crate::{
    access::{Access, tokens::TokenFile},
    config::Config,
    home::Home,
};

const PART: &str = "access";

pub(super) async fn check(config: &Config, home: &Home) -> Check {
    let file = TokenFile::at(home.tokens_file());
    let tokens = match file.list() {
        Ok(tokens) => tokens,
        Err(error) => return Check::broken(PART, format!("{error:#}"), "segue token list"),
    };
    let access = match Access::open(config, home) {
        Ok(access) => access,
        Err(error) => return Check::broken(PART, format!("{error:#}"), "segue token list"),
    };
    if !access.is_required() {
        return Check::ok(
            PART,
            "no tokens and no OAuth issuer: segue serve --http listens on loopback addresses alone",
        );
    }
    let expired = tokens.iter().filter(|token| token.has_expired()).count();
    let told = format!("{} tokens, {expired} of them ended", tokens.len());
    match access.look_at_issuer().await {
        None if tokens.len() == expired => Check::attention(
            PART,
            format!("{told}: nobody can call over HTTP"),
            "segue token create --user NAME",
        ),
        None => Check::ok(PART, told),
        Some((issuer, Ok(keys))) => Check::ok(PART, format!("{told}; {issuer} has {keys} keys")),
        Some((issuer, Err(error))) => Check::broken(
            PART,
            format!("{told}; the keys of {issuer} cannot be had: {error:#}"),
            "correct oauth_issuer, or set oauth_jwks_url",
        ),
    }
}
