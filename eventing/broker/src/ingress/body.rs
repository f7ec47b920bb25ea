//! Reads a body within bounds: its own, and that of all bodies together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use proxy::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Refusal;

/// A body, counted among all that are held until it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    bytes: Bytes,
    _share: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads to the end. `announced` is the `Content-Length`: its share is taken before anything is read. `total`
    /// has one permit for each byte.
    pub(super) async fn read(
        mut body: Body,
        announced: Option<usize>,
        limit: usize,
        total: Arc<Semaphore>,
    ) -> Result<Self, Refusal> {
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(Refusal::BodyTooLarge(limit));
        }
        let mut counted = announced.unwrap_or_default();
        let mut share = share(&total, counted)?;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Refusal::Body(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = first.len() + all.len() + data.len();
            if length > limit {
                return Err(Refusal::BodyTooLarge(limit));
            }
            if length > counted {
                share.merge(self::share(&total, length - counted)?);
                counted = length;
            }
            // Most bodies come in one piece, which then is not copied.
            if all.is_empty() && first.is_empty() {
                first = data;
                continue;
            }
            if all.is_empty() {
                all.reserve(counted);
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
        let bytes = if all.is_empty() { first } else { all.freeze() };
        Ok(Self { bytes, _share: share })
    }
}

fn share(total: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
    let bytes = u32::try_from(bytes).map_err(|_| Refusal::Busy)?;
    total
        .clone()
        .try_acquire_many_owned(bytes)
        .map_err(|_| Refusal::Busy)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::FutureExt;
    use http_body::Frame;

    use super::*;

    struct Pieces(VecDeque<&'static str>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = proxy::body::BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(
                self.0
                    .pop_front()
                    .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))),
            )
        }
    }

    fn read(
        pieces: &[&'static str],
        announced: Option<usize>,
        total: &Arc<Semaphore>,
    ) -> Result<Held, Refusal> {
        let body = Body::boxed(Pieces(pieces.iter().copied().collect()));
        let reading = Held::read(body, announced, 6, total.clone());
        reading
            .now_or_never()
            .unwrap_or_else(|| unreachable!("nothing waits"))
    }

    #[test]
    fn bodies_are_put_together_and_bounded() -> Result<(), Infallible> {
        for (pieces, announced, expected) in [
            (&[][..], None, Ok("")),
            (&["abc"], Some(3), Ok("abc")),
            (&["ab", "", "cd", "ef"], None, Ok("abcdef")),
            (&["ab", "cd"], Some(4), Ok("abcd")),
            (&["abcdefg"], None, Err(Refusal::BodyTooLarge(6))),
            (&["abc", "defg"], None, Err(Refusal::BodyTooLarge(6))),
            (&[], Some(7), Err(Refusal::BodyTooLarge(6))),
        ] {
            let total = Arc::new(Semaphore::new(100));
            let held = read(pieces, announced, &total);
            assert_eq!(
                held.as_ref().map(|held| &held.bytes[..]),
                expected.as_ref().map(|text| text.as_bytes())
            );
            let counted = expected.as_ref().map_or(0, |text| text.len());
            assert_eq!(
                total.available_permits(),
                100 - if held.is_ok() { counted } else { 0 }
            );
            drop(held);
            assert_eq!(total.available_permits(), 100);
        }
        Ok(())
    }

    #[test]
    fn all_bodies_together_are_bounded() {
        let total = Arc::new(Semaphore::new(8));
        let first = read(&["abcde"], Some(5), &total).unwrap();
        assert_eq!(read(&["abcd"], Some(4), &total).unwrap_err(), Refusal::Busy);
        assert_eq!(read(&["ab", "cd"], None, &total).unwrap_err(), Refusal::Busy);
        drop(first);
        assert!(read(&["ab", "cd"], None, &total).is_ok());
    }
}
