//! Chooses ports: the one asked for or an error, the usual one or the next that is free.

use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::path::Path;

use tokio::net::TcpListener;

/// How many ports above the usual one are tried.
const TRIES: u16 = 100;

/// A listener on `asked` if given, else on `usual` or the first free port above it.
///
/// # Errors
/// One sentence for the user: which port is taken, and what to do.
pub fn bind(address: IpAddr, asked: Option<u16>, usual: u16, flag: &str) -> anyhow::Result<TcpListener> {
    if let Some(port) = asked {
        let listener = StdListener::bind(SocketAddr::new(address, port)).map_err(|error| {
            anyhow::anyhow!("cannot listen on {address}:{port} ({error}): choose another port with {flag}, or leave it out to have a free one chosen")
        })?;
        return into_tokio(listener);
    }
    for port in usual..usual.saturating_add(TRIES) {
        if let Ok(listener) = StdListener::bind(SocketAddr::new(address, port)) {
            return into_tokio(listener);
        }
    }
    anyhow::bail!(
        "none of the ports {usual} to {} is free on {address}: choose one with {flag}",
        usual + TRIES - 1
    )
}

/// As [`bind`], but first on the port of the last time, which is remembered in `file`: what names this instance by its
/// port, such as images by that of the registry, stays true over a restart.
///
/// # Errors
/// As [`bind`].
pub fn bind_again(
    file: &Path,
    address: IpAddr,
    asked: Option<u16>,
    usual: u16,
    flag: &str,
) -> anyhow::Result<TcpListener> {
    let before: Option<u16> = std::fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse().ok());
    let again = before.filter(|_| asked.is_none()).and_then(|port| {
        let listener = try_bind(SocketAddr::new(address, port));
        if listener.is_none() {
            tracing::warn!(
                port,
                flag,
                "The port of the last time is taken: what names this instance by it breaks"
            );
        }
        listener
    });
    let listener = match again {
        Some(listener) => listener,
        None => bind(address, asked, usual, flag)?,
    };
    let port = listener.local_addr()?.port();
    if before != Some(port)
        && let Err(error) = std::fs::write(file, format!("{port}\n"))
    {
        tracing::warn!(%error, file = %file.display(), "The port cannot be remembered");
    }
    Ok(listener)
}

/// A listener on `address` if it is free.
pub fn try_bind(address: SocketAddr) -> Option<TcpListener> {
    into_tokio(StdListener::bind(address).ok()?).ok()
}

fn into_tokio(listener: StdListener) -> anyhow::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    Ok(TcpListener::from_std(listener)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_restart_takes_the_same_port_while_it_is_free() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("port");
        let any = StdListener::bind((localhost, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let first = bind_again(&file, localhost, Some(any), 5000, "--x").unwrap();
        drop(first);
        let second = bind_again(&file, localhost, None, 5000, "--x").unwrap();
        assert_eq!(port(&second), any);
        let third = bind_again(&file, localhost, None, 5000, "--x").unwrap();
        assert_ne!(port(&third), any);
        drop(third);
    }

    #[tokio::test]
    async fn a_taken_port_is_avoided_unless_it_was_asked_for() {
        let localhost = IpAddr::from([127, 0, 0, 1]);
        let taken = StdListener::bind((localhost, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = bind(localhost, Some(port), 8080, "--http-port")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&port.to_string()) && error.contains("--http-port"),
            "{error}"
        );
        if port < u16::MAX - TRIES {
            let free = bind(localhost, None, port, "--http-port").unwrap();
            assert!(free.local_addr().unwrap().port() > port);
        }
    }
}
