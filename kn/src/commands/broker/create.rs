//! `kn broker create`

use clap::Args;
use serde_json::{Value, json};

use super::CLASS;
use crate::commands::delivery::Delivery;
use crate::commands::write::{Place, WriteArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::delivery::DeliveryArgs;
use crate::kind::Kind;
use crate::output::Output;

/// Kinds of configuration that have short names: apiVersion and kind.
const KINDS: [(&[&str], [&str; 2]); 3] = [
    (&["cm", "configmap"], ["v1", "ConfigMap"]),
    (&["sc", "secret"], ["v1", "Secret"]),
    (
        &["rmq", "rabbitmq", "rabbitmqcluster"],
        ["rabbitmq.com/v1beta1", "RabbitmqCluster"],
    ),
];

/// Creates a broker.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn broker create default\n  kn broker create default --wait\n  kn broker create default --dl-sink ksvc:failed --retry 5 --backoff-policy exponential --backoff-delay PT0.5S\n  kn broker create jets --class NatsJetStreamBroker --broker-config cm:jets"
)]
pub struct Create {
    /// Name of the broker
    name: String,
    /// Class of the broker: which implementation serves it
    #[arg(long, value_name = "CLASS")]
    class: Option<String>,
    /// Configuration of the broker: NAME of a ConfigMap, KIND:NAME, KIND:NAME:NAMESPACE, APIVERSION:KIND:NAME or APIVERSION:KIND:NAME:NAMESPACE
    #[arg(long, value_name = "REF", requires = "class")]
    broker_config: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.write.namespace(context).await?;
        let mut spec = json!({});
        if let Some(reference) = &self.broker_config {
            spec["config"] = config(reference)?;
        }
        Delivery::read(context, &self.delivery, &namespace)
            .await?
            .apply(&mut spec)?;
        let place = Place {
            kind: Kind::Broker,
            namespace: &namespace,
            name: &self.name,
        };
        let mut broker = place.object(spec);
        if let Some(class) = &self.class {
            broker["metadata"]["annotations"] = json!({ CLASS: class });
        }
        self.write.create(context, place, &broker, output).await
    }
}

/// The reference to a broker's configuration.
fn config(text: &str) -> Result<Value, CliError> {
    let known = |kind: &str| {
        let kind = kind.to_lowercase();
        KINDS
            .iter()
            .find(|(names, _)| names.contains(&kind.as_str()))
            .map(|(_, path)| *path)
    };
    let wrong = |why: &str| {
        CliError::usage(format!(
            "--broker-config {text}: {why}: expected NAME, KIND:NAME[:NAMESPACE] or APIVERSION:KIND:NAME[:NAMESPACE]"
        ))
    };
    let parts: Vec<&str> = text.split(':').collect();
    let unknown = || {
        wrong(
            "there is no such kind, only cm, configmap, sc, secret, rmq, rabbitmq and rabbitmqcluster have no APIVERSION",
        )
    };
    let (path, name, namespace) = match parts.as_slice() {
        [name] => (["v1", "ConfigMap"], *name, None),
        [kind, name] => (known(kind).ok_or_else(unknown)?, *name, None),
        [first, second, third] => match known(first) {
            Some(path) => (path, *second, Some(*third)),
            None => ([*first, *second], *third, None),
        },
        [api_version, kind, name, namespace] => ([*api_version, *kind], *name, Some(*namespace)),
        _ => return Err(wrong("too many colons")),
    };
    if parts.contains(&"") {
        return Err(wrong("a part is empty"));
    }
    let mut config = json!({ "apiVersion": path[0], "kind": path[1], "name": name });
    if let Some(namespace) = namespace {
        config["namespace"] = json!(namespace);
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_are_named_in_many_ways() {
        let whole = |api: &str, kind: &str, namespace: Option<&str>| {
            let mut config = json!({ "apiVersion": api, "kind": kind, "name": "n" });
            if let Some(namespace) = namespace {
                config["namespace"] = json!(namespace);
            }
            config
        };
        for (text, expected) in [
            ("n", whole("v1", "ConfigMap", None)),
            ("cm:n", whole("v1", "ConfigMap", None)),
            ("secret:n:ns", whole("v1", "Secret", Some("ns"))),
            (
                "RabbitmqCluster:n",
                whole("rabbitmq.com/v1beta1", "RabbitmqCluster", None),
            ),
            ("a.dev/v1:Kind:n", whole("a.dev/v1", "Kind", None)),
            ("a.dev/v1:Kind:n:ns", whole("a.dev/v1", "Kind", Some("ns"))),
        ] {
            assert_eq!(config(text).unwrap(), expected, "{text}");
        }
        for wrong in ["x:n", "", "cm:", "a:b:c:d:e", "cm:n:"] {
            let message = config(wrong).unwrap_err().message;
            assert!(message.contains("--broker-config"), "{wrong}");
        }
    }
}
