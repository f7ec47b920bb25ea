//! `start`: makes a run of a task or a pipeline.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use serde_json::{Value, json};

use super::made::MadeArgs;
use crate::cli::NamespaceArgs;
use crate::commands::list::{Query, fetch};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton::{self, params, workspaces};

/// Flags of starting a task or a pipeline.
#[derive(Args, Clone, Debug)]
pub struct StartArgs {
    /// Name of what to run
    #[arg(add = ArgValueCompleter::new(completion::names))]
    pub name: String,
    /// Param: NAME=TEXT, NAME=ITEM,ITEM of an array, NAME=KEY:VALUE,KEY:VALUE of an object; may be repeated
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Workspace: name=NAME and one of emptyDir=, config=NAME, secret=NAME, claimName=NAME; also subPath=PATH, item=KEY=PATH; may be repeated
    #[arg(short, long = "workspace", value_name = "name=NAME,VOLUME")]
    workspaces: Vec<String>,
    /// Label of the run; may be repeated
    #[arg(
        short,
        long = "label",
        visible_alias = "labels",
        value_name = "KEY=VALUE",
        value_delimiter = ','
    )]
    labels: Vec<String>,
    /// Who the pods are
    #[arg(
        short,
        long = "serviceaccount",
        visible_alias = "service-account",
        value_name = "NAME"
    )]
    service_account: Option<String>,
    /// What the name of the run begins with
    #[arg(long, value_name = "NAME")]
    prefix_name: Option<String>,
    /// Take what is not given from the run that started last
    #[arg(short = 'L', long)]
    last: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    made: MadeArgs,
}

/// What tells the start of a task from that of a pipeline.
pub struct Startable {
    /// What is started.
    pub kind: Kind,
    /// What that makes.
    pub run: Kind,
    /// Label of runs that names what they run.
    pub label: &'static str,
    /// Field of a run's spec that refers to it.
    pub reference: &'static str,
    /// Where in the spec the service account is.
    pub service_account: &'static [&'static str],
}

impl StartArgs {
    /// Makes a run, whose spec `finish` completes.
    pub async fn run(
        &self,
        context: &Context,
        what: &Startable,
        finish: impl FnOnce(&mut Value),
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let startable = context.get(what.kind, &namespace, &self.name).await?;
        let earlier = match self.last {
            true => self.earlier(context, what, &namespace).await?,
            false => json!({}),
        };
        let mut run = self.object(what, &startable, &earlier)?;
        run["metadata"]["namespace"] = json!(namespace);
        finish(&mut run["spec"]);
        self.made.make(context, what.run, &namespace, &run, output).await
    }

    async fn earlier(&self, context: &Context, what: &Startable, namespace: &str) -> Result<Value, CliError> {
        let query = Query::within(namespace).labelled(format!("{}={}", what.label, self.name));
        let runs = fetch(context, what.run, &query).await?;
        tekton::newest(&runs).cloned().ok_or_else(|| {
            let noun = what.run.noun();
            CliError::new(
                Exit::NotFound,
                format!(
                    "--last: there is no {noun} of '{}' in namespace '{namespace}'",
                    self.name
                ),
            )
        })
    }

