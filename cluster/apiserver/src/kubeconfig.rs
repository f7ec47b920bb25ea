//! The kubeconfig that lets a user's tools reach the server.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// What a kubeconfig must know about a server.
#[derive(Clone, Debug)]
pub struct KubeconfigEntry {
    /// Name of the cluster, the user and the context.
    pub name: String,
    /// URL, such as `https://127.0.0.1:6443`.
    pub server: String,
    /// The authority's certificate, PEM.
    pub ca_pem: String,
    /// Bearer token of the user.
    pub token: String,
}

/// Why a kubeconfig could not be written.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// The file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// The present file is not a kubeconfig; it is left alone.
    #[error("{path} is not a kubeconfig ({message}): move it away, or name another file")]
    Malformed {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
}

/// Adds the entry to a kubeconfig, replaces an older one of the same name, and leaves everything else as it is.
///
/// The context becomes the current one when `activate` is set, or when there was none.
pub fn merge_kubeconfig(present: Value, entry: &KubeconfigEntry, activate: bool) -> Value {
    let mut config = if present.is_object() { present } else { json!({}) };
    let named = [
        (
            "clusters",
            "cluster",
            json!({
                "server": entry.server,
                "certificate-authority-data": STANDARD.encode(&entry.ca_pem),
            }),
        ),
        ("users", "user", json!({"token": entry.token})),
        (
            "contexts",
            "context",
            json!({"cluster": entry.name, "user": entry.name}),
        ),
    ];
    for (list, item, value) in named {
        let entries = &mut config[list];
        if !entries.is_array() {
            *entries = json!([]);
        }
        if let Some(entries) = entries.as_array_mut() {
            entries.retain(|other| other["name"] != entry.name.as_str());
            entries.push(json!({"name": entry.name, item: value}));
        }
    }
    config["apiVersion"] = "v1".into();
    config["kind"] = "Config".into();
    if activate || config["current-context"].as_str().is_none_or(str::is_empty) {
        config["current-context"] = entry.name.clone().into();
    }
    config
}

/// Merges the entry into a file, which only its owner can read afterwards.
///
/// # Errors
/// When the file cannot be used, or is something else.
pub fn write_kubeconfig(path: &Path, entry: &KubeconfigEntry, activate: bool) -> Result<(), KubeconfigError> {
    let failed = |source| KubeconfigError::File {
        path: path.display().to_string(),
        source,
    };
    let present = match std::fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => json!({}),
        Ok(text) => serde_saphyr::from_str(&text).map_err(|error| KubeconfigError::Malformed {
            path: path.display().to_string(),
            message: error.to_string(),
        })?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
        Err(error) => return Err(failed(error)),
    };
    let merged = merge_kubeconfig(present, entry, activate);
    let text = serde_saphyr::to_string(&merged).map_err(|error| KubeconfigError::Malformed {
        path: path.display().to_string(),
        message: error.to_string(),
    })?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(failed)?;
    }
    crate::pki::write_private(path, text.as_bytes()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entry(server: &str) -> KubeconfigEntry {
        KubeconfigEntry {
            name: "spindrift".into(),
            server: server.into(),
            ca_pem: "pem".into(),
            token: "t".into(),
        }
    }

    #[test]
    fn other_clusters_and_the_current_context_stay() {
        let present = json!({
            "current-context": "work",
            "clusters": [{"name": "work", "cluster": {"server": "https://x"}}, {"name": "spindrift", "cluster": {}}],
            "preferences": {"colors": true},
        });
        let merged = merge_kubeconfig(present, &entry("https://127.0.0.1:1"), false);
        assert_eq!(merged["current-context"], "work");
        assert_eq!(merged["clusters"].as_array().unwrap().len(), 2);
        assert_eq!(merged["clusters"][1]["cluster"]["server"], "https://127.0.0.1:1");
        assert_eq!(merged["preferences"]["colors"], true);
        assert_eq!(
            merge_kubeconfig(merged, &entry("https://y"), true)["current-context"],
            "spindrift"
        );
    }

    #[test]
    fn the_file_is_private_and_a_foreign_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/config");
        write_kubeconfig(&path, &entry("https://x"), true).unwrap();
        write_kubeconfig(&path, &entry("https://y"), true).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains("https://y") && !text.contains("https://x"),
            "{text}"
        );
        std::fs::write(&path, "{ not: [yaml").unwrap();
        assert!(write_kubeconfig(&path, &entry("https://x"), true).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{ not: [yaml");
    }
}
