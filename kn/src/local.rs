//! What an instance on this machine says of itself: the client finds its kubeconfig, and the port of its gateway.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Folders that `spindrift up` stores in by default: that of the system, and that of a person.
pub fn folders() -> Vec<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    [
        Some(PathBuf::from("/var/lib/spindrift")),
        data.map(|data| data.join("spindrift")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The port of the gateway whose API is at `api`, if that instance runs on this machine and its state is in one of
/// `folders`; `None` also if it is the port that a URL without one means.
pub fn gateway_port(folders: &[PathBuf], api: &str) -> Option<u16> {
    folders
        .iter()
        .find_map(|folder| read(folder, api))
        .filter(|port| *port != 80)
}

fn read(folder: &Path, api: &str) -> Option<u16> {
    let run = instance(folder, api)?;
    let gateway: http::Uri = run["gatewayUrl"].as_str()?.parse().ok()?;
    Some(gateway.port_u16().unwrap_or(80))
}

/// What the instance whose state is in `folder` says of itself, if its API is at `api`.
fn instance(folder: &Path, api: &str) -> Option<Value> {
    let run: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("run.json")).ok()?).ok()?;
    let same = run["apiUrl"].as_str()?.trim_end_matches('/') == api.trim_end_matches('/');
    same.then_some(run)
}

/// A URL with another port.
pub fn at_port(url: &str, port: u16) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let (host, path) = (uri.host()?, uri.path().trim_end_matches('/'));
    (uri.scheme_str() == Some("http") && uri.port().is_none()).then(|| format!("http://{host}:{port}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_same_instance() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        let write = |gateway: &str| {
            let run = serde_json::json!({ "apiUrl": "https://127.0.0.1:6443", "gatewayUrl": gateway });
            std::fs::write(folder.path().join("run.json"), run.to_string()).unwrap();
        };
        write("http://localhost:8080/");
        assert_eq!(gateway_port(&folders, "https://127.0.0.1:6443/"), Some(8080));
        assert_eq!(gateway_port(&folders, "https://127.0.0.1:7443/"), None);
        write("http://localhost/");
        assert_eq!(gateway_port(&folders, "https://127.0.0.1:6443/"), None);
        std::fs::write(folder.path().join("run.json"), "{").unwrap();
        assert_eq!(gateway_port(&folders, "https://127.0.0.1:6443/"), None);
    }

    #[test]
    fn only_plain_urls_get_another_port() {
        let cases = [
            (
                "http://web.default.localhost",
                Some("http://web.default.localhost:8080"),
            ),
            (
                "http://web.default.localhost/a/",
                Some("http://web.default.localhost:8080/a"),
            ),
            ("https://web.example.com", None),
            ("http://web.example.com:81", None),
            ("", None),
        ];
        for (url, expected) in cases {
            assert_eq!(at_port(url, 8080).as_deref(), expected, "{url}");
        }
    }
}
