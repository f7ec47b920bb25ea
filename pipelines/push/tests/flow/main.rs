//! From a push to a deployment, with the controllers and the receiver running and the API server in process. The tests
//! play those who run tasks and Services.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

mod deployments;
mod home;
mod previews;
