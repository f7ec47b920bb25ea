//! Service-account tokens: JWTs (ES256) that name the account, an audience, an expiry and the object they are bound to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Issuer of all tokens, and the audience of those that ask for none (upstream default).
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: Vec<String>,
    /// Seconds since 1970.
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) nbf: i64,
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) private: Private,
}

/// The claim of Kubernetes' own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Private {
    pub(crate) namespace: String,
    pub(crate) serviceaccount: Reference,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
}

/// A name and the uid that it must still have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("it is not a token of this server")]
    Foreign,
    #[error("the signature is wrong")]
    Signature,
    #[error("the token has expired or is not valid yet")]
    Time,
}

/// Signs and checks tokens.
pub(crate) struct TokenSigner {
    key: EcdsaKeyPair,
    key_id: String,
    random: SystemRandom,
}

impl TokenSigner {
    /// Takes a P-256 key in PKCS#8.
    pub(crate) fn new(pkcs8: &[u8]) -> Result<Self, crate::pki::PkiError> {
        let random = SystemRandom::new();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random).map_err(|error| {
                crate::pki::PkiError::Crypto {
                    what: "reading pki/sa.key",
                    message: error.to_string(),
                }
            })?;
        let digest = ring::digest::digest(&ring::digest::SHA256, key.public_key().as_ref());
        Ok(Self {
            key_id: URL_SAFE_NO_PAD.encode(digest),
            key,
            random,
        })
    }

    /// Makes a token.
    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, TokenError> {
        let header = json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"});
        let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let claims = serde_json::to_vec(claims).map_err(|_| TokenError::Foreign)?;
        let signed = format!("{}.{}", part(header.to_string().into_bytes()), part(claims));
        let signature = self
            .key
            .sign(&self.random, signed.as_bytes())
            .map_err(|_| TokenError::Signature)?;
        Ok(format!("{signed}.{}", part(signature.as_ref().to_vec())))
    }

    /// Checks signature, issuer and time. Whether the bound objects still exist is for the caller to see.
    pub(crate) fn verify(&self, token: &str, now: jiff::Timestamp) -> Result<Claims, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Foreign)?;
        let (_, claims) = signed.split_once('.').ok_or(TokenError::Foreign)?;
        let signature = URL_SAFE_NO_PAD
            .decode(signature)
            .map_err(|_| TokenError::Foreign)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| TokenError::Signature)?;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenError::Foreign)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenError::Foreign)?;
        if claims.iss != ISSUER {
            return Err(TokenError::Foreign);
        }
        let now = now.as_second();
        if now >= claims.exp || now < claims.nbf {
            return Err(TokenError::Time);
        }
        Ok(claims)
    }

    /// The key set that others check tokens with (`/openid/v1/jwks`).
    pub(crate) fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let coordinate = |range: std::ops::Range<usize>| {
            Value::String(URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default()))
        };
        let mut key = Map::new();
        for (name, value) in [("use", "sig"), ("kty", "EC"), ("alg", "ES256"), ("crv", "P-256")] {
            key.insert(name.into(), value.into());
        }
        key.insert("kid".into(), self.key_id.clone().into());
        // An uncompressed point: 0x04, then both coordinates.
        key.insert("x".into(), coordinate(1..33));
        key.insert("y".into(), coordinate(33..65));
        json!({"keys": [key]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> TokenSigner {
        TokenSigner::new(&rcgen::KeyPair::generate().unwrap().serialize_der()).unwrap()
    }

    fn claims(exp: i64) -> Claims {
        let account = Reference {
            name: "a".into(),
            uid: "u".into(),
        };
        Claims {
            iss: ISSUER.into(),
            sub: "system:serviceaccount:ns:a".into(),
            aud: vec![ISSUER.into()],
            exp,
            iat: 100,
            nbf: 100,
            jti: "j".into(),
            private: Private {
                namespace: "ns".into(),
                serviceaccount: account,
                pod: None,
                secret: None,
            },
        }
    }

    #[test]
    fn a_token_is_believed_until_it_expires_and_only_by_its_signer() {
        let signer = signer();
        let token = signer.sign(&claims(200)).unwrap();
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        assert_eq!(
            signer.verify(&token, at(150)).unwrap().sub,
            "system:serviceaccount:ns:a"
        );
        assert_eq!(signer.verify(&token, at(200)).unwrap_err(), TokenError::Time);
        assert_eq!(signer.verify(&token, at(99)).unwrap_err(), TokenError::Time);
        assert_eq!(
            super::tests::signer().verify(&token, at(150)).unwrap_err(),
            TokenError::Signature
        );
        let mut forged = token.into_bytes();
        let middle = forged.len() / 2;
        forged[middle] ^= 1;
        assert!(
            signer
                .verify(std::str::from_utf8(&forged).unwrap(), at(150))
                .is_err()
        );
        for garbage in ["", ".", "a.b.c", "a"] {
            assert!(signer.verify(garbage, at(150)).is_err(), "{garbage}");
        }
    }
}
