//! What a deployment deploys: what its build made of the push.
//!
//! The custom run itself is asked nothing, for anybody who may make one could have written it. The Repository's status
//! says what was pushed, and that of the build's TaskRun what came out; both are written by controllers alone.

use crds::spindrift::PushRecord;
use crds::tekton::{RunStatus as _, TaskRun};
use kube::ResourceExt;
use reconciler::object::is_controlled_by;

/// What is deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
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
    #[error("the build has not succeeded: there is no TaskRun {0} of it that has")]
    NotBuilt(String),
    #[error("TaskRun {run} has no result {result}")]
    Missing { run: String, result: &'static str },
    #[error("TaskRun {run} has made {found}, and images of the Repository are kept as {expected}")]
    Elsewhere {
        run: String,
        found: String,
        expected: String,
    },
    #[error("TaskRun {run} has a result IMAGE_DIGEST that is no digest: {found:?}")]
    Digest { run: String, found: String },
}

/// A build as it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Built<'a> {
    /// UID of the PipelineRun.
    pub uid: &'a str,
    /// Name that its TaskRun has.
    pub name: &'a str,
    pub task_run: Option<&'a TaskRun>,
    /// Where images of the Repository are kept, without tag.
    pub image: &'a str,
}

impl Request {
    pub(super) fn of(push: &PushRecord, built: &Built<'_>) -> Result<Self, RequestError> {
        let succeeded = |run: &&TaskRun| {
            let condition = run.status.as_ref().and_then(|status| status.succeeded());
            is_controlled_by(&run.metadata, built.uid) && condition.is_some_and(|found| found.is_true())
        };
        let Some(task_run) = built.task_run.filter(succeeded) else {
            return Err(RequestError::NotBuilt(built.name.to_owned()));
        };
        let run = task_run.name_any();
        let result = |name: &str| {
            let mut all = task_run.status.iter().flat_map(|status| &status.results);
            let value = all.find(|result| result.name == name)?.value.as_str()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        let required = |result_name: &'static str| {
            result(result_name).ok_or_else(|| RequestError::Missing {
                run: run.clone(),
                result: result_name,
            })
        };
        let (url, digest) = (required("IMAGE_URL")?, required("IMAGE_DIGEST")?);
        if url != built.image {
            return Err(RequestError::Elsewhere {
                run,
                found: url,
                expected: built.image.to_owned(),
            });
        }
        if !is_digest(&digest) {
            return Err(RequestError::Digest { run, found: digest });
        }
        // What was uploaded is known by its artifact.
        let (commit, tree) = if push.git_ref.is_empty() {
            (String::new(), push.tree.clone())
        } else {
            (required("commit")?, required("tree")?)
        };
        Ok(Self {
            image: format!("{url}@{digest}"),
            sequence: push.sequence,
            commit,
            git_ref: push.git_ref.clone(),
            tree,
            run: push.run.clone(),
        })
    }
}

fn is_digest(text: &str) -> bool {
    let hash = text.strip_prefix("sha256:");
    hash.is_some_and(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const IMAGE: &str = "localhost:5000/default/web";

    fn task_run(uid: &str, succeeded: &str, results: &Value) -> TaskRun {
        let results: Vec<Value> = results
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| json!({"name": name, "type": "string", "value": value}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "tekton.dev/v1", "kind": "TaskRun",
            "metadata": {"name": "web-1-build", "ownerReferences": [{
                "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "web-1", "uid": uid, "controller": true,
            }]},
            "spec": {}, "status": {"conditions": [{"type": "Succeeded", "status": succeeded}], "results": results},
        }))
        .unwrap()
    }

    fn request(push: &Value, task_run: Option<&TaskRun>) -> Result<Request, RequestError> {
        let push: PushRecord = serde_json::from_value(push.clone()).unwrap();
        Request::of(
            &push,
            &Built {
                uid: "b",
                name: "web-1-build",
                task_run,
                image: IMAGE,
            },
        )
    }

    #[test]
    fn what_was_built_is_deployed() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let whole =
            json!({"IMAGE_URL": IMAGE, "IMAGE_DIGEST": format!("{digest}\n"), "commit": "c\n", "tree": "t"});
        let push = json!({"sequence": 7, "ref": "refs/heads/main", "run": "web-1", "tree": "told"});
        let good = request(&push, Some(&task_run("b", "True", &whole))).unwrap();
        let expected = Request {
            image: format!("{IMAGE}@{digest}"),
            sequence: 7,
            commit: "c".to_owned(),
            git_ref: "refs/heads/main".to_owned(),
            tree: "t".to_owned(),
            run: "web-1".to_owned(),
        };
        assert_eq!(good, expected);
        // An upload has no commit, and its artifact stands for its files.
        let upload = json!({"sequence": 7, "run": "web-1", "tree": "r@sha256:1"});
        let of_upload = request(&upload, Some(&task_run("b", "True", &whole))).unwrap();
        assert_eq!(
            (of_upload.commit.as_str(), of_upload.tree.as_str()),
            ("", "r@sha256:1")
        );

        let not_built = RequestError::NotBuilt("web-1-build".to_owned());
        assert_eq!(request(&push, None), Err(not_built.clone()));
        for (uid, succeeded) in [("other", "True"), ("b", "False"), ("b", "Unknown")] {
            let found = request(&push, Some(&task_run(uid, succeeded, &whole)));
            assert_eq!(found, Err(not_built.clone()));
        }
        for (name, value, told) in [
            ("IMAGE_URL", "evil.example.com/web", "are kept as"),
            ("IMAGE_URL", "", "no result IMAGE_URL"),
            ("IMAGE_DIGEST", "sha256:0", "no digest"),
            ("IMAGE_DIGEST", "", "no result IMAGE_DIGEST"),
            ("commit", "", "no result commit"),
        ] {
            let mut wrong = whole.clone();
            wrong[name] = json!(value);
            let error = request(&push, Some(&task_run("b", "True", &wrong))).unwrap_err();
            assert!(error.to_string().contains(told), "{name}={value}: {error}");
        }
    }
}
