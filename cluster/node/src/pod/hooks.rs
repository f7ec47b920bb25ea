//! Lifecycle hooks and the orderly stop of a container.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, LifecycleHandler};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use crate::probe::{Target, run_exec};
use crate::shim::protocol::Call;
use crate::signal;

/// Time that SIGTERM gets even when the hook used up the grace period (upstream: 2 s).
const MINIMUM_GRACE: Duration = Duration::from_secs(2);
/// A hook without a deadline of its own.
const POST_START_LIMIT: Duration = Duration::from_secs(600);

/// Runs a hook.
///
/// # Errors
/// Says why it failed.
async fn run(handler: &LifecycleHandler, target: &Target, limit: Duration) -> Result<(), String> {
    if let Some(exec) = &handler.exec {
        return run_exec(
            &target.shim,
            &target.container,
            exec.command.clone().unwrap_or_default(),
            limit,
        )
        .await;
    }
    if let Some(action) = &handler.http_get {
        return target.http(action, limit).await;
    }
    if let Some(pause) = &handler.sleep {
        sleep(Duration::from_secs(u64::try_from(pause.seconds).unwrap_or(0))).await;
    }
    Ok(())
}

/// The hook after the start.
pub(super) async fn post_start(container: &Container, target: &Target) -> Result<(), String> {
    match container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.post_start.as_ref())
    {
        Some(handler) => run(handler, target, POST_START_LIMIT).await,
        None => Ok(()),
    }
}

/// Hook, signal, grace period, SIGKILL. The caller aborts it when the container has ended. `hook_failed` is told why
/// the hook failed, if it did.
pub(super) async fn stop(
    container: Container,
    target: Target,
    stop_signal: i32,
    grace: Duration,
    hook_failed: impl FnOnce(String),
) {
    let end = Instant::now() + grace;
    if !grace.is_zero()
        && let Some(handler) = container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.pre_stop.as_ref())
    {
        match timeout_at(end, run(handler, &target, grace)).await {
            Ok(Ok(())) => {}
            Ok(Err(message)) => hook_failed(message),
            Err(_) => hook_failed(format!("the hook took longer than the grace period of {grace:?}")),
        }
    }
    let send = async |number| {
        let _ = target
            .shim
            .call(Call::Signal {
                container: target.container.clone(),
                signal: number,
            })
            .await;
    };
    if !grace.is_zero() {
        send(stop_signal).await;
        sleep_until(end.max(Instant::now() + MINIMUM_GRACE.min(grace))).await;
    }
    send(signal::KILL).await;
}
