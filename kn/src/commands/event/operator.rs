//! What people ask of a broker about its events. They show a token of a ServiceAccount of the broker's namespace, made for
//! this purpose alone: whoever may make it may see the events.

use bytes::{Bytes, BytesMut};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::{address, http as client, token};
use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit, innermost};

/// What the tokens are made for.
const AUDIENCE: &str = "spindrift-events";
/// Longest line that is read, in bytes; more than an event may have.
const LONGEST_LINE: usize = 16 << 20;

/// Which broker is asked.
#[derive(Args, Clone, Debug)]
pub struct BrokerArgs {
    /// The broker: broker:NAME or NAME, with :NAMESPACE if it is another
    #[arg(value_name = "BROKER", add = ArgValueCompleter::new(completion::brokers))]
    broker: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// The answer to a question, line by line.
#[derive(Debug)]
pub struct Lines {
    body: client::Incoming,
    read: BytesMut,
    ended: bool,
}

impl BrokerArgs {
    /// Asks; `verb` is what for, with the query behind it.
    ///
    /// # Errors
    /// The broker, or the right to ask, is missing; or nobody answers.
    pub async fn ask(&self, context: &Context, method: Method, verb: &str) -> Result<Lines, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let broker = address::broker(context, &self.broker, &namespace).await?;
        let token = token::of(context, &broker.namespace, token::ACCOUNT, AUDIENCE).await?;
        let url = format!(
            "{}/.spindrift/v1/namespaces/{}/brokers/{}/{verb}",
            broker.origin, broker.namespace, broker.name
        );
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::new()))
            .map_err(|error| client::wrong(&url, &error))?;
        let response = client::send_to(&url, request, broker.authority.as_deref()).await?;
        if !response.status().is_success() {
            client::whole(response).await.accepted(&url, "the question")?;
            return Err(CliError::new(Exit::Failure, format!("{url} gave no answer")));
        }
        Ok(Lines::new(response.into_body()))
    }
}

impl Lines {
    /// The lines of an answer.
    pub fn new(body: client::Incoming) -> Self {
        Self {
            body,
            read: BytesMut::new(),
            ended: false,
        }
    }

    /// The next line of JSON; `None` at the end.
    ///
    /// # Errors
    /// The answer broke off, or is no JSON.
    pub async fn next(&mut self) -> Result<Option<Value>, CliError> {
        let broken = |why: String| CliError::new(Exit::NoConnection, format!("the answer broke off: {why}"));
        loop {
            if let Some(line) = self.take() {
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| broken(error.to_string()));
            }
            if self.ended {
                return Ok(None);
            }
            if self.read.len() > LONGEST_LINE {
                return Err(broken(format!("a line is longer than {LONGEST_LINE} bytes")));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.read.extend_from_slice(data);
                    }
                }
                Some(Err(error)) => return Err(broken(innermost(&error))),
                None => self.ended = true,
            }
        }
    }

    /// A whole line of what has been read; at the end also what is left.
    fn take(&mut self) -> Option<BytesMut> {
        match self.read.iter().position(|byte| *byte == b'\n') {
            Some(end) => Some(self.read.split_to(end + 1)),
            None if self.ended && !self.read.is_empty() => Some(self.read.split()),
            None => None,
        }
    }
}
