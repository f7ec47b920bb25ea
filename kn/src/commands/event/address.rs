//! Where events are sent to. Addresses inside of a cluster do not resolve outside of it; there the way leads through the
//! gateway of the platform, which also serves the ingress of brokers.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use crate::commands::list::text;
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::sink::{self, Reference, Sink};

/// Namespace and name of the settings that say which domains the gateway serves.
const DOMAINS: [&str; 2] = ["knative-serving", "config-domain"];
/// Services of events that the gateway serves: those in front of the brokers and of the RequestReplies.
const OPEN: [&str; 2] = ["broker-ingress", "request-reply"];
/// Flag that names the receiver.
const FLAG: &str = "to";

/// Who gets an event.
#[derive(Debug, Default)]
pub struct Receiver {
    pub url: String,
    /// What tokens of its senders must be made for; `None` if it asks for none.
    pub audience: Option<String>,
    /// Who vouches for it if nobody whom the system knows does (PEM).
    pub authority: Option<String>,
    /// Its namespace, whose accounts may send to it unless a policy says otherwise.
    pub namespace: String,
}

/// Who gets the event, for the value of `--to`.
///
/// # Errors
/// There is no such object, it has no address yet, or the address cannot be reached from here.
pub async fn find(context: &Context, to: &str, namespace: &str) -> Result<Receiver, CliError> {
    let config = ConfigFile::read(context.config_file())?;
    let sink = sink::parse(FLAG, to, config.sinks())?;
    if let Sink::Uri(url) = sink {
        return Ok(Receiver {
            url,
            ..Receiver::default()
        });
    }
    let (reference, object) = sink::object(context, FLAG, &sink, namespace).await?;
    let object = json!(object);
    let best = Address::best(&object);
    Ok(Receiver {
        url: reach(context, to, &reference, &object, &best).await?,
        authority: best.authority,
        audience: best.audience,
        namespace: reference.namespace,
    })
}

/// A broker, and where it is asked about its events.
#[derive(Debug)]
pub struct Broker {
    /// Scheme and authority of its address.
    pub origin: String,
    /// Who vouches for it if nobody whom the system knows does (PEM).
    pub authority: Option<String>,
    pub namespace: String,
    pub name: String,
}

/// The broker that `broker:NAME` or `NAME` names.
///
/// # Errors
/// As [`find`]; or it is no broker.
pub async fn broker(context: &Context, value: &str, namespace: &str) -> Result<Broker, CliError> {
    let prefixed = match value.contains(':') {
        true => value.to_owned(),
        false => format!("broker:{value}"),
    };
    let sink = sink::parse("broker", &prefixed, &[])?;
    let (reference, object) = sink::object(context, "broker", &sink, namespace).await?;
    if reference.kind != "Broker" {
        return Err(CliError::usage(format!(
            "{value} is a {}, not a broker",
            reference.kind
        )));
    }
    let object = json!(object);
    let best = Address::best(&object);
    let url = reach(context, value, &reference, &object, &best).await?;
    let uri: http::Uri = url
        .parse()
        .map_err(|error| CliError::new(Exit::Failure, format!("{value} has the address {url}: {error}")))?;
    let origin = match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{authority}"),
        _ => url,
    };
    Ok(Broker {
        origin,
        authority: best.authority,
        namespace: reference.namespace,
        name: reference.name,
    })
}

/// Scheme and authority of a Service of the platform, as it is reached from here: by its name inside of a cluster, else
/// through the gateway; `None` if there is no such way.
pub async fn service(context: &Context, service: &str, namespace: &str) -> Option<String> {
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(format!("http://{service}.{namespace}.svc"));
    }
    let url = format!("http://{service}.{namespace}.{}", domain(context).await?);
    Some(context.local_url(&url).await.unwrap_or(url))
}

/// An address of an object, as its status has it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Address {
    url: String,
    authority: Option<String>,
    audience: Option<String>,
}

impl Address {
    /// The first of several, which is the one over TLS if there is one; from a pod, nothing need go in the
    /// clear.
    fn best(object: &Value) -> Self {
        let first = object.pointer("/status/addresses/0");
        let address = first.or(object.pointer("/status/address"));
        let part = |name: &str| {
            let found = text(address.unwrap_or(&Value::Null), &format!("/{name}"));
            (!found.is_empty()).then_some(found)
        };
        Self {
            url: part("url").unwrap_or_default(),
            authority: part("CACerts"),
            audience: part("audience"),
        }
    }
}

