//! Sends back what it gets, by whatever protocol it came: HTTP bodies, WebSocket messages, gRPC calls. `/events` is a
//! clock as server-sent events.

mod events;
mod grpc;
mod socket;

use example_server::{Body, full, serve};
use futures::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, EXPECT, HeaderValue, SEC_WEBSOCKET_KEY};
use hyper::{Method, Request, Response};

fn main() -> std::io::Result<()> {
    serve(answer)
}

async fn answer(request: Request<Incoming>) -> Response<Body> {
    if let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() {
        return socket::accept(request, &key);
    }
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    if kind.as_ref().is_some_and(grpc::is_grpc) {
        return grpc::answer(request);
    }
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/events") => events::stream(),
        (&Method::GET | &Method::HEAD, _) => Response::new(full("send something, and it comes back\n")),
        _ => back(request, kind).await,
    }
}

/// Returns the body as it comes in, before its end is known.
async fn back(request: Request<Incoming>, kind: Option<HeaderValue>) -> Response<Body> {
    let waits = request.headers().contains_key(EXPECT);
    let mut chunks = request.into_body().into_data_stream();
    // To read is to ask a client that waits for `100 Continue`; it cannot be asked once the response has begun.
    let first = match waits {
        true => chunks.next().await,
        false => None,
    };
    let all = futures::stream::iter(first).chain(chunks);
    let body = StreamBody::new(all.map(|chunk| chunk.map(Frame::data)));
    let mut response = Response::new(body.boxed_unsync());
    if let Some(kind) = kind {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}
