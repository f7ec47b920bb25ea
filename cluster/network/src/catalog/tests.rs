use serde_json::json;

use super::state::ServicePort;
use super::*;

pub(crate) fn service(value: serde_json::Value) -> ServiceObject {
    serde_json::from_value(value).unwrap()
}

fn slice(name: &str, service: &str, endpoints: serde_json::Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": {"namespace": "default", "name": name, "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}, {"name": "sctp", "port": 1, "protocol": "SCTP"}],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn web(ip: &str) -> ServiceObject {
    service(json!({
        "metadata": {"namespace": "default", "name": "web"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip, "fd00::1"], "ports": [{"name": "http", "port": 80}]},
    }))
}

fn key() -> ServiceKey {
    ServiceKey {
        namespace: "default".into(),
        name: "web".into(),
    }
}

fn targets(state: &State) -> Vec<String> {
    let port = ServicePort {
        name: "http".into(),
        protocol: Protocol::Tcp,
        port: 80,
        node_port: None,
    };
    state
        .targets(&key(), &port)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn ready_endpoints_first_then_those_still_serving() {
    let (mut state, mut seen) = (State::default(), HashSet::new());
    let changed = apply_services(&mut state, &mut seen, Event::Apply(web("10.1.0.1")));
    assert_eq!(changed, HashSet::from([key()]));
    let again = apply_services(&mut state, &mut seen, Event::Apply(web("10.1.0.1")));
    assert!(again.is_empty(), "a write that changes nothing here wakes nobody");
    let endpoints = json!([
        {"addresses": ["10.2.0.3"]},
        {"addresses": ["10.2.0.2"], "conditions": {"ready": true}},
        {"addresses": ["10.2.0.4"], "conditions": {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.2.0.5"], "conditions": {"ready": false}},
        {"addresses": ["not an address"]},
    ]);
    apply_slices(
        &mut state,
        &mut seen,
        Event::Apply(slice("web-1", "web", endpoints)),
    );
    apply_slices(
        &mut state,
        &mut seen,
        Event::Apply(slice("web-2", "web", json!([{"addresses": ["10.2.0.2"]}]))),
    );
    assert_eq!(targets(&state), ["10.2.0.2:8080", "10.2.0.3:8080"]);
    let ending = json!([{"addresses": ["10.2.0.4"], "conditions": {"ready": false, "serving": true}}]);
    apply_slices(&mut state, &mut seen, Event::Apply(slice("web-1", "web", ending)));
    apply_slices(
        &mut state,
        &mut seen,
        Event::Delete(slice("web-2", "web", json!([]))),
    );
    assert_eq!(targets(&state), ["10.2.0.4:8080"]);
}

#[test]
fn a_new_listing_drops_what_it_does_not_name() {
    let (mut state, mut seen) = (State::default(), HashSet::new());
    apply_services(&mut state, &mut seen, Event::Apply(web("10.1.0.1")));
    apply_slices(
        &mut state,
        &mut seen,
        Event::Apply(slice("web-1", "web", json!([{"addresses": ["10.2.0.2"]}]))),
    );
    assert!(state.has_namespace("default"));
    apply_services(&mut state, &mut seen, Event::Init);
    let gone = apply_services(&mut state, &mut seen, Event::InitDone);
    assert_eq!((gone, state.len()), (HashSet::from([key()]), 0));
    assert!(!state.has_namespace("default"));
    apply_slices(&mut state, &mut seen, Event::Init);
    assert_eq!(
        apply_slices(&mut state, &mut seen, Event::InitDone),
        HashSet::from([key()])
    );
    assert_eq!(targets(&state), Vec::<String>::new());
}

#[test]
fn an_address_that_moves_on_belongs_to_the_new_service() {
    let (mut state, mut seen) = (State::default(), HashSet::new());
    apply_services(&mut state, &mut seen, Event::Apply(web("10.1.0.1")));
    let mut other = web("10.1.0.1");
    other.metadata.name = Some("other".into());
    apply_services(&mut state, &mut seen, Event::Apply(other));
    apply_services(&mut state, &mut seen, Event::Delete(web("10.1.0.1")));
    assert_eq!(
        state.service_at("10.1.0.1".parse().unwrap()).unwrap().name,
        "other"
    );
}

#[tokio::test]
async fn subscribers_get_each_change_once_and_none_is_lost() {
    let mut state = State::default();
    apply_services(&mut state, &mut HashSet::new(), Event::Apply(web("10.1.0.1")));
    let catalog = Catalog::fixed(state);
    let changes = catalog.changes();
    assert_eq!(
        changes.next().await,
        HashSet::from([key()]),
        "what exists is told first"
    );
    catalog.inner.tell(HashSet::from([key()]));
    catalog.inner.tell(HashSet::from([key()]));
    assert_eq!(changes.next().await.len(), 1);
    assert!(futures::poll!(std::pin::pin!(changes.next())).is_pending());
}
