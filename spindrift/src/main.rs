//! The server binary, where the rooms are put together.

fn main() {}
