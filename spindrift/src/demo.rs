//! The demonstration: deploys the sample service at zero, wakes it by a request, and shows where the time went.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use activator::Observer;
use anyhow::Context;
use bytes::Bytes;
use crds::serving::Service;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use kube::api::{Patch, PatchParams};
use kube::runtime::wait::await_condition;
use kube::{Api, Client};
use serde_json::json;

/// Name of the sample service.
const NAME: &str = "hello";
const NAMESPACE: &str = "default";
/// Longest wait for reports of what has happened already.
const SETTLED: Duration = Duration::from_secs(1);
/// Longest wait for the service to be ready, and for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// One part of a wake-up, in the order in which they follow each other.
#[derive(Debug, PartialEq)]
pub struct Phase {
    pub name: String,
    pub millis: f64,
}

/// What the demonstration saw.
pub struct Outcome {
    pub url: String,
    pub answer: String,
    pub total: Duration,
    pub phases: Vec<Phase>,
    /// A second request, to a service that is up.
    pub warm: Duration,
}

/// Deploys the sample from `image` and wakes it through the gateway at `gateway`.
pub async fn run(client: &Client, image: &str, gateway: SocketAddr) -> anyhow::Result<Outcome> {
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let manifest = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": { "name": NAME },
        "spec": { "template": {
            // It starts with no pod at all, so that the first request is the one that wakes it.
            "metadata": { "annotations": { "autoscaling.knative.dev/initial-scale": "0" } },
            "spec": { "containers": [{ "image": image }] },
        } },
    });
    let params = PatchParams::apply("spindrift-demo").force();
    services
        .patch(NAME, &params, &Patch::Apply(manifest))
        .await
        .context("cannot deploy the sample service")?;
    let ready = await_condition(services.clone(), NAME, |service: Option<&Service>| {
        service.is_some_and(is_ready)
    });
    tokio::time::timeout(PATIENCE, ready)
        .await
        .with_context(|| {
            format!("the sample service is not ready within {PATIENCE:?}: see `kn service describe {NAME}`")
        })?
        .context("cannot watch the sample service")?;

    let host = format!("{NAME}.{NAMESPACE}.localhost");
    let observer = Observer::start(client, NAMESPACE).await;
    let arrived = Instant::now();
    let (answer, path, total) = request(gateway, &host).await?;
    let (_, _, warm) = request(gateway, &host).await?;
    let cluster = observer.settled(NAME, SETTLED).await.since(arrived);
    Ok(Outcome {
        url: format!("http://{host}:{}/", gateway.port()),
        answer,
        total,
        phases: in_order(&cluster, path),
        warm,
    })
}

/// The stations that the cluster showed and those that the request path reported, as they followed each other.
fn in_order(cluster: &[(&str, Duration)], path: Vec<Phase>) -> Vec<Phase> {
    let seen = cluster.iter().map(|(name, at)| Phase {
        name: (*name).to_owned(),
        millis: at.as_secs_f64() * 1000.0,
    });
    // `held` and `assigned` tell of the same moment as the probe, when there was nothing to share a pod with.
    let told = path.into_iter().filter_map(|phase| {
        let name = match phase.name.as_str() {
            "probe" => "first successful probe",
            "first-byte" => "first byte",
            _ => return None,
        };
        Some(Phase {
            name: name.to_owned(),
            ..phase
        })
    });
    let mut phases: Vec<Phase> = seen.chain(told).collect();
    phases.sort_by(|one, other| one.millis.total_cmp(&other.millis));
    phases
}

fn is_ready(service: &Service) -> bool {
    let Some(status) = &service.status else {
        return false;
    };
    let observed = status.observed_generation == service.metadata.generation;
    observed
        && status
            .conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.is_true())
}

async fn request(gateway: SocketAddr, host: &str) -> anyhow::Result<(String, Vec<Phase>, Duration)> {
    let start = Instant::now();
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(gateway)
            .await
            .context("cannot connect to the gateway")?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::get("/")
            .header(http::header::HOST, host)
            .header("Spindrift-Trace", "1")
            .body(Empty::<Bytes>::new())?;
        let response = sender
            .send_request(request)
            .await
            .context("the gateway did not answer")?;
        let status = response.status();
        let timing = response
            .headers()
            .get("server-timing")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = Limited::new(response.into_body(), 64 << 10)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("cannot read the answer: {error}"))?;
        let text = String::from_utf8_lossy(&body.to_bytes()).trim().to_owned();
        connection.abort();
        anyhow::ensure!(
            status.is_success(),
            "the sample service answered {status}: {text}"
        );
        anyhow::Ok((text, phases(timing.as_deref().unwrap_or_default())))
    };
    let (text, phases) = tokio::time::timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("no answer from {host} within {PATIENCE:?}"))??;
    Ok((text, phases, start.elapsed()))
}

/// Reads a `Server-Timing` header: `name;dur=1.5, other;dur=2;desc="..."`.
fn phases(header: &str) -> Vec<Phase> {
    header
        .split(',')
        .filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
            let millis = parts.find_map(|part| part.strip_prefix("dur="))?.parse().ok()?;
            Some(Phase { name, millis })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_each_other_whoever_saw_them() {
        let path = phases("held;dur=90, probe;dur=90, assigned;dur=90, first-byte;dur=91");
        let cluster = [
            ("scale decided", Duration::from_millis(2)),
            ("container started", Duration::from_millis(80)),
        ];
        let names: Vec<String> = in_order(&cluster, path)
            .into_iter()
            .map(|phase| phase.name)
            .collect();
        assert_eq!(
            names,
            [
                "scale decided",
                "container started",
                "first successful probe",
                "first byte"
            ]
        );
    }

    #[test]
    fn server_timing_is_read() {
        let phase = |name: &str, millis| Phase {
            name: name.into(),
            millis,
        };
        assert_eq!(
            phases("held;dur=80.5, first-byte;desc=\"x\";dur=3"),
            [phase("held", 80.5), phase("first-byte", 3.0)]
        );
        assert_eq!(phases(""), []);
        assert_eq!(phases("nonsense, ;dur=1, a;dur=b"), []);
    }
}
