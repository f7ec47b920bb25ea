//! Why a reconcile did not finish, and what that means for the next attempt.

use thiserror::Error;

/// A reconcile that did not finish.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("{doing}")]
    Api {
        /// What was attempted, for example `create Deployment default/a-deployment`.
        doing: String,
        #[source]
        source: kube::Error,
    },
    /// An object of the wanted name exists and is controlled by somebody else; it is never adopted.
    #[error("There is an existing {kind} \"{name}\" that we do not own.")]
    NotOwned { kind: String, name: String },
    /// Something that is watched has to appear first; its arrival wakes the key. Not a fault.
    #[error("waiting for {0}")]
    Wait(String),
    /// Nothing will change until the object does; already told in a condition.
    #[error("{0}")]
    Terminal(String),
    /// Any other fault; tried again.
    #[error(transparent)]
    Fault(Box<dyn std::error::Error + Send + Sync>),
    /// The reconcile did not end in time.
    #[error("reconcile took longer than {0:?}")]
    TimedOut(std::time::Duration),
    /// The reconcile panicked; the key goes on with back-off and the others are not touched.
    #[error("reconcile panicked: {0}")]
    Panicked(String),
}

/// What to do after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Try again with growing pauses; reported as a fault.
    Retry,
    /// Somebody else wrote first: try again soon, quietly.
    Conflict,
    /// Do nothing until a watch wakes the key.
    Wait,
    /// Do nothing until the object changes.
    Terminal,
}

impl Class {
    /// The value of metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Conflict => "conflict",
            Self::Wait => "wait",
            Self::Terminal => "terminal",
        }
    }
}

impl Error {
    pub fn api(doing: impl Into<String>, source: kube::Error) -> Self {
        Self::Api {
            doing: doing.into(),
            source,
        }
    }

    pub fn fault(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Fault(error.into())
    }

    /// The one place that decides how an error is handled.
    pub fn class(&self) -> Class {
        match self {
            Self::Api { source, .. } if is_conflict(source) => Class::Conflict,
            // A namespace that goes away takes the object with it.
            Self::Api {
                source: kube::Error::Api(status),
                ..
            } if is_terminating(status) => Class::Terminal,
            Self::NotOwned { .. } | Self::Wait(_) => Class::Wait,
            Self::Terminal(_) => Class::Terminal,
            Self::Api { .. } | Self::Fault(_) | Self::TimedOut(_) | Self::Panicked(_) => Class::Retry,
        }
    }
}

/// Whether the API server answered 409: a stale version, or a name that was taken meanwhile.
pub fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Whether the API server answered 404.
pub fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

fn is_terminating(status: &kube::core::Status) -> bool {
    status.code == 403 && status.message.contains("because it is being terminated")
}

/// An error and its causes in one line, for logs, events and conditions.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let refusal = match cause.downcast_ref::<kube::Error>() {
            // The text of the library is a dump of the whole status.
            Some(kube::Error::Api(status)) => Some(status.message.clone()),
            _ => None,
        };
        let last = refusal.is_some();
        let cause_text = refusal.unwrap_or_else(|| cause.to_string());
        // Some libraries repeat their cause in their own text.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = if last { None } else { cause.source() };
    }
    text
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn api(code: u16, message: &str) -> Error {
        let status = Status {
            code,
            message: message.into(),
            ..Status::default()
        };
        Error::api("apply", kube::Error::Api(status.boxed()))
    }

    #[test]
    fn errors_fall_into_their_classes() {
        let table = [
            (api(409, "changed"), Class::Conflict),
            (api(422, "invalid"), Class::Retry),
            (api(500, "broken"), Class::Retry),
            (
                api(403, "no create in namespace a because it is being terminated"),
                Class::Terminal,
            ),
            (api(403, "quota"), Class::Retry),
            (Error::Wait("Revision a".into()), Class::Wait),
            (Error::Terminal("no".into()), Class::Terminal),
            (Error::fault("x"), Class::Retry),
            (
                Error::NotOwned {
                    kind: "Route".into(),
                    name: "a".into(),
                },
                Class::Wait,
            ),
        ];
        for (error, class) in table {
            assert_eq!(error.class(), class, "{error}");
        }
    }

    #[test]
    fn chain_names_every_level_once() {
        assert_eq!(chain(&api(500, "broken")), "apply: broken");
        assert_eq!(chain(&Error::fault("x")), "x");
    }
}
