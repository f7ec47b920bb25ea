//! A player of the part of GitHub's API that knows webhooks: a real HTTP server that keeps them.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Shared = Arc<std::sync::Mutex<State>>;

#[derive(Default)]
pub struct State {
    /// By path of their place and id.
    pub hooks: BTreeMap<(String, u64), Value>,
    /// Method, path with query, and the token.
    pub calls: Vec<(String, String, String)>,
    /// Answers that come first, whatever is asked: status and body.
    pub next: VecDeque<(u16, Value)>,
    /// Answers to the next POSTs; the webhook is made all the same, by somebody else.
    pub taken: usize,
    last: u64,
}

#[derive(Clone)]
pub struct GitHub {
    pub url: String,
    state: Shared,
}

impl GitHub {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let state = Shared::default();
        let shared = state.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = shared.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let state = state.clone();
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let token = head
                            .headers
                            .get(AUTHORIZATION)
                            .unwrap()
                            .to_str()
                            .unwrap()
                            .to_owned();
                        let path = head.uri.path_and_query().unwrap().to_string();
                        let (status, answer) =
                            state.lock().unwrap().answer(&head.method, &path, token, &body);
                        let text = if status == 204 {
                            String::new()
                        } else {
                            answer.to_string()
                        };
                        let response = Response::builder()
                            .status(status)
                            .body(Full::new(Bytes::from(text)));
                        Ok::<_, Infallible>(response.unwrap())
                    }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { url, state }
    }

    pub fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// All webhooks: place, id, and how each is.
    pub fn hooks(&self) -> Vec<(String, u64, Value)> {
        let hooks = |state: &mut State| state.hooks.clone();
        self.state(hooks)
            .into_iter()
            .map(|((place, id), hook)| (place, id, hook))
            .collect()
    }

    /// How often a method was called.
    pub fn count(&self, method: &str) -> usize {
        self.state(|state| state.calls.iter().filter(|(called, ..)| called == method).count())
    }
}

impl State {
    fn answer(&mut self, method: &Method, path: &str, token: String, body: &[u8]) -> (u16, Value) {
        self.calls.push((method.to_string(), path.to_owned(), token));
        if let Some(answer) = self.next.pop_front() {
            return answer;
        }
        let path = path.split('?').next().unwrap_or_default();
        let Some((place, rest)) = path.split_once("/hooks") else {
            return (404, json!({"message": "Not Found"}));
        };
        let place = place.to_owned();
        let sent: Value = serde_json::from_slice(body).unwrap_or_default();
        let id: Option<u64> = rest.strip_prefix('/').and_then(|id| id.parse().ok());
        match (method.as_str(), id) {
            ("GET", None) => {
                let hooks = self.hooks.iter().filter(|((of, _), _)| *of == place);
                let list = hooks.map(|((_, id), hook)| {
                    let url = &hook["config"]["url"];
                    json!({"id": id, "events": hook["events"], "config": {"url": url, "secret": "********"}})
                });
                (200, list.collect())
            }
            ("POST", None) => {
                self.last += 1;
                self.hooks.insert((place, self.last), sent);
                if self.taken > 0 {
                    self.taken -= 1;
                    let already = json!({"message": "Hook already exists on this repository"});
                    return (422, json!({"message": "Validation Failed", "errors": [already]}));
                }
                (201, json!({"id": self.last}))
            }
            ("PATCH", Some(id)) => match self.hooks.get_mut(&(place, id)) {
                Some(hook) => {
                    *hook = sent;
                    (200, json!({"id": id}))
                }
                None => (404, json!({"message": "Not Found"})),
            },
            ("DELETE", Some(id)) => match self.hooks.remove(&(place, id)) {
                Some(_) => (204, Value::Null),
                None => (404, json!({"message": "Not Found"})),
            },
            _ => (405, Value::Null),
        }
    }
}
