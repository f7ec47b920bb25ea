//! Who sends events, and who may (`authentication-oidc`).
//!
//! A sender shows a token of its ServiceAccount that was made for the receiver's *audience*. [`Tokens`] gets such tokens
//! and keeps them; [`Verifier`] asks the API server whose a token is; [`Access`] decides whether that one may send.
//! Receivers that take few events ask a [`Doorkeeper`], which does all of it.
//!
//! The API server is asked (TokenReview) rather than its key set read: it knows tokens whose account is gone, keys that
//! were changed and issuers of every kind, and there is no second way in which a token can be believed. What it says is
//! kept for a minute, so that a stream of events costs one question a minute and sender.

mod access;
mod claims;
mod doorkeeper;
mod tokens;
mod verifier;

pub use access::{Access, Guarded, Policy, Rule};
pub use doorkeeper::{Denied, Doorkeeper, Guest};
pub use event_client::Account;
pub use reconciler::token::bearer;
pub use tokens::Tokens;
pub use verifier::{Unverified, Verifier};
