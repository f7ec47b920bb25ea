//! Elections against an API server of a few lines, in time that is only told.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;

/// One lease, and what was asked for.
#[derive(Default)]
struct Server {
    lease: Option<Value>,
    version: u64,
    requests: Vec<Method>,
    /// Answers nothing but faults.
    is_down: bool,
    /// Answers nothing at all.
    hangs: bool,
}

impl Server {
    fn answer(&mut self, method: &Method, body: Option<Value>) -> (StatusCode, Value) {
        self.requests.push(method.clone());
        let failed = |code: StatusCode| {
            let reason = match code {
                StatusCode::NOT_FOUND => "NotFound",
                StatusCode::CONFLICT => "Conflict",
                _ => "ServiceUnavailable",
            };
            let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no",
                "reason": reason, "code": code.as_u16()});
            (code, status)
        };
        if self.is_down {
            return failed(StatusCode::SERVICE_UNAVAILABLE);
        }
        match (method, body) {
            (&Method::GET, _) => match &self.lease {
                Some(lease) => (StatusCode::OK, lease.clone()),
                None => failed(StatusCode::NOT_FOUND),
            },
            (&Method::PUT, Some(lease)) => match &self.lease {
                None => failed(StatusCode::NOT_FOUND),
                Some(stored)
                    if stored["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"] =>
                {
                    failed(StatusCode::CONFLICT)
                }
                Some(_) => (StatusCode::OK, self.store(lease)),
            },
            (&Method::POST, Some(lease)) => (StatusCode::CREATED, self.store(lease)),
            _ => failed(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn store(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }

    /// The requests since the last call.
    fn asked(&mut self) -> Vec<Method> {
        std::mem::take(&mut self.requests)
    }
}

fn election(server: &Arc<Mutex<Server>>, identity: &str) -> (Leadership, Election) {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map(|body| body.to_bytes())
                .unwrap_or_default();
            if server.lock().hangs {
                std::future::pending::<()>().await;
            }
            let (code, answer) = server
                .lock()
                .answer(&parts.method, serde_json::from_slice(&body).ok());
            let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
            *response.status_mut() = code;
            Ok::<_, Infallible>(response)
        }
    });
    let client = kube::Client::new(service, "default");
    let election = Election::new(
        client,
        "default",
        "controller.test.00-of-01",
        identity,
        Timing::default(),
    );
    (election.leadership(), election)
}

/// Ends a test whose election goes on for ever without what it waits for.
async fn soon(change: impl Future<Output = ()>) {
    tokio::time::timeout(Duration::from_secs(60), change)
        .await
        .unwrap();
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_only_updates_and_reads_again_when_somebody_else_wrote() {
    let server = Arc::new(Mutex::new(Server::default()));
    let (mut leadership, election) = election(&server, "a_1");
    let task = tokio::spawn(election.run(std::future::pending()));
    soon(leadership.gained()).await;
    assert_eq!(server.lock().asked(), [Method::GET, Method::POST]);
    pass(21).await;
    assert_eq!(
        server.lock().asked(),
        vec![Method::PUT; 10],
        "one each two seconds"
    );

    let marked = |server: &mut Server| {
        let mut lease = server.lease.clone().unwrap();
        lease["metadata"]["annotations"] = json!({"seen": "by somebody"});
        server.store(lease);
    };
    marked(&mut server.lock());
    pass(2).await;
    assert_eq!(
        server.lock().asked(),
        [Method::PUT, Method::GET, Method::PUT],
        "conflict, look, renew"
    );
    assert!(leadership.is_leader());

    server.lock().lease = None;
    pass(2).await;
    assert_eq!(
        server.lock().asked(),
        [Method::PUT, Method::GET, Method::POST],
        "deleted"
    );
    assert!(leadership.is_leader());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_follower_takes_over_when_the_lease_ends_and_the_leader_stepped_down_before() {
    for hangs in [false, true] {
        let (first_door, second_door) = (Server::default(), Server::default());
        // Two doors to one lease: what is cut off is the first candidate alone.
        let (first_server, second_server) = (
            Arc::new(Mutex::new(first_door)),
            Arc::new(Mutex::new(second_door)),
        );
        let (mut first, election_of_first) = election(&first_server, "a_1");
        let leader = tokio::spawn(election_of_first.run(std::future::pending()));
        soon(first.gained()).await;
        pass(1).await;
        {
            let lease = first_server.lock().lease.clone().unwrap();
            second_server.lock().store(lease);
        }
        let cut = Instant::now();
        {
            let mut server = first_server.lock();
            (server.is_down, server.hangs) = (!hangs, hangs);
        }
        let (mut second, election_of_second) = election(&second_server, "b_2");
        let follower = tokio::spawn(election_of_second.run(std::future::pending()));
        soon(first.lost()).await;
        let stepped_down = cut.elapsed();
        assert!(
            stepped_down <= Duration::from_secs(3) + Duration::from_millis(10),
            "four seconds after its last renewal, a second before: {stepped_down:?}"
        );
        assert!(!second.is_leader());
        soon(second.gained()).await;
        let taken = cut.elapsed();
        assert!(
            taken >= Duration::from_secs(5) && taken < Duration::from_millis(5100),
            "when the lease ends, not at the next turn: {taken:?}"
        );
        let holder = second_server.lock().lease.clone().unwrap()["spec"]["holderIdentity"].clone();
        assert_eq!(holder, "b_2");
        leader.abort();
        follower.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_fault_does_not_end_leadership() {
    let server = Arc::new(Mutex::new(Server::default()));
    let (mut leadership, election) = election(&server, "a_1");
    let task = tokio::spawn(election.run(std::future::pending()));
    soon(leadership.gained()).await;
    pass(1).await;
    server.lock().is_down = true;
    pass(2).await;
    server.lock().is_down = false;
    server.lock().asked();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(
        server.lock().asked(),
        [Method::PUT],
        "tried again before the usual pause is over"
    );
    assert!(leadership.is_leader());
    task.abort();
}
