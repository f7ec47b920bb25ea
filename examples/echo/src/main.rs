//! A WebSocket echo.

fn main() {}
