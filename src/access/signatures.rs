//! The signatures of access tokens, checked by `ring`: asymmetric algorithms alone, since a secret that is
//! shared with everybody who checks is none.

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{Error, ErrorKind},
    signature::{self, Verifier},
};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// What is told to `jsonwebtoken` once in a process. It signs nothing.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: no_signer,
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Sees that signatures are checked here.
pub(super) fn install() {
    // It fails only where it was installed before, by another `Access` of this process.
    let _ = PROVIDER.install_default();
}

/// Whether a token may be signed so.
pub(super) fn is_asymmetric(algorithm: Algorithm) -> bool {
    algorithm.family() != AlgorithmFamily::Hmac
}

/// A public key, and how it is used.
enum Key {
    Plain(&'static dyn VerificationAlgorithm, Vec<u8>),
    Rsa(&'static RsaParameters, RsaPublicKeyComponents<Vec<u8>>),
}

struct RingVerifier {
    algorithm: Algorithm,
    key: Key,
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        let checked = match &self.key {
            Key::Plain(how, key) => UnparsedPublicKey::new(*how, key).verify(message, signature),
            Key::Rsa(how, key) => key.verify(how, message, signature),
        };
        checked.map_err(|_| signature::Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

fn no_signer(_: &Algorithm, _: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    Err(ErrorKind::UnsupportedAlgorithm.into())
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    // A key of one kind is never tried as one of another.
    if key.family() != algorithm.family() {
        return Err(ErrorKind::InvalidAlgorithm.into());
    }
    let plain = |how: &'static dyn VerificationAlgorithm| {
        Ok::<_, Error>(Key::Plain(how, key.try_get_as_bytes()?.to_vec()))
    };
    let rsa = |how| match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } => {
            let (n, e) = (without_zeros(n), without_zeros(e));
            Ok::<_, Error>(Key::Rsa(how, RsaPublicKeyComponents { n, e }))
        }
        DecodingKeyKind::SecretOrDer(_) => Err(ErrorKind::InvalidKeyFormat.into()),
    };
    let key = match algorithm {
        Algorithm::ES256 => plain(&ECDSA_P256_SHA256_FIXED)?,
        Algorithm::ES384 => plain(&ECDSA_P384_SHA384_FIXED)?,
        Algorithm::EdDSA => plain(&ED25519)?,
        Algorithm::RS256 => rsa(&RSA_PKCS1_2048_8192_SHA256)?,
        Algorithm::RS384 => rsa(&RSA_PKCS1_2048_8192_SHA384)?,
        Algorithm::RS512 => rsa(&RSA_PKCS1_2048_8192_SHA512)?,
        Algorithm::PS256 => rsa(&RSA_PSS_2048_8192_SHA256)?,
        Algorithm::PS384 => rsa(&RSA_PSS_2048_8192_SHA384)?,
        Algorithm::PS512 => rsa(&RSA_PSS_2048_8192_SHA512)?,
        _ => return Err(ErrorKind::UnsupportedAlgorithm.into()),
    };
    let algorithm = *algorithm;
    Ok(Box::new(RingVerifier { algorithm, key }))
}

/// The number without leading zeros, which some issuers write and `ring` takes for a mistake.
fn without_zeros(number: &[u8]) -> Vec<u8> {
    let start = number.iter().position(|byte| *byte != 0);
    number[start.unwrap_or(number.len())..].to_vec()
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{crypto::verify, jwk::Jwk};
    use serde_json::{Value, json};

    use super::*;

    /// What the RFCs give as examples: the key, the algorithm, what is signed, and the signature.
    fn examples() -> Vec<(Algorithm, Value, String, &'static str)> {
        // RFC 7515, A.2 and A.3, and RFC 8037, A.4.
        let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        vec![
            (
                Algorithm::RS256,
                json!({"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}),
                format!("eyJhbGciOiJSUzI1NiJ9.{claims}"),
                "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            ),
            (
                Algorithm::ES256,
                json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
                format!("eyJhbGciOiJFUzI1NiJ9.{claims}"),
                "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            ),
            (
                Algorithm::EdDSA,
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
                "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc".to_owned(),
                "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            ),
        ]
    }

    fn key(jwk: &Value) -> DecodingKey {
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        DecodingKey::from_jwk(&jwk).unwrap()
    }

    #[test]
    fn the_examples_of_the_rfcs_are_good_and_nothing_else() {
        install();
        for (algorithm, jwk, message, given) in examples() {
            let key = key(&jwk);
            assert!(
                verify(given, message.as_bytes(), &key, algorithm).unwrap(),
                "{algorithm:?}"
            );
            let changed = message.replace('J', "K");
            assert!(!verify(given, changed.as_bytes(), &key, algorithm).unwrap());
            assert!(!verify("AAAA", message.as_bytes(), &key, algorithm).unwrap());
        }
    }

    #[test]
    fn a_key_serves_its_own_kind_of_algorithm_alone() {
        install();
        let all = [
            Algorithm::HS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
            Algorithm::RS256,
        ];
        for (own, jwk, message, given) in examples() {
            for other in all.into_iter().filter(|other| *other != own) {
                let outcome = verify(given, message.as_bytes(), &key(&jwk), other);
                assert!(!matches!(outcome, Ok(true)), "{own:?} as {other:?}");
            }
        }
        let shared = DecodingKey::from_secret(b"shared by everybody who checks");
        assert!(verify("AAAA", b"x", &shared, Algorithm::HS256).is_err());
    }

    #[test]
    fn zeros_before_a_modulus_change_nothing() {
        install();
        let (algorithm, jwk, message, given) = examples().swap_remove(0);
        let key = key(&jwk);
        let DecodingKeyKind::RsaModulusExponent { n, e } = key.kind() else {
            panic!("an RSA key");
        };
        let padded = DecodingKey::from_rsa_raw_components(&[&[0, 0][..], n].concat(), e);
        assert!(verify(given, message.as_bytes(), &padded, algorithm).unwrap());
    }
}