/// The URL by which an object that was found is reached from here; `typed` names it.
async fn reach(
    context: &Context,
    typed: &str,
    reference: &Reference,
    object: &Value,
    best: &Address,
) -> Result<String, CliError> {
    let inside = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let address = match (reference.kind.as_str(), reference.api_version.as_str()) {
        ("Service", "v1") => format!("http://{}.{}.svc", reference.name, reference.namespace),
        _ => best.url.clone(),
    };
    // What has a URL for the outside is reached by that.
    let public = text(object, "/status/url");
    let address = if !inside && !public.is_empty() {
        public
    } else {
        address
    };
    if address.is_empty() {
        return Err(
            CliError::new(Exit::NotReady, format!("{typed}: it has no address yet"))
                .with_hint("`describe` tells why it is not ready"),
        );
    }
    let url = match inside {
        true => address,
        false => outside(&address, domain(context).await.as_deref()).ok_or_else(|| {
            CliError::new(
                Exit::Failure,
                format!("{typed}: {address} can be reached from inside the cluster only"),
            )
            .with_hint("send to a broker or to a service of Knative, or forward a port with kubectl and give its URL to --to")
        })?,
    };
    Ok(context.local_url(&url).await.unwrap_or(url))
}

/// The address as it is reached from outside: itself if it is not one of the cluster, the gateway's for what the
/// gateway serves, and `None` for what only the cluster can reach.
fn outside(address: &str, domain: Option<&str>) -> Option<String> {
    let uri: http::Uri = address.parse().ok()?;
    let host = uri.host()?;
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [service, namespace, "svc", ..] => match (*service, domain) {
            (service, Some(domain)) if OPEN.contains(&service) => {
                Some(format!("http://{service}.{namespace}.{domain}{}", uri.path()))
            }
            _ => None,
        },
        _ => Some(address.to_owned()),
    }
}

/// The domain of services that no label gives another one; `None` if nobody outside can use it.
async fn domain(context: &Context) -> Option<String> {
    let [namespace, name] = DOMAINS;
    let maps: Api<ConfigMap> = Api::namespaced(context.client().await.ok()?, namespace);
    let map = maps.get(name).await.ok()?;
    of_settings(&json!(map.data?))
}

/// The domain that has no selector, in the settings.
fn of_settings(data: &Value) -> Option<String> {
    let domains = data.as_object()?.iter();
    let plain = |(name, value): &(&String, &Value)| {
        let has_selector = value.as_str().is_some_and(|text| text.contains("selector"));
        *name != "_example" && !has_selector
    };
    domains
        .filter(plain)
        .map(|(name, _)| name.clone())
        .find(|name| !name.starts_with("svc."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_from_outside_leads_through_the_gateway() {
        let broker = "http://broker-ingress.knative-eventing.svc.cluster.local/team/default";
        for (address, domain, expected) in [
            (
                broker,
                Some("localhost"),
                Some("http://broker-ingress.knative-eventing.localhost/team/default"),
            ),
            (broker, None, None),
            (
                "http://pipe-kn-channel.team.svc.cluster.local",
                Some("localhost"),
                None,
            ),
            ("http://web.team.svc", Some("localhost"), None),
            (
                "http://web.team.example.com/a",
                Some("localhost"),
                Some("http://web.team.example.com/a"),
            ),
            ("", Some("localhost"), None),
        ] {
            assert_eq!(outside(address, domain).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn the_address_over_tls_comes_first() {
        let (http, https) = ("http://b/ns/n", "https://b/ns/n");
        let secure = json!({ "name": "https", "url": https, "CACerts": "pem", "audience": "me" });
        let clear = json!({ "name": "http", "url": http, "audience": "me" });
        for (status, url, authority) in [
            (
                json!({ "address": clear, "addresses": [secure, clear] }),
                https,
                Some("pem"),
            ),
            (
                json!({ "address": secure, "addresses": [secure] }),
                https,
                Some("pem"),
            ),
            (json!({ "address": clear, "addresses": [] }), http, None),
            (json!({ "address": clear }), http, None),
        ] {
            let best = Address::best(&json!({ "status": status }));
            assert_eq!(
                (best.url.as_str(), best.authority.as_deref()),
                (url, authority),
                "{status}"
            );
            assert_eq!(best.audience.as_deref(), Some("me"));
        }
        assert_eq!(Address::best(&json!({})), Address::default());
    }

    #[test]
    fn the_domain_is_the_one_for_all() {
        for (data, expected) in [
            (json!({ "localhost": "" }), Some("localhost")),
            (
                json!({ "_example": "x", "a.com": "selector:\n  app: a\n", "b.com": "" }),
                Some("b.com"),
            ),
            (json!({ "svc.cluster.local": "" }), None),
            (json!({ "a.com": "selector:\n  app: a\n" }), None),
            (json!({}), None),
        ] {
            assert_eq!(of_settings(&data).as_deref(), expected, "{data}");
        }
    }
}
