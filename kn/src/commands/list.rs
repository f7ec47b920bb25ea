//! What all lists have in common: which objects, in which order, in which form; and their typed list object.

pub mod columns;

mod watch;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use kube::api::{ApiResource, ListParams};
use serde_json::{Value, json};

use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::table::Layout;
use columns::Column;

/// Label of a revision, and of other objects, that names their service.
pub const SERVICE: &str = "/metadata/labels/serving.knative.dev~1service";
/// Label of a revision that numbers it.
pub const GENERATION: &str = "/metadata/labels/serving.knative.dev~1configurationGeneration";

/// Flags of every list of one kind.
#[derive(Args, Clone, Debug, Default)]
pub struct ListArgs {
    /// Only the object of this name
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: Option<String>,
    /// Only objects with these labels, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// After the list, show each change until interrupted
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    pub scope: ListScope,
    #[command(flatten)]
    pub form: OutputArgs,
}

/// The namespaces of a list, and its head.
#[derive(Args, Clone, Debug, Default)]
pub struct ListScope {
    #[command(flatten)]
    pub namespace: NamespaceArgs,
    /// List over all namespaces; wins over --namespace
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Leave out the column headers
    #[arg(long)]
    pub no_headers: bool,
}

/// Which objects to fetch.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// `None` for all namespaces.
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// A label selector.
    pub labels: Option<String>,
}

impl Query {
    /// All objects of one namespace.
    pub fn within(namespace: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..Self::default()
        }
    }

    /// Those of them that have these labels.
    #[must_use]
    pub fn labelled(mut self, labels: impl Into<String>) -> Self {
        self.labels = Some(labels.into());
        self
    }
}

impl ListScope {
    /// The namespace that is listed; `None` for all.
    pub async fn namespace(&self, context: &Context) -> Result<Option<String>, CliError> {
        match self.all_namespaces {
            true => Ok(None),
            false => Ok(Some(context.namespace(&self.namespace).await?)),
        }
    }
}

impl ListArgs {
    /// Lists the objects of `kind`, those with the labels that `also` names if it does. `columns` is asked before each
    /// printing, since cells may be about more than the object itself.
    pub async fn run(
        &self,
        context: &Context,
        kind: Kind,
        also: Option<String>,
        columns: impl AsyncFn() -> Result<Vec<Column>, CliError>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let labels: Vec<String> = self.selector.iter().cloned().chain(also).collect();
        let query = Query {
            namespace: self.scope.namespace(context).await?,
            name: self.name.clone(),
            labels: (!labels.is_empty()).then(|| labels.join(",")),
        };
        if self.watch {
            return watch::run(self, context, kind, &query, columns, output).await;
        }
        let objects = fetch(context, kind, &query).await?;
        self.print(kind, &objects, columns, output).await
    }

    /// The same for objects that are not in a cluster.
    ///
    /// # Errors
    /// A flag needs a cluster.
    pub async fn run_offline(
        &self,
        kind: Kind,
        mut objects: Vec<Value>,
        columns: Vec<Column>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        for (flag, given) in [("selector", self.selector.is_some()), ("watch", self.watch)] {
            if given {
                return Err(CliError::usage(format!(
                    "--{flag} needs a cluster: it cannot be used with --target"
                )));
            }
        }
        if let Some(name) = &self.name {
            objects.retain(|object| text(object, "/metadata/name") == *name);
        }
        let columns = std::cell::Cell::new(columns);
        self.print(kind, &objects, async || Ok(columns.take()), output)
            .await
    }

    async fn print(
        &self,
        kind: Kind,
        objects: &[Value],
        columns: impl AsyncFn() -> Result<Vec<Column>, CliError>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if !self.form.is_wide() && self.form.print(&list_object(&kind.into(), objects), output)? {
            return Ok(Exit::Success);
        }
        if objects.is_empty() {
            output.line(kind.none_found())?;
            return Ok(Exit::Success);
        }
        let (lines, _) = self.table(objects, &columns().await?, Timestamp::now());
        output.line(lines.join("\n"))?;
        Ok(Exit::Success)
    }

    /// The lines of a table, and the layout that further rows follow.
    fn table(&self, objects: &[Value], columns: &[Column], now: Timestamp) -> (Vec<String>, Layout) {
        let mut columns = self.shown(columns);
        let rows: Vec<Vec<String>> = objects
            .iter()
            .map(|object| self.row(object, &columns, now))
            .collect();
        let mut headers: Vec<&str> = columns.drain(..).map(|column| column.header).collect();
        if self.scope.all_namespaces {
            headers.insert(0, "NAMESPACE");
        }
        let mut layout = Layout::new(&headers, &rows);
        let mut lines = Vec::new();
        if !self.scope.no_headers {
            lines.push(layout.line(&headers));
        }
        lines.extend(rows.iter().map(|row| layout.line(row)));
        (lines, layout)
    }

