//! What an install of the platform consists of besides processes: CRDs, the system namespace, ConfigMaps, Services, accounts
//! and roles.
//!
//! The same objects that the Helm chart creates on a cluster. Nothing that a user may have changed is written again.

pub mod rights;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context;
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, CustomResourceDefinitionStatus, WebhookConversion,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, Patch, PatchParams, PostParams};
use kube::core::object::{NotUsed, Object};
use kube::{Api, Client, ResourceExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MANAGER: &str = "spindrift-install";
/// The API server says in milliseconds that it serves a new kind; a remote one may take seconds.
const ESTABLISHED: Duration = Duration::from_secs(30);

/// Kinds of pipelines that a controller serves; CustomRuns are for controllers of others.
const SERVED: [&str; 7] = [
    "Task",
    "TaskRun",
    "Pipeline",
    "PipelineRun",
    "StepAction",
    "CustomRun",
    "ResolutionRequest",
];

/// The CRDs of an install. Of the kinds of pipelines only those that a controller serves: an object that nobody looks
/// at helps nobody.
fn definitions() -> Vec<CustomResourceDefinition> {
    let served = |crd: &CustomResourceDefinition| SERVED.contains(&crd.spec.names.kind.as_str());
    let pipelines = crds::tekton_definitions().into_iter().filter(served);
    let own = crds::spindrift_definitions();
    let triggers = crds::triggers_definitions();
    crds::all()
        .into_iter()
        .chain(pipelines)
        .chain(own)
        .chain(triggers)
        .collect()
}

/// A definition as far as its installer reads it: its schemas take longer to decode than all the rest of an install.
type Installed = Object<NotUsed, CustomResourceDefinitionStatus>;

/// Creates or updates the CRDs, and waits until they are served.
pub async fn crds(client: &Client) -> anyhow::Result<()> {
    // A task for each: the embedded API server works in the task of its caller, and there is more than one core.
    let mut installs = JoinSet::new();
    for crd in definitions() {
        installs.spawn(define(client.clone(), crd));
    }
    while let Some(installed) = installs.join_next().await {
        installed.context("an install of a CRD has ended")??;
    }
    Ok(())
}

async fn define(client: Client, mut crd: CustomResourceDefinition) -> anyhow::Result<()> {
    let name = crd.name_any();
    keep_conversion(&client, &mut crd).await?;
    let params = PatchParams::apply(MANAGER).force();
    let api: Api<Installed> = Api::all_with(
        client.clone(),
        &ApiResource::erase::<CustomResourceDefinition>(&()),
    );
    let installed = api
        .patch(&name, &params, &Patch::Apply(&crd))
        .await
        .with_context(|| format!("cannot install {name}"))?;
    if is_established(installed.status.as_ref()) {
        return Ok(());
    }
    let established = kube::runtime::wait::await_condition(
        Api::<CustomResourceDefinition>::all(client),
        &name,
        kube::runtime::conditions::is_crd_established(),
    );
    tokio::time::timeout(ESTABLISHED, established)
        .await
        .with_context(|| format!("the API server does not serve {name} within {ESTABLISHED:?}"))?
        .with_context(|| format!("cannot watch {name}"))?;
    Ok(())
}

/// What of a definition a webhook that is reached by URL has said about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Converted {
    conversion: Option<CustomResourceConversion>,
}

/// A webhook that is outside of the cluster has put its URL where the Service was, and beside a URL there is none.
async fn keep_conversion(client: &Client, crd: &mut CustomResourceDefinition) -> anyhow::Result<()> {
    let Some(conversion) = &mut crd.spec.conversion else {
        return Ok(());
    };
    let name = crd.metadata.name.clone().unwrap_or_default();
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let api: Api<Object<Converted, NotUsed>> = Api::all_with(client.clone(), &resource);
    let found = api
        .get_opt(&name)
        .await
        .with_context(|| format!("cannot read {name}"))?;
    let webhook = found
        .and_then(|found| found.spec.conversion)
        .and_then(|conversion| conversion.webhook);
    let by_url = |webhook: &WebhookConversion| {
        let config = webhook.client_config.as_ref();
        config.is_some_and(|config| config.url.is_some())
    };
    if let Some(webhook) = webhook.filter(by_url) {
        conversion.webhook = Some(webhook);
    }
    Ok(())
}