    /// The run of `startable`; what is not given is that of `earlier`.
    fn object(&self, what: &Startable, startable: &Value, earlier: &Value) -> Result<Value, CliError> {
        let list = |object: &Value, pointer: &str| {
            let list = object.pointer(pointer).and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let command = what.kind.noun().to_lowercase();
        let declared = |mut error: CliError| {
            let more = format!("`kn {command} describe {}` shows what it takes", self.name);
            error.hint = Some(match error.hint {
                Some(hint) => format!("{hint}; {more}"),
                None => more,
            });
            error
        };
        let mut spec = match earlier.get("spec") {
            Some(spec) => spec.clone(),
            None => json!({}),
        };
        if let Some(fields) = spec.as_object_mut() {
            // What was wanted of the earlier run is not wanted of this one.
            for field in ["status", "statusMessage", "params", "workspaces"] {
                fields.remove(field);
            }
        }
        spec[what.reference] = json!({ "name": self.name });
        let given = params(
            &list(startable, "/spec/params"),
            &self.params,
            &list(earlier, "/spec/params"),
        )
        .map_err(declared)?;
        let bound = workspaces(
            &list(startable, "/spec/workspaces"),
            &self.workspaces,
            &list(earlier, "/spec/workspaces"),
        )
        .map_err(declared)?;
        for (field, list) in [("params", given), ("workspaces", bound)] {
            if !list.is_empty() {
                spec[field] = json!(list);
            }
        }
        if let Some(account) = &self.service_account {
            let mut place = &mut spec;
            for field in what.service_account {
                place = &mut place[*field];
            }
            *place = json!(account);
        }
        let resource = what.run.resource();
        let prefix = match &self.prefix_name {
            Some(prefix) => format!("{prefix}-"),
            None => format!("{}-run-", self.name),
        };
        let mut run = json!({ "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "generateName": prefix }, "spec": spec });
        for label in &self.labels {
            let (key, value) = label
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or_else(|| CliError::usage(format!("--label {label}: expected KEY=VALUE")))?;
            run["metadata"]["labels"][key] = json!(value);
        }
        Ok(run)
    }
}

/// A duration as specs have it.
///
/// # Errors
/// It cannot be read, or is negative.
pub fn duration(flag: &str, value: &str) -> Result<Value, CliError> {
    let wrong = |why: &str| CliError::usage(format!("--{flag} {value}: {why}"));
    let length = formats::duration::parse(value).map_err(|error| wrong(&error.to_string()))?;
    match length.is_negative() {
        true => Err(wrong("must not be negative")),
        false => Ok(json!(formats::duration::format(length))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    const TASK: Startable = Startable {
        kind: Kind::Task,
        run: Kind::TaskRun,
        label: tekton::TASK,
        reference: "taskRef",
        service_account: &["serviceAccountName"],
    };

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        start: StartArgs,
    }

    fn start(words: &[&str]) -> StartArgs {
        Line::try_parse_from([&["kn", "build"], words].concat())
            .unwrap()
            .start
    }

    fn task() -> Value {
        json!({ "spec": { "params": [{ "name": "url" }, { "name": "flags", "type": "array", "default": [] }], "workspaces": [{ "name": "src" }] } })
    }

    #[test]
    fn a_run_is_made_of_flags() {
        let run = start(&[
            "-p",
            "url=x",
            "-p",
            "flags=a,b",
            "-w",
            "name=src,emptyDir=",
            "-s",
            "me",
            "-l",
            "a=b,c=d",
        ])
        .object(&TASK, &task(), &json!({}))
        .unwrap();
        assert_eq!(
            run,
            json!({ "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
                "metadata": { "generateName": "build-run-", "labels": { "a": "b", "c": "d" } },
                "spec": { "taskRef": { "name": "build" }, "serviceAccountName": "me",
                    "params": [{ "name": "url", "value": "x" }, { "name": "flags", "value": ["a", "b"] }],
                    "workspaces": [{ "name": "src", "emptyDir": {} }] } })
        );
    }

    #[test]
    fn the_last_run_is_repeated_without_what_was_wanted_of_it() {
        let earlier = json!({ "spec": { "taskRef": { "name": "build", "kind": "Task" }, "timeout": "1m0s", "status": "TaskRunCancelled",
            "params": [{ "name": "url", "value": "old" }], "workspaces": [{ "name": "src", "emptyDir": {} }] } });
        let run = start(&["--last", "-p", "flags=a", "--prefix-name", "again"])
            .object(&TASK, &task(), &earlier)
            .unwrap();
        assert_eq!(run["metadata"]["generateName"], "again-");
        assert_eq!(
            run["spec"],
            json!({ "taskRef": { "name": "build" }, "timeout": "1m0s",
                "params": [{ "name": "url", "value": "old" }, { "name": "flags", "value": ["a"] }],
                "workspaces": [{ "name": "src", "emptyDir": {} }] })
        );
    }

    #[test]
    fn what_is_missing_is_named_with_the_next_command() {
        let error = start(&[]).object(&TASK, &task(), &json!({})).unwrap_err();
        assert_eq!(error.message, "no value for param url (string)");
        assert_eq!(
            error.hint.as_deref(),
            Some(
                "give each one by --param, such as --param url=VALUE; `kn task describe build` shows what it takes"
            )
        );
    }

    #[test]
    fn timeouts_are_written_as_specs_have_them() {
        assert_eq!(duration("timeout", "90s").unwrap(), json!("1m30s"));
        assert!(
            duration("timeout", "-1s")
                .unwrap_err()
                .message
                .contains("negative")
        );
        assert!(
            duration("timeout", "soon")
                .unwrap_err()
                .message
                .contains("--timeout soon")
        );
    }
}
