//! What the verbs that write services have in common: the object for the API, waiting, and the lines that say what came of it.

use serde_json::Value;

use crate::change::service as change;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::failure;
use crate::flags::service::ServiceArgs;
use crate::flags::waiting::WaitArgs;
use crate::interrupt;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::wait;

/// How the lines tell what is done.
#[derive(Clone, Copy, Debug)]
pub struct Verb {
    /// `Creating`.
    pub doing: &'static str,
    /// `created`.
    pub done: &'static str,
}

pub const CREATE: Verb = Verb {
    doing: "Creating",
    done: "created",
};
pub const REPLACE: Verb = Verb {
    doing: "Replacing",
    done: "replaced",
};
pub const UPDATE: Verb = Verb {
    doing: "Updating",
    done: "updated",
};
pub const APPLY: Verb = Verb {
    doing: "Applying",
    done: "applied",
};

/// What was written.
pub struct Written<'a> {
    pub verb: Verb,
    pub namespace: &'a str,
    pub name: &'a str,
    /// The latest ready revision until then.
    pub before: Option<String>,
    /// How to print the service, instead of lines that tell about it.
    pub form: &'a OutputArgs,
}

/// The latest ready revision.
pub fn latest_ready(service: &Value) -> Option<String> {
    Some(text(service, "/status/latestReadyRevisionName")).filter(|name| !name.is_empty())
}

/// Reads the files that flags name, and tells which flags have other names by now.
///
/// # Errors
/// A file that cannot be read.
pub fn load(context: &Context, flags: &ServiceArgs, output: &mut Output) -> Result<ServiceArgs, CliError> {
    for message in change::deprecations(flags) {
        output.note(message);
    }
    flags.load(context.config_file())
}

impl Written<'_> {
    /// Waits unless told not to, and says what came of it; `stored` is the service as it was written.
    ///
    /// # Errors
    /// The service did not become ready: with conditions, the last lines of the log, and what to try next.
    pub async fn finish(
        &self,
        context: &Context,
        waiting: &WaitArgs,
        stored: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (Verb { doing, done }, namespace, name) = (self.verb, self.namespace, self.name);
        let Some(patience) = waiting.patience()? else {
            let text = format!("Service '{name}' {done} in namespace '{namespace}'.");
            return self.say(stored, &text, output);
        };
        if self.form.output.is_some() {
            output.progress_to_stderr();
        }
        output.progress(format!("{doing} service '{name}' in namespace '{namespace}':\n"));
        let api = context.api(Kind::Service, namespace).await?;
        let wait = wait::ready(&api, "service", name, patience, output);
        let goes_on = format!(
            "service '{name}' is {done} all the same: `kn service wait {name} --namespace {namespace}` waits for it"
        );
        let ready = match interrupt::or(wait, goes_on).await {
            Ok(ready) => ready,
            Err(error) => return Err(failure::explain(context, namespace, name, error).await),
        };
        output.progress("");
        self.say(&ready, &self.outcome(&ready), output)?;
        if let Some(url) = context.local_url(&text(&ready, "/status/url")).await {
            output.advice(format!(
                "\nThe gateway of this machine listens on another port: curl {url}"
            ));
        }
        Ok(Exit::Success)
    }

    /// Prints the service in the form asked for, or else the text.
    ///
    /// # Errors
    /// As [`OutputArgs::print`].
    pub fn say(&self, service: &Value, text: &str, output: &mut Output) -> Result<Exit, CliError> {
        if !self.form.print(service, output)? {
            output.done(text)?;
        }
        Ok(Exit::Success)
    }

    fn outcome(&self, ready: &Value) -> String {
        let revision = text(ready, "/status/latestReadyRevisionName");
        let unchanged = if self.before.as_ref() == Some(&revision) {
            " (unchanged)"
        } else {
            ""
        };
        format!(
            "Service '{}' {} to latest revision '{revision}'{unchanged} is available at URL:\n{}",
            self.name,
            self.verb.done,
            text(ready, "/status/url")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_outcome_names_revision_and_url() {
        let ready = json!({ "status": { "latestReadyRevisionName": "web-00002", "url": "http://web" } });
        let form = OutputArgs::default();
        let written = |before: &str| Written {
            form: &form,
            verb: UPDATE,
            namespace: "d",
            name: "web",
            before: Some(before.to_owned()),
        };
        assert_eq!(
            written("web-00001").outcome(&ready),
            "Service 'web' updated to latest revision 'web-00002' is available at URL:\nhttp://web"
        );
        assert!(
            written("web-00002")
                .outcome(&ready)
                .contains("'web-00002' (unchanged)")
        );
    }
}
