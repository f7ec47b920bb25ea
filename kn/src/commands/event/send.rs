//! `kn event send`

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::address;
use super::build::view;
use super::http::{Answer, post};
use super::make::EventArgs;
use crate::cli::NamespaceArgs;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::table;

/// Sends an event.
///
/// From outside of the cluster a broker is reached through the gateway of the platform, at
/// http://broker-ingress.knative-eventing.DOMAIN/NAMESPACE/BROKER with the domain of services (config-domain) and the
/// gateway's port; a Knative service at its own URL.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn event send --type dev.example.hello --field msg=hi --to broker:default\n  kn event send --field person.name=Ada --raw-field person.zip=01234 --to ksvc:display\n  kn event send --id 1 --source /me --type dev.example.hello --to http://localhost:8080/"
)]
pub struct Send {
    /// Who gets the event: broker:NAME, ksvc:NAME, GROUP/VERSION/PLURAL:NAME, each with :NAMESPACE if it is another, or a URL
    #[arg(long, value_name = "RECEIVER", required_unless_present = "to_url")]
    to: Option<String>,
    /// URL that gets the event
    #[arg(long, value_name = "URL", conflicts_with = "to")]
    to_url: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Send {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let event = self.event.event(Uuid::new_v4, Timestamp::now())?;
        let url = match (&self.to_url, &self.to) {
            (Some(url), _) => url.clone(),
            (None, Some(to)) if to.starts_with("http://") || to.starts_with("https://") => to.clone(),
            (None, to) => {
                let namespace = context.namespace(&self.namespace).await?;
                address::find(context, to.as_deref().unwrap_or_default(), &namespace).await?
            }
        };
        accepted(&post(&url, &event).await?, &url)?;
        if !self.form.print(&view(&event), output)? {
            output.done(format!(
                "Event (ID: {}) has been sent to {url}.",
                event.id.as_str()
            ))?;
        }
        Ok(Exit::Success)
    }
}

/// Whether the receiver took the event.
fn accepted(answer: &Answer, url: &str) -> Result<(), CliError> {
    if answer.status.is_success() {
        return Ok(());
    }
    let said = match table::one_line(answer.body.trim()) {
        body if body.is_empty() => String::new(),
        body => format!(": {body}"),
    };
    let exit = match answer.status.as_u16() {
        401 | 403 => Exit::Forbidden,
        404 => Exit::NotFound,
        _ => Exit::Failure,
    };
    let error = CliError::new(
        exit,
        format!("{url} refused the event with {}{said}", answer.status),
    );
    let later = answer
        .headers
        .get("retry-after")
        .and_then(|value| value.to_str().ok());
    Err(match (answer.status.as_u16(), later) {
        (_, Some(seconds)) => error.with_hint(format!("try again in {seconds} seconds")),
        (404, None) => error.with_hint("is the receiver ready? `describe` tells; the event was not stored"),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    #[test]
    fn refusals_tell_what_the_receiver_said() {
        let answer = |status: u16, body: &str| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned(),
        };
        accepted(&answer(202, ""), "http://x").unwrap();
        let refused = accepted(&answer(400, "bad\nid\n"), "http://x").unwrap_err();
        assert_eq!(
            refused.message,
            "http://x refused the event with 400 Bad Request: bad id"
        );
        assert_eq!(
            accepted(&answer(404, ""), "http://x").unwrap_err().exit,
            Exit::NotFound
        );
        let mut busy = answer(503, "");
        busy.headers.insert("retry-after", HeaderValue::from_static("5"));
        assert!(
            accepted(&busy, "http://x")
                .unwrap_err()
                .hint
                .unwrap()
                .contains("5 seconds")
        );
    }
}
