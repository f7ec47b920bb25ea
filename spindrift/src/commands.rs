//! What each subcommand does.

pub mod cluster;
pub mod component;
pub mod down;
pub mod events;
pub mod image;
pub mod install;
pub mod pipelines;
pub mod status;
pub mod up;
pub mod webhook;

mod detach;
mod interrupt;
mod say;
