//! `/livez`, `/readyz`, `/healthz`: the parts of the server, one line each when asked with `?verbose`
//! (`k8s.io/apiserver/pkg/server/healthz`).

use http::request::Parts;
use http::{Response, StatusCode};

use super::respond::text;
use crate::body::ResponseBody;
use crate::server::ApiServer;

/// One part, and what is wrong with it.
type Check = (&'static str, Result<(), String>);

/// Answers a health path; `None` for all other paths.
pub(super) fn answer(server: &ApiServer, parts: &Parts) -> Option<Response<ResponseBody>> {
    let path = parts.uri.path().trim_matches('/');
    let (kind, single) = path.split_once('/').unwrap_or((path, ""));
    let checks = match kind {
        "livez" | "healthz" => vec![ping(), store(server)],
        "readyz" => vec![ping(), store(server), shutdown(server)],
        _ => return None,
    };
    let query = parts.uri.query().unwrap_or_default();
    let pairs = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut verbose = false;
    let mut excluded = Vec::new();
    for (key, value) in pairs {
        match key {
            "verbose" => verbose = !matches!(value, "false" | "0"),
            "exclude" => excluded.push(value),
            _ => {}
        }
    }
    if !single.is_empty() {
        let (_, result) = checks.into_iter().find(|(name, _)| *name == single)?;
        return Some(match result {
            Ok(()) => text(StatusCode::OK, "ok"),
            Err(why) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                format!("{single} failed: {why}\n"),
            ),
        });
    }
    let (healthy, report) = report(kind, &checks, &excluded);
    Some(match (healthy, verbose) {
        (true, false) => text(StatusCode::OK, "ok"),
        (true, true) => text(StatusCode::OK, report),
        (false, _) => text(StatusCode::INTERNAL_SERVER_ERROR, report),
    })
}

fn ping() -> Check {
    ("ping", Ok(()))
}

/// Under the name that operators look for.
fn store(server: &ApiServer) -> Check {
    let broken = server.inner.registry.store.trouble();
    ("etcd", broken.map_or(Ok(()), Err))
}

fn shutdown(server: &ApiServer) -> Check {
    let open = server.inner.registry.store.is_open();
    (
        "shutdown",
        open.then_some(())
            .ok_or_else(|| "process is shutting down".to_owned()),
    )
}

fn report(kind: &str, checks: &[Check], excluded: &[&str]) -> (bool, String) {
    let mut lines = String::new();
    let mut healthy = true;
    for (name, result) in checks {
        lines.push_str(&match result {
            _ if excluded.contains(name) => format!("[+]{name} excluded: ok\n"),
            Ok(()) => format!("[+]{name} ok\n"),
            Err(why) => {
                healthy = false;
                format!("[-]{name} failed: {why}\n")
            }
        });
    }
    lines.push_str(&format!(
        "{kind} check {}\n",
        if healthy { "passed" } else { "failed" }
    ));
    (healthy, lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_name_each_part() {
        let good = [("ping", Ok(())), ("etcd", Ok(()))];
        assert_eq!(
            report("livez", &good, &[]),
            (true, "[+]ping ok\n[+]etcd ok\nlivez check passed\n".to_owned())
        );
        let bad = [("ping", Ok(())), ("etcd", Err("disk full".to_owned()))];
        assert_eq!(
            report("readyz", &bad, &[]),
            (
                false,
                "[+]ping ok\n[-]etcd failed: disk full\nreadyz check failed\n".to_owned()
            )
        );
        assert!(report("readyz", &bad, &["etcd"]).0);
    }
}
