//! The Secret that replicas share.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use crate::certificate::{self, CertificateError, Data, Profile};

/// Races with other replicas before it is left to the next look.
const ATTEMPTS: usize = 5;

/// The Secret is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    #[error("cannot keep the Secret {secret}")]
    Api {
        secret: String,
        #[source]
        error: Box<kube::Error>,
    },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("others write the Secret {0} all the time")]
    Contended(String),
}

/// Returns the data of the Secret `name` of `namespace`, after making what is missing or about to expire: a certificate for
/// `names`.
///
/// # Errors
/// When the API refuses, or others write all the time.
pub async fn keep(
    client: &Client,
    (namespace, name): (&str, &str),
    names: &[String],
    profile: &Profile,
) -> Result<Data, KeepError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let failed = |error: kube::Error| KeepError::Api {
        secret: format!("{namespace}/{name}"),
        error: Box::new(error),
    };
    for _ in 0..ATTEMPTS {
        let present = secrets.get_opt(name).await.map_err(failed)?;
        let data = present
            .as_ref()
            .and_then(|secret| secret.data.clone())
            .unwrap_or_default();
        let renewed = certificate::renewed(&data, names, profile, Timestamp::now())?;
        if certificate::has_unreadable_key(&data, profile) {
            tracing::warn!(
                namespace,
                secret = name,
                entry = profile.authority_key,
                replaced = renewed.is_some(),
                "The key of an authority cannot be read. If it is not replaced, the certificate beside it is taken for \
                 a certificate manager's and is not renewed: remove the key, or the Secret to have it made anew"
            );
        }
        let Some(renewed) = renewed else {
            return Ok(data);
        };
        let written = match present {
            Some(mut secret) => {
                secret.data = Some(renewed.clone());
                // Carries the resource version: another replica may have been faster.
                secrets.replace(name, &PostParams::default(), &secret).await
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(name.to_owned()),
                        ..ObjectMeta::default()
                    },
                    data: Some(renewed.clone()),
                    type_: profile.secret_type.map(str::to_owned),
                    ..Secret::default()
                };
                secrets.create(&PostParams::default(), &secret).await
            }
        };
        match written {
            Ok(_) => return Ok(renewed),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Err(KeepError::Contended(format!("{namespace}/{name}")))
}
