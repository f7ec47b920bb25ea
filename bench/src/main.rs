//! Measurements against a baseline run side by side.

fn main() {}
