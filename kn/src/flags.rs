//! Flags of the commands that write services, as the command line has them; `change` gives them their meaning.

pub mod build;
pub mod delivery;
pub mod env;
pub mod list;
pub mod load;
pub mod metadata;
pub mod pair;
pub mod pod;
pub mod scale;
pub mod service;
pub mod waiting;
