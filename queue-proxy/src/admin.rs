//! `/wait-for-drain`: the user containers' preStop hook waits here, which delays their SIGTERM.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use proxy::drain::Drainer;
use proxy::error::text;
use proxy::{Body, Failure, Handler};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const WAIT_FOR_DRAIN: &str = "/wait-for-drain";
/// A pod's containers are told to stop together. When our own signal has not come by then, only the user container is
/// restarted (its liveness probe failed), and the pod goes on.
const SIGNAL_LAG: Duration = Duration::from_secs(1);

pub(crate) struct Admin {
    pub(crate) drainer: Arc<Drainer>,
    pub(crate) terminate: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Handler for Admin {
    async fn handle(self: Arc<Self>, request: Request<Body>, _peer: SocketAddr) -> Response<Body> {
        if request.uri().path() != WAIT_FOR_DRAIN {
            return Failure::NotFound("only /wait-for-drain is here".into()).response();
        }
        let (drainer, terminate) = (self.drainer.clone(), self.terminate.clone());
        // Not part of this request: the kubelet may hang up.
        self.tasks.spawn(async move {
            tokio::select! {
                () = terminate.cancelled() => {}
                () = tokio::time::sleep(SIGNAL_LAG) => {
                    tracing::info!("No signal followed the call to drain: the drain is taken back");
                    drainer.reset();
                }
            }
        });
        let drained = self.drainer.drain().await;
        tracing::info!(outcome = ?drained, "Drain is over");
        text(StatusCode::OK, "")
    }
}