/// Whether a definition was served before this install, too.
fn is_established(status: Option<&CustomResourceDefinitionStatus>) -> bool {
    let conditions = status.and_then(|status| status.conditions.as_deref());
    let mut conditions = conditions.unwrap_or_default().iter();
    conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
}

/// The namespaces of the parts of the platform, and the ConfigMaps that belong into each.
fn parts(system_namespace: &str, install: &crds::config::Install) -> [(Namespace, Vec<ConfigMap>); 4] {
    [
        (
            system_namespace,
            "knative-serving",
            crds::config::defaults_manifests(install),
        ),
        (
            crds::names::EVENTING_NAMESPACE,
            "knative-eventing",
            crds::config::events::defaults_manifests(),
        ),
        (crds::tekton::names::NAMESPACE, "tekton-pipelines", {
            let mut maps = pipelines::config::manifests();
            maps.push(archive::manifest());
            maps.extend(pipelines::config::versions());
            maps
        }),
        (
            crds::tekton::names::RESOLVERS_NAMESPACE,
            "tekton-pipelines-resolvers",
            resolvers::config::manifests(),
        ),
    ]
    .map(|(name, part, mut maps)| {
        for map in &mut maps {
            map.metadata.namespace = Some(name.to_owned());
        }
        (namespace(name, part), maps)
    })
}

/// What an install sets, by namespace and name of the ConfigMap: both halves have a `config-features`.
pub type Settings<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<&'a str, String>>;

/// Creates the system namespaces and their ConfigMaps where they are missing.
pub async fn configuration(
    client: &Client,
    system_namespace: &str,
    install: &crds::config::Install,
    settings: &Settings<'_>,
) -> anyhow::Result<()> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    try_join_all(parts(system_namespace, install).map(|(namespace, maps)| {
        let namespaces = namespaces.clone();
        async move {
            create_if_missing(&namespaces, &namespace).await?;
            let in_namespace = namespace.name_any();
            let in_namespace = in_namespace.as_str();
            let api: Api<ConfigMap> = Api::namespaced(client.clone(), in_namespace);
            try_join_all(maps.into_iter().map(|mut map| {
                let api = api.clone();
                async move {
                    let name = map.name_any();
                    let own = settings.get(&(in_namespace, name.as_str()));
                    let own = own.into_iter().flatten();
                    let data = map.data.get_or_insert_default();
                    data.extend(own.map(|(key, value)| ((*key).to_owned(), value.clone())));
                    create_if_missing(&api, &map).await
                }
            }))
            .await
        }
    }))
    .await?;
    // The sidecar's image belongs to the version that runs, not to the one that was installed first.
    let image = json!({ "data": { "queue-sidecar-image": install.queue_sidecar_image } });
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), system_namespace);
    maps.patch("config-deployment", &PatchParams::default(), &Patch::Merge(image))
        .await
        .context("cannot set the sidecar image in config-deployment")?;
    // So do the versions that clients are told.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), crds::tekton::names::NAMESPACE);
    for map in pipelines::config::versions() {
        let (name, data) = (map.name_any(), json!({ "data": map.data }));
        maps.patch(&name, &PatchParams::default(), &Patch::Merge(data))
            .await
            .with_context(|| format!("cannot write the version into {name}"))?;
    }
    Ok(())
}

