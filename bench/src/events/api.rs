//! As much of a Kubernetes API as the data plane reads: lists that never change.

use std::convert::Infallible;

use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::{Full, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};

type Answer = UnsyncBoxBody<Bytes, Infallible>;

/// A client of an API with these objects.
pub fn client(brokers: Vec<Value>, triggers: Vec<Value>) -> kube::Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let response = answer(&request, &brokers, &triggers);
        async move { Ok::<_, Infallible>(response) }
    });
    kube::Client::new(service, "default")
}

fn answer(request: &Request<Body>, brokers: &[Value], triggers: &[Value]) -> Response<Answer> {
    let watches = request
        .uri()
        .query()
        .is_some_and(|query| query.contains("watch="));
    if watches {
        let nothing = stream::pending::<Result<Frame<Bytes>, Infallible>>();
        return Response::new(StreamBody::new(nothing).boxed_unsync());
    }
    let items = match request.uri().path().rsplit('/').next() {
        Some("brokers") => brokers,
        Some("triggers") => triggers,
        _ => &[],
    };
    let list =
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items});
    Response::new(Full::new(Bytes::from(list.to_string())).boxed_unsync())
}
