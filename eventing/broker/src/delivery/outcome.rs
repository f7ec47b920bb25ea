//! What an answer means.
//!
//! | answer | trigger | channel | reply or dead letter sink |
//! |---|---|---|---|
//! | 2xx, no body | success | success | success |
//! | 2xx (not 202) with an event | reply | reply | success |
//! | 202 with an event | success | success | success |
//! | 2xx with another body, or a malformed event | 502 | success | success |
//! | 1xx, 3xx, 4xx | failure, for good | same | same |
//! | 404, 408, 409, 429, 5xx | failure, tried again | same | same |
//! | none: connection, time, size | 500, tried again | same | same |
//!
//! A 202 is no reply because the spec says so; upstream takes it as one. Nobody follows a redirect.

use std::time::Duration;

use bytes::Bytes;

/// Most bytes of an error's body that are kept. Standard base64 makes 1024 characters of them, which is what a dead
/// letter may carry; upstream encodes first and cuts then, and panics on longer bodies.
pub const MAX_DATA: usize = 768;

/// Where an answer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// The subscriber of a Trigger.
    Trigger,
    /// The subscriber of a channel's subscription.
    Channel,
    /// The reply address of a subscription, or a dead letter sink: what it says is not read.
    Sink,
}

/// What a 2xx answer has for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Empty,
    /// The headers promise an event.
    Event,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// The body must be read as an event; if it is none, [`Verdict::BadReply`] is the verdict.
    Reply,
    /// Delivered to something that answers nonsense: a 502.
    BadReply,
    Failed,
}

/// Reads an answer by its head.
pub fn verdict(path: Path, status: u16, content: Content) -> Verdict {
    match (status, path, content) {
        (200..300, Path::Sink, _) | (200..300, _, Content::Empty) => Verdict::Delivered,
        (202, _, Content::Event) => Verdict::Delivered,
        (200..300, _, Content::Event) => Verdict::Reply,
        (200..300, Path::Channel, Content::Other) => Verdict::Delivered,
        (200..300, Path::Trigger, Content::Other) => Verdict::BadReply,
        _ => Verdict::Failed,
    }
}

/// What a malformed reply means: trouble for a trigger, nothing for a channel.
pub fn malformed_reply(path: Path) -> Verdict {
    match path {
        Path::Trigger => Verdict::BadReply,
        Path::Channel | Path::Sink => Verdict::Delivered,
    }
}

/// An attempt that did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The status; 500 for faults in transport, 502 for a reply that is no event.
    pub code: u16,
    /// The start of the answer's body, or what went wrong in transport. At most [`MAX_DATA`] bytes.
    pub data: Bytes,
    pub retry_after: Option<Duration>,
    /// Nothing was answered at all. Such failures say something about the target, not about the event.
    pub unanswered: bool,
}

impl Failure {
    pub fn answered(code: u16, body: &[u8]) -> Self {
        Self {
            code,
            data: Bytes::copy_from_slice(body.get(..MAX_DATA).unwrap_or(body)),
            retry_after: None,
            unanswered: false,
        }
    }

    /// No response, a broken one, or one that took too long.
    pub fn transport(error: &dyn std::fmt::Display) -> Self {
        let text = format!("dispatch error: {error}");
        Self {
            unanswered: true,
            ..Self::answered(500, text.as_bytes())
        }
    }

    /// A 2xx whose body is no event, on the way to a trigger's subscriber.
    pub fn bad_reply(error: &dyn std::fmt::Display) -> Self {
        Self::answered(502, format!("malformed reply: {error}").as_bytes())
    }

    /// Whether another attempt may end differently.
    pub fn retryable(&self) -> bool {
        self.unanswered || retryable(self.code)
    }
}

/// The statuses that are tried again: 404 because caches lag, the others because they say so.
pub fn retryable(status: u16) -> bool {
    matches!(status, 404 | 408 | 409 | 429 | 500..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_retried_by_the_table() {
        for status in [404, 408, 409, 429, 500, 501, 502, 503, 504, 507, 599] {
            assert!(retryable(status), "{status}");
        }
        for status in [
            100, 101, 301, 302, 303, 304, 307, 308, 400, 401, 403, 405, 410, 413, 415, 422, 425, 431,
        ] {
            assert!(!retryable(status), "{status}");
        }
        assert!(Failure::transport(&"no route").retryable());
    }

    #[test]
    fn answers_are_read_by_the_table() {
        use Content::{Empty, Event, Other};
        use Path::{Channel, Sink, Trigger};
        use Verdict::{BadReply, Delivered, Failed, Reply};
        let rows = [
            (Trigger, 200, Empty, Delivered),
            (Trigger, 204, Empty, Delivered),
            (Trigger, 299, Empty, Delivered),
            (Trigger, 200, Event, Reply),
            (Trigger, 201, Event, Reply),
            (Trigger, 202, Event, Delivered),
            (Trigger, 202, Other, BadReply),
            (Trigger, 200, Other, BadReply),
            (Trigger, 302, Empty, Failed),
            (Trigger, 302, Event, Failed),
            (Trigger, 404, Empty, Failed),
            (Trigger, 500, Event, Failed),
            (Channel, 200, Other, Delivered),
            (Channel, 200, Event, Reply),
            (Channel, 202, Event, Delivered),
            (Channel, 307, Empty, Failed),
            (Sink, 200, Event, Delivered),
            (Sink, 200, Other, Delivered),
            (Sink, 500, Empty, Failed),
        ];
        for (path, status, content, expected) in rows {
            assert_eq!(
                verdict(path, status, content),
                expected,
                "{path:?} {status} {content:?}"
            );
        }
        assert_eq!(malformed_reply(Trigger), BadReply);
        assert_eq!(malformed_reply(Channel), Delivered);
    }

    #[test]
    fn bodies_are_cut() {
        assert_eq!(Failure::answered(500, &[b'x'; 5000]).data.len(), MAX_DATA);
        assert_eq!(Failure::answered(500, b"no").data, "no");
        let failure = Failure::transport(&"connection refused");
        assert_eq!(
            (failure.code, &failure.data[..]),
            (500, &b"dispatch error: connection refused"[..])
        );
    }
}
