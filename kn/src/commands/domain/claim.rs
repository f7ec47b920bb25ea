//! `kn domain claim`, and when it is the next step.

use clap::Args;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use crate::cli::NamespaceArgs;
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Where it is said whether claims are made by themselves.
const NETWORK: [&str; 2] = ["knative-serving", "config-network"];
/// Under which of its keys.
const AUTOCREATE: [&str; 2] = [
    "autocreate-cluster-domain-claims",
    "autocreateClusterDomainClaims",
];

/// Gives a domain to a namespace, which takes an administrator.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn domain claim www.example.com\n  kn domain claim www.example.com -n shop"
)]
pub struct Claim {
    /// The domain, such as www.example.com
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

impl Claim {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let (name, namespace) = (&self.name, context.namespace(&self.namespace).await?);
        match holder(context, name).await? {
            None => {
                let resource = resource();
                let claim = json!({ "apiVersion": resource.api_version, "kind": resource.kind,
                                    "metadata": { "name": name }, "spec": { "namespace": namespace } });
                let claims = context.api_all(resource).await?;
                claims.create(&PostParams::default(), &dynamic(&claim)?).await?;
            }
            Some(holder) if holder == namespace => {}
            Some(holder) => return Err(CliError::new(Exit::Conflict, taken(name, &holder))),
        }
        output.done(format!("Domain '{name}' belongs to namespace '{namespace}'."))?;
        Ok(Exit::Success)
    }
}

/// What has to be done before a mapping of the domain can be ready. What may not be looked at is taken for done.
pub async fn next_step(context: &Context, namespace: &str, name: &str) -> Option<String> {
    match holder(context, name).await.ok()? {
        Some(holder) => (holder != namespace).then(|| taken(name, &holder)),
        None => {
            let maps = ApiResource::erase::<ConfigMap>(&());
            let network = match context.get(maps, NETWORK[0], NETWORK[1]).await {
                Ok(network) => network,
                Err(error) if error.exit == Exit::NotFound => Value::Null,
                Err(_) => return None,
            };
            (!is_automatic(&network)).then(|| {
                format!(
                    "the domain is not claimed yet: `kn domain claim {name} -n {namespace}`, by an administrator, gives \
                     it to the namespace"
                )
            })
        }
    }
}

fn taken(name: &str, holder: &str) -> String {
    format!("domain '{name}' belongs to namespace '{holder}'")
}

fn is_automatic(network: &Value) -> bool {
    let said = AUTOCREATE.iter().find_map(|key| network["data"][*key].as_str());
    said.is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
}

/// The namespace that a domain belongs to.
async fn holder(context: &Context, name: &str) -> Result<Option<String>, CliError> {
    let found = context.api_all(resource()).await?.get_opt(name).await?;
    Ok(found.map(|claim| {
        let namespace = claim.data["spec"]["namespace"].as_str();
        namespace.unwrap_or_default().to_owned()
    }))
}

fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk(
        "networking.internal.knative.dev",
        "v1alpha1",
        "ClusterDomainClaim",
    );
    ApiResource::from_gvk_with_plural(&kind, "clusterdomainclaims")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_made_by_themselves_where_it_is_said() {
        for (data, expected) in [
            (json!({}), false),
            (json!({ "autocreate-cluster-domain-claims": "true" }), true),
            (json!({ "autocreateClusterDomainClaims": "True" }), true),
            (json!({ "autocreate-cluster-domain-claims": "false" }), false),
        ] {
            assert_eq!(is_automatic(&json!({ "data": data })), expected, "{data}");
        }
        assert!(!is_automatic(&Value::Null));
    }
}
