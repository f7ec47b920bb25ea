//! Credentials that the service account of a run brings: which secrets the entrypoint makes files of.

use std::collections::BTreeSet;

use crds::config::tekton::Features;
use crds::tekton::TaskRun;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::ResourceExt;
use kube::api::Api;
use reconciler::Error;

use crate::pod::Credentials;

const GIT: &str = "tekton.dev/git-";
const DOCKER: &str = "tekton.dev/docker-";
/// Secrets of one service account that are looked at; each is a volume of the pod.
const MOST: usize = 64;

/// What was found, and which secrets were not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub credentials: Credentials,
    pub missing: Vec<String>,
}

/// Looks at the secrets of the service account; the inner error is the user's.
pub(super) async fn look_up(
    client: &kube::Client,
    features: &Features,
    run: &TaskRun,
) -> Result<Result<Found, String>, Error> {
    let mut found = Found::default();
    if features.disable_creds_init {
        return Ok(Ok(found));
    }
    let namespace = run.namespace().unwrap_or_default();
    let name = match run.spec.service_account_name.as_str() {
        "" => "default",
        name => name,
    };
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    let account = accounts
        .get_opt(name)
        .await
        .map_err(|error| Error::api(format!("read ServiceAccount {namespace}/{name}"), error))?;
    let listed = account.and_then(|account| account.secrets).unwrap_or_default();
    let names: BTreeSet<String> = listed.into_iter().filter_map(|secret| secret.name).collect();
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    for name in names.into_iter().take(MOST) {
        let secret = secrets
            .get_opt(&name)
            .await
            .map_err(|error| Error::api(format!("read Secret {namespace}/{name}"), error))?;
        let Some(secret) = secret else {
            found.missing.push(name);
            continue;
        };
        let flags = flags(&name, &secret);
        let is_ssh = flags.iter().any(|flag| flag.starts_with("-ssh-git"));
        if is_ssh && features.require_git_ssh_secret_known_hosts && !has(&secret, "known_hosts") {
            return Ok(Err(format!(
                "secret {name:?} for git over ssh lacks known_hosts, which \
                 \"require-git-ssh-secret-known-hosts\" in feature-flags demands"
            )));
        }
        if !flags.is_empty() {
            found.credentials.flags.extend(flags);
            found.credentials.secrets.push(name);
        }
    }
    Ok(Ok(found))
}

fn has(secret: &Secret, key: &str) -> bool {
    secret.data.as_ref().is_some_and(|data| data.contains_key(key))
}

/// The flags of the entrypoint for a secret; none if it is of another kind.
fn flags(name: &str, secret: &Secret) -> Vec<String> {
    let for_addresses = |prefix: &str, flag: &str| -> Vec<String> {
        let notes = secret.annotations().iter();
        notes
            .filter(|(key, address)| key.starts_with(prefix) && !address.is_empty())
            .map(|(_, address)| format!("-{flag}={name}={address}"))
            .collect()
    };
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/basic-auth" => [
            for_addresses(GIT, "basic-git"),
            for_addresses(DOCKER, "basic-docker"),
        ]
        .concat(),
        "kubernetes.io/ssh-auth" => for_addresses(GIT, "ssh-git"),
        "kubernetes.io/dockerconfigjson" => vec![format!("-docker-config={name}")],
        "kubernetes.io/dockercfg" => vec![format!("-docker-cfg={name}")],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn annotated_secrets_become_flags() {
        let of = |kind: &str, annotations: Value| {
            let secret = json!({"metadata": {"name": "s", "annotations": annotations}, "type": kind});
            flags("s", &serde_json::from_value(secret).unwrap())
        };
        let both = json!({
            "tekton.dev/git-0": "https://a", "tekton.dev/git-1": "https://b", "tekton.dev/docker-0": "https://r",
            "tekton.dev/git-2": "", "other": "x",
        });
        assert_eq!(
            of("kubernetes.io/basic-auth", both.clone()),
            [
                "-basic-git=s=https://a",
                "-basic-git=s=https://b",
                "-basic-docker=s=https://r"
            ]
        );
        assert_eq!(
            of("kubernetes.io/ssh-auth", both.clone()),
            ["-ssh-git=s=https://a", "-ssh-git=s=https://b"]
        );
        assert_eq!(
            of("kubernetes.io/dockerconfigjson", json!({})),
            ["-docker-config=s"]
        );
        assert_eq!(of("kubernetes.io/dockercfg", json!({})), ["-docker-cfg=s"]);
        assert!(of("kubernetes.io/basic-auth", json!({})).is_empty());
        assert!(of("Opaque", both).is_empty());
    }
}
