//! The Secret that replicas share.

use anyhow::Context;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::certificate::{self, Data};

/// Name of the Secret, as an existing install has it.
const NAME: &str = "webhook-certs";
/// Races with other replicas before it is left to the next look.
const ATTEMPTS: usize = 5;

/// Returns the data of the Secret, after making what is missing or about to expire.
///
/// # Errors
/// When the API refuses, or others write all the time.
pub async fn keep(client: &Client, namespace: &str, names: &[String]) -> anyhow::Result<Data> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let doing = || format!("cannot keep the Secret {namespace}/{NAME}");
    for _ in 0..ATTEMPTS {
        let present = secrets.get_opt(NAME).await.with_context(doing)?;
        let data = present
            .as_ref()
            .and_then(|secret| secret.data.clone())
            .unwrap_or_default();
        let Some(renewed) = certificate::renewed(&data, names, Timestamp::now())? else {
            return Ok(data);
        };
        let written = match present {
            Some(mut secret) => {
                secret.data = Some(renewed.clone());
                // Carries the resource version: another replica may have been faster.
                secrets.replace(NAME, &PostParams::default(), &secret).await
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(NAME.to_owned()),
                        ..ObjectMeta::default()
                    },
                    data: Some(renewed.clone()),
                    ..Secret::default()
                };
                secrets.create(&PostParams::default(), &secret).await
            }
        };
        match written {
            Ok(_) => return Ok(renewed),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error).with_context(doing),
        }
    }
    anyhow::bail!("others write the Secret {namespace}/{NAME} all the time")
}
