//! What a deployment is told.

use crds::tekton::{CustomRun, labels};
use kube::ResourceExt;

/// The params of a deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    pub repository: String,
    /// By digest.
    pub image: String,
    pub sequence: i64,
    pub commit: String,
    pub git_ref: String,
    pub tree: String,
    /// Name of the PipelineRun that built the image.
    pub run: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("the param {0} is missing")]
    Missing(&'static str),
    #[error("the param sequence is not a number: {0:?}")]
    Sequence(String),
    #[error("the param image has no digest: {0:?}")]
    Image(String),
}

impl Request {
    pub(super) fn of(run: &CustomRun) -> Result<Self, RequestError> {
        let param = |name: &str| {
            let found = run.spec.params.iter().find(|param| param.name == name);
            found
                .and_then(|param| param.value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let required = |name: &'static str| {
            Some(param(name))
                .filter(|value| !value.is_empty())
                .ok_or(RequestError::Missing(name))
        };
        let sequence = required("sequence")?;
        let image = required("image")?;
        if !image.contains("@sha256:") {
            return Err(RequestError::Image(image));
        }
        Ok(Self {
            repository: required("repository")?,
            image: image.trim().to_owned(),
            sequence: sequence.parse().map_err(|_| RequestError::Sequence(sequence))?,
            commit: param("commit").trim().to_owned(),
            git_ref: param("ref"),
            tree: param("tree").trim().to_owned(),
            run: run
                .labels()
                .get(labels::PIPELINE_RUN)
                .cloned()
                .unwrap_or_else(|| run.name_any()),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn request(params: &Value) -> Result<Request, RequestError> {
        let params: Vec<Value> = params
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let run = json!({
            "apiVersion": "tekton.dev/v1beta1", "kind": "CustomRun",
            "metadata": {"name": "web-1-deploy", "labels": {"tekton.dev/pipelineRun": "web-1"}}, "spec": {"params": params},
        });
        Request::of(&serde_json::from_value(run).unwrap())
    }

    #[test]
    fn params_are_read_or_told() {
        let whole = json!({"repository": "web", "image": "r/web@sha256:0\n", "sequence": "7", "ref": "refs/heads/main"});
        let read = request(&whole).unwrap();
        assert_eq!(
            (read.image.as_str(), read.sequence, read.run.as_str()),
            ("r/web@sha256:0", 7, "web-1")
        );
        for (name, value, error) in [
            ("repository", "", RequestError::Missing("repository")),
            ("sequence", "x", RequestError::Sequence("x".to_owned())),
            ("image", "r/web", RequestError::Image("r/web".to_owned())),
        ] {
            let mut wrong = whole.clone();
            wrong[name] = json!(value);
            assert_eq!(request(&wrong), Err(error));
        }
    }
}
