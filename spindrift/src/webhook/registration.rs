//! The webhook configurations that make the API server ask us.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crds::labels::BINDING_EXCLUDE;

use crate::hooks::{Converter, Hook};

const MANAGER: &str = "spindrift-webhook";
/// Seconds the API server waits for us.
const TIMEOUT: u32 = 10;
/// Namespaces with this label are left alone.
const EXCLUDE: &str = "webhooks.knative.dev/exclude";

/// How the API server reaches the webhook.
#[derive(Clone, Debug)]
pub enum Reached {
    /// A Service of the system namespace.
    Service { name: String, port: u16 },
    /// For API servers that are outside of any pod network, or for a webhook that is.
    Url(url::Url),
}

impl Reached {
    /// Returns the names that the certificate has to be for.
    pub fn names(&self, namespace: &str, cluster_domain: &str) -> Vec<String> {
        match self {
            Self::Service { name, .. } => vec![
                format!("{name}.{namespace}.svc"),
                format!("{name}.{namespace}.svc.{cluster_domain}"),
                format!("{name}.{namespace}"),
                name.clone(),
            ],
            Self::Url(url) => url
                .host_str()
                .map(|host| host.trim_matches(['[', ']']).to_owned())
                .into_iter()
                .collect(),
        }
    }

    fn client_config(&self, namespace: &str, path: &str, ca_bundle: &str) -> Value {
        let mut config = match self {
            Self::Service { name, port } => {
                json!({"service": {"namespace": namespace, "name": name, "port": port, "path": path}})
            }
            Self::Url(url) => json!({"url": format!("{}{path}", url.as_str().trim_end_matches('/'))}),
        };
        config["caBundle"] = STANDARD.encode(ca_bundle).into();
        config
    }
}

/// Writes the configurations of `hooks`; equal ones stay as they are.
///
/// # Errors
/// When the API refuses.
pub async fn register(
    client: &Client,
    hooks: &[Hook],
    reached: &Reached,
    namespace: &str,
    ca_bundle: &str,
) -> anyhow::Result<()> {
    let params = PatchParams::apply(MANAGER).force();
    for hook in hooks {
        let configuration = configuration(hook, reached, namespace, ca_bundle);
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind(hook));
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
        api.patch(&hook.name, &params, &Patch::Apply(configuration))
            .await
            .with_context(|| format!("cannot register {}", hook.name))?;
    }
    Ok(())
}

/// Tells the definitions of `converters` where they are reached; equal ones stay as they are.
///
/// # Errors
/// When the API refuses, or a definition is not there.
pub async fn register_converters(
    client: &Client,
    converters: &[Converter],
    reached: &Reached,
    namespace: &str,
    ca_bundle: &str,
) -> anyhow::Result<()> {
    let kind = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&kind));
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    for converter in converters {
        let patch = conversion(converter, reached, namespace, ca_bundle);
        for definition in converter.definitions {
            api.patch_metadata(definition, &params, &Patch::Merge(&patch))
                .await
                .with_context(|| format!("cannot register the conversion of {definition}"))?;
        }
    }
    Ok(())
}

/// A merge patch, which, unlike an apply, takes away what others said about the way here.
fn conversion(converter: &Converter, reached: &Reached, namespace: &str, ca_bundle: &str) -> Value {
    let mut config = reached.client_config(namespace, converter.path, ca_bundle);
    let other = match reached {
        Reached::Service { .. } => "url",
        Reached::Url(_) => "service",
    };
    config[other] = Value::Null;
    let webhook = json!({"conversionReviewVersions": ["v1"], "clientConfig": config});
    json!({"spec": {"conversion": {"strategy": "Webhook", "webhook": webhook}}})
}

fn kind(hook: &Hook) -> &'static str {
    if hook.mutating {
        "MutatingWebhookConfiguration"
    } else {
        "ValidatingWebhookConfiguration"
    }
}

