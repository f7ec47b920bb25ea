//! The sample service: answers Hello.

fn main() {}
