//! The data plane over a real API server, a real log and real sockets.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod plane;
pub mod subscriber;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
pub use test_api::eventually;

/// Long enough for a busy machine; nothing waits for it when all is well.
pub const SOON: Duration = Duration::from_secs(60);

/// An answer with its body.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// A producer.
#[derive(Clone)]
pub struct Producer(Client<HttpConnector, Full<Bytes>>);

impl Default for Producer {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

impl Producer {
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        let response: Response<_> = self.0.request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            text: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// A binary event with these headers besides the required ones.
    pub async fn event(&self, url: &str, id: &str, more: &[(&str, &str)], body: &'static str) -> Answer {
        let required = [
            ("ce-specversion", "1.0"),
            ("ce-source", "/test"),
            ("ce-type", "dev.example"),
            ("ce-id", id),
        ];
        let headers: Vec<_> = required
            .into_iter()
            .filter(|(name, _)| !more.iter().any(|(known, _)| known == name))
            .chain(more.iter().copied())
            .collect();
        self.send(Method::POST, url, &headers, body).await
    }
}
