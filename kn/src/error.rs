//! How a command can end.

use std::fmt;
use std::process::ExitCode;

/// Exit codes. They are stable: scripts may rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Success = 0,
    Failure = 1,
    /// The arguments make no sense.
    Usage = 2,
    NotFound = 3,
    /// It exists already, or somebody else changed it.
    Conflict = 4,
    /// It did not happen in the time given.
    Timeout = 5,
    /// It became not ready.
    NotReady = 6,
    /// The cluster cannot be reached.
    NoConnection = 7,
    Forbidden = 8,
    /// Ctrl-C, while it waited for what goes on without it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed: a sentence, the code to end with, and what to try.
#[derive(Debug, Clone)]
pub struct CliError {
    pub exit: Exit,
    pub message: String,
    /// What else is known: conditions, the end of a log.
    pub details: Option<String>,
    pub hint: Option<String>,
}

/// What is said of an API that is not served, until it is known which part is missing.
const NO_API: &str = "no or newer Knative API found on the backend";

impl CliError {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            details: None,
            hint: None,
        }
    }

    /// Wrong arguments.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Says which part of the API is missing, if that is what happened.
    #[must_use]
    pub fn naming(mut self, family: &str) -> Self {
        if self.message.ends_with(NO_API) {
            self.message = format!("no or newer {family} API found on the backend");
            self.hint = Some(format!("check that {family} or Spindrift is installed there"));
        }
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<kube::Error> for CliError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let exit = match status.code {
                    403 | 401 => Exit::Forbidden,
                    404 => Exit::NotFound,
                    409 => Exit::Conflict,
                    504 => Exit::Timeout,
                    _ => Exit::Failure,
                };
                if status.code == 404 && status.details.is_none() && !status.message.contains('"') {
                    // No such path at all: the API group is not served.
                    return Self::new(Exit::NotFound, NO_API);
                }
                let error = Self::new(exit, status.message);
                match status.code {
                    401 => error.with_hint("the cluster does not accept these credentials: check the kubeconfig, or name another by --kubeconfig or --context"),
                    403 => error.with_hint("this user may not do that: ask for the right, or try another --context, --as or --namespace"),
                    404 => error.with_hint("names belong to a namespace: `list -A` shows what there is in all of them, --namespace chooses another"),
                    _ => error,
                }
            }
            kube::Error::HyperError(_) | kube::Error::Service(_) => Self::new(
                Exit::NoConnection,
                format!("cannot reach the cluster: {}", innermost(&error)),
            )
            .with_hint("is it running? `kn status` shows the local one, and --kubeconfig chooses another"),
            // Names and namespaces are all that comes into an address from outside.
            kube::Error::BuildRequest(_) => Self::new(
                Exit::Usage,
                format!(
                    "no object can have the name that was given: {}",
                    innermost(&error)
                ),
            )
            .with_hint("names are made of lower case letters, digits, '-' and '.'"),
            other => Self::new(Exit::Failure, innermost(&other)),
        }
    }
}

/// The text of the deepest cause, which names what happened; the layers above only say that something did.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_object_can_have_is_a_wrong_argument() {
        let request =
            kube::core::Request::new("/api/v1/pods").get("bad name", &kube::api::GetParams::default());
        let error = CliError::from(kube::Error::BuildRequest(request.unwrap_err()));
        assert_eq!(error.exit, Exit::Usage);
        assert_eq!(
            error.message,
            "no object can have the name that was given: invalid uri character"
        );
    }
}
