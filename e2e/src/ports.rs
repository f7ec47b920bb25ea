//! Ports of an instance's own, so that another one cannot take them while it is being restarted.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::ensure;

/// Below the range from which the kernel gives ports to clients.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// The ports of one instance.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    http: u16,
    api: u16,
    registry: u16,
}

impl Ports {
    /// Ports that are free and that this program has given to no other instance.
    ///
    /// # Errors
    /// If there are none.
    pub fn free() -> anyhow::Result<Self> {
        Ok(Self {
            http: free_port()?,
            api: free_port()?,
            registry: free_port()?,
        })
    }

    /// As `spindrift up` takes them.
    pub fn arguments(self) -> Vec<String> {
        let Self { http, api, registry } = self;
        [
            ("--http-port", http),
            ("--api-port", api),
            ("--registry-port", registry),
        ]
        .into_iter()
        .flat_map(|(flag, port)| [flag.to_owned(), port.to_string()])
        .collect()
    }
}

/// A port that is free and that this program has not given away before.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(FIRST);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        ensure!(port < LAST, "no port from {FIRST} to {LAST} is free");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
