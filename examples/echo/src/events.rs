//! Server-sent events: one per second, with its number and the time at which it was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use example_server::Body;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

const EVERY: Duration = Duration::from_secs(1);

pub fn stream() -> Response<Body> {
    let events = futures::stream::iter(1u64..).then(|number| async move {
        if number > 1 {
            tokio::time::sleep(EVERY).await;
        }
        Ok(Frame::data(event(number)))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `data` is the time of sending, in milliseconds since 1970.
fn event(number: u64) -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Bytes::from(format!("id: {number}\ndata: {}\n\n", now.as_millis()))
}
