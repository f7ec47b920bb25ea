//! The verbs that all types of sources have; a type adds its flags, what they do to the spec, and how that is shown.

use std::fmt::Debug;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::change::json::{at, drop_empty, object};
use crate::change::pairs;
use crate::commands::delete::DeleteArgs;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::columns::{AGE, CONDITIONS, Column, NAME, READY, REASON, column, wide};
use crate::commands::list::{ListArgs, text};
use crate::commands::write::{Place, WriteArgs};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::{describe, sink};

/// The flags of one type of sources.
pub trait SourceFlags: Args + Clone + Debug {
    const KIND: Kind;
    /// Flags for the example of `create`.
    const EXAMPLE: &str;
    /// Flags for the example of `update`.
    const CHANGE: &str;
    /// Header of the column that tells sources of this type apart.
    const HEADER: &str;

    /// Names of flags that a new source needs and that are not given.
    fn missing(&self) -> Vec<&'static str>;
    /// Reads the files that flags name.
    fn load(&mut self) -> Result<(), CliError> {
        Ok(())
    }
    /// Applies the flags to a spec; what none of them names stays.
    fn apply(&self, spec: &mut Value, namespace: &str) -> Result<(), CliError>;
    /// The cell that tells sources of this type apart.
    fn cell(source: &Value) -> String;
    /// Further rows of the first block of a description.
    fn head(source: &Value) -> Vec<(&'static str, String)>;
    /// Blocks before, and behind, those of sink and overrides.
    fn blocks(_source: &Value, _verbose: bool) -> [(&'static str, String); 2] {
        [("", String::new()), ("", String::new())]
    }
}

#[derive(Debug, Subcommand)]
pub enum Verbs<F: SourceFlags> {
    /// Create a source
    #[command(after_help = create_example::<F>())]
    Create(Create<F>),
    /// Delete sources
    #[command(visible_alias = "rm", after_help = format!("Examples:\n  kn source {} delete mine", word::<F>()))]
    Delete(DeleteArgs),
    /// Show the details of a source
    #[command(after_help = format!("Examples:\n  kn source {0} describe mine\n  kn source {0} describe mine -o yaml", word::<F>()))]
    Describe(DescribeArgs),
    /// List sources
    #[command(visible_alias = "ls", after_help = format!("Examples:\n  kn source {0} list\n  kn source {0} list -A", word::<F>()))]
    List(ListArgs),
    /// Change a source
    #[command(after_help = format!("Examples:\n  kn source {0} update mine {1}\n  kn source {0} update mine --sink broker:other", word::<F>(), F::CHANGE))]
    Update(Update<F>),
}

/// The word of the command.
fn word<F: SourceFlags>() -> &'static str {
    match F::KIND {
        Kind::ApiServerSource => "apiserver",
        Kind::SinkBinding => "binding",
        Kind::ContainerSource => "container",
        Kind::GitHubSource => "github",
        _ => "ping",
    }
}

fn create_example<F: SourceFlags>() -> String {
    format!(
        "Examples:\n  kn source {} create mine {} --sink broker:default",
        word::<F>(),
        F::EXAMPLE
    )
}

/// Attributes that are laid over those of each event.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub struct OverrideArgs {
    /// Attribute to set on each event; NAME- removes it; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    ce_override: Vec<String>,
}

/// Creates a source.
#[derive(Args, Debug)]
pub struct Create<F: SourceFlags> {
    /// Name of the source
    name: String,
    /// Where events go: ksvc:NAME, svc:NAME, broker:NAME, channel:NAME, GROUP/VERSION/PLURAL:NAME, each with :NAMESPACE if it is another, or a URL
    #[arg(short, long, value_name = "SINK")]
    sink: String,
    #[command(flatten)]
    flags: F,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    write: WriteArgs,
}

/// Changes a source; what no flag names stays as it is.
#[derive(Args, Debug)]
pub struct Update<F: SourceFlags> {
    /// Name of the source
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// Where events go, in the forms that create takes
    #[arg(short, long, value_name = "SINK")]
    sink: Option<String>,
    #[command(flatten)]
    flags: F,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    write: WriteArgs,
}

