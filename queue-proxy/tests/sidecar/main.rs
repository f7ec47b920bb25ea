//! The whole sidecar over real sockets, with an application in process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test"
)]

mod application;
mod client;
mod drain;
mod hostile;
mod limits;
mod probes;
mod protocols;

use std::collections::HashMap;
use std::time::Duration;

use application::Application;
use queue_proxy::{Addresses, Config, Ports, QueueProxy};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything in these tests.
const SOON: Duration = Duration::from_secs(10);

/// A running sidecar with its application.
struct Sidecar {
    at: Addresses,
    app: Application,
    terminate: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Sidecar {
    async fn start(env: &[(&str, &str)]) -> Self {
        let app = Application::start().await;
        let mut env: HashMap<String, String> = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        env.entry("USER_PORT".into())
            .or_insert_with(|| app.addr.port().to_string());
        env.insert("SERVING_POD".into(), "pod-1".into());
        let mut config = Config::from_env(|name| env.get(name).cloned()).unwrap();
        config.ports = Ports {
            serving: 0,
            admin: 0,
            autometric: 0,
            usermetric: 0,
        };
        config.quiet_period = Duration::from_millis(300);
        let proxy = QueueProxy::bind(config).await.unwrap();
        let at = local(proxy.addresses().unwrap());
        let terminate = CancellationToken::new();
        let task = tokio::spawn(proxy.run(terminate.clone()));
        Self {
            at,
            app,
            terminate,
            task,
        }
    }
}

/// Listeners are bound to all addresses; tests go by loopback.
fn local(at: Addresses) -> Addresses {
    let loopback = |addr: std::net::SocketAddr| ([127, 0, 0, 1], addr.port()).into();
    Addresses {
        serving: loopback(at.serving),
        admin: loopback(at.admin),
        autometric: loopback(at.autometric),
        usermetric: loopback(at.usermetric),
    }
}

/// Fails instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("in time")
}