fn configuration(hook: &Hook, reached: &Reached, namespace: &str, ca_bundle: &str) -> Value {
    let not_excluded = json!({"key": EXCLUDE, "operator": "DoesNotExist"});
    let mut webhook = json!({
        "name": hook.name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": reached.client_config(namespace, &hook.path, ca_bundle),
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "namespaceSelector": {"matchExpressions": [not_excluded]},
        "rules": hook.rules,
        "sideEffects": "None",
        "timeoutSeconds": TIMEOUT,
    });
    if hook.mutating {
        webhook["reinvocationPolicy"] = "IfNeeded".into();
    }
    if let Some(only) = &hook.only_in {
        // Everybody else's ConfigMaps must not depend on us.
        webhook["namespaceSelector"] = json!({"matchLabels": {"kubernetes.io/metadata.name": only}});
        webhook["objectSelector"] = json!({"matchLabels": {"app.kubernetes.io/name": hook.part}});
    }
    if let Some(live) = &hook.live {
        let reach = (live.reach)();
        webhook["rules"] = json!(reach.rules);
        // What we miss is bound later: nobody else has to wait for us.
        webhook["failurePolicy"] = "Ignore".into();
        let not_exempt = json!({"key": BINDING_EXCLUDE, "operator": "NotIn", "values": ["true"]});
        let mut of_namespace = vec![
            json!({"key": EXCLUDE, "operator": "DoesNotExist"}),
            not_exempt.clone(),
        ];
        if !reach.namespaces.is_empty() {
            of_namespace.push(
                json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": reach.namespaces}),
            );
        }
        webhook["namespaceSelector"] = json!({"matchExpressions": of_namespace});
        webhook["objectSelector"] = json!({"matchExpressions": [not_exempt]});
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind(hook),
        "metadata": {
            "name": hook.name,
            "labels": {"app.kubernetes.io/name": hook.part, "app.kubernetes.io/component": "webhook"},
        },
        "webhooks": [webhook],
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eventing::admission::Reach;

    use super::*;
    use crate::hooks::{Live, sink_bindings};

    #[test]
    fn a_definition_is_told_one_way_here() {
        let of = |reached: &Reached| {
            let patch = conversion(&crate::hooks::PIPELINES_CONVERTER, reached, "ns", "pem");
            patch["spec"]["conversion"]["webhook"]["clientConfig"].clone()
        };
        let path = "/pipelines/resource-conversion";
        let url = of(&Reached::Url("https://10.0.0.1:8443".parse().unwrap()));
        let bundle = STANDARD.encode("pem");
        assert_eq!(
            url,
            json!({"url": format!("https://10.0.0.1:8443{path}"), "service": null, "caBundle": bundle})
        );
        let service = of(&Reached::Service {
            name: "webhook".to_owned(),
            port: 443,
        });
        let expected = json!({"namespace": "ns", "name": "webhook", "port": 443, "path": path});
        assert_eq!(
            service,
            json!({"service": expected, "url": null, "caBundle": bundle})
        );
    }

    #[test]
    fn sink_bindings_are_asked_about_where_there_are_some_and_hold_up_nobody() {
        let url = Reached::Url("https://10.0.0.1:8443".parse().unwrap());
        let mut hook = sink_bindings(|| None);
        let of = |hook: &Hook| configuration(hook, &url, "ns", "pem")["webhooks"][0].clone();
        let none = of(&hook);
        assert_eq!(
            (&none["rules"], &none["failurePolicy"]),
            (&json!([]), &json!("Ignore"))
        );
        let rules = crate::hooks::serving(serving::admission::Settings::default)[0]
            .rules
            .clone();
        let reach = Reach {
            rules: rules.clone(),
            namespaces: vec!["a".to_owned(), "b".to_owned()],
        };
        hook.live = hook.live.map(|live| Live {
            reach: Arc::new(move || reach.clone()),
            ..live
        });
        let some = of(&hook);
        assert_eq!(some["rules"], json!(rules));
        assert_eq!(
            some["namespaceSelector"]["matchExpressions"][2],
            json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]})
        );
        assert_eq!(
            some["objectSelector"]["matchExpressions"],
            json!([{"key": "bindings.knative.dev/exclude", "operator": "NotIn", "values": ["true"]}])
        );
    }

    #[test]
    fn configurations_name_the_service_or_the_url() {
        let service = Reached::Service {
            name: "webhook".into(),
            port: 443,
        };
        let hooks = crate::hooks::serving(serving::admission::Settings::default);
        let mutating = configuration(&hooks[0], &service, "ns", "pem");
        let hook = &mutating["webhooks"][0];
        assert_eq!(mutating["kind"], "MutatingWebhookConfiguration");
        assert_eq!(hook["reinvocationPolicy"], "IfNeeded");
        assert_eq!(
            hook["clientConfig"],
            json!({"service": {"namespace": "ns", "name": "webhook", "port": 443, "path": "/defaulting"},
                   "caBundle": "cGVt"})
        );
        assert!(
            service
                .names("ns", "cluster.local")
                .contains(&"webhook.ns.svc".to_owned())
        );

        let url = Reached::Url("https://10.0.0.1:8443/".parse().unwrap());
        let config = configuration(&hooks[2], &url, "ns", "pem");
        assert_eq!(
            config["webhooks"][0]["clientConfig"]["url"],
            "https://10.0.0.1:8443/config-validation"
        );
        assert!(config["webhooks"][0].get("reinvocationPolicy").is_none());
        assert_eq!(
            config["webhooks"][0]["namespaceSelector"]["matchLabels"],
            json!({"kubernetes.io/metadata.name": "knative-serving"})
        );
        assert_eq!(url.names("ns", "cluster.local"), ["10.0.0.1"]);
        let v6 = Reached::Url("https://[::1]:8443".parse().unwrap());
        assert_eq!(v6.names("ns", "cluster.local"), ["::1"]);
    }
}
