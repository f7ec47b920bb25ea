//! Columns of runs, as their own client names them.

use serde_json::Value;

use crate::commands::list::columns::{Column, NAME, column};
use crate::tekton::{ago, lasted, status};

/// NAME STARTED DURATION STATUS.
pub fn columns() -> Vec<Column> {
    let same = |run: &Value| Some(run.clone());
    std::iter::once(NAME()).chain(state(same)).collect()
}

/// STARTED DURATION STATUS of the run that `of` finds.
pub fn state(of: impl Fn(&Value) -> Option<Value> + Clone + 'static) -> Vec<Column> {
    let [started, duration, last] = [of.clone(), of.clone(), of];
    let absent = || "---".to_owned();
    vec![
        column("STARTED", move |object, now| {
            started(object).map_or_else(absent, |run| ago(&run["status"]["startTime"], now))
        }),
        column("DURATION", move |object, _| {
            duration(object).map_or_else(absent, |run| {
                lasted(&run["status"]["startTime"], &run["status"]["completionTime"])
            })
        }),
        column("STATUS", move |object, _| {
            last(object).map_or_else(absent, |run| status(&run))
        }),
    ]
}
