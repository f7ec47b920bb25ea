//! The one body type of the data plane: streamed, never collected.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

/// Error of a body: the connection's, or ours when a deadline cuts a stream.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Boxed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// A request or response body. Two words, since each connection keeps room for dozens of requests on their way to it.
#[derive(Default)]
pub struct Body(Option<Boxed>);

impl Body {
    pub fn empty() -> Self {
        Self(None)
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self::boxed(Full::new(bytes).map_err(|never| match never {}))
        }
    }

    pub fn incoming(incoming: Incoming) -> Self {
        if http_body::Body::is_end_stream(&incoming) {
            Self::empty()
        } else {
            Self::boxed(incoming.map_err(Into::into))
        }
    }

    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self(Some(Box::pin(body)))
    }

    /// Calls `observer` for each data frame, and drops it the moment the stream ends, fails or is abandoned.
    pub fn observed(self, observer: impl Observer) -> Self {
        if http_body::Body::is_end_stream(&self) {
            drop(observer);
            return self;
        }
        Self::boxed(Observed {
            inner: self,
            observer: Some(observer),
        })
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.as_ref().map_or("Empty", |_| "Boxed");
        f.debug_tuple("Body").field(&format_args!("{kind}")).finish()
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.0 {
            Some(boxed) => boxed.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|boxed| boxed.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Some(boxed) => boxed.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// Watches a body go by; its `Drop` marks the end, whatever the end was.
pub trait Observer: Send + Unpin + 'static {
    /// A data frame of `bytes` bytes passed.
    fn data(&mut self, bytes: usize);
}

/// Guards (permits, counters) observe nothing but the end.
impl<T: Send + Unpin + 'static> Observer for Option<T> {
    fn data(&mut self, _bytes: usize) {}
}

struct Observed<O> {
    inner: Body,
    observer: Option<O>,
}

impl<O: Observer> http_body::Body for Observed<O> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(observer)) = (frame.data_ref(), self.observer.as_mut()) {
                    observer.data(data.len());
                }
                // hyper does not poll again after the last byte of a known length.
                if frame.is_trailers() || self.inner.is_end_stream() {
                    self.observer = None;
                }
            }
            Some(Err(_)) | None => self.observer = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn observer_is_dropped_with_the_last_byte_not_with_the_body() {
        let alive = Arc::new(());
        let mut body = Body::full("abc").observed(Some(alive.clone()));
        assert_eq!(Arc::strong_count(&alive), 2);
        body.frame().await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    #[test]
    fn body_is_two_words() {
        assert_eq!(size_of::<Body>(), 2 * size_of::<usize>());
    }

    #[test]
    fn observer_of_an_empty_body_is_dropped_at_once() {
        let alive = Arc::new(());
        let _body = Body::empty().observed(Some(alive.clone()));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
