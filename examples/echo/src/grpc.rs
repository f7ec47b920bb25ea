//! The gRPC service of `echo.proto`.
//!
//! Requests and responses are one message type, so messages go back as they came: no field of them is read.

use bytes::{Buf, Bytes, BytesMut};
use example_server::{Body, full};
use futures::{Stream, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Status codes of gRPC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Code {
    Ok = 0,
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
}

/// Largest message.
const MAX_MESSAGE: usize = 4 << 20;
/// Compression flag and length.
const PREFIX: usize = 5;

pub fn is_grpc(kind: &HeaderValue) -> bool {
    kind.as_bytes().starts_with(b"application/grpc")
}

pub fn answer(request: Request<Incoming>) -> Response<Body> {
    let method = request.uri().path().to_owned();
    let messages = messages(request.into_body());
    match method.as_str() {
        "/echo.Echo/Say" => replies(messages.take(1)),
        "/echo.Echo/Chat" => replies(messages),
        _ => {
            let mut response = response(full(""));
            response.headers_mut().extend(status(Code::Unimplemented));
            response
        }
    }
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// Sends every message back as soon as it is there, then the status as trailers.
fn replies(messages: impl Stream<Item = Result<Bytes, Code>> + Send + 'static) -> Response<Body> {
    let end = futures::stream::once(async { Err(Code::Ok) });
    // The first failure is the last frame; without one it is `Ok`.
    let frames = messages.chain(end).scan(false, |ended, message| {
        let frame = (!*ended).then(|| match message {
            Ok(message) => Frame::data(message),
            Err(code) => {
                *ended = true;
                Frame::trailers(status(code))
            }
        });
        std::future::ready(frame)
    });
    response(StreamBody::new(frames.map(Ok)).boxed_unsync())
}

fn status(code: Code) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, HeaderValue::from(code as u16));
    if code == Code::Unimplemented {
        trailers.insert(
            MESSAGE,
            HeaderValue::from_static("there are /echo.Echo/Say and /echo.Echo/Chat"),
        );
    }
    trailers
}

/// The messages of a body, each with its prefix.
fn messages(body: Incoming) -> impl Stream<Item = Result<Bytes, Code>> + Send {
    let state = (body, BytesMut::new());
    futures::stream::unfold(state, |(mut body, mut buffer)| async move {
        loop {
            match whole(&mut buffer) {
                Ok(Some(message)) => return Some((Ok(message), (body, buffer))),
                Ok(None) => {}
                Err(code) => return Some((Err(code), (body, buffer))),
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(_)) => return None,
                None if buffer.has_remaining() => {
                    return Some((Err(Code::InvalidArgument), (body, BytesMut::new())));
                }
                None => return None,
            }
        }
    })
}

/// Takes the first message off the buffer if all of it is there.
fn whole(buffer: &mut BytesMut) -> Result<Option<Bytes>, Code> {
    let Some(prefix) = buffer.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    let [_, length @ ..] = *prefix;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_MESSAGE {
        return Err(Code::ResourceExhausted);
    }
    let length = PREFIX + length;
    Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_at_their_lengths() {
        let mut buffer = BytesMut::from(&b"\0\0\0\0\x02hi\0\0\0\0\0\0\0\0\0\x01"[..]);
        assert_eq!(whole(&mut buffer).unwrap().unwrap(), &b"\0\0\0\0\x02hi"[..]);
        assert_eq!(whole(&mut buffer).unwrap().unwrap(), &b"\0\0\0\0\0"[..]);
        assert_eq!(whole(&mut buffer), Ok(None));
        let mut buffer = BytesMut::from(&b"\0\xff\0\0\0"[..]);
        assert_eq!(whole(&mut buffer), Err(Code::ResourceExhausted));
    }
}
