//! May the account of a source watch what the source asks for?
//!
//! The sender watches with rights of its own. Without this check whoever may write a source would see all that the
//! sender may see.

use crds::sources::ApiServerSourceSpec;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use reconciler::{Error, Key};

const VERBS: [&str; 3] = ["get", "list", "watch"];

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Permissions {
    Sufficient,
    /// What is missing, in one sentence for each resource.
    Missing(Vec<String>),
    /// There is no such kind (yet).
    Unknown(String),
}

/// Asks the API server about every resource and namespace.
pub(super) async fn check(
    client: &Client,
    key: &Key,
    spec: &ApiServerSourceSpec,
    namespaces: &[String],
) -> Result<Permissions, Error> {
    let account = match spec.service_account_name.as_str() {
        "" => "default",
        name => name,
    };
    let user = format!("system:serviceaccount:{}:{account}", key.namespace);
    let mut missing = Vec::new();
    for resource in &spec.resources {
        let (group, version) = resource
            .api_version
            .split_once('/')
            .unwrap_or(("", &resource.api_version));
        let kind = GroupVersionKind::gvk(group, version, &resource.kind);
        let Ok((found, _)) = kube::discovery::pinned_kind(client, &kind).await else {
            let message = format!("{} {} is not served", resource.api_version, resource.kind);
            return Ok(Permissions::Unknown(message));
        };
        for namespace in namespaces {
            let mut verbs = Vec::new();
            for verb in VERBS {
                if !allowed(client, &key.namespace, &user, &found, namespace, verb).await? {
                    verbs.push(verb);
                }
            }
            if !verbs.is_empty() {
                missing.push(sentence(&user, &verbs, &found, namespace));
            }
        }
    }
    Ok(if missing.is_empty() {
        Permissions::Sufficient
    } else {
        Permissions::Missing(missing)
    })
}

async fn allowed(
    client: &Client,
    own: &str,
    user: &str,
    resource: &ApiResource,
    namespace: &str,
    verb: &str,
) -> Result<bool, Error> {
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            groups: Some(vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{own}"),
                "system:authenticated".to_owned(),
            ]),
            resource_attributes: Some(ResourceAttributes {
                group: Some(resource.group.clone()),
                version: Some(resource.version.clone()),
                resource: Some(resource.plural.clone()),
                namespace: Some(namespace.to_owned()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews
        .create(&PostParams::default(), &review)
        .await
        .map_err(|error| Error::api("check what the account of a source may watch", error))?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

fn sentence(user: &str, verbs: &[&str], resource: &ApiResource, namespace: &str) -> String {
    format!(
        "User {user} cannot {} resource {:?} in API group {:?} in Namespace {namespace:?}",
        verbs.join(", "),
        resource.plural,
        resource.group
    )
}
