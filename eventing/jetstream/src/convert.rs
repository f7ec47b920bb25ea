//! Errors and times of the client library as the store's.

use std::error::Error;
use std::io;
use std::sync::Arc;

use async_nats::datetime::{DateTime, from_nanos};
use async_nats::jetstream::ErrorCode;
use event_store::StoreError;
use jiff::Timestamp;

/// What everything answers after the store was closed.
pub const CLOSED: StoreError = StoreError::Closed("the store is closed");

/// A server's answer that means there is no room.
pub fn is_full(code: ErrorCode) -> bool {
    [
        ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
        ErrorCode::INSUFFICIENT_RESOURCES,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED,
        ErrorCode::MEMORY_RESOURCES_EXCEEDED,
        // The stream is at its limit and refuses new messages.
        ErrorCode::STREAM_STORE_FAILED,
    ]
    .contains(&code)
}

/// The error for a request that failed, with what was attempted.
pub fn failed<E: Error + Send + Sync + 'static>(attempt: impl Into<String>, error: E) -> StoreError {
    match code(&error) {
        Some(code) if is_full(code) => StoreError::Full(error.to_string()),
        _ => StoreError::Io {
            attempt: attempt.into(),
            source: Arc::new(io::Error::other(error)),
        },
    }
}

/// The code of the server's answer, if the error has one.
fn code(error: &(dyn Error + 'static)) -> Option<ErrorCode> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(answer) = error.downcast_ref::<async_nats::jetstream::Error>() {
            return Some(answer.error_code());
        }
        next = error.source();
    }
    None
}

/// The store's time.
pub fn timestamp(time: DateTime) -> Timestamp {
    Timestamp::from_nanosecond(time.unix_timestamp_nanos()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The library's time.
pub fn datetime(time: Timestamp) -> Result<DateTime, StoreError> {
    from_nanos(time.as_nanosecond()).map_err(|error| failed("a start at that time", io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_survive() {
        for nanos in [0, 1, 1_700_000_000_123_456_789] {
            let time = Timestamp::from_nanosecond(nanos).unwrap();
            assert_eq!(timestamp(datetime(time).unwrap()), time);
        }
    }
}
