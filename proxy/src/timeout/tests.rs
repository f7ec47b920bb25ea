use bytes::Bytes;
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};

use super::*;

const TEXT: &str = "request timeout";

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A body that writes `chunks`, each after its pause in seconds.
fn paced(chunks: &'static [(u64, &'static str)]) -> Body {
    let stream = futures::stream::iter(chunks).then(|(pause, chunk)| async move {
        tokio::time::sleep(secs(*pause)).await;
        Ok(Frame::data(Bytes::from_static(chunk.as_bytes())))
    });
    Body::boxed(StreamBody::new(stream))
}

async fn read(timeouts: Timeouts, body: Body, length: Option<u64>) -> (String, bool) {
    let clock = timeouts.start();
    let mut response = Response::new(body);
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    let mut body = clock.body(response, TEXT).into_body();
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap()),
            Err(_) => return (text, false),
        }
    }
    (text, true)
}

#[tokio::test(start_paused = true)]
async fn every_limit_bounds_the_time_to_the_first_byte() {
    for (timeouts, expected) in [
        (Timeouts::from_seconds(3, 0, 0), Some(3)),
        (Timeouts::from_seconds(9, 2, 0), Some(2)),
        (Timeouts::from_seconds(9, 4, 1), Some(1)),
        (Timeouts::default(), None),
    ] {
        let mut clock = timeouts.start();
        let result = clock.head(tokio::time::sleep(secs(100))).await;
        assert_eq!(result.is_err(), expected.is_some());
        assert_eq!(clock.started().elapsed().as_secs(), expected.unwrap_or(100));
    }
}

#[tokio::test(start_paused = true)]
async fn total_cuts_a_begun_response_cleanly_and_appends_the_text() {
    let (text, clean) = read(
        Timeouts::from_seconds(5, 0, 0),
        paced(&[(2, "a"), (2, "b"), (2, "c")]),
        None,
    )
    .await;
    assert_eq!((text.as_str(), clean), ("abrequest timeout", true));
}

#[tokio::test(start_paused = true)]
async fn response_start_is_ignored_once_the_response_has_begun() {
    let (text, clean) = read(
        Timeouts::from_seconds(100, 1, 0),
        paced(&[(2, "a"), (50, "b")]),
        None,
    )
    .await;
    assert_eq!((text.as_str(), clean), ("ab", true));
}

#[tokio::test(start_paused = true)]
async fn idle_starts_anew_with_each_write() {
    let (text, clean) = read(
        Timeouts::from_seconds(100, 0, 3),
        paced(&[(2, "a"), (2, "b"), (2, "c"), (4, "d")]),
        None,
    )
    .await;
    assert_eq!((text.as_str(), clean), ("abcrequest timeout", true));
}

#[tokio::test(start_paused = true)]
async fn an_application_that_never_pauses_is_cut_too() {
    let endless =
        futures::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(b"x")))).then(|frame| async {
            tokio::time::advance(Duration::from_millis(500)).await;
            frame
        });
    let clock = Timeouts::from_seconds(2, 0, 0).start();
    let response = clock.body(
        Response::new(Body::boxed(StreamBody::new(Box::pin(endless)))),
        TEXT,
    );
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert!(text.ends_with(TEXT.as_bytes()) && text.starts_with(b"xx"));
}

#[tokio::test(start_paused = true)]
async fn a_promised_length_that_cannot_be_kept_cuts_the_connection() {
    let chunks = &[(1, "ab"), (9, "cd")];
    assert_eq!(
        read(Timeouts::from_seconds(5, 0, 0), paced(chunks), Some(100)).await,
        ("abrequest timeout".to_owned(), false)
    );
    // The text fills exactly what is left: nothing tells it from a complete answer, so it ends cleanly.
    assert_eq!(
        read(Timeouts::from_seconds(5, 0, 0), paced(chunks), Some(4)).await,
        ("abre".to_owned(), true)
    );
}