/// Says, where clients of any cluster look for it (KEP-1755), which registry on this machine the nodes pull from.
///
/// # Errors
/// When the API refuses.
pub async fn registry(client: &Client, host: &str) -> anyhow::Result<()> {
    const NAME: &str = "local-registry-hosting";
    let map = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": NAME },
        "data": { "localRegistryHosting.v1": format!("host: \"{host}\"\n") },
    });
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "kube-public");
    maps.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(map))
        .await
        .with_context(|| format!("cannot write the ConfigMap kube-public/{NAME}"))?;
    Ok(())
}

fn namespace(name: &str, part: &str) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                "app.kubernetes.io/name".to_owned(),
                part.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// Everything as manifests, in the order in which it has to be created.
pub fn manifests(
    system_namespace: &str,
    install: &crds::config::Install,
    at: Option<(Ipv4Addr, &[Front])>,
) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    for crd in definitions() {
        all.push(serde_json::to_value(crd)?);
    }
    for (namespace, maps) in parts(system_namespace, install) {
        all.push(serde_json::to_value(namespace)?);
        for map in maps {
            all.push(serde_json::to_value(map)?);
        }
    }
    all.extend(accounts::for_components(system_namespace)?);
    all.extend(accounts::for_users()?);
    if let Some((address, fronts)) = at {
        for front in fronts {
            let (mut service, mut slice) = front_objects(front, address);
            for object in [&mut service, &mut slice] {
                object["metadata"]["namespace"] = front.namespace(system_namespace).into();
            }
            all.extend([service, slice]);
        }
    }
    Ok(all)
}

async fn create_if_missing<K>(api: &Api<K>, object: &K) -> anyhow::Result<()>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    match api.create(&PostParams::default(), object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", object.name_any())),
    }
}

/// A port of a component that runs outside any pod.
pub struct Front {
    /// The part of the platform that it belongs to.
    pub half: Half,
    /// Name of the Service.
    pub service: &'static str,
    /// Name, Service port and the port that the component listens on.
    pub ports: Vec<(&'static str, u16, u16)>,
}

/// Ports of a Service that takes events in, in the clear and over TLS.
pub fn doors(clear: u16, secure: u16) -> Vec<(&'static str, u16, u16)> {
    use crds::ports;
    vec![
        (ports::NAME_HTTP, ports::SERVICE_HTTP, clear),
        (ports::NAME_HTTPS, ports::SERVICE_HTTPS, secure),
    ]
}

/// The parts of the platform; each has a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Serving,
    Events,
    Pipelines,
}

impl Front {
    /// Namespace of the Service. That of serving is chosen at install.
    fn namespace<'a>(&self, system_namespace: &'a str) -> &'a str {
        match self.half {
            Half::Serving => system_namespace,
            Half::Events => crds::names::EVENTING_NAMESPACE,
            Half::Pipelines => crds::tekton::names::NAMESPACE,
        }
    }
}

/// Makes Services whose only endpoint is `address`, where this process serves its components. On a cluster the
/// components are pods and their Services have selectors.
pub async fn fronts(
    client: &Client,
    system_namespace: &str,
    address: Ipv4Addr,
    fronts: &[Front],
) -> anyhow::Result<()> {
    let params = PatchParams::apply(MANAGER).force();
    try_join_all(fronts.iter().map(|front| {
        let namespace = front.namespace(system_namespace);
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
        let params = params.clone();
        async move {
            let (service, slice) = front_objects(front, address);
            let doing = || format!("cannot install the Service {}", front.service);
            services
                .patch(front.service, &params, &Patch::Apply(service))
                .await
                .with_context(doing)?;
            slices
                .patch(front.service, &params, &Patch::Apply(slice))
                .await
                .with_context(doing)?;
            anyhow::Ok(())
        }
    }))
    .await?;
    Ok(())
}

/// The Services that are reached from outside, too, by namespace and name.
const OPEN: [(&str, &str); 5] = [
    (
        crds::names::EVENTING_NAMESPACE,
        crds::names::BROKER_INGRESS_SERVICE,
    ),
    (
        crds::names::EVENTING_NAMESPACE,
        crds::names::REQUEST_REPLY_SERVICE,
    ),
    WEBHOOKS[0],
    WEBHOOKS[1],
    (crds::tekton::names::NAMESPACE, archive::SERVICE),
];

