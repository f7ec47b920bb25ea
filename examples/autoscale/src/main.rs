//! Requests that take a while: `/?sleep=500` answers after 500 ms, with the pod's name and how many it had in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use example_server::{Body, full, serve, variable};
use hyper::{Request, Response};

/// Longest sleep that a request may ask for, milliseconds.
const LONGEST: u64 = 60_000;

#[derive(Default)]
struct InFlight {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One request in flight, until it is dropped: also when its client leaves.
struct Held(Arc<InFlight>);

impl Held {
    fn new(count: Arc<InFlight>) -> Self {
        let now = count.now.fetch_add(1, Ordering::SeqCst) + 1;
        count.most.fetch_max(now, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn main() -> std::io::Result<()> {
    let pod: Arc<str> = variable("HOSTNAME").unwrap_or_else(|| "nobody".to_owned()).into();
    let count = Arc::new(InFlight::default());
    serve(move |request: Request<_>| {
        let held = Held::new(count.clone());
        let sleep = sleep_of(request.uri().query().unwrap_or_default());
        answer(pod.clone(), held, sleep)
    })
}

async fn answer(pod: Arc<str>, held: Held, sleep: Duration) -> Response<Body> {
    tokio::time::sleep(sleep).await;
    let now = held.0.now.load(Ordering::SeqCst);
    let most = held.0.most.load(Ordering::SeqCst);
    Response::new(full(format!("pod={pod} in-flight={now} most={most}\n")))
}

/// The time that a query asks for.
fn sleep_of(query: &str) -> Duration {
    let millis = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("sleep="))
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    Duration::from_millis(std::cmp::min(millis, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::{Duration, sleep_of};

    #[test]
    fn the_query_says_how_long_and_not_too_long() {
        for (query, millis) in [
            ("", 0),
            ("sleep=5", 5),
            ("a=1&sleep=7&b", 7),
            ("sleep=x", 0),
            ("sleep=99999999", 60_000),
        ] {
            assert_eq!(sleep_of(query), Duration::from_millis(millis), "{query}");
        }
    }
}
