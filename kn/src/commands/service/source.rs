//! Which service `create` and `apply` are about: a name, a file, or both.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use crate::change::service::Start;
use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::CliError;
use crate::flags::load;
use crate::service_file;

/// A name, a file, or both.
#[derive(Args, Debug)]
pub struct SourceArgs {
    /// Name of the service; may be left out with --filename
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: Option<String>,
    /// File with the service in YAML or JSON, - for standard input; other flags are laid over it
    #[arg(short, long, value_name = "FILE")]
    filename: Option<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// What was found.
#[derive(Debug)]
pub struct Source {
    pub name: String,
    pub namespace: String,
    pub start: Start,
}

impl SourceArgs {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// No name anywhere, two different names, or a file that holds no service.
    pub async fn read(&self, verb: &str, context: &Context, offline: bool) -> Result<Source, CliError> {
        let file = match &self.filename {
            Some(path) => Some(service_file::parse(path, &load::text("filename", path)?)?),
            None => None,
        };
        let name = chosen_name(verb, self.name.as_deref(), file.as_ref())?;
        let in_file = file
            .as_ref()
            .and_then(|file| file.pointer("/metadata/namespace"))
            .and_then(Value::as_str)
            .map(str::to_owned);
        let namespace = match (&self.namespace.namespace, in_file) {
            (None, Some(namespace)) => namespace,
            _ if offline => context.namespace_offline(&self.namespace).await,
            _ => context.namespace(&self.namespace).await?,
        };
        let start = match file {
            Some(mut service) => {
                if let Some(metadata) = service.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.insert("namespace".to_owned(), json!(namespace));
                }
                Start {
                    service,
                    from_file: true,
                }
            }
            None => Start::empty(&name, &namespace),
        };
        Ok(Source {
            name,
            namespace,
            start,
        })
    }
}

fn chosen_name(verb: &str, given: Option<&str>, file: Option<&Value>) -> Result<String, CliError> {
    let in_file = file
        .and_then(|file| file.pointer("/metadata/name"))
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty());
    match (given, in_file) {
        (Some(given), Some(in_file)) if given != in_file => Err(CliError::usage(format!(
            "the name '{given}' is not that of the file, which is '{in_file}'"
        ))),
        (Some(_), None) if file.is_some() => Err(CliError::usage("the file lacks metadata.name")),
        (Some(name), _) | (None, Some(name)) => Ok(name.to_owned()),
        (None, None) => Err(CliError::usage(format!(
            "'service {verb}' requires the service name given as single argument, or a file by --filename"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_file_agree() {
        let file = json!({ "metadata": { "name": "web" } });
        assert_eq!(chosen_name("create", Some("web"), None).unwrap(), "web");
        assert_eq!(chosen_name("create", Some("web"), Some(&file)).unwrap(), "web");
        assert_eq!(chosen_name("create", None, Some(&file)).unwrap(), "web");
        for (given, file, token) in [
            (None, None, "requires the service name"),
            (Some("api"), Some(&file), "'api'"),
            (None, Some(&json!({})), "requires the service name"),
            (Some("web"), Some(&json!({ "metadata": {} })), "metadata.name"),
        ] {
            let message = chosen_name("create", given, file).unwrap_err().message;
            assert!(message.contains(token), "{message}");
        }
    }
}
