//! Registries that misbehave, each in its own way.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::images::digest;

/// What a registry does to whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Takes the request and never answers.
    Hangs,
    /// Wants credentials that nobody has.
    Unauthorized,
    /// Fails.
    Broken,
    /// Sends a layer with other content than its digest says.
    WrongBytes,
    /// Begins to send a layer, and never goes on.
    Stalls,
}

/// A running registry; it lives as long as the test program.
#[derive(Clone, Debug)]
pub struct Registry {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Registry {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// If there is none.
    pub fn start(fault: Fault) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let registry = Self {
            port: listener.local_addr()?.port(),
            requests: Arc::default(),
        };
        let requests = Arc::clone(&registry.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = Arc::clone(&requests);
                std::thread::spawn(move || serve(stream, fault, &requests));
            }
        });
        Ok(registry)
    }

    /// An image that it claims to have.
    pub fn image(&self) -> String {
        format!("localhost:{}/app:v1", self.port)
    }

    /// The same by digest, which needs no lookup.
    pub fn pinned(&self) -> String {
        format!("localhost:{}/app@{}", self.port, digest(&Content::new().manifest))
    }

    /// How often it was asked.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

struct Content {
    config: Vec<u8>,
    layer: Vec<u8>,
    manifest: Vec<u8>,
}

impl Content {
    fn new() -> Self {
        let layer = vec![b'x'; 1000];
        let config = json!({"architecture": "amd64", "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest(&layer)]}});
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config),
                "size": config.len()},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer),
                "size": layer.len()}],
        });
        Self {
            manifest: manifest.to_string().into_bytes(),
            config,
            layer,
        }
    }
}

/// Answers the requests of one connection; ends with it.
fn serve(mut stream: TcpStream, fault: Fault, requests: &AtomicUsize) -> Option<()> {
    let content = Content::new();
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    loop {
        let first = lines.next()?.ok()?;
        while !lines.next()?.ok()?.is_empty() {}
        requests.fetch_add(1, Ordering::Relaxed);
        let mut words = first.split(' ');
        let (head, path) = (words.next()? == "HEAD", words.next()?);
        let layer = path.ends_with(&digest(&content.layer));
        let (status, body, sent) = match fault {
            Fault::Hangs => loop {
                std::thread::park();
            },
            Fault::Unauthorized => ("401 Unauthorized", Vec::new(), 0),
            Fault::Broken => ("500 Internal Server Error", Vec::new(), 0),
            Fault::WrongBytes if layer => ("200 OK", vec![b'y'; 1000], 1000),
            Fault::Stalls if layer => ("200 OK", content.layer.clone(), 10),
            _ if path.contains("/manifests/") => ("200 OK", content.manifest.clone(), content.manifest.len()),
            _ if path.contains("/blobs/") => ("200 OK", content.config.clone(), content.config.len()),
            _ => ("200 OK", Vec::new(), 0),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/vnd.oci.image.manifest.v1+json\r\n\
             WWW-Authenticate: Basic realm=\"test\"\r\nDocker-Content-Digest: {}\r\nContent-Length: {}\r\n\r\n",
            digest(&content.manifest),
            body.len()
        )
        .ok()?;
        if !head {
            stream.write_all(body.get(..sent)?).ok()?;
            while sent < body.len() {
                std::thread::park();
            }
        }
    }
}
