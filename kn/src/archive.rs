//! What the platform remembers of runs and pods that are gone. People are asked for nothing: a token of the namespace's
//! own account is made for this purpose alone, when there is something to ask.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use serde_json::Value;

use crate::commands::event::operator::Lines;
use crate::commands::event::{address, http as client, token};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;

/// Service and namespace of the archive.
const SERVICE: [&str; 2] = ["run-archive", "tekton-pipelines"];
/// What the tokens are made for.
const AUDIENCE: &str = "spindrift-logs";
/// Largest object that is read, in bytes; the API takes no larger ones.
const LARGEST: usize = 8 << 20;

/// The archive, as far as one namespace is concerned.
#[derive(Clone)]
pub struct Archive {
    context: Context,
    namespace: String,
}

impl Archive {
    /// Asks nobody yet.
    pub fn new(context: &Context, namespace: &str) -> Self {
        Self {
            context: context.clone(),
            namespace: namespace.to_owned(),
        }
    }

    /// A run that is gone; `None` if it is not known, or nobody remembers anything.
    ///
    /// # Errors
    /// The archive may not be asked, or does not answer.
    pub async fn run(&self, kind: Kind, name: &str) -> Result<Option<Value>, CliError> {
        let plural = match kind {
            Kind::PipelineRun => "pipelineruns",
            _ => "taskruns",
        };
        let Some(response) = self.ask(&format!("{plural}/{name}")).await? else {
            return Ok(None);
        };
        let broken = |why: String| CliError::new(Exit::NoConnection, format!("the answer broke off: {why}"));
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| broken(error.to_string()))?.to_bytes();
        serde_json::from_slice(&body)
            .map(Some)
            .map_err(|error| broken(error.to_string()))
    }

    /// The log of a pod that is gone: lines of a step each; `owner` is the uid of its TaskRun.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn log(&self, pod: &str, owner: &str) -> Result<Option<Lines>, CliError> {
        let response = self.ask(&format!("pods/{pod}/log?owner={owner}")).await?;
        Ok(response.map(|response| Lines::new(response.into_body())))
    }

    async fn ask(&self, rest: &str) -> Result<Option<Response<client::Incoming>>, CliError> {
        let [service, namespace] = SERVICE;
        let Some(origin) = address::service(&self.context, service, namespace).await else {
            return Ok(None);
        };
        let token = token::of(&self.context, &self.namespace, token::ACCOUNT, AUDIENCE).await?;
        let url = format!("{origin}/.spindrift/v1/namespaces/{}/{rest}", self.namespace);
        let request = Request::get(&url)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::new()))
            .map_err(|error| client::wrong(&url, &error))?;
        let response = client::send(&url, request).await?;
        if response.status() == http::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !response.status().is_success() {
            client::whole(response).await.accepted(&url, "the question")?;
            return Ok(None);
        }
        Ok(Some(response))
    }
}
