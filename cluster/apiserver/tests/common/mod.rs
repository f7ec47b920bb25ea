//! What every test of the server needs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses its part")]

pub mod webhook;

use cluster_apiserver::{ApiServer, Config};
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::json;
use tempfile::TempDir;

/// A fresh server in a directory that is removed with the guard.
pub async fn server() -> (ApiServer, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = reopen(&dir).await;
    (server, dir)
}

/// A server over what an earlier one left.
pub async fn reopen(dir: &TempDir) -> ApiServer {
    ApiServer::open(Config::ephemeral(dir.path())).await.unwrap()
}

pub fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": {"k": value}})).unwrap()
}
