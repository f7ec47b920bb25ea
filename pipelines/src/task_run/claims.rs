//! The claims that are made for a run from the templates among its workspaces.

use crds::tekton::TaskRun;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use reconciler::Error;
use reconciler::error::{chain, is_conflict};
use reconciler::object::controller_reference;

use crate::pod::workspaces::claim_of_template;

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
    use serde_json::json;

    use super::*;

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
