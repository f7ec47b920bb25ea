//! The fields of a Pipeline's tasks and results that may have variables.

use super::fields::Field;

/// Of a task of a Pipeline, without what is embedded in it.
pub const TASK: &[Field] = &[
    Field::Value("params[].value"),
    Field::Value("matrix.params[].value"),
    Field::Value("matrix.include[].params[].value"),
    Field::Text("when[].input"),
    Field::Text("when[].values"),
    Field::Text("when[].cel"),
    Field::Text("displayName"),
    Field::Text("workspaces[].subPath"),
    Field::Text("taskRef.name"),
    Field::Value("taskRef.params[].value"),
    Field::Text("pipelineRef.name"),
    Field::Value("pipelineRef.params[].value"),
    Field::Text("onError"),
];

/// Of the results of a Pipeline.
pub const RESULTS: &[Field] = &[Field::Value("results[].value")];
