//! Prints each CloudEvent that is sent to it, and accepts it.
//!
//! With `REPLY_TYPE` it answers each one with an event of that type and the same data, whose `replyid` is the
//! `correlationid` of the one that it answers: so it serves behind a RequestReply.

mod text;

use std::io::Write;

use bytes::Bytes;
use event::Event;
use example_server::{Body, full, serve};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};

/// Longest event, in bytes.
const MAX_BODY: usize = 16 << 20;

fn main() -> std::io::Result<()> {
    serve(display)
}

async fn display(request: Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::POST => {}
        // Whoever looks with a browser sees that it is there.
        Method::GET | Method::HEAD => {
            return answer(
                StatusCode::OK,
                "POST an event here, and it is printed to the log.\n",
            );
        }
        _ => return answer(StatusCode::METHOD_NOT_ALLOWED, "events are POSTed\n"),
    }
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return answer(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n")),
    };
    match event::http::read(&head.headers, body) {
        Ok(event) => match print(&event) {
            Ok(()) => match std::env::var("REPLY_TYPE") {
                Ok(type_) => reply(event, type_),
                Err(_) => answer(StatusCode::ACCEPTED, Bytes::new()),
            },
            Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        Err(error) => answer(StatusCode::BAD_REQUEST, format!("this is no event: {error}\n")),
    }
}

fn reply(mut event: Event, type_: String) -> Response<Body> {
    event.id = format!("{}-reply", event.id).into();
    event.source = "/event-display".into();
    event.type_ = type_.into();
    if let Some(asked) = event.remove_extension("correlationid") {
        event.set_extension("replyid", asked);
    }
    let (headers, body) = event::http::write(&event, event.mode);
    let mut response = Response::new(full(body));
    *response.headers_mut() = headers;
    response
}

fn print(event: &Event) -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    output.write_all(text::of(event).as_bytes())?;
    output.flush()
}

fn answer(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    response
}
