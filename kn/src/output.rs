//! Where a command writes: data to standard output, conversation to standard error; and the forms that data can take.

use std::io::{self, IsTerminal, Write};

use clap::Args;
use formats::jsonpath::JsonPath;
use serde_json::{Value, json};

use crate::error::{CliError, Exit};
use crate::usage;

/// Colours of the word that begins an error; the stream takes them out where nobody would see them.
const RED: &str = "\u{1b}[1;31m";
const PLAIN: &str = "\u{1b}[0m";

/// The two streams of a command; tests collect them.
pub struct Output {
    stdout: Box<dyn Write>,
    stderr: Box<dyn Write>,
    /// Whether progress goes to standard output, as it does for people who watch a terminal.
    terminal: bool,
    /// Whether nothing is told of what is done.
    quiet: bool,
    /// Whether nobody reads standard output any more.
    closed: bool,
}

impl Output {
    /// The process's own streams.
    pub fn standard() -> Self {
        Self {
            stdout: Box::new(anstream::stdout()),
            stderr: Box::new(anstream::stderr()),
            terminal: io::stdout().is_terminal(),
            quiet: false,
            closed: false,
        }
    }

    /// Tells nothing of what is done from here on: only data and errors.
    pub fn set_quiet(&mut self, quiet: bool) {
        self.quiet = quiet;
    }

    /// Whether nobody reads standard output any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes one line of data.
    ///
    /// # Errors
    /// A closed pipe is success: the reader has seen enough. Anything else is a failure.
    pub fn line(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        self.raw(&format!("{}\n", text.as_ref()))
    }

    /// Writes one line that tells what has been done.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn done(&mut self, text: impl AsRef<str>) -> Result<(), CliError> {
        if self.quiet { Ok(()) } else { self.line(text) }
    }

    /// Writes one line of data that does not end by itself; `false` if the reader has seen enough.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn line_of_many(&mut self, text: &str) -> Result<bool, CliError> {
        self.line(text)?;
        Ok(!self.closed)
    }

    /// Writes data as it is.
    ///
    /// # Errors
    /// As [`Self::line`].
    pub fn raw(&mut self, text: &str) -> Result<(), CliError> {
        let result = self
            .stdout
            .write_all(text.as_bytes())
            .and_then(|()| self.stdout.flush());
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            result => result.map_err(|error| CliError::new(Exit::Failure, format!("cannot write: {error}"))),
        }
    }

    /// Keeps standard output for data alone.
    pub fn progress_to_stderr(&mut self) {
        self.terminal = false;
    }

    /// Writes a line about what is going on.
    pub fn progress(&mut self, text: impl AsRef<str>) {
        if self.quiet {
            return;
        }
        let stream = if self.terminal {
            &mut self.stdout
        } else {
            &mut self.stderr
        };
        let _ = writeln!(stream, "{}", text.as_ref());
        let _ = stream.flush();
    }

    /// Writes a line that helps with what has been done.
    pub fn advice(&mut self, text: impl AsRef<str>) {
        if !self.quiet {
            self.note(text);
        }
    }

    /// Writes a line that concerns the command rather than its work, such as a deprecation.
    pub fn note(&mut self, text: impl AsRef<str>) {
        let _ = writeln!(self.stderr, "{}", text.as_ref());
    }

    /// Tells that `command` failed, and returns the code to end with.
    pub fn fail(&mut self, error: &CliError, command: &str) -> Exit {
        if error.message.is_empty() {
            return error.exit;
        }
        let message = error.message.trim_start_matches("error:").trim();
        let _ = writeln!(self.stderr, "{RED}Error:{PLAIN} {message}");
        if let Some(details) = &error.details {
            let _ = writeln!(self.stderr, "\n{details}\n");
        }
        if let Some(hint) = &error.hint {
            let _ = writeln!(self.stderr, "hint: {hint}");
        }
        if let Some(line) = usage::help_line(error, command) {
            let _ = writeln!(self.stderr, "{line}");
        }
        error.exit
    }
}

/// How an object or a list is printed.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Print as json, yaml, name, url, wide (lists), jsonpath=…, jsonpath-as-json=…, jsonpath-file=…, go-template=…, go-template-file=…
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<String>,
    /// Template for -o jsonpath or -o go-template
    #[arg(long, value_name = "TEMPLATE")]
    pub template: Option<String>,
    /// Ignore missing fields in templates
    #[arg(long, default_value_t = true, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL", action = clap::ArgAction::Set)]
    pub allow_missing_template_keys: bool,
    /// Keep managedFields
    #[arg(long)]
    pub show_managed_fields: bool,
}

/// Forms of `-o`, for the message that lists them.
const FORMS: &str = "json, yaml, name, url, wide (lists), jsonpath, jsonpath-as-json, jsonpath-file, go-template, go-template-file, template, templatefile";

impl OutputArgs {
    /// Whether a list has all its columns.
    pub fn is_wide(&self) -> bool {
        self.output.as_deref() == Some("wide")
    }

