//! The signature of the Standard Webhooks specification: an HMAC with SHA-256 over the id, the time and the
//! body, so that a receiver knows that a message is ours, is whole, and is no old one sent again.
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2_11::Sha256;

/// What a secret begins with, by the specification.
const PREFIX: &str = "whsec_";
/// Bytes that a key may have, by the specification.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// What signs.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    key: SecretSlice<u8>,
}

impl Signer {
    /// A signer with this secret: base64, with `whsec_` before it or without.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it, without it.
    pub(super) fn new(secret: &SecretString) -> Result<Self, String> {
        let text = secret.expose_secret().trim();
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let key = STANDARD.decode(encoded).ok();
        match key.filter(|key| KEY_BYTES.contains(&key.len())) {
            Some(key) => Ok(Self { key: key.into() }),
            None => Err(format!(
                "webhook_secret must be {PREFIX} and 24 to 64 bytes in base64; make one with: \
                 echo \"{PREFIX}$(openssl rand -base64 32)\""
            )),
        }
    }

    /// The value of `webhook-signature` for this message, sent at this time in seconds since 1970.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.key.expose_secret()) else {
            unreachable!("an HMAC takes a key of any length")
        };
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str) -> Result<Signer, String> {
        Signer::new(&SecretString::from(secret.to_owned()))
    }

    /// The example in the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let body = br#"{"test": 2432232314}"#;
        for secret in [
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            let signer = signer(secret).expect("a secret");
            assert_eq!(
                signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body),
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
            );
        }
    }

    #[test]
    fn a_secret_that_is_none_is_refused_without_being_told() {
        for wrong in [
            "",
            "whsec_",
            "whsec_c2hvcnQ=",
            "correct horse battery",
            "whsec_%%%",
        ] {
            let error = signer(wrong).expect_err("refused");
            assert!(error.contains("webhook_secret must be"), "{error}");
            assert!(wrong.len() < 7 || !error.contains(wrong), "{error}");
        }
        assert!(signer(&STANDARD.encode([7; 65])).is_err());
        let shown = format!("{:?}", signer(&STANDARD.encode([7; 32])));
        assert!(!shown.contains("7, 7"), "{shown}");
    }
}
