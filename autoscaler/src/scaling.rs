//! How many pods a revision should have.

pub mod decide;
pub mod settings;
