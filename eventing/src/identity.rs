//! The identity with which an object sends events: a ServiceAccount of its own, while the feature is on.

use crds::duck::AuthStatus;
use crds::{labels, names};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use reconciler::{Applier, Conditions, Error};

use crate::shared::{Shared, name_of};

/// The condition.
pub(crate) const OIDC_IDENTITY_CREATED: &str = "OIDCIdentityCreated";

/// What became of the identity of an object.
#[derive(Debug, Default)]
pub(crate) enum Identity {
    /// The feature is off.
    #[default]
    Disabled,
    /// Name of the ServiceAccount.
    Account(String),
    Failed(String),
}

impl Identity {
    /// Makes the identity of `object`, or takes it away when the feature is off.
    pub(crate) async fn ensure<K: Resource<DynamicType = ()>>(
        shared: &Shared,
        applier: &Applier,
        object: &K,
    ) -> Result<Self, Error> {
        let wanted = account(object);
        let name = name_of(&wanted.metadata).to_owned();
        if !shared.features().authentication_oidc.is_enabled() {
            let namespace = object.meta().namespace.as_deref().unwrap_or_default();
            if let Some(left) = shared.identities.named(namespace, &name)
                && reconciler::object::is_controlled_by(
                    &left.metadata,
                    object.meta().uid.as_deref().unwrap_or_default(),
                )
            {
                applier.delete(left.as_ref()).await?;
            }
            return Ok(Self::Disabled);
        }
        match applier.apply(object, &shared.identities, wanted).await {
            Ok(_) => Ok(Self::Account(name)),
            Err(error @ Error::NotOwned { .. }) => Ok(Self::Failed(error.to_string())),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn mark(&self, conditions: &mut Conditions<'_>) {
        match self {
            Self::Disabled => {
                conditions.mark_true_with(OIDC_IDENTITY_CREATED, "authentication-oidc feature disabled", "");
            }
            Self::Account(_) => conditions.mark_true(OIDC_IDENTITY_CREATED),
            Self::Failed(why) => {
                let reason = "Unable to resolve service account for OIDC authentication";
                conditions.mark_false(OIDC_IDENTITY_CREATED, reason, why);
            }
        }
    }

    /// What the status says.
    pub(crate) fn status(&self) -> Option<AuthStatus> {
        match self {
            Self::Account(name) => Some(AuthStatus {
                service_account_name: Some(name.clone()),
                ..AuthStatus::default()
            }),
            Self::Disabled | Self::Failed(_) => None,
        }
    }
}

fn account<K: Resource<DynamicType = ()>>(object: &K) -> ServiceAccount {
    let (group, kind) = (K::group(&()), K::kind(&()));
    let meta = object.meta();
    let purpose = format!(
        "Service Account for OIDC Authentication for {kind} {:?}",
        name_of(meta)
    );
    ServiceAccount {
        metadata: ObjectMeta {
            name: Some(names::identity(name_of(meta), &group, &kind)),
            namespace: meta.namespace.clone(),
            labels: Some([(labels::OIDC.to_owned(), "enabled".to_owned())].into()),
            annotations: Some([("description".to_owned(), purpose)].into()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    }
}
