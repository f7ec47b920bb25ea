//! Interceptors: who looks at an event before a trigger does, and may stop it.
//!
//! Those that ship with the platform are functions here. Secrets are found for them by whoever calls.

pub mod bitbucket;
pub mod cel;
pub mod changed_files;
pub mod github;
pub mod gitlab;
pub mod remote;
pub mod signature;
pub mod slack;

use crds::triggers::InterceptorParam;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What an interceptor says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The event goes on, with these extensions.
    Continue(Map<String, Value>),
    /// The event is none for this trigger; why.
    Stop(String),
    /// It cannot be told whether it is one; why.
    Fail(String),
    /// It cannot be told just now, since whoever would know does not answer; why. Asking again soon may help.
    Away(String),
}

impl Verdict {
    /// The event goes on as it is.
    pub fn go() -> Self {
        Self::Continue(Map::new())
    }
}

/// Where a secret is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretRef {
    /// Name of the Secret, in the namespace of the trigger.
    pub secret_name: String,
    /// Its entry.
    pub secret_key: String,
}

/// A secret that an interceptor is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret<'s> {
    /// None is asked for.
    NotAsked,
    /// What it is; never empty.
    Known(&'s [u8]),
    /// It is asked for, and missing.
    Missing,
}

/// The interceptors that ship with the platform.
#[derive(Clone, Debug, PartialEq)]
pub enum Core {
    /// Webhooks of GitHub.
    GitHub(github::Params),
    /// Webhooks of GitLab.
    GitLab(gitlab::Params),
    /// Webhooks of Bitbucket.
    Bitbucket(bitbucket::Params),
    /// Commands of Slack.
    Slack(slack::Params),
    /// Expressions.
    Cel(cel::Params),
}

impl Core {
    /// The interceptor of that name; `None` if none ships with the platform.
    ///
    /// # Errors
    /// If the params are not those of the interceptor.
    pub fn find(name: &str, params: &[InterceptorParam]) -> Option<Result<Self, String>> {
        Some(match name {
            "github" => read(params).map(Self::GitHub),
            "gitlab" => read(params).map(Self::GitLab),
            "bitbucket" => read(params).map(Self::Bitbucket),
            "slack" => read(params).map(Self::Slack),
            "cel" => read(params).map(Self::Cel),
            _ => return None,
        })
    }

    /// The secret that events have to be signed with, or to know.
    pub fn secret(&self) -> Option<&SecretRef> {
        match self {
            Self::GitHub(params) => params.secret_ref.as_ref(),
            Self::GitLab(params) => params.secret_ref.as_ref(),
            Self::Bitbucket(params) => params.secret_ref.as_ref(),
            Self::Slack(params) => params.secret_ref.as_ref(),
            Self::Cel(_) => None,
        }
    }

    /// Whether an event proves that its sender knows the secret.
    ///
    /// # Errors
    /// Why it does not.
    pub fn verify(&self, event: &crate::event::Seen, secret: &[u8]) -> Result<(), String> {
        match self {
            Self::GitHub(_) => github::verify(event, secret),
            Self::GitLab(_) => gitlab::verify(event, secret),
            Self::Bitbucket(_) => bitbucket::verify(event, secret),
            Self::Slack(_) => slack::verify(event, secret),
            Self::Cel(_) => Ok(()),
        }
    }
}

/// Params by their names, as one structure.
fn read<T: DeserializeOwned>(params: &[InterceptorParam]) -> Result<T, String> {
    let map: Map<String, Value> = params
        .iter()
        .map(|param| (param.name.clone(), param.value.clone()))
        .collect();
    serde_json::from_value(Value::Object(map)).map_err(|error| format!("its params cannot be read: {error}"))
}

/// The value of a header that is there once.
fn header<'e>(event: &'e crate::event::Seen, name: &str) -> Option<&'e str> {
    let mut values = event.headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Says whether an event of this type is one of those that are wanted; all are if none are named.
fn wanted(event: &crate::event::Seen, name: &str, types: &[String]) -> Result<(), String> {
    if types.is_empty() {
        return Ok(());
    }
    let given = header(event, name).unwrap_or_default();
    if types.iter().any(|wanted| wanted == given) {
        return Ok(());
    }
    Err(format!("event type {given} is not allowed"))
}

#[cfg(test)]
mod tests;
