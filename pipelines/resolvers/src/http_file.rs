//! The resolver `http`: a file behind a URL, with its digest if that is known.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::tekton::RefSource;
use event_client::Client;
use http::header::HeaderValue;
use sha2::{Digest as _, Sha256, Sha512};

use crate::config::HttpConfig;
use crate::question::{Answer, Failure, MAX_DATA, Question, hex, sha256};
use crate::{secrets, web};

pub(crate) async fn resolve(
    question: &Question,
    config: &HttpConfig,
    api: &kube::Client,
    web: &Client,
) -> Result<Answer, Failure> {
    let url = web::address(question.need("url", "")?)?;
    let digest = question.get("digest").map(Digest::parse).transpose()?;
    let authorization = match question.get("http-username") {
        None => None,
        Some(username) => {
            let name = question.need("http-password-secret", "")?;
            let key = question.need("http-password-secret-key", "password")?;
            let password = secrets::value(api, &question.namespace, name, key).await?;
            Some(basic(username, &password)?)
        }
    };
    let wanted = web::Get {
        url: &url,
        authorization: authorization.as_ref(),
        headers: &[],
        most: MAX_DATA,
        limit: config.fetch_timeout,
    };
    let got = web::get(web, wanted).await?;
    if !got.status.is_success() {
        let message = format!("{} answered {}", web::shown(&got.url), got.status);
        return match got.status.is_server_error() {
            true => Failure::now(message),
            false => Failure::never(message),
        };
    }
    if let Some(digest) = digest {
        digest.check(&got.body)?;
    }
    Ok(Answer {
        source: RefSource {
            uri: web::shown(&url),
            digest: sha256(&got.body),
            ..RefSource::default()
        },
        data: got.body.to_vec(),
    })
}

/// The header of a name and a password, which is not shown in debug output.
pub(crate) fn basic(username: &str, password: &str) -> Result<HeaderValue, Failure> {
    let value = format!("Basic {}", STANDARD.encode(format!("{username}:{password}")));
    let Ok(mut value) = HeaderValue::try_from(value) else {
        return Failure::never("the credentials cannot be sent");
    };
    value.set_sensitive(true);
    Ok(value)
}

/// What the file is known to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Digest {
    Sha256(String),
    Sha512(String),
}

impl Digest {
    fn parse(text: &str) -> Result<Self, Failure> {
        let is_hex = |digits: &str, length| {
            digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        match text.split_once(':') {
            Some(("sha256", digits)) if is_hex(digits, 64) => Ok(Self::Sha256(digits.to_ascii_lowercase())),
            Some(("sha512", digits)) if is_hex(digits, 128) => Ok(Self::Sha512(digits.to_ascii_lowercase())),
            _ => Failure::never(format!(
                "the digest {text:?} cannot be used: expected sha256: and 64, or sha512: and 128 hexadecimal digits"
            )),
        }
    }

    fn check(&self, bytes: &[u8]) -> Result<(), Failure> {
        let (name, wanted, found) = match self {
            Self::Sha256(wanted) => ("sha256", wanted, hex(&Sha256::digest(bytes))),
            Self::Sha512(wanted) => ("sha512", wanted, hex(&Sha512::digest(bytes))),
        };
        match *wanted == found {
            true => Ok(()),
            false => Failure::never(format!("the digest is {name}:{found}, not {name}:{wanted}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_checked() {
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::parse(&format!("sha256:{of_abc}")).unwrap();
        assert_eq!(digest.check(b"abc"), Ok(()));
        assert!(
            digest
                .check(b"abd")
                .unwrap_err()
                .to_string()
                .contains("not sha256:ba78")
        );
        let long = hex(&Sha512::digest(b"abc"));
        assert_eq!(
            Digest::parse(&format!("sha512:{long}")).unwrap().check(b"abc"),
            Ok(())
        );
        for text in [
            "md5:x",
            of_abc,
            "sha256:",
            "sha256:zz",
            &format!("sha512:{of_abc}"),
        ] {
            assert!(Digest::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let header = basic("me", "secret").unwrap();
        assert_eq!(header, "Basic bWU6c2VjcmV0");
        assert!(!format!("{header:?}").contains("bWU6"), "{header:?}");
    }
}
