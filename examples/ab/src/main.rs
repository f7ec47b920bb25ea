//! An A/B page that shows which revision answered.

fn main() {}
