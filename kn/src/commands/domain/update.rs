//! `kn domain update`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::reference;
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Maps a domain to another service.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn domain update www.example.com --ref other\n  kn domain update www.example.com --tls new-certificate\n  kn domain update www.example.com --tls ''"
)]
pub struct Update {
    /// The domain
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// What serves it: NAME of a service, ksvc:NAME or kroute:NAME
    #[arg(long = "ref", value_name = "REF", required_unless_present = "tls")]
    reference: Option<String>,
    /// Secret with the certificate of the domain; '' for none
    #[arg(long, value_name = "SECRET")]
    tls: Option<String>,
    #[command(flatten)]
    write: WriteArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let secret = match self.tls.as_deref() {
            Some("") | None => None,
            Some(name) => Some(reference::secret(name)?),
        };
        let namespace = self.write.namespace(context).await?;
        let reference = match &self.reference {
            Some(value) => Some(reference::resolve(context, value, &namespace).await?),
            None => None,
        };
        let place = Place {
            kind: Kind::DomainMapping,
            namespace: &namespace,
            name: &self.name,
        };
        let change = |mapping: &mut Value| {
            let spec = &mut mapping["spec"];
            if let Some(reference) = &reference {
                spec["ref"] = reference.clone();
            }
            match (secret, &self.tls, spec.as_object_mut()) {
                (Some(secret), _, _) => spec["tls"] = json!({ "secretName": secret }),
                (None, Some(_), Some(fields)) => drop(fields.remove("tls")),
                _ => {}
            }
            Ok(())
        };
        self.write.update(context, place, change, output).await
    }
}
