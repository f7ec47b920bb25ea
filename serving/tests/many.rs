//! Many Services at once: the case in which peers lose revisions (knative/serving 8539, 10344).

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;

use std::time::{Duration, Instant};

use cluster::{Cluster, condition};
use crds::serving::Service;
use futures::future::join_all;
use kube::Api;
use kube::api::ListParams;

/// Few enough for a machine that builds other things at the same time; `SPINDRIFT_SERVICES=300` is the full bar.
const SERVICES: usize = 60;

/// The bar is a minute for 300; the bound is that of a busy machine without optimisation.
const BOUND: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_created_together_all_become_ready() {
    let wanted = std::env::var("SPINDRIFT_SERVICES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SERVICES);
    let cluster = Cluster::start().await;
    let start = Instant::now();
    join_all((0..wanted).map(async |number| {
        cluster
            .create_service(&format!("many-{number}"), "dev.local/app:1")
            .await;
    }))
    .await;
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), "default");
    loop {
        let list = services.list(&ListParams::default()).await.unwrap();
        let is_ready =
            |service: &&Service| condition(service, "Ready").is_some_and(|(status, _)| status == "True");
        let ready = list.items.iter().filter(is_ready).count();
        if ready == wanted {
            break;
        }
        assert!(start.elapsed() < BOUND, "only {ready} of {wanted} are ready");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("{wanted} services were ready after {:?}", start.elapsed());
    // Afterwards nobody writes any more: reconcilers that disagree would go on for ever.
    cluster.settle().await;
    for (operation, count) in cluster.api.requests().counted() {
        println!("{count:6} {operation}");
    }
    let writes = cluster.api.requests().writes();
    println!("{writes} writes for {wanted} services");
    // Some 30 of them when the machine is busy and changes are taken together, 45 for a lone one.
    assert!(
        writes < 100 + wanted * 50,
        "{writes} writes for {wanted} services"
    );
    let metrics = prometheus::TextEncoder::new()
        .encode_to_string(&prometheus::gather())
        .unwrap();
    let empty: Vec<_> = metrics
        .lines()
        .filter(|line| line.starts_with("kn_empty_applies_total"))
        .collect();
    assert!(empty.is_empty(), "applies that changed nothing: {empty:?}");
}
