//! The command line: a client only.

fn main() {}
