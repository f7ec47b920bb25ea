//! What controllers ask image registries: which digest a tag has, and what an image runs by itself.
//!
//! A [`Registry`] is the client of all of them; a [`Keychain`] holds the credentials that a pod would pull with. Others
//! pull the images: nothing here reads a layer.

mod challenge;
mod client;
mod image;
mod keychain;

pub use client::{Registry, RegistryError};
pub use image::{Command, Image};
pub use keychain::{Credentials, Keychain, PullSecrets};
