//! One request and its answer.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, HOST, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::Endpoint;
use super::address::Refusal;
use super::connection::{Connection, Ended};
use super::credential::Credential;

/// What is left of an answer is read up to this many bytes, so that the connection can be used again.
const MAX_DRAIN: usize = 16 * 1024;
/// And for this long.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(50);

/// How much of an answer's body is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Nothing,
    /// At most so many bytes of its start.
    Start(usize),
    /// All of it, if it is no longer than so many bytes.
    Whole(usize),
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// What was wanted of the body, as far as it came.
    pub body: Bytes,
    /// Why the wanted part did not come in full.
    pub broken: Option<BrokenBody>,
}

/// Why a body was not read to where it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum BrokenBody {
    #[error("the answer's body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the answer's body did not come in time")]
    TimedOut,
    #[error("the answer's body broke off")]
    BrokeOff,
}

/// Why nothing was answered.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("no address: {0}")]
    Resolve(#[source] io::Error),
    #[error("{address} is {refusal}, which events are not sent to")]
    Refused { address: IpAddr, refusal: Refusal },
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    #[error("{0}")]
    Http(#[source] hyper::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// There is nothing to show to the receiver.
    #[error("{0}")]
    Credential(String),
}

impl Endpoint {
    /// POSTs what `message` makes; otherwise like [`request`](Self::request).
    ///
    /// # Errors
    /// When no head of an answer came. What goes wrong later is said in [`Answer::broken`].
    pub async fn send(
        &self,
        limit: Option<Duration>,
        message: impl Fn() -> (HeaderMap, Bytes),
        want: impl FnOnce(StatusCode, &HeaderMap, bool) -> Want,
    ) -> Result<Answer, SendError> {
        self.request(&Method::POST, limit, message, want).await
    }

    /// Sends what `message` makes, once, or a second time when a connection that was idle turns out to have been
    /// closed, or that the sender's credential is good no more. `want` says by the head of the answer how much of its
    /// body to read. `limit` is the time that all of it may take.
    ///
    /// # Errors
    /// When no head of an answer came. What goes wrong later is said in [`Answer::broken`].
    pub async fn request(
        &self,
        method: &Method,
        limit: Option<Duration>,
        message: impl Fn() -> (HeaderMap, Bytes),
        want: impl FnOnce(StatusCode, &HeaderMap, bool) -> Want,
    ) -> Result<Answer, SendError> {
        let config = &self.0.client.0.config;
        let limit = limit.map_or(config.attempt_timeout, |limit| limit.min(config.attempt_timeout));
        let deadline = Instant::now() + limit;
        let exchanged = match &self.0.credential {
            None => timeout_at(deadline, self.exchange(method, message)).await,
            // Boxed, so that senders without a token do not carry its state.
            Some(credential) => {
                Box::pin(timeout_at(
                    deadline,
                    self.exchange_as(credential.as_ref(), method, message),
                ))
                .await
            }
        };
        let (response, connection) = exchanged.unwrap_or(Err(SendError::TimedOut(limit)))?;
        let (head, body) = response.into_parts();
        let mut answer = Answer {
            status: head.status,
            headers: head.headers,
            body: Bytes::new(),
            broken: None,
        };
        if body.is_end_stream() {
            want(answer.status, &answer.headers, false);
            self.keep(connection);
            return Ok(answer);
        }
        let want = want(answer.status, &answer.headers, true);
        let deadline = deadline.min(Instant::now() + config.body_timeout);
        // Boxed, so that the many answers without a body do not carry its state.
        Box::pin(self.read_body(&mut answer, connection, body, want, deadline)).await;
        Ok(answer)
    }

    async fn exchange_as(
        &self,
        credential: &dyn Credential,
        method: &Method,
        message: impl Fn() -> (HeaderMap, Bytes),
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        loop {
            let shown = credential.header().await.map_err(SendError::Credential)?;
            let message = || {
                let (mut headers, body) = message();
                headers.insert(AUTHORIZATION, shown.clone());
                (headers, body)
            };
            let answer = self.exchange(method, message).await?;
            let refused = answer.0.status() == StatusCode::UNAUTHORIZED;
            if !(refused && credential.refused(&shown)) {
                return Ok(answer);
            }
        }
    }

    async fn exchange(
        &self,
        method: &Method,
        message: impl Fn() -> (HeaderMap, Bytes),
    ) -> Result<(Response<Incoming>, Connection), SendError> {
        let (client, target) = (&self.0.client, &self.0.target);
        if let Some(mut connection) = target.idle.take(client.0.config.idle_timeout).await {
            match attempt(&mut connection, self.made(method, &message)).await {
                Ok(response) => return Ok((response, connection)),
                // Closed by the other side while it was idle. Maybe the request was seen: deliveries are at least once.
                Err(SendError::Closed) => {}
                Err(SendError::Http(error)) if !error.is_parse() => {}
                Err(error) => return Err(error),
            }
        }
        let mut connection = Box::pin(Connection::open(client, target)).await?;
        let response = attempt(&mut connection, self.made(method, &message)).await?;
        Ok((response, connection))
    }

    fn made(&self, method: &Method, message: impl Fn() -> (HeaderMap, Bytes)) -> Request<Full<Bytes>> {
        let (mut headers, body) = message();
        headers.insert(HOST, self.0.host.clone());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method.clone();
        *request.uri_mut() = self.0.path.clone();
        *request.headers_mut() = headers;
        request
    }

    async fn read_body(
        &self,
        answer: &mut Answer,
        mut connection: Connection,
        mut body: Incoming,
        want: Want,
        deadline: Instant,
    ) {
        let (most, cut_is_fine) = match want {
            Want::Nothing => (0, true),
            Want::Start(most) => (most, true),
            Want::Whole(most) => (most, false),
        };
        let mut read = BytesMut::new();
        let result = timeout_at(deadline, read_up_to(&mut connection, &mut body, &mut read, most)).await;
        let ended = match result {
            Ok(Ok(ended)) => ended,
            Ok(Err(Ended)) => {
                answer.broken = Some(BrokenBody::BrokeOff);
                answer.body = read.freeze();
                return;
            }
            Err(_) => {
                answer.broken = Some(BrokenBody::TimedOut);
                answer.body = read.freeze();
                return;
            }
        };
        if read.len() > most {
            read.truncate(most);
            if !cut_is_fine {
                answer.broken = Some(BrokenBody::TooLarge(most));
            }
        }
        answer.body = read.freeze();
        let drain = async {
            let mut rest = BytesMut::new();
            ended
                || matches!(
                    read_up_to(&mut connection, &mut body, &mut rest, MAX_DRAIN).await,
                    Ok(true)
                )
        };
        let deadline = deadline.min(Instant::now() + DRAIN_TIMEOUT);
        if timeout_at(deadline, drain).await == Ok(true) {
            self.keep(connection);
        }
    }

    fn keep(&self, connection: Connection) {
        let max_idle = self.0.client.0.config.max_idle;
        self.0.target.idle.put(connection, max_idle);
    }
}

async fn attempt(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, SendError> {
    let sent = connection.sender.try_send_request(request);
    match connection.drive(sent).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => Err(SendError::Http(error.into_error())),
        Err(Ended) => Err(SendError::Closed),
    }
}

/// Reads until more than `most` bytes came or the body ended (then `true`). One frame more than `most` may be read: a
/// frame is never larger than the connection's buffer.
async fn read_up_to(
    connection: &mut Connection,
    body: &mut Incoming,
    read: &mut BytesMut,
    most: usize,
) -> Result<bool, Ended> {
    loop {
        if body.is_end_stream() {
            return Ok(true);
        }
        match connection.drive(body.frame()).await? {
            None => return Ok(true),
            Some(Err(_)) => return Err(Ended),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    read.extend_from_slice(data);
                }
            }
        }
        if read.len() > most {
            return Ok(false);
        }
    }
}
