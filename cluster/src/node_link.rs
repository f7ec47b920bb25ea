//! The API server's way to the node agent.

use std::sync::Arc;

use cluster_apiserver::{LogOptions, LogStream, NodeApi, StatusError};
use cluster_node::{LogError, NodeAgent};
use futures::future::BoxFuture;
use parking_lot::RwLock;

/// The node agent, shared with the API server until it is stopped.
#[derive(Clone)]
pub struct SharedNode {
    agent: Arc<RwLock<Option<NodeAgent>>>,
}

impl SharedNode {
    pub fn new(agent: NodeAgent) -> Self {
        Self {
            agent: Arc::new(RwLock::new(Some(agent))),
        }
    }

    /// Takes the agent out, to stop it; requests from then on are told that it is gone.
    pub fn take(&self) -> Option<NodeAgent> {
        self.agent.write().take()
    }

    fn read(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: &LogOptions,
    ) -> Result<LogStream, StatusError> {
        let agent = self.agent.read();
        let Some(agent) = agent.as_ref() else {
            return Err(StatusError::new(
                503,
                "ServiceUnavailable",
                "the node agent is stopping",
            ));
        };
        let options = cluster_node::LogOptions {
            follow: options.follow,
            previous: options.previous,
            timestamps: options.timestamps,
            tail_lines: options.tail_lines,
            limit_bytes: options.limit_bytes,
            since_seconds: options.since_seconds,
            since_time: options.since_time,
        };
        match agent.logs(namespace, pod, container, options) {
            Ok(stream) => Ok(stream),
            Err(error @ LogError::NoPod(_)) => Err(StatusError::new(404, "NotFound", error.to_string())),
            Err(error @ LogError::BadRequest(_)) => Err(StatusError::bad_request(error.to_string())),
        }
    }
}

impl NodeApi for SharedNode {
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        container: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<LogStream, StatusError>> {
        let stream = self.read(namespace, pod, container, &options);
        Box::pin(async move { stream })
    }
}
