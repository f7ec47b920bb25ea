//! The three timeouts of a revision, with upstream's exact meaning.
//!
//! - *total* fires even if the response has begun;
//! - *response start* counts only until the first byte of the response;
//! - *idle* counts since the last write towards the client, and from the start while nothing was written.
//!
//! A response that has not begun becomes 504. One that has is ended cleanly with the timeout's text appended, and what
//! the application writes later is dropped. Upgraded connections never count as written, so every timeout ends them.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::body::{Body, BoxError};

/// Limits of one request; `None` disables one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timeouts {
    pub total: Option<Duration>,
    pub response_start: Option<Duration>,
    pub idle: Option<Duration>,
}

/// A deadline passed before the response began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no response within the time allowed")]
pub struct TimedOut;

impl Timeouts {
    /// From whole seconds; 0 disables.
    pub fn from_seconds(total: u64, response_start: u64, idle: u64) -> Self {
        let some = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        Self {
            total: some(total),
            response_start: some(response_start),
            idle: some(idle),
        }
    }

    /// Starts the clocks; call it when the request enters the handler.
    pub fn start(self) -> Clock {
        Clock {
            timeouts: self,
            started: Instant::now(),
            sleep: None,
        }
    }

    fn before_first_byte(&self) -> Option<Duration> {
        [self.total, self.response_start, self.idle]
            .into_iter()
            .flatten()
            .min()
    }
}

/// The running clocks of one request.
pub struct Clock {
    timeouts: Timeouts,
    started: Instant,
    /// One timer serves the whole request, so that it is allocated and registered once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    /// When the clocks were started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// When an upgraded connection must end.
    pub fn upgraded_deadline(&self) -> Option<Instant> {
        self.timeouts
            .before_first_byte()
            .map(|limit| self.started + limit)
    }

    /// Runs `response` until its head is there.
    ///
    /// # Errors
    /// [`TimedOut`] when a deadline passes first; `response` is dropped then.
    pub async fn head<T>(&mut self, response: impl Future<Output = T>) -> Result<T, TimedOut> {
        let Some(deadline) = self.upgraded_deadline() else {
            return Ok(response.await);
        };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        tokio::select! {
            biased;
            response = response => Ok(response),
            () = sleep.as_mut() => Err(TimedOut),
        }
    }

    /// Puts the rest of the response under the remaining clocks; `text` is appended when one fires.
    pub fn body(self, response: Response<Body>, text: &'static str) -> Response<Body> {
        if (self.timeouts.total.is_none() && self.timeouts.idle.is_none())
            || http_body::Body::is_end_stream(response.body())
        {
            return response;
        }
        let now = Instant::now();
        let (parts, inner) = response.into_parts();
        let mut timed = Timed {
            inner: Some(inner),
            total: self.timeouts.total.map(|total| self.started + total),
            idle: self.timeouts.idle,
            last_write: now,
            sleep: None,
            promised: content_length(&parts.headers),
            fate: Fate::Flowing,
            text,
        };
        timed.sleep = timed.deadline().map(|deadline| match self.sleep {
            Some(mut sleep) => {
                sleep.as_mut().reset(deadline);
                sleep
            }
            None => Box::pin(sleep_until(deadline)),
        });
        Response::from_parts(parts, Body::boxed(timed))
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[derive(PartialEq, Eq)]
enum Fate {
    Flowing,
    /// The text was written, but the head promised more bytes than came: only cutting the connection tells the client.
    Short,
    Ended,
}

struct Timed {
    /// Gone once a deadline has passed: the upstream need not go on.
    inner: Option<Body>,
    total: Option<Instant>,
    idle: Option<Duration>,
    last_write: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    /// Bytes that Content-Length still promises.
    promised: Option<u64>,
    fate: Fate,
    text: &'static str,
}

impl Timed {
    fn deadline(&self) -> Option<Instant> {
        let idle = self.idle.map(|idle| self.last_write + idle);
        [self.total, idle].into_iter().flatten().min()
    }

    /// Whether a deadline has passed. Writes only note the time; the timer is moved here, when it fires too early.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let (Some(deadline), Some(sleep)) = (self.deadline(), self.sleep.as_mut()) else {
                return Poll::Pending;
            };
            std::task::ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }

    fn cut(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        self.inner = None;
        let text = match self.promised {
            Some(promised) => self
                .text
                .get(..usize::try_from(promised).unwrap_or(usize::MAX))
                .unwrap_or(self.text),
            None => self.text,
        };
        let short = self.promised.is_some_and(|promised| promised > text.len() as u64);
        self.fate = if short { Fate::Short } else { Fate::Ended };
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }
}

impl http_body::Body for Timed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.fate == Fate::Short {
            this.fate = Fate::Ended;
            return Poll::Ready(Some(Err(Box::new(TimedOut))));
        }
        let Some(inner) = this.inner.as_mut() else {
            return Poll::Ready(None);
        };
        // The total limit also holds for an application that always has more to write.
        if this.total.is_some_and(|total| Instant::now() >= total) {
            return Poll::Ready(this.cut());
        }
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                this.last_write = Instant::now();
                if let (Some(promised), Some(data)) = (this.promised.as_mut(), frame.data_ref()) {
                    *promised = promised.saturating_sub(data.len() as u64);
                }
            }
            return Poll::Ready(frame);
        }
        this.poll_deadline(cx).map(|()| this.cut())
    }

    fn is_end_stream(&self) -> bool {
        self.fate == Fate::Ended || self.inner.as_ref().is_some_and(|inner| inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        // Only a promised length is exact: otherwise the text may come on top.
        match self.promised {
            Some(promised) if self.inner.is_some() => SizeHint::with_exact(promised),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests;
