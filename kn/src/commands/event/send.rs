//! `kn event send`

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::address::{self, Receiver};
use super::build::view;
use super::http::post;
use super::make::EventArgs;
use super::token;
use crate::cli::NamespaceArgs;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Sends an event.
///
/// From outside of the cluster a broker is reached through the gateway of the platform, at
/// http://broker-ingress.knative-eventing.DOMAIN/NAMESPACE/BROKER with the domain of services (config-domain) and the
/// gateway's port; a Knative service at its own URL.
///
/// While senders have identities (authentication-oidc), the event goes with a token of a ServiceAccount that is made for
/// the receiver; that takes the right to make tokens of that account.
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
    /// ServiceAccount that sends it, NAME or NAMESPACE:NAME, where receivers ask who sends: default of the receiver's namespace
    #[arg(long, value_name = "ACCOUNT")]
    service_account: Option<String>,
    #[command(flatten)]
    form: OutputArgs,
}

impl Send {
    /// Namespace and name of the account that sends.
    fn account<'a>(&'a self, receiver: &'a Receiver) -> (&'a str, &'a str) {
        let given = self.service_account.as_deref().unwrap_or(token::ACCOUNT);
        given.split_once(':').unwrap_or((&receiver.namespace, given))
    }

    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let event = self.event.event(Uuid::new_v4, Timestamp::now())?;
        let at = |url: &String| Receiver {
            url: url.clone(),
            ..Receiver::default()
        };
        let receiver = match (&self.to_url, &self.to) {
            (Some(url), _) => at(url),
            (None, Some(to)) if to.starts_with("http://") || to.starts_with("https://") => at(to),
            (None, to) => {
                let namespace = context.namespace(&self.namespace).await?;
                address::find(context, to.as_deref().unwrap_or_default(), &namespace).await?
            }
        };
        let token = match &receiver.audience {
            None => None,
            Some(audience) => {
                let (namespace, account) = self.account(&receiver);
                Some(token::of(context, namespace, account, audience).await?)
            }
        };
        let url = receiver.url;
        post(&url, &event, token.as_deref(), receiver.authority.as_deref())
            .await?
            .accepted(&url, "the event")?;
        if !self.form.print(&view(&event), output)? {
            output.done(format!(
                "Event (ID: {}) has been sent to {url}.",
                event.id.as_str()
            ))?;
        }
        Ok(Exit::Success)
    }
}
