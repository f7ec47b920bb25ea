//! What the end-to-end tests stand on: the real programs, started as a user would start them.
//!
//! A test that needs what the machine lacks is reported as ignored, by name and with the reason in front of it.

pub mod busybox;
pub mod client;
pub mod images;
pub mod load;
pub mod platform;
pub mod registry;
pub mod remains;
pub mod run;
pub mod shared;
pub mod tools;
pub mod wait;

pub use client::{Client, block_on};
pub use load::Load;
pub use platform::{Options, Platform};
pub use run::{Output, run};
pub use shared::{shared, stop_shared};
pub use tools::{Need, suite};
pub use wait::eventually;
