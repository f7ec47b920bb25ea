//! Bodies in and out.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Limited};

use crate::status::StatusError;

/// Largest request body (upstream default: 3 MiB).
pub(crate) const MAX_BODY_BYTES: usize = 3 << 20;

/// The body of an answer: bytes at once, or a stream.
pub struct ResponseBody(Kind);

enum Kind {
    Full(Option<Bytes>),
    Stream(BoxStream<'static, std::io::Result<Bytes>>),
}

impl ResponseBody {
    pub(crate) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    pub(crate) fn stream(stream: BoxStream<'static, std::io::Result<Bytes>>) -> Self {
        Self(Kind::Stream(stream))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        match &mut self.get_mut().0 {
            Kind::Full(bytes) => Poll::Ready(
                bytes
                    .take()
                    .filter(|bytes| !bytes.is_empty())
                    .map(|bytes| Ok(Frame::data(bytes))),
            ),
            Kind::Stream(stream) => stream
                .poll_next_unpin(context)
                .map(|next| next.map(|next| next.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Kind::Full(bytes) if bytes.as_ref().is_none_or(Bytes::is_empty))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Kind::Stream(_) => SizeHint::default(),
        }
    }
}

/// Reads a request body up to the limit.
///
/// # Errors
/// 413 beyond the limit, 400 when the client breaks off.
pub(crate) async fn read_limited<B>(body: B) -> Result<Bytes, StatusError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: std::fmt::Display,
{
    let body = body.map_err(|error| std::io::Error::other(error.to_string()));
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusError::too_large(MAX_BODY_BYTES))
        }
        Err(error) => Err(StatusError::bad_request(format!(
            "the request body could not be read: {error}"
        ))),
    }
}
