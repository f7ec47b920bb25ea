//! `kn domain create`

use clap::Args;
use serde_json::json;

use super::{claim, reference};
use crate::commands::write::{Place, WriteArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Maps a domain to a service.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn domain create www.example.com --ref web\n  kn domain create www.example.com --ref kroute:web --wait\n  kn domain create www.example.com --ref web --tls www-certificate"
)]
pub struct Create {
    /// The domain, such as www.example.com
    name: String,
    /// What serves it: NAME of a service, ksvc:NAME or kroute:NAME
    #[arg(long = "ref", value_name = "REF")]
    reference: String,
    /// Secret with the certificate of the domain; it is served over https then
    #[arg(long, value_name = "SECRET")]
    tls: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let secret = self.tls.as_deref().map(reference::secret).transpose()?;
        let namespace = self.write.namespace(context).await?;
        let mut spec = json!({ "ref": reference::resolve(context, &self.reference, &namespace).await? });
        if let Some(secret) = secret {
            spec["tls"] = json!({ "secretName": secret });
        }
        let place = Place {
            kind: Kind::DomainMapping,
            namespace: &namespace,
            name: &self.name,
        };
        let mapping = place.object(spec);
        let created = self.write.create(context, place, &mapping, output).await;
        match created {
            Ok(exit) if self.write.is_rehearsal() => Ok(exit),
            Ok(exit) => {
                if let Some(hint) = claim::next_step(context, &namespace, &self.name).await {
                    output.advice(format!("hint: {hint}"));
                }
                Ok(exit)
            }
            Err(error) if matches!(error.exit, Exit::NotReady | Exit::Timeout) => {
                Err(match claim::next_step(context, &namespace, &self.name).await {
                    Some(hint) => error.with_hint(hint),
                    None => error,
                })
            }
            Err(error) => Err(error),
        }
    }
}
