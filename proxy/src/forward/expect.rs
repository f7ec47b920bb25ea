//! `Expect: 100-continue`, end to end: the client is told to send its body only when the upstream asks for it.
//!
//! hyper's server answers 100 the moment somebody reads the body, and hyper's client would read it at once. So the body
//! is held back until the upstream's own 100 arrives, or its final answer, or until a second passed: a server that
//! knows nothing of `Expect` (RFC 9110 §10.1.1) just waits for the body.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::EXPECT;
use http::{Request, StatusCode};
use http_body::{Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use crate::body::{Body, BoxError};

/// Longest wait for the upstream's 100.
const PATIENCE: Duration = Duration::from_secs(1);

/// Opens the body.
pub(super) struct Asked(CancellationToken);

impl Asked {
    pub(super) fn open(self) {
        self.0.cancel();
    }
}

pub(super) fn hold_body_until_asked(request: &mut Request<Body>) -> Option<Asked> {
    let expects = request
        .headers()
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if !expects || http_body::Body::is_end_stream(request.body()) {
        return None;
    }
    let gate = CancellationToken::new();
    let inner = std::mem::take(request.body_mut());
    let opened = gate.clone();
    *request.body_mut() = Body::boxed(Held {
        inner,
        wait: Some(Box::pin(async move {
            let _ = tokio::time::timeout(PATIENCE, opened.cancelled()).await;
        })),
    });
    let asked = gate.clone();
    hyper::ext::on_informational(request, move |response| {
        if response.status() == StatusCode::CONTINUE {
            asked.cancel();
        }
    });
    Some(Asked(gate))
}

struct Held {
    inner: Body,
    wait: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(wait) = self.wait.as_mut() {
            ready!(wait.as_mut().poll(cx));
            self.wait = None;
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
