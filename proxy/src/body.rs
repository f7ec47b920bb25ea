//! The one body type of the data plane: streamed, never collected.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

/// Error of a body: the connection's, or ours when a deadline cuts a stream.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Boxed = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// A request or response body. Bodies that only pass by stay unboxed.
pub struct Body(Kind);

enum Kind {
    Empty,
    Full(Option<Bytes>),
    Incoming(Incoming),
    Boxed(Boxed),
}

impl Body {
    pub fn empty() -> Self {
        Self(Kind::Empty)
    }

    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::empty()
        } else {
            Self(Kind::Full(Some(bytes)))
        }
    }

    pub fn incoming(incoming: Incoming) -> Self {
        if http_body::Body::is_end_stream(&incoming) {
            Self::empty()
        } else {
            Self(Kind::Incoming(incoming))
        }
    }

    pub fn boxed<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes, Error = BoxError> + Send + 'static,
    {
        Self(Kind::Boxed(Box::pin(body)))
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
        let kind = match &self.0 {
            Kind::Empty => "Empty",
            Kind::Full(_) => "Full",
            Kind::Incoming(_) => "Incoming",
            Kind::Boxed(_) => "Boxed",
        };
        f.debug_tuple("Body").field(&format_args!("{kind}")).finish()
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
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
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Incoming(incoming) => {
                Poll::Ready(ready!(Pin::new(incoming).poll_frame(cx)).map(|frame| frame.map_err(Into::into)))
            }
            Kind::Boxed(boxed) => boxed.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Boxed(boxed) => boxed.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Boxed(boxed) => boxed.size_hint(),
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

    use http_body_util::BodyExt;

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
    fn observer_of_an_empty_body_is_dropped_at_once() {
        let alive = Arc::new(());
        let _body = Body::empty().observed(Some(alive.clone()));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
