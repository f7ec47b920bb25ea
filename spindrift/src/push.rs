//! How pushes are built here: by the pipelines of the crate `builds`.

use std::sync::Arc;

use builds::{Plan, Settings, Source, Strategy};
use crds::spindrift as api;
use push::{Job, Pipeline, Unbuildable};

/// Longest tag of an image.
const LONGEST_TAG: usize = 40;

/// Pipelines of builds that are made with `settings`, or with its reason why there are none.
pub fn pipeline(settings: impl Fn() -> Result<Settings, Unbuildable> + Send + Sync + 'static) -> Pipeline {
    Arc::new(move |job| {
        let settings = settings()?;
        let plan = plan(job);
        plan.check(&settings)
            .map_err(|error| Unbuildable::No(error.to_string()))?;
        Ok(builds::pipeline(&plan, &settings))
    })
}

fn plan(job: &Job<'_>) -> Plan {
    let spec = &job.repository.spec;
    let source = if spec.url.is_empty() {
        Source::Upload {
            artifact: job.push.tree.clone(),
        }
    } else {
        Source::Git {
            url: spec.url.clone(),
            commit: job.push.after.clone(),
            reference: job.push.git_ref.clone(),
            // The ServiceAccount has the credentials.
            secret: None,
        }
    };
    Plan {
        strategy: match spec.build.strategy.unwrap_or_default() {
            api::Strategy::Auto => Strategy::Auto,
            api::Strategy::Dockerfile => Strategy::Dockerfile,
            api::Strategy::Files => Strategy::Files,
        },
        dockerfile: spec.build.dockerfile.clone(),
        context: spec.build.context.clone(),
        args: spec.build.args.clone(),
        tag: tag(job),
        cache: spec.build.cache.unwrap_or(true),
        timeout: spec.build.timeout,
        ..Plan::new(source, job.image)
    }
}

/// The commit, by which people find an image; deployed is what has the digest.
fn tag(job: &Job<'_>) -> Option<String> {
    let commit = &job.push.after;
    (!commit.is_empty()).then(|| commit.chars().take(LONGEST_TAG).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pushes_and_uploads_become_plans() {
        let repository = |spec: serde_json::Value| -> api::Repository {
            serde_json::from_value(json!({
                "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"}, "spec": spec,
            }))
            .unwrap()
        };
        let push = |fields: serde_json::Value| -> api::PushRecord { serde_json::from_value(fields).unwrap() };
        let settings = || {
            Ok(Settings {
                builder_image: "builder@sha256:0".to_owned(),
                ..Settings::default()
            })
        };
        let image = "localhost:5000/default/web";
        let commit = "a".repeat(40);
        let git = repository(
            json!({"url": "http://git/app", "service": "web", "build": {"strategy": "files", "context": "app"}}),
        );
        let pushed = push(json!({"ref": "refs/heads/main", "after": commit}));
        let of_git = plan(&Job {
            repository: &git,
            push: &pushed,
            image,
        });
        assert_eq!(
            (of_git.strategy, of_git.context.as_str(), of_git.tag),
            (Strategy::Files, "app", Some(commit))
        );
        let source = format!("localhost:5000/default/web-source@sha256:{}", "0".repeat(64));
        let upload = repository(json!({"source": source, "service": "web"}));
        let uploaded = push(json!({"tree": source}));
        let job = Job {
            repository: &upload,
            push: &uploaded,
            image,
        };
        assert_eq!(plan(&job).source, Source::Upload { artifact: source });
        let made = pipeline(settings)(&job).unwrap();
        assert!(made.tasks.iter().any(|task| task.name == push::BUILD_TASK));
        let none = Unbuildable::NotYet("none".to_owned());
        let why = none.clone();
        assert_eq!(pipeline(move || Err(why.clone()))(&job).unwrap_err(), none);
    }
}