    fn shown<'a>(&self, columns: &'a [Column]) -> Vec<&'a Column> {
        columns
            .iter()
            .filter(|column| self.form.is_wide() || !column.wide)
            .collect()
    }

    fn row(&self, object: &Value, columns: &[&Column], now: Timestamp) -> Vec<String> {
        let cells = columns.iter().map(|column| (column.cell)(object, now));
        match self.scope.all_namespaces {
            true => std::iter::once(text(object, "/metadata/namespace"))
                .chain(cells)
                .collect(),
            false => cells.collect(),
        }
    }
}

/// A table of objects that have been fetched.
pub fn rows(objects: &[Value], columns: &[Column], scope: &ListScope) -> String {
    let list = ListArgs {
        scope: scope.clone(),
        ..ListArgs::default()
    };
    list.table(objects, columns, Timestamp::now()).0.join("\n")
}

/// Fetches objects in the order of lists, with apiVersion and kind filled in.
pub async fn fetch(
    context: &Context,
    resource: impl Into<ApiResource>,
    query: &Query,
) -> Result<Vec<Value>, CliError> {
    let resource = resource.into();
    let api = match &query.namespace {
        Some(namespace) => context.api(resource.clone(), namespace).await?,
        None => context.api_all(resource.clone()).await?,
    };
    let mut params = ListParams::default();
    if let Some(name) = &query.name {
        params = params.fields(&format!("metadata.name={name}"));
    }
    if let Some(labels) = &query.labels {
        params = params.labels(labels);
    }
    let mut objects: Vec<Value> = api
        .list(&params)
        .await?
        .items
        .into_iter()
        .filter_map(|object| serde_json::to_value(object).ok())
        .map(|object| typed(object, &resource))
        .collect();
    objects.sort_by_cached_key(order);
    Ok(objects)
}

/// The API leaves apiVersion and kind out of list items.
fn typed(mut object: Value, resource: &ApiResource) -> Value {
    object["apiVersion"] = json!(resource.api_version);
    object["kind"] = json!(resource.kind);
    object
}

/// By namespace and name; revisions by service, and runs of tasks and pipelines, the newest first.
fn order(object: &Value) -> (String, String, i64, String) {
    let (service, newness) = match object["kind"].as_str() {
        Some("Revision") => (
            text(object, SERVICE),
            text(object, GENERATION).parse().unwrap_or(0_i64).saturating_neg(),
        ),
        Some("TaskRun" | "PipelineRun") => (String::new(), crate::tekton::newness(object)),
        _ => (String::new(), 0_i64),
    };
    (
        text(object, "/metadata/namespace"),
        service,
        newness,
        text(object, "/metadata/name"),
    )
}

/// `ServiceList` and the like, as `-o` prints it.
pub fn list_object(resource: &ApiResource, items: &[Value]) -> Value {
    json!({ "apiVersion": resource.api_version, "kind": format!("{}List", resource.kind), "metadata": {}, "items": items })
}

/// A text field by JSON pointer; empty if it is not there.
pub fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::list::columns::{NAME, READY, wide};

    #[test]
    fn wide_columns_and_namespaces_are_shown_on_request() {
        let object = json!({ "metadata": { "name": "web", "namespace": "team", "labels": { "x": "y" } } });
        let columns = [
            NAME(),
            READY(),
            wide("X", |object, _| text(object, "/metadata/labels/x")),
        ];
        let mut list = ListArgs::default();
        let lines = |list: &ListArgs| {
            list.table(std::slice::from_ref(&object), &columns, Timestamp::UNIX_EPOCH)
                .0
        };
        assert_eq!(lines(&list), ["NAME     READY", "web"]);
        list.form.output = Some("wide".into());
        assert_eq!(lines(&list), ["NAME     READY    X", "web               y"]);
        list.scope.all_namespaces = true;
        list.scope.no_headers = true;
        assert_eq!(lines(&list), ["team        web               y"]);
    }

    #[test]
    fn revisions_are_listed_by_service_and_age_runs_by_start_others_by_name() {
        let object = |kind: &str, name: &str, service: &str, generation: &str| {
            json!({ "kind": kind, "metadata": { "name": name, "namespace": "d", "labels": {
                "serving.knative.dev/service": service, "serving.knative.dev/configurationGeneration": generation } } })
        };
        let sorted = |mut objects: Vec<Value>| {
            objects.sort_by_cached_key(order);
            objects
                .iter()
                .map(|object| text(object, "/metadata/name"))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            sorted(vec![
                object("Revision", "b-9", "b", "9"),
                object("Revision", "a-2", "a", "2"),
                object("Revision", "a-10", "a", "10")
            ]),
            ["a-10", "a-2", "b-9"]
        );
        assert_eq!(
            sorted(vec![
                object("Route", "b", "a", "1"),
                object("Route", "a", "b", "2")
            ]),
            ["a", "b"]
        );
        let run = |name: &str, start: Option<&str>| json!({ "kind": "TaskRun", "metadata": { "name": name, "namespace": "d" }, "status": { "startTime": start } });
        assert_eq!(
            sorted(vec![
                run("old", Some("2026-01-01T00:00:00Z")),
                run("waiting", None),
                run("new", Some("2026-01-02T00:00:00Z"))
            ]),
            ["waiting", "new", "old"]
        );
    }
}
