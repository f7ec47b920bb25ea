//! What the end-to-end tests stand on: the real programs, started as a user would start them.
//!
//! A test that needs what the machine lacks is reported as ignored, by name and with the reason in front of it.

mod acknowledged;
pub mod busybox;
pub mod checkout;
pub mod client;
mod dice;
pub mod disk;
pub mod display;
pub mod git;
pub mod git_host;
pub mod git_hub;
pub mod images;
pub mod load;
mod nftables;
pub mod offline;
pub mod platform;
mod ports;
pub mod programs;
pub mod raw;
pub mod readme;
pub mod registry;
pub mod remains;
pub mod run;
pub mod shared;
mod starting;
pub mod task_runs;
pub mod tools;
mod traces;
pub mod wait;
pub mod workload;

pub use acknowledged::Acknowledged;
pub use client::{Client, block_on};
pub use dice::Dice;
pub use load::Load;
pub use platform::Platform;
pub use ports::{Ports, free_port};
pub use run::{Output, run};
pub use shared::{shared, stop_shared, turn};
pub use starting::{Options, Starting};
pub use tools::{Need, suite};
pub use traces::Traces;
pub use wait::eventually;
pub use workload::Workload;