/// Those of them that git hosts call.
const WEBHOOKS: [(&str, &str); 2] = [
    (
        crds::names::EVENTING_NAMESPACE,
        crds::names::GIT_HUB_SOURCE_SERVICE,
    ),
    (crds::tekton::names::NAMESPACE, crds::spindrift::PUSH_SERVICE),
];

/// Lets the gateway pass requests for `<service>.<namespace>.<domain>` on to where events are accepted, where
/// webhooks are, and where archived runs are read. `port` is that of the gateway.
pub async fn routes(client: &Client, domain: &str, port: u16) -> anyhow::Result<()> {
    let params = PatchParams::apply(MANAGER).force();
    let params = &params;
    let routes = OPEN.map(|(namespace, service)| async move {
        let api: Api<crds::networking::Ingress> = Api::namespaced(client.clone(), namespace);
        api.patch(service, params, &Patch::Apply(route(namespace, service, domain)))
            .await
            .with_context(|| format!("cannot install the route to {service}"))
    });
    let addresses =
        WEBHOOKS.map(|(namespace, service)| webhook_address(client, namespace, service, domain, port));
    futures::try_join!(try_join_all(routes), try_join_all(addresses))?;
    Ok(())
}

fn route(namespace: &str, service: &str, domain: &str) -> Value {
    json!({
        "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
        "metadata": {
            "name": service,
            "namespace": namespace,
            "annotations": { crds::annotations::INGRESS_CLASS: crds::names::SPINDRIFT_INGRESS_CLASS },
        },
        "spec": {
            "httpOption": "Enabled",
            "rules": [{
                "hosts": [format!("{service}.{namespace}.{domain}")],
                "visibility": "ExternalIP",
                "http": { "paths": [{ "splits": [{
                    "serviceName": service,
                    "serviceNamespace": namespace,
                    "servicePort": crds::ports::SERVICE_HTTP,
                    "percent": 100,
                }] }] },
            }],
        },
    })
}

/// Says where webhooks find a receiver, unless somebody has said it: git hosts may have to take another way, such as a
/// tunnel.
async fn webhook_address(
    client: &Client,
    namespace: &str,
    service: &str,
    domain: &str,
    port: u16,
) -> anyhow::Result<()> {
    let port = if port == 80 {
        String::new()
    } else {
        format!(":{port}")
    };
    let url = format!("http://{service}.{namespace}.{domain}{port}");
    let services: Api<Service> = Api::namespaced(client.clone(), namespace);
    let change = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": service, "annotations": { crds::annotations::EXTERNAL_URL: url } },
    });
    // A manager of its own, and no force: who has changed it owns it, and the conflict says so.
    let params = PatchParams::apply("spindrift-install-address");
    match services.patch(service, &params, &Patch::Apply(change)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot annotate the Service {service}")),
    }
}

fn front_objects(front: &Front, address: Ipv4Addr) -> (Value, Value) {
    let app_protocol = |name: &str| (name == "http2").then_some("kubernetes.io/h2c");
    let service_ports: Vec<Value> = front
        .ports
        .iter()
        .map(|(name, port, target)| {
            json!({ "name": name, "port": port, "targetPort": target, "protocol": "TCP", "appProtocol": app_protocol(name) })
        })
        .collect();
    let slice_ports: Vec<Value> = front
        .ports
        .iter()
        .map(|(name, _, target)| json!({ "name": name, "port": target, "protocol": "TCP" }))
        .collect();
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": front.service, "labels": { "app": front.service } },
        "spec": { "ports": service_ports },
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": front.service, "labels": { "kubernetes.io/service-name": front.service } },
        "addressType": "IPv4",
        "endpoints": [{ "addresses": [address], "conditions": { "ready": true } }],
        "ports": slice_ports,
    });
    (service, slice)
}
