//! Requests by the hundred, without a program for each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::Platform;

/// `kubectl proxy`: the API without TLS.
pub struct ApiProxy {
    child: Child,
    port: u16,
}

impl ApiProxy {
    /// # Errors
    /// If `kubectl` does not tell its port.
    pub fn start(platform: &Platform) -> anyhow::Result<Self> {
        let mut child = Command::new("kubectl")
            .arg("--kubeconfig")
            .arg(platform.data_dir().join("kubeconfig"))
            .args(["proxy", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        Ok(Self {
            child,
            port: port.with_context(|| format!("no port in {line:?}"))?,
        })
    }

    /// Sends `object` to the collection at `path`; whether its creation was acknowledged.
    pub fn created(&self, path: &str, object: &serde_json::Value) -> bool {
        matches!(
            send(self.port, "localhost", "POST", path, &object.to_string()),
            Ok(201)
        )
    }
}

impl Drop for ApiProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request to this machine and gives the status code.
///
/// # Errors
/// If the answer was cut off: that is none.
pub fn send(port: u16, host: &str, method: &str, path: &str, body: &str) -> anyhow::Result<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let code = answer.get(9..12).and_then(|code| std::str::from_utf8(code).ok());
    ensure!(answer.windows(4).any(|end| end == b"\r\n\r\n"), "cut off");
    Ok(code.context("no status")?.parse()?)
}