    /// Prints `object` (or a list object) in the form asked for; `false` if none was, so that the caller prints for people.
    pub fn print(&self, object: &Value, output: &mut Output) -> Result<bool, CliError> {
        let Some(form) = &self.output else {
            return Ok(false);
        };
        let (form, inline) = match form.split_once('=') {
            Some((form, template)) => (form, Some(template.to_owned())),
            None => (form.as_str(), None),
        };
        let mut object = object.clone();
        if !self.show_managed_fields {
            strip_managed_fields(&mut object);
        }
        let text = match form {
            "json" => format!("{}\n", pretty(&object)?),
            "yaml" => serde_saphyr::to_string(&object)
                .map_err(|error| CliError::new(Exit::Failure, format!("cannot print as YAML: {error}")))?,
            "name" => names(&object),
            "url" => urls(&object),
            "jsonpath" | "jsonpath-file" | "jsonpath-as-json" => {
                let template = self.text(form, inline)?;
                let path = JsonPath::parse(&template).map_err(|error| {
                    CliError::usage(format!("the jsonpath template is not valid: {error}"))
                })?;
                if form == "jsonpath-as-json" {
                    format!("{}\n", pretty(&json!(path.find(&object)))?)
                } else {
                    path.render(&object)
                        .map_err(|error| CliError::new(Exit::Failure, format!("cannot print: {error}")))?
                }
            }
            "go-template" | "go-template-file" | "template" | "templatefile" => {
                let template = self.text(form, inline)?;
                go_template(&template, &object)?
            }
            other => {
                return Err(CliError::usage(format!(
                    "unable to match a printer suitable for the output format \"{other}\", allowed formats are: {FORMS}"
                )));
            }
        };
        output.raw(&text)?;
        Ok(true)
    }

    /// The template: behind the form's `=`, by `--template`, or in the file that either names.
    fn text(&self, form: &str, inline: Option<String>) -> Result<String, CliError> {
        let given = inline.or_else(|| self.template.clone()).ok_or_else(|| {
            CliError::usage(format!(
                "template format specified but no template given: -o {form}=TEMPLATE"
            ))
        })?;
        if !form.ends_with("file") {
            return Ok(given);
        }
        std::fs::read_to_string(&given).map_err(|error| {
            CliError::new(
                Exit::Failure,
                format!("cannot read the template {given}: {error}"),
            )
        })
    }
}

fn pretty(value: &Value) -> Result<String, CliError> {
    serde_json::to_string_pretty(value).map_err(|error| CliError::new(Exit::Failure, error.to_string()))
}

fn go_template(template: &str, object: &Value) -> Result<String, CliError> {
    let failed =
        |error: gotmpl::TemplateError| CliError::usage(format!("the template does not work: {error}"));
    gotmpl::Template::new("output")
        .parse(template)
        .map_err(failed)?
        .execute_to_string(&go_value(object))
        .map_err(failed)
}

/// A JSON value as the template engine knows it.
fn go_value(value: &Value) -> gotmpl::Value {
    match value {
        Value::Null => gotmpl::Value::Nil,
        Value::Bool(flag) => gotmpl::Value::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => gotmpl::Value::Int(integer),
            None => gotmpl::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => gotmpl::Value::String(text.as_str().into()),
        Value::Array(items) => gotmpl::Value::List(items.iter().map(go_value).collect::<Vec<_>>().into()),
        Value::Object(fields) => gotmpl::Value::Map(std::sync::Arc::new(
            fields
                .iter()
                .map(|(key, value)| (key.as_str().into(), go_value(value)))
                .collect(),
        )),
    }
}

fn items(object: &Value) -> Vec<&Value> {
    match object.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().collect(),
        None => vec![object],
    }
}

/// `service.serving.knative.dev/hello`, a line each.
fn names(object: &Value) -> String {
    let name = |object: &Value| {
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let group = object["apiVersion"]
            .as_str()
            .and_then(|version| version.split_once('/'))
            .map(|(group, _)| group);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        match group {
            Some(group) => format!("{kind}.{group}/{name}\n"),
            None => format!("{kind}/{name}\n"),
        }
    };
    items(object).into_iter().map(name).collect()
}

fn urls(object: &Value) -> String {
    let url = |object: &Value| {
        let status = &object["status"];
        let url = status["url"]
            .as_str()
            .or_else(|| status["address"]["url"].as_str())
            .unwrap_or_default();
        format!("{url}\n")
    };
    items(object).into_iter().map(url).collect()
}

fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for item in object
        .get_mut("items")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        strip_managed_fields(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_kind_and_group() {
        let list = json!({ "items": [
            { "apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": { "name": "a" } },
            { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "b" } } ] });
        assert_eq!(names(&list), "service.serving.knative.dev/a\nsecret/b\n");
    }

    #[test]
    fn managed_fields_go_from_objects_and_from_lists() {
        let mut list = json!({ "items": [{ "metadata": { "name": "a", "managedFields": [{}] } }] });
        strip_managed_fields(&mut list);
        assert_eq!(list, json!({ "items": [{ "metadata": { "name": "a" } }] }));
    }
}
