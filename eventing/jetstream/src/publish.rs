//! Appending: one message, or several as one.

use async_nats::HeaderMap;
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ErrorCode};
use bytes::Bytes;
use event_store::{Position, StoreError};
use futures::future::try_join_all;
use tokio::sync::Mutex;

use crate::convert::failed;

/// Most messages that the server takes as one.
pub const MOST_RECORDS: usize = 1000;

/// The topic's stream does not exist, or no longer.
pub struct NoStream;

type Appended = Result<Result<Position, NoStream>, StoreError>;

/// Publishes one message.
pub async fn one(context: &Context, subject: &str, payload: Bytes) -> Appended {
    let sent = send(context, subject, PublishMessage::build().payload(payload)).await?;
    acknowledged(sent).await
}

/// Publishes several messages: all of them are stored, or none. `order` is held while they are sent, since the server
/// bounds how many such batches may be begun at the same time.
pub async fn together(context: &Context, subject: &str, payloads: Vec<Bytes>, order: &Mutex<()>) -> Appended {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let last = payloads.len();
    let ordered = order.lock().await;
    let mut commit = None;
    for (number, payload) in (1..).zip(payloads) {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Batch-Id", id.as_str());
        headers.insert("Nats-Batch-Sequence", number.to_string().as_str());
        if number == last {
            headers.insert("Nats-Batch-Commit", "1");
            let message = PublishMessage::build().payload(payload).headers(headers);
            commit = Some(send(context, subject, message).await?);
        } else {
            let sent = context
                .client()
                .publish_with_headers(subject.to_owned(), headers, payload)
                .await;
            sent.map_err(|error| failed("cannot send events", error))?;
        }
    }
    drop(ordered);
    match commit {
        Some(commit) => acknowledged(commit).await,
        None => Err(StoreError::Closed("nothing to store")),
    }
}

/// Publishes several messages to a server that cannot take them as one: after an error some may be stored.
pub async fn in_a_row(context: &Context, subject: &str, payloads: Vec<Bytes>) -> Appended {
    let mut sent = Vec::with_capacity(payloads.len());
    for payload in payloads {
        sent.push(send(context, subject, PublishMessage::build().payload(payload)).await?);
    }
    let positions = try_join_all(sent.into_iter().map(acknowledged)).await?;
    positions
        .into_iter()
        .try_fold(0, |last, position| position.map(|position| last.max(position)))
        .map_or_else(|none| Ok(Err(none)), |last| Ok(Ok(last)))
}

async fn send(
    context: &Context,
    subject: &str,
    message: PublishMessage,
) -> Result<PublishAckFuture, StoreError> {
    context
        .send_publish(subject.to_owned(), message)
        .await
        .map_err(|error| failed("cannot send events", error))
}

async fn acknowledged(sent: PublishAckFuture) -> Appended {
    match sent.await {
        Ok(ack) => Ok(Ok(ack.sequence)),
        Err(error) if error.kind() == PublishErrorKind::StreamNotFound => Ok(Err(NoStream)),
        Err(error) => {
            let error = failed("the server did not store events", error);
            Err(error)
        }
    }
}

/// Whether an answer means that there is no such stream.
pub fn no_stream(error: &async_nats::jetstream::Error) -> bool {
    error.error_code() == ErrorCode::STREAM_NOT_FOUND
}
