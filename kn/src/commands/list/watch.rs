//! `--watch`: the list, then a row for each object that changes.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use kube::runtime::watcher::{self, Event};
use serde_json::Value;

use super::columns::Column;
use super::{ListArgs, Query, order, text, typed};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::table::Layout;

/// Pause after a watch failed; the watcher opens the next one by itself.
const PAUSE: Duration = Duration::from_secs(1);

/// Lists and watches until the reader has seen enough.
pub async fn run(
    list: &ListArgs,
    context: &Context,
    kind: Kind,
    query: &Query,
    columns: impl AsyncFn() -> Result<Vec<Column>, CliError>,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let api = match &query.namespace {
        Some(namespace) => context.api(kind, namespace).await?,
        None => context.api_all(kind).await?,
    };
    let mut config = watcher::Config::default();
    if let Some(name) = &query.name {
        config = config.fields(&format!("metadata.name={name}"));
    }
    if let Some(labels) = &query.labels {
        config = config.labels(labels);
    }
    let resource = kind.resource();
    let mut printer = Printer { list, layout: None };
    // What has been shown, so that a list which the watcher fetches anew shows only what has changed meanwhile.
    let mut shown: HashMap<(String, String), String> = HashMap::new();
    let mut listed: Vec<Value> = Vec::new();
    let mut events = watcher::watcher(api, config).boxed();
    while let Some(event) = events.next().await {
        let fresh = match event {
            Ok(Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                listed.extend(
                    serde_json::to_value(object)
                        .ok()
                        .map(|object| typed(object, &resource)),
                );
                continue;
            }
            Ok(Event::InitDone) => {
                listed.sort_by_cached_key(order);
                let known: HashMap<_, _> = listed.iter().map(identity).collect();
                shown.retain(|key, _| known.contains_key(key));
                std::mem::take(&mut listed)
            }
            Ok(Event::Apply(object)) => {
                vec![typed(serde_json::to_value(object).unwrap_or_default(), &resource)]
            }
            Ok(Event::Delete(object)) => {
                let object = typed(serde_json::to_value(object).unwrap_or_default(), &resource);
                shown.remove(&identity(&object).0);
                if !printer.print(&[object], &columns().await?, output)? {
                    return Ok(Exit::Success);
                }
                continue;
            }
            // A list that cannot even begin is the command's failure; later the cluster may only be restarting.
            Err(watcher::Error::InitialListFailed(error)) if printer.layout.is_none() => {
                return Err(error.into());
            }
            Err(error) => {
                output.note(format!("warning: {}", crate::error::innermost(&error)));
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let news: Vec<Value> = fresh
            .into_iter()
            .filter(|object| {
                let (key, version) = identity(object);
                shown.insert(key, version.clone()) != Some(version)
            })
            .collect();
        if !printer.print(&news, &columns().await?, output)? {
            return Ok(Exit::Success);
        }
    }
    Ok(Exit::Success)
}

fn identity(object: &Value) -> ((String, String), String) {
    let name = (
        text(object, "/metadata/namespace"),
        text(object, "/metadata/name"),
    );
    (name, text(object, "/metadata/resourceVersion"))
}

struct Printer<'a> {
    list: &'a ListArgs,
    /// How rows are laid out, once the first table has been printed.
    layout: Option<Layout>,
}

impl Printer<'_> {
    /// Prints objects; `false` if the reader has seen enough.
    fn print(
        &mut self,
        objects: &[Value],
        columns: &[Column],
        output: &mut Output,
    ) -> Result<bool, CliError> {
        let list = self.list;
        if list.form.output.is_some() && !list.form.is_wide() {
            self.layout.get_or_insert_default();
            for object in objects {
                list.form.print(object, output)?;
            }
            return Ok(!output.is_closed());
        }
        let now = Timestamp::now();
        let lines = match &mut self.layout {
            Some(layout) => {
                let columns = list.shown(columns);
                objects
                    .iter()
                    .map(|object| layout.line(&list.row(object, &columns, now)))
                    .collect()
            }
            None => {
                let (lines, layout) = list.table(objects, columns, now);
                self.layout = Some(layout);
                lines
            }
        };
        for line in lines {
            if !output.line_of_many(&line)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