impl OverrideArgs {
    fn apply(&self, spec: &mut Value) -> Result<(), CliError> {
        if self.ce_override.is_empty() {
            return Ok(());
        }
        let pairs = pairs::parse("ce-override", &self.ce_override, true)?;
        let extensions = object(at(spec, &["ceOverrides", "extensions"]));
        for (name, value) in pairs.set {
            extensions.insert(name, json!(value));
        }
        for name in &pairs.remove {
            extensions.remove(name);
        }
        drop_empty(at(spec, &["ceOverrides"]), "extensions");
        drop_empty(spec, "ceOverrides");
        Ok(())
    }
}

impl<F: SourceFlags> Verbs<F> {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match self {
            Self::Create(command) => command.run(context, output).await,
            Self::Delete(delete) => delete.run(context, F::KIND, output).await,
            Self::Describe(describe) => describe.run(context, F::KIND, render::<F>, output).await,
            Self::List(list) => {
                list.run(context, F::KIND, None, async || Ok(columns::<F>()), output)
                    .await
            }
            Self::Update(command) => command.run(context, output).await,
        }
    }
}

impl<F: SourceFlags> Create<F> {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let missing = self.flags.missing();
        if !missing.is_empty() {
            let names: Vec<String> = missing.iter().map(|name| format!("\"{name}\"")).collect();
            return Err(CliError::usage(format!(
                "required flag(s) {} not set",
                names.join(", ")
            )));
        }
        let namespace = self.write.namespace(context).await?;
        let mut flags = self.flags.clone();
        flags.load()?;
        let mut spec = json!({});
        flags.apply(&mut spec, &namespace)?;
        self.overrides.apply(&mut spec)?;
        spec["sink"] = sink::resolve(context, "sink", &self.sink, &namespace).await?;
        let place = Place {
            kind: F::KIND,
            namespace: &namespace,
            name: &self.name,
        };
        self.write
            .create(context, place, &place.object(spec), output)
            .await
    }
}

impl<F: SourceFlags> Update<F> {
    async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = self.write.namespace(context).await?;
        let mut flags = self.flags.clone();
        flags.load()?;
        let sink = match &self.sink {
            Some(sink) => Some(sink::resolve(context, "sink", sink, &namespace).await?),
            None => None,
        };
        let place = Place {
            kind: F::KIND,
            namespace: &namespace,
            name: &self.name,
        };
        let change = |source: &mut Value| {
            let spec = &mut source["spec"];
            flags.apply(spec, &namespace)?;
            self.overrides.apply(spec)?;
            if let Some(sink) = &sink {
                spec["sink"] = sink.clone();
            }
            Ok(())
        };
        self.write.update(context, place, change, output).await
    }
}

/// A source's sink, as tables show it.
pub fn sink_cell(source: &Value) -> String {
    sink::cell(&source["spec"]["sink"], &text(source, "/metadata/namespace"))
}

pub fn columns<F: SourceFlags>() -> Vec<Column> {
    vec![
        NAME(),
        column(F::HEADER, |source, _| F::cell(source)),
        column("SINK", |source, _| sink_cell(source)),
        AGE(),
        CONDITIONS(),
        READY(),
        REASON(),
        wide("SINK URI", |source, _| text(source, "/status/sinkUri")),
    ]
}

/// What `describe` says.
pub fn render<F: SourceFlags>(source: &Value, verbose: bool, now: Timestamp) -> String {
    let (spec, home) = (&source["spec"], text(source, "/metadata/namespace"));
    let [before, behind] = F::blocks(source, verbose);
    let blocks = [
        before,
        ("Sink", describe::block(&sink::rows(&spec["sink"], &home))),
        (
            "CloudEvent Overrides",
            describe::map(&spec["ceOverrides"]["extensions"]),
        ),
        behind,
    ];
    describe::page(source, verbose, now, F::head(source), &blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_come_and_go() {
        let overrides = |words: &[&str]| OverrideArgs {
            ce_override: words.iter().map(|word| (*word).to_owned()).collect(),
        };
        let mut spec = json!({});
        overrides(&["a=1", "b=2", "c"]).apply(&mut spec).unwrap();
        overrides(&["b-"]).apply(&mut spec).unwrap();
        assert_eq!(
            spec,
            json!({ "ceOverrides": { "extensions": { "a": "1", "c": "" } } })
        );
        overrides(&["a-", "c-"]).apply(&mut spec).unwrap();
        assert_eq!(spec, json!({}));
    }
}
