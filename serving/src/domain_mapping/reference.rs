//! What a DomainMapping refers to, and where that is in the cluster.

use crds::serving::{self, DomainMapping};
use crds::{Addressable, KReference};
use kube::api::{ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use kube::{Api, discovery};
use reconciler::Error;
use reconciler::error::is_not_found;

use crate::shared::namespace_of;

/// Where the requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// The name of the target in the cluster.
    pub host: String,
    /// The Kubernetes Service of that name.
    pub service: String,
}

/// How to get at what is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Referent {
    /// One of ours, which is watched.
    Service,
    Route,
    /// Anything else is read when it is needed.
    Other,
}

pub(super) fn referent(reference: &KReference) -> Referent {
    match (group(reference), reference.kind.as_str()) {
        (serving::GROUP, "Service") => Referent::Service,
        (serving::GROUP, "Route") => Referent::Route,
        _ => Referent::Other,
    }
}

/// The entry of an index by watched referents.
pub(super) fn entry(kind: &str, namespace: &str, name: &str) -> String {
    format!("{kind}/{namespace}/{name}")
}

/// The entry under which a mapping is found, if what it refers to is watched.
pub(super) fn watched(mapping: &DomainMapping) -> Option<String> {
    let reference = &mapping.spec.reference;
    let kind = match referent(reference) {
        Referent::Service => "Service",
        Referent::Route => "Route",
        Referent::Other => return None,
    };
    Some(entry(kind, namespace_of(&mapping.metadata), &reference.name))
}

/// The group, which a reference has of its own or in its version.
fn group(reference: &KReference) -> &str {
    match given(reference.api_version.as_deref()) {
        Some(version) => version.split_once('/').map_or("", |(group, _)| group),
        None => reference.group.as_deref().unwrap_or_default(),
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// The URL of what is referred to: `None` if it is not there, `Some(None)` if it has no address.
///
/// # Errors
/// Says which of both it is.
pub(super) fn url(reference: &KReference, found: Option<Option<Addressable>>) -> Result<String, String> {
    let KReference { kind, name, .. } = reference;
    let Some(address) = found else {
        return Err(format!("there is no {kind} {name:?} in this namespace"));
    };
    address
        .and_then(|address| address.url)
        .filter(|url| !url.is_empty())
        .ok_or_else(|| format!("{kind} {name:?} has no address (status.address.url) yet"))
}

/// The URL of something of a kind that is not watched.
///
/// # Errors
/// The outer one if the API does not answer, the inner one says why there is none.
pub(super) async fn read(
    client: &kube::Client,
    reference: &KReference,
    namespace: &str,
    cluster_domain: &str,
) -> Result<Result<String, String>, Error> {
    let (group, kind) = (group(reference), reference.kind.as_str());
    let Some(resource) = resource(client, reference).await? else {
        return Ok(Err(format!(
            "the cluster has no kind {kind:?} in group {group:?} (spec.ref)"
        )));
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let name = reference.name.as_str();
    let object = api
        .get_opt(name)
        .await
        .map_err(|error| Error::api(format!("read {kind} {namespace}/{name}"), error))?;
    // A Service of Kubernetes has no address in its status: its name is.
    let address = object.map(|object| match (group, kind) {
        ("", "Service") => Some(Addressable {
            url: Some(format!("http://{name}.{namespace}.svc.{cluster_domain}")),
            ..Addressable::default()
        }),
        _ => serde_json::from_value(object.data["status"]["address"].clone()).ok(),
    });
    Ok(url(reference, address))
}

/// How a kind is reached; `None` if there is no such kind in namespaces.
async fn resource(client: &kube::Client, reference: &KReference) -> Result<Option<ApiResource>, Error> {
    let kind = reference.kind.as_str();
    let found = match given(reference.api_version.as_deref()) {
        Some(api_version) => {
            let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
            discovery::pinned_kind(client, &GroupVersionKind::gvk(group, version, kind)).await
        }
        None => match discovery::group(client, group(reference)).await {
            Ok(group) => return Ok(group.recommended_kind(kind).and_then(in_namespaces)),
            Err(error) => Err(error),
        },
    };
    match found {
        Ok(found) => Ok(in_namespaces(found)),
        Err(kube::Error::Discovery(_)) => Ok(None),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(Error::api(format!("find out about kind {kind}"), error)),
    }
}

fn in_namespaces((resource, capabilities): (ApiResource, discovery::ApiCapabilities)) -> Option<ApiResource> {
    (capabilities.scope == discovery::Scope::Namespaced).then_some(resource)
}

/// Where requests to `url` go. Only a name of a Kubernetes Service will do: the ingress sends to one, and to no path of it.
///
/// # Errors
/// Says what is wrong with the URL.
pub(super) fn target(url: &str, namespace: &str, cluster_domain: &str) -> Result<Target, String> {
    let uri: http::Uri = url
        .parse()
        .map_err(|error| format!("resolved URI {url:?} cannot be read: {error}"))?;
    if !uri.path().trim_end_matches('/').is_empty() {
        return Err(format!("resolved URI {url:?} contains a path"));
    }
    let host = uri.host().unwrap_or_default();
    let suffix = format!(".svc.{cluster_domain}");
    let Some((service, home)) = host
        .strip_suffix(&suffix)
        .and_then(|head| head.split_once('.'))
        .filter(|(service, home)| !service.is_empty() && !home.is_empty() && !home.contains('.'))
    else {
        return Err(format!(
            "resolved URI {url:?} must be of the form {{name}}.{{namespace}}{suffix}"
        ));
    };
    if home != namespace {
        return Err(format!(
            "resolved URI {url:?} must be in same namespace as DomainMapping"
        ));
    }
    Ok(Target {
        host: host.to_owned(),
        service: service.to_owned(),
    })
}
