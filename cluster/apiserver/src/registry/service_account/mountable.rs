//! Accounts whose pods may use no secrets but theirs.
//!
//! What upstream looks at: volumes of secrets, environments, pull secrets. Secrets in projected volumes are not among it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::meta;

/// Set on such accounts.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
/// What is true to Go.
const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];

/// An account with what its pods may use.
pub(super) struct Strict<'a> {
    name: &'a str,
    secrets: BTreeSet<&'a str>,
    pull_secrets: BTreeSet<&'a str>,
}

impl<'a> Strict<'a> {
    /// The account, if its pods are held to its secrets.
    pub(super) fn of(name: &'a str, account: &'a Value) -> Option<Self> {
        let value = account["metadata"]["annotations"][ENFORCE].as_str()?;
        TRUE.contains(&value).then(|| Self {
            name,
            secrets: names(&account["secrets"]),
            pull_secrets: names(&account["imagePullSecrets"]),
        })
    }

    /// Why a new pod may not run as this account, if it uses a secret of others.
    pub(super) fn refuses(&self, pod: &Value) -> Option<String> {
        let spec = &pod["spec"];
        let volume = list(&spec["volumes"])
            .filter(|volume| volume["secret"].is_object())
            .find_map(|volume| self.foreign(&volume["secret"]["secretName"]))
            .map(|why| format!("volume with {why}"));
        volume
            .or_else(|| self.containers(&spec["initContainers"], "init container"))
            .or_else(|| self.containers(&spec["containers"], "container"))
            .or_else(|| self.pulls(&spec["imagePullSecrets"]))
    }

    /// The same of containers that come to a pod later.
    pub(super) fn refuses_ephemeral(&self, pod: &Value) -> Option<String> {
        self.containers(&pod["spec"]["ephemeralContainers"], "ephemeral container")
    }

    fn containers(&self, containers: &Value, noun: &str) -> Option<String> {
        list(containers).find_map(|container| {
            let (user, why) = self.environment(container)?;
            let name = meta::text(container, "/name");
            Some(format!("{noun} {name} with {user} referencing {why}"))
        })
    }

    /// The first part of an environment that is of others, and what is said of its secret.
    fn environment(&self, container: &Value) -> Option<(String, String)> {
        let one = list(&container["env"]).find_map(|variable| {
            let secret = variable.pointer("/valueFrom/secretKeyRef")?;
            let user = format!("envVar {}", meta::text(variable, "/name"));
            Some((user, self.foreign(&secret["name"])?))
        });
        one.or_else(|| {
            list(&container["envFrom"]).find_map(|source| {
                let secret = source.get("secretRef")?;
                Some(("envFrom".to_owned(), self.foreign(&secret["name"])?))
            })
        })
    }

    fn pulls(&self, secrets: &Value) -> Option<String> {
        let mut secrets = list(secrets)
            .map(|secret| meta::text(secret, "/name"))
            .enumerate();
        let (index, secret) = secrets.find(|(_, secret)| !self.pull_secrets.contains(secret))?;
        Some(format!(
            "imagePullSecrets[{index}].name=\"{secret}\" is not allowed because service account {} does not reference \
             that imagePullSecret",
            self.name
        ))
    }

    fn foreign(&self, secret: &Value) -> Option<String> {
        let secret = secret.as_str().unwrap_or_default();
        (!self.secrets.contains(secret)).then(|| {
            format!(
                "secret.secretName=\"{secret}\" is not allowed because service account {} does not reference that \
                 secret",
                self.name
            )
        })
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn names(references: &Value) -> BTreeSet<&str> {
    list(references)
        .map(|reference| meta::text(reference, "/name"))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn account(enforce: &str) -> Value {
        json!({
            "metadata": {"annotations": {ENFORCE: enforce}},
            "secrets": [{"name": "ours"}], "imagePullSecrets": [{"name": "pull"}],
        })
    }

    #[test]
    fn secrets_of_others_are_named_with_their_user() {
        let variable = |secret: &str| json!([{"name": "V", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
        let secret = "is not allowed because service account bot does not reference that secret";
        for (spec, expected) in [
            (
                json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "ours"}}]}),
                None,
            ),
            (
                json!({"volumes": [{"name": "b", "secret": {"secretName": "theirs"}}]}),
                Some(format!("volume with secret.secretName=\"theirs\" {secret}")),
            ),
            (json!({"containers": [{"name": "c", "env": variable("ours")}]}), None),
            (
                json!({"containers": [{"name": "c", "env": variable("theirs")}]}),
                Some(format!("container c with envVar V referencing secret.secretName=\"theirs\" {secret}")),
            ),
            (
                json!({"initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "m"}}, {"secretRef": {"name": "theirs"}}]}]}),
                Some(format!("init container i with envFrom referencing secret.secretName=\"theirs\" {secret}")),
            ),
            (json!({"imagePullSecrets": [{"name": "pull"}]}), None),
            (
                json!({"imagePullSecrets": [{"name": "pull"}, {"name": "ours"}]}),
                Some(
                    "imagePullSecrets[1].name=\"ours\" is not allowed because service account bot does not reference \
                     that imagePullSecret"
                        .to_owned(),
                ),
            ),
        ] {
            let pod = json!({"spec": spec});
            let account = account("true");
            let strict = Strict::of("bot", &account).unwrap();
            assert_eq!(strict.refuses(&pod), expected, "{pod}");
        }
        let late = json!({"spec": {"ephemeralContainers": [{"name": "e", "env": variable("theirs")}]}});
        let account = account("1");
        let strict = Strict::of("bot", &account).unwrap();
        let expected =
            format!("ephemeral container e with envVar V referencing secret.secretName=\"theirs\" {secret}");
        assert_eq!(
            (strict.refuses(&late), strict.refuses_ephemeral(&late)),
            (None, Some(expected))
        );
    }

    #[test]
    fn accounts_are_strict_where_they_say_so() {
        for text in ["false", "", "yes"] {
            assert!(Strict::of("bot", &account(text)).is_none(), "{text}");
        }
        assert!(Strict::of("bot", &json!({})).is_none());
    }
}
