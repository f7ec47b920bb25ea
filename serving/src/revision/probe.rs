//! The readiness probes that queue-proxy runs on behalf of Kubernetes.

use crds::serving::Revision;
use k8s_openapi::api::core::v1::{Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{is_serving, user_port};

/// queue-proxy and the containers share their network.
const LOCAL: &str = "127.0.0.1";

/// JSON of one probe, or of an array of them when every container may have one. Empty without a probe.
pub(super) fn encoded_probes(revision: &Revision, all_containers: bool) -> String {
    let probes = revision.spec.pod_spec.containers.iter().filter_map(|container| {
        let probe = container.readiness_probe.as_ref()?;
        if is_serving(revision, container) {
            Some(local(probe, user_port(revision)))
        } else if all_containers && probe.exec.is_none() {
            Some(local(probe, 0))
        } else {
            None
        }
    });
    let probes: Vec<Probe> = probes.collect();
    let encoded = match probes.as_slice() {
        [] => return String::new(),
        [only] if !all_containers => serde_json::to_string(only),
        all => serde_json::to_string(all),
    };
    // A Probe holds nothing that JSON cannot.
    encoded.unwrap_or_default()
}

/// The probe as it is run next to the application: at the port that it names, else at `port`. (Readiness may well be
/// told elsewhere than on the port that serves; only liveness and startup probes are bound to that one.) A command
/// cannot run in another container: the port is tried.
fn local(probe: &Probe, port: i32) -> Probe {
    let mut probe = probe.clone();
    let aim = |given: &IntOrString| match given {
        IntOrString::Int(given) if *given != 0 => IntOrString::Int(*given),
        _ => IntOrString::Int(port),
    };
    if let Some(http) = probe.http_get.as_mut() {
        http.host = Some(LOCAL.to_owned());
        http.port = aim(&http.port);
        http.scheme.get_or_insert_with(|| "HTTP".to_owned());
    } else if let Some(tcp) = probe.tcp_socket.as_mut() {
        tcp.host = Some(LOCAL.to_owned());
        tcp.port = aim(&tcp.port);
    } else if let Some(grpc) = probe.grpc.as_mut() {
        if grpc.port == 0 {
            grpc.port = port;
        }
    } else if probe.exec.take().is_some() {
        probe.tcp_socket = Some(TCPSocketAction {
            host: Some(LOCAL.to_owned()),
            port: IntOrString::Int(port),
        });
    }
    if probe.period_seconds.is_some_and(|period| period > 0) && probe.timeout_seconds.is_none_or(|t| t < 1) {
        probe.timeout_seconds = Some(1);
    }
    probe
}
