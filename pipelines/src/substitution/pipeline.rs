//! The fields of a Pipeline's tasks and results, and of a PipelineRun, that may have variables.

use super::fields::Field;

/// Of a task of a Pipeline, without what is embedded in it.
pub const TASK: &[Field] = &[
    Field::Value("params[].value"),
    Field::Value("matrix.params[].value"),
    Field::Value("matrix.include[].params[].value"),
    Field::Text("when[].input"),
    Field::Text("when[].values"),
    Field::Cel("when[].cel"),
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

/// Of a PipelineRun's spec: what its workspaces are bound to, and what is said about the pods of single tasks.
pub const RUN: &[Field] = &[
    Field::Text("workspaces[].subPath"),
    Field::Text("workspaces[].persistentVolumeClaim.claimName"),
    Field::Text("workspaces[].configMap.name"),
    Field::Text("workspaces[].secret.secretName"),
    Field::Text("workspaces[].projected.sources[].configMap.name"),
    Field::Text("workspaces[].projected.sources[].secret.name"),
    Field::Text("workspaces[].csi.driver"),
    Field::Text("workspaces[].csi.nodePublishSecretRef.name"),
    Field::Text("taskRunSpecs[].podTemplate.**"),
];
