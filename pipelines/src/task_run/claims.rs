//! The claims of a run: how many it may have, and those that are made from the templates among its workspaces.

use crds::config::tekton::Coschedule;
use crds::tekton::{TaskRun, labels};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use reconciler::Error;
use reconciler::error::{chain, is_conflict};
use reconciler::object::{controller_of, controller_reference};

use crate::pod;
use crate::pod::workspaces::claim_of_template;

/// Does the run have no more claims than it may? Where each claim has an affinity assistant of its own, a pod can be
/// beside one. Inside: what the user is told if not.
pub(super) fn fit(run: &TaskRun, present: Coschedule) -> Result<(), String> {
    let mut claims: Vec<&str> = Vec::new();
    for binding in &run.spec.workspaces {
        let claim = match (&binding.persistent_volume_claim, &binding.volume_claim_template) {
            (Some(claim), _) => claim.claim_name.as_str(),
            (None, Some(_)) => binding.name.as_str(),
            (None, None) => continue,
        };
        if !claims.contains(&claim) {
            claims.push(claim);
        }
    }
    if claims.len() < 2 || !each_has_an_assistant(run, present) {
        return Ok(());
    }
    Err(format!(
        "more than one PersistentVolumeClaim is bound ({}), and with \"coschedule\" \"workspaces\" in feature-flags a \
         TaskRun can have one: use folders of one claim (subPath), or another value of the flag",
        claims.join(", ")
    ))
}

/// A PipelineRun stays with what it began with, whatever the flag is now, and its children show that.
fn each_has_an_assistant(run: &TaskRun, present: Coschedule) -> bool {
    if controller_of(&run.metadata).is_none_or(|owner| owner.kind != "PipelineRun") {
        return present == Coschedule::Workspaces;
    }
    let of_run = run.labels().get(labels::PIPELINE_RUN);
    let of_all = of_run.map(|of_run| pod::assistant_name("", of_run));
    pod::assistant(run).is_some_and(|assistant| of_all.as_deref() != Some(assistant))
}

/// Makes the claims that are missing. They are the run's, and shared by its attempts. Inside: what the user is told if
/// one is refused.
pub(super) async fn make(client: &Client, run: &TaskRun) -> Result<Result<(), String>, Error> {
    let namespace = run.namespace().unwrap_or_default();
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    for claim in wanted(run) {
        match claims.create(&PostParams::default(), &claim).await {
            Ok(_) => {}
            // The name has the run's UID in it, so it is this run's.
            Err(error) if is_conflict(&error) => {}
            Err(error) => {
                let refused = matches!(&error, kube::Error::Api(status) if (400..500).contains(&status.code));
                let doing = format!("create PersistentVolumeClaim {namespace}/{}", claim.name_any());
                let error = Error::api(doing, error);
                return if refused {
                    Ok(Err(chain(&error)))
                } else {
                    Err(error)
                };
            }
        }
    }
    Ok(Ok(()))
}

fn wanted(run: &TaskRun) -> Vec<PersistentVolumeClaim> {
    let uid = run.uid().unwrap_or_default();
    let of_binding = |binding: &crds::tekton::WorkspaceBinding| {
        let mut claim = binding.volume_claim_template.clone()?;
        claim.metadata.name = Some(claim_of_template(binding, &uid));
        claim.metadata.namespace = run.namespace();
        claim.metadata.owner_references = controller_reference(run).map(|reference| vec![reference]);
        claim.status = None;
        Some(claim)
    };
    run.spec.workspaces.iter().filter_map(of_binding).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn claims_are_counted_once_each_where_they_have_assistants() {
        let claim =
            |name: &str, claim: &str| json!({"name": name, "persistentVolumeClaim": {"claimName": claim}});
        let template = |name: &str| json!({"name": name, "volumeClaimTemplate": {"spec": {}}});
        let run = |workspaces: &Value, metadata: Value| -> TaskRun {
            serde_json::from_value(json!({"metadata": metadata, "spec": {"workspaces": workspaces}})).unwrap()
        };
        for (workspaces, fits) in [
            (json!([]), true),
            (
                json!([{"name": "a", "emptyDir": {}}, {"name": "b", "secret": {"secretName": "s"}}]),
                true,
            ),
            (
                json!([claim("a", "c"), claim("b", "c"), {"name": "d", "emptyDir": {}}]),
                true,
            ),
            (json!([template("a")]), true),
            (json!([claim("a", "c"), claim("b", "d")]), false),
            (json!([template("a"), template("b")]), false),
            (json!([template("a"), claim("b", "c")]), false),
        ] {
            let told = fit(&run(&workspaces, json!({})), Coschedule::Workspaces);
            assert_eq!(told.is_ok(), fits, "{workspaces} {told:?}");
            for other in [
                Coschedule::Disabled,
                Coschedule::PipelineRuns,
                Coschedule::IsolatePipelineRun,
            ] {
                assert_eq!(fit(&run(&workspaces, json!({})), other), Ok(()), "{workspaces}");
            }
        }
        let two = json!([template("a"), template("b")]);
        let (own, of_all) = (pod::assistant_name("a", "p"), pod::assistant_name("", "p"));
        for (assistant, fits) in [(json!(own), false), (json!(of_all), true), (json!(""), true)] {
            let child = run(
                &two,
                json!({
                    "annotations": {"pipeline.tekton.dev/affinity-assistant": assistant},
                    "labels": {"tekton.dev/pipelineRun": "p"},
                    "ownerReferences": [{
                        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "name": "p", "uid": "u", "controller": true,
                    }],
                }),
            );
            for present in [Coschedule::Workspaces, Coschedule::Disabled] {
                assert_eq!(fit(&child, present).is_ok(), fits, "{assistant} {present:?}");
            }
        }
    }

    #[test]
    fn templates_become_claims_of_the_run() {
        let run: TaskRun = serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "uid": "u"},
            "spec": {"workspaces": [
                {"name": "plain", "emptyDir": {}},
                {"name": "data", "volumeClaimTemplate": {
                    "metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]},
                }},
            ]},
        }))
        .unwrap();
        let claims = wanted(&run);
        assert_eq!(claims.len(), 1);
        let meta = &claims[0].metadata;
        assert_eq!(
            meta.name.as_deref(),
            Some(claim_of_template(&run.spec.workspaces[1], "u").as_str())
        );
        assert_eq!(meta.owner_references.as_ref().unwrap()[0].uid, "u");
        assert_eq!(meta.labels.as_ref().unwrap().len(), 1);
    }
}
