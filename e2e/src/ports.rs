//! Ports of an instance's own, so that another one cannot take them while it is being restarted.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::ensure;

/// The ports to choose from: below the range from which the kernel gives ports to clients.
const RANGE: Range<u16> = 10_000..32_000;

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
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(RANGE.end - RANGE.start);
    // Programs that run at the same time begin far from each other: a port may be free because its user is being restarted.
    let first = std::process::id().wrapping_mul(997);
    loop {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        ensure!(given < count, "no port of {RANGE:?} is free");
        let port = RANGE.start + u16::try_from(first.wrapping_add(given) % count)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}
