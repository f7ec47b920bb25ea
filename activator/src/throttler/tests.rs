use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use proxy::Timeouts;

use super::*;

fn settings(concurrency: usize) -> RevisionSettings {
    RevisionSettings {
        concurrency: NonZeroUsize::new(concurrency),
        timeouts: Timeouts::default(),
        protocol: Protocol::Http1,
        trust_own_probe: true,
    }
}

fn throttler(concurrency: usize, bounds: Bounds) -> Arc<Throttler> {
    Throttler::new(
        &settings(concurrency),
        bounds,
        Arc::default(),
        Upstreams::default(),
        TaskTracker::new(),
    )
}

fn pods(ready: &[(u16, bool)]) -> Vec<Address> {
    ready
        .iter()
        .map(|(port, ready)| Address {
            addr: ([127, 0, 0, 1], *port).into(),
            ready: *ready,
        })
        .collect()
}

fn port(slot: &Slot) -> u16 {
    slot.upstream().addr().port()
}

/// An address on which nobody listens.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[tokio::test]
async fn slots_are_given_exactly_and_in_order_of_arrival() {
    let throttler = throttler(2, Bounds::default());
    throttler.set_pods(&pods(&[(1, true)]));
    let running = [
        throttler.acquire(1).await.unwrap(),
        throttler.acquire(1).await.unwrap(),
    ];
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(throttler.acquire(1))).collect();
    for wait in &mut waiting {
        assert!(futures::poll!(wait.as_mut()).is_pending());
    }
    assert!(throttler.try_acquire().is_none(), "nobody overtakes the queue");
    assert_eq!((throttler.in_flight(), throttler.queued()), (2, 3));
    let [first, second] = running;
    drop(first);
    assert!(futures::poll!(waiting[1].as_mut()).is_pending());
    let slot = waiting.remove(0).await.unwrap();
    assert!(slot.waited());
    assert_eq!(throttler.in_flight(), 2);
    // A new pod serves the rest at once.
    throttler.set_pods(&pods(&[(1, true), (2, true)]));
    let rest = futures::future::join_all(waiting).await;
    assert!(rest.iter().all(|slot| port(slot.as_ref().unwrap()) == 2));
    drop((rest, slot, second));
    assert_eq!((throttler.in_flight(), throttler.queued()), (0, 0));
}

#[tokio::test]
async fn a_waiter_that_leaves_neither_keeps_nor_loses_a_slot() {
    let throttler = throttler(1, Bounds::default());
    throttler.set_pods(&pods(&[(1, true)]));
    let running = throttler.acquire(1).await.unwrap();
    let mut leaves_before = Box::pin(throttler.acquire(1));
    let mut leaves_after = Box::pin(throttler.acquire(1));
    let mut stays = Box::pin(throttler.acquire(1));
    for wait in [&mut leaves_before, &mut leaves_after, &mut stays] {
        assert!(futures::poll!(wait.as_mut()).is_pending());
    }
    drop(leaves_before);
    assert_eq!(throttler.queued(), 2);
    drop(running);
    // It was given the slot, but leaves before it looks.
    drop(leaves_after);
    assert_eq!(port(&stays.await.unwrap()), 1);
    assert_eq!((throttler.in_flight(), throttler.queued()), (0, 0));
}

