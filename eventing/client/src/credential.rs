//! What senders show to receivers. Where it comes from is for others to know.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderValue;

/// A ServiceAccount that events are sent as.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

/// Knows what accounts show.
pub trait Credentials: fmt::Debug + Send + Sync {
    /// What `account` shows to the receiver that has this audience.
    fn of(&self, account: &Account, audience: &str) -> Arc<dyn Credential>;
}

/// A header, or why there is none.
pub type Shown<'a> = Pin<Box<dyn Future<Output = Result<HeaderValue, String>> + Send + 'a>>;

/// What one account shows to one receiver.
pub trait Credential: Send + Sync {
    /// The value of the header `Authorization`.
    fn header(&self) -> Shown<'_>;

    /// Tells that the receiver answered this value with 401. `true` if it is worth to come again, with another one.
    fn refused(&self, header: &HeaderValue) -> bool;
}
