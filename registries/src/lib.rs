//! What is asked of image registries: which digest a tag has, what an image runs by itself, and that something be kept
//! or given back.
//!
//! A [`Registry`] is the client of all of them; a [`Keychain`] holds the credentials that a pod would pull with. Others
//! pull the images that run.

mod challenge;
mod client;
mod image;
mod keychain;
mod lookup;
mod session;
mod transfer;

pub use client::{Registry, RegistryError};
pub use image::{Command, Image};
pub use keychain::{Credentials, Keychain, PullSecrets};
pub use lookup::{Found, Lookup};
pub use transfer::Manifest;
