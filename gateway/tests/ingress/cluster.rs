//! An API server with our kinds, a gateway, and pods that say who they are.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use cluster_apiserver::ApiServer;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::soon;

pub const CLASS: &str = "spindrift.ingress.networking.knative.dev";

pub struct Cluster {
    pub client: kube::Client,
    pub external: SocketAddr,
    pub internal: SocketAddr,
    /// What the autoscaler hears: namespace/name of each stat.
    pub stats: mpsc::UnboundedReceiver<String>,
    pub shutdown: CancellationToken,
    pub gateway: tokio::task::JoinHandle<()>,
    _server: ApiServer,
    _dir: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = ApiServer::open(cluster_apiserver::Config::ephemeral(dir.path()))
            .await
            .unwrap();
        let client = server.client();
        let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
        for crd in crds::all() {
            crds.create(&PostParams::default(), &crd).await.unwrap();
        }
        let (autoscaler, stats) = autoscaler().await;
        let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (external, internal) = (bind().await, bind().await);
        let mut config = gateway::Config::new(client.clone());
        config.activator.autoscaler = Some(format!("ws://{autoscaler}"));
        config.activator.drain = std::time::Duration::ZERO;
        let at = (external.local_addr().unwrap(), internal.local_addr().unwrap());
        config.external.push(external);
        config.internal.push(internal);
        let shutdown = config.shutdown.clone();
        let gateway = tokio::spawn(async move { gateway::run(config).await.unwrap() });
        Self {
            client,
            external: at.0,
            internal: at.1,
            stats,
            shutdown,
            gateway,
            _server: server,
            _dir: dir,
        }
    }

    /// Creates an object or replaces its spec; the kind's resource name is given.
    pub async fn apply(&self, object: Value, plural: &str) {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        };
        let api_version = text("/apiVersion");
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let gvk = GroupVersionKind::gvk(group, version, &text("/kind"));
        let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), "default", &resource);
        let params = PatchParams::apply("test").force();
        soon(api.patch(&text("/metadata/name"), &params, &Patch::Apply(&object)))
            .await
            .unwrap();
    }

    pub async fn revision(&self, name: &str, concurrency: i64, mode: &str) {
        self.apply(
            json!({
                "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"containerConcurrency": concurrency, "timeoutSeconds": 10,
                         "containers": [{"name": "c", "image": "i"}]},
            }),
            "revisions",
        )
        .await;
        self.mode(name, mode).await;
    }

    pub async fn mode(&self, name: &str, mode: &str) {
        self.apply(
            json!({
                "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "ServerlessService",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"mode": mode, "protocolType": "http1",
                         "objectRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}},
            }),
            "serverlessservices",
        )
        .await;
    }

    /// Which pods stand behind a revision's private Service; each has a port of its own, hence a slice of its own.
    pub async fn endpoint(&self, service: &str, slice: &str, pod: SocketAddr, ready: bool) {
        self.apply(
            json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": slice, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
                "endpoints": [{"addresses": [pod.ip().to_string()], "conditions": {"ready": ready}}],
                "ports": [{"name": "http", "port": pod.port(), "protocol": "TCP"}],
            }),
            "endpointslices",
        )
        .await;
    }

    pub async fn ingress(&self, name: &str, rules: Value) {
        self.apply(
            json!({
                "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
                "metadata": {"name": name, "namespace": "default",
                             "annotations": {"networking.knative.dev/ingress.class": CLASS}},
                "spec": {"rules": rules},
            }),
            "ingresses",
        )
        .await;
    }

    /// Waits until the ingress's present generation is Ready and returns its status.
    pub async fn ready(&self, name: &str) -> Value {
        let api: Api<crds::networking::Ingress> = Api::namespaced(self.client.clone(), "default");
        soon(async {
            loop {
                let ingress = api.get(name).await.unwrap();
                let generation = ingress.metadata.generation;
                if let Some(status) = ingress.status
                    && crds::conditions::ConditionedStatus::is_ready(&status, generation)
                {
                    return serde_json::to_value(status).unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await
    }

    pub async fn get(&self, external: bool, host: &str, path: &str) -> (u16, String) {
        let answer = self.send(external, Request::get(path).header("host", host)).await;
        (answer.status().as_u16(), text(answer).await)
    }

    pub async fn send(&self, external: bool, request: http::request::Builder) -> Response<Incoming> {
        let addr = if external { self.external } else { self.internal };
        let stream = TcpStream::connect(addr).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection.with_upgrades());
        soon(sender.send_request(request.body(Full::new(Bytes::new())).unwrap()))
            .await
            .unwrap()
    }
}

pub async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

pub fn rule(host: &str, visibility: &str, splits: &[(&str, i64)]) -> Value {
    json!({"hosts": [host], "visibility": visibility, "http": {"paths": [{"splits": splits.iter().map(|(name, percent)| json!({
        "serviceNamespace": "default", "serviceName": name, "servicePort": 80, "percent": percent,
        "appendHeaders": {"Knative-Serving-Revision": name, "Knative-Serving-Namespace": "default"},
    })).collect::<Vec<_>>()}]}})
}

/// A pod: answers probes, and everything else with its name and what it saw.
pub struct Pod {
    pub addr: SocketAddr,
    pub most: Arc<AtomicUsize>,
    pub served: Arc<AtomicUsize>,
}

impl Pod {
    pub async fn start(name: &'static str) -> Self {
        Self::listen(name, TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn listen(name: &'static str, listener: TcpListener) -> Self {
        let pod = Self {
            addr: listener.local_addr().unwrap(),
            most: Arc::default(),
            served: Arc::default(),
        };
        let (most, served, running) = (
            pod.most.clone(),
            pod.served.clone(),
            Arc::new(AtomicUsize::new(0)),
        );
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (most, served, running) = (most.clone(), served.clone(), running.clone());
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let (most, served, running) = (most.clone(), served.clone(), running.clone());
                    async move {
                        if request
                            .headers()
                            .get("k-network-probe")
                            .is_some_and(|probe| probe == "queue")
                        {
                            return Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                                b"queue",
                            ))));
                        }
                        served.fetch_add(1, Ordering::SeqCst);
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        if request.uri().path() == "/slow" {
                            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
                        }
                        running.fetch_sub(1, Ordering::SeqCst);
                        let mut text = format!("{name}\n");
                        for (header, value) in request.headers() {
                            text += &format!("{header}: {}\n", value.to_str().unwrap());
                        }
                        Ok(Response::new(Full::new(Bytes::from(text))))
                    }
                });
                tokio::spawn(async move {
                    let _ = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        pod
    }
}

async fn autoscaler() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    use prost::Message as _;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (send, stats) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let send = send.clone();
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(frame)) = socket.next().await {
                    let messages = crds::stat::WireStatMessages::decode(frame.into_data()).unwrap();
                    for message in messages.messages {
                        let _ = send.send(format!("{}/{}", message.namespace, message.name));
                    }
                }
                let _ = socket.close(None).await;
            });
        }
    });
    (addr, stats)
}
