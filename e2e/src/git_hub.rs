//! Plays the API of GitHub: a server that keeps webhooks, and what was asked of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde_json::Value;

/// Method, path and body of each call.
type Calls = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A running server; it lives as long as the test program.
pub struct GitHub {
    url: String,
    calls: Calls,
}

impl GitHub {
    /// Serves at `address`, which programs of the platform reach, on a port of its own.
    ///
    /// # Errors
    /// If nothing can listen there.
    pub fn start(address: &str) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let calls = Calls::default();
        let seen = calls.clone();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                // Whoever sends nonsense gets no answer.
                let _ = answer(stream, &seen);
            }
        });
        Ok(Self { url, calls })
    }

    /// Scheme, host and port.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Path and body of the calls of one method.
    pub fn called(&self, method: &str) -> Vec<(String, Value)> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = calls.iter().filter(|(called, ..)| called == method);
        wanted
            .map(|(_, path, body)| (path.clone(), body.clone()))
            .collect()
    }
}

fn answer(stream: TcpStream, calls: &Calls) -> anyhow::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = words.next().zip(words.next()).context("no request line")?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, text) = match method.as_str() {
        "GET" => ("200 OK", "[]"),
        "POST" => ("201 Created", r#"{"id": 17}"#),
        "PATCH" => ("200 OK", r#"{"id": 17}"#),
        _ => ("204 No Content", ""),
    };
    let body = serde_json::from_slice(&body).unwrap_or_default();
    calls
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push((method, path, body));
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    )?;
    Ok(())
}
