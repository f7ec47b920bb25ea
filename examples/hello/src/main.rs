//! The sample service: answers `Hello ${TARGET:-World}!` on `$PORT`.

use bytes::Bytes;
use example_server::{full, serve, variable};
use hyper::Response;

fn main() -> std::io::Result<()> {
    let target = variable("TARGET").unwrap_or_else(|| "World".to_owned());
    let greeting = Bytes::from(format!("Hello {target}!\n"));
    serve(move |_| std::future::ready(Response::new(full(greeting.clone()))))
}
