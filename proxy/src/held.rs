//! Reads a body within bounds: its own, and that of all bodies together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Body;

/// A body, counted among all that are held until it is dropped.
#[derive(Debug)]
pub struct Held {
    bytes: Bytes,
    share: OwnedSemaphorePermit,
}

/// Why a body is not held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    #[error("too much is being held: try again")]
    Busy,
    #[error("the body broke off: {0}")]
    Broken(String),
}

/// When a body's share is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// All of it before anything is read: who is let in comes to the end.
    Announced,
    /// As it comes: where nobody knows yet who sends, to announce much must not take room from others.
    Arrived,
}

/// The `Content-Length` of a request, if it says one.
pub fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

impl Held {
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The body, and its share, which is to be dropped after it.
    pub fn into_parts(self) -> (Bytes, OwnedSemaphorePermit) {
        (self.bytes, self.share)
    }

    /// Reads to the end; `total` has one permit for each byte.
    ///
    /// # Errors
    /// If the body is larger than `limit`, announced so or not; if there is no room for it; if it breaks off.
    pub async fn read(
        mut body: Body,
        announced: Option<usize>,
        limit: usize,
        total: &Arc<Semaphore>,
        count: Count,
    ) -> Result<Self, NotHeld> {
        if announced.is_some_and(|bytes| bytes > limit) {
            return Err(NotHeld::TooLarge(limit));
        }
        let mut counted = match count {
            Count::Announced => announced.unwrap_or_default(),
            Count::Arrived => 0,
        };
        let mut share = share(total, counted)?;
        let mut first = Bytes::new();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| NotHeld::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = first.len() + all.len() + data.len();
            if length > limit {
                return Err(NotHeld::TooLarge(limit));
            }
            if length > counted {
                share.merge(self::share(total, length - counted)?);
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
        Ok(Self { bytes, share })
    }
}

fn share(total: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, NotHeld> {
    let bytes = u32::try_from(bytes).map_err(|_| NotHeld::Busy)?;
    total
        .clone()
        .try_acquire_many_owned(bytes)
        .map_err(|_| NotHeld::Busy)
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
        type Error = crate::body::BoxError;

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

    /// Announces itself and then says nothing.
    struct Silent;

    impl http_body::Body for Silent {
        type Data = Bytes;
        type Error = crate::body::BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    fn read(
        pieces: &[&'static str],
        announced: Option<usize>,
        total: &Arc<Semaphore>,
        count: Count,
    ) -> Result<Held, NotHeld> {
        let body = Body::boxed(Pieces(pieces.iter().copied().collect()));
        let reading = Held::read(body, announced, 6, total, count);
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
            (&["abcdefg"], None, Err(NotHeld::TooLarge(6))),
            (&["abc", "defg"], None, Err(NotHeld::TooLarge(6))),
            (&[], Some(7), Err(NotHeld::TooLarge(6))),
        ] {
            for count in [Count::Announced, Count::Arrived] {
                let total = Arc::new(Semaphore::new(100));
                let held = read(pieces, announced, &total, count);
                assert_eq!(
                    held.as_ref().map(|held| &held.bytes[..]),
                    expected.as_ref().map(|text: &&str| text.as_bytes())
                );
                let counted = expected.as_ref().map_or(0, |text| text.len());
                assert_eq!(
                    total.available_permits(),
                    100 - if held.is_ok() { counted } else { 0 }
                );
                drop(held);
                assert_eq!(total.available_permits(), 100);
            }
        }
        Ok(())
    }

    #[test]
    fn all_bodies_together_are_bounded() {
        for count in [Count::Announced, Count::Arrived] {
            let total = Arc::new(Semaphore::new(8));
            let first = read(&["abcde"], Some(5), &total, count).unwrap();
            for announced in [Some(4), None] {
                assert_eq!(
                    read(&["ab", "cd"], announced, &total, count).unwrap_err(),
                    NotHeld::Busy
                );
            }
            drop(first);
            assert!(read(&["ab", "cd"], None, &total, count).is_ok());
        }
    }

    #[test]
    fn what_was_only_announced_takes_no_room_unless_it_shall() {
        for (count, left) in [(Count::Announced, 2), (Count::Arrived, 8)] {
            let total = Arc::new(Semaphore::new(8));
            let mut silent = Box::pin(Held::read(Body::boxed(Silent), Some(6), 6, &total, count));
            assert!((&mut silent).now_or_never().is_none());
            assert_eq!(total.available_permits(), left, "{count:?}");
        }
    }

    #[test]
    fn lengths_are_read_from_the_header() {
        for (value, expected) in [("7", Some(7)), ("x", None), ("-1", None)] {
            let headers = HeaderMap::from_iter([(CONTENT_LENGTH, value.parse().unwrap())]);
            assert_eq!(announced(&headers), expected);
        }
        assert_eq!(announced(&HeaderMap::new()), None);
    }
}