#[tokio::test]
async fn the_queue_is_bounded_by_count_and_by_bytes() {
    let bounds = Bounds {
        requests: 3,
        bytes: 100,
        total_bytes: 150,
    };
    let total: Arc<AtomicUsize> = Arc::default();
    let new = || {
        Throttler::new(
            &settings(1),
            bounds,
            total.clone(),
            Upstreams::default(),
            TaskTracker::new(),
        )
    };
    let (a, b) = (new(), new());
    let mut waiting = Vec::new();
    let mut join = async |throttler: &Arc<Throttler>, bytes| {
        let throttler = throttler.clone();
        let mut wait = Box::pin(async move { throttler.acquire(bytes).await });
        let refused = futures::poll!(wait.as_mut()).is_ready();
        waiting.push(wait);
        !refused
    };
    assert!(join(&a, 60).await);
    assert!(!join(&a, 60).await, "past the revision's bytes");
    assert!(join(&a, 20).await && join(&a, 20).await);
    assert!(!join(&a, 0).await, "past the revision's requests");
    assert!(join(&b, 50).await);
    assert!(!join(&b, 1).await, "past the bytes of all");
    assert_eq!(total.load(Ordering::SeqCst), 150);
    drop(waiting);
    assert_eq!(total.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_deleted_revision_lets_everybody_go() {
    let throttler = throttler(1, Bounds::default());
    let mut waiting = Box::pin(throttler.acquire(1));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    throttler.close();
    assert_eq!(waiting.await.unwrap_err(), Refused::Gone);
    assert_eq!(throttler.acquire(1).await.unwrap_err(), Refused::Gone);
}

#[tokio::test]
async fn pods_that_go_away_finish_their_requests_and_get_no_more() {
    let throttler = throttler(1, Bounds::default());
    throttler.set_pods(&pods(&[(1, true), (2, true)]));
    let on_first = throttler.acquire(1).await.unwrap();
    assert_eq!(port(&on_first), 1);
    throttler.set_pods(&pods(&[(2, true)]));
    assert_eq!(throttler.in_flight(), 1);
    let on_second = throttler.acquire(1).await.unwrap();
    assert_eq!(port(&on_second), 2);
    // The same address comes back while its old request runs: the slot is still taken.
    throttler.set_pods(&pods(&[(1, true), (2, true)]));
    assert!(throttler.try_acquire().is_none());
    drop(on_first);
    assert_eq!(port(&throttler.try_acquire().unwrap()), 1);
}

#[tokio::test]
async fn a_pod_not_ready_is_probed_only_while_somebody_waits() {
    let throttler = throttler(0, Bounds::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    throttler.set_pods(&[Address { addr, ready: false }]);
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept())
            .await
            .is_err(),
        "nobody waits, nobody asks"
    );
    let mut waiting = Box::pin(throttler.acquire(1));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    // The first probe is refused, a later one succeeds.
    let pod = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for answer in [
            "HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nqueue",
        ] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..n]).to_lowercase();
            assert!(
                head.contains("k-network-probe: queue") && head.contains("knative-activator-probe"),
                "{head}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let slot = tokio::time::timeout(std::time::Duration::from_secs(5), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(slot.upstream().addr(), addr);
    assert!(slot.probed_at().is_some());
    pod.await.unwrap();
    // Kubernetes still calls it not ready; the probe is trusted until it says ready and then not.
    throttler.set_pods(&[Address { addr, ready: false }]);
    assert_eq!(throttler.usable_pods(), 1);
    throttler.set_pods(&[Address { addr, ready: true }]);
    throttler.set_pods(&[Address { addr, ready: false }]);
    assert_eq!(throttler.usable_pods(), 0);
}

#[tokio::test]
async fn own_probes_do_not_count_when_only_kubelet_can_tell() {
    let throttler = throttler(0, Bounds::default());
    throttler.configure(&RevisionSettings {
        trust_own_probe: false,
        ..settings(0)
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    throttler.set_pods(&[Address { addr, ready: false }]);
    let mut waiting = Box::pin(throttler.acquire(1));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(100), listener.accept())
            .await
            .is_err()
    );
    throttler.set_pods(&[Address { addr, ready: true }]);
    assert!(waiting.await.is_ok());
}

#[tokio::test]
async fn an_unreachable_pod_gets_no_requests_until_it_answers() {
    let throttler = throttler(0, Bounds::default());
    let (dead, alive) = (nobody(), nobody());
    let mut addresses = [
        Address {
            addr: dead,
            ready: true,
        },
        Address {
            addr: alive,
            ready: true,
        },
    ];
    addresses.sort();
    throttler.set_pods(&addresses);
    loop {
        let slot = throttler.try_acquire().unwrap();
        if slot.upstream().addr() == dead {
            slot.suspect();
            break;
        }
    }
    for _ in 0..20 {
        assert_eq!(throttler.try_acquire().unwrap().upstream().addr(), alive);
    }
}

#[tokio::test]
async fn activators_use_their_own_share_of_limited_pods() {
    let throttler = throttler(1, Bounds::default());
    throttler.set_pods(&pods(&[(1, true), (2, true), (3, true), (4, true)]));
    throttler.set_share(Some((1, 2)));
    let slots = [throttler.try_acquire().unwrap(), throttler.try_acquire().unwrap()];
    assert_eq!(slots.each_ref().map(port), [3, 4]);
    assert!(throttler.try_acquire().is_none());
    throttler.set_share(None);
    assert!(throttler.try_acquire().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_comings_and_goings_never_exceeds_the_limit() {
    let throttler = throttler(2, Bounds::default());
    throttler.set_pods(&pods(&[(1, true), (2, true), (3, true)]));
    let running = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..600u64)
        .map(|i| {
            let (throttler, running) = (throttler.clone(), running.clone());
            tokio::spawn(async move {
                let patience = std::time::Duration::from_micros(if i % 5 == 0 { i } else { 10_000_000 });
                let Ok(slot) = tokio::time::timeout(patience, throttler.acquire(1)).await else {
                    return 0;
                };
                let _slot = slot.unwrap();
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                now
            })
        })
        .collect();
    let most = futures::future::join_all(tasks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .max()
        .unwrap();
    assert!(most <= 6, "{most}");
    assert_eq!((throttler.in_flight(), throttler.queued()), (0, 0));
}
