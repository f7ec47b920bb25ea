//! What each subcommand does.

pub mod cluster;
pub mod component;
pub mod down;
pub mod image;
pub mod status;
pub mod up;

mod detach;
mod say;
