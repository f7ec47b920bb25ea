//! From a destination to a URL.
//!
//! What a destination refers to is tracked: whoever resolves it is woken when that appears, moves or goes.

mod address;
mod error;

use crds::config::events::{Features, KReferenceMapping};
use crds::duck::Destination;
use crds::{Addressable, KReference};
use reconciler::{ConfigStore, Key};

use crate::tracker::{Kind, Referrer, Target, Tracker};
use address::{address_of, join};

pub(crate) use error::ResolveError;

/// Where events go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// An absolute URL.
    pub url: String,
    pub ca_certs: Option<String>,
    pub audience: Option<String>,
}

/// Resolves destinations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Resolver {
    tracker: Tracker,
    config: ConfigStore,
    cluster_domain: String,
    system_namespace: String,
}

impl Resolver {
    pub(crate) fn new(
        tracker: Tracker,
        config: ConfigStore,
        cluster_domain: &str,
        system_namespace: &str,
    ) -> Self {
        Self {
            tracker,
            config,
            cluster_domain: cluster_domain.to_owned(),
            system_namespace: system_namespace.to_owned(),
        }
    }

    /// The URL of a destination of an object in `namespace`.
    ///
    /// # Errors
    /// Says what is missing; [`ResolveError::heals_by_watch`] tells whether the referrer is woken when it is not any
    /// more.
    pub(crate) async fn resolve(
        &self,
        destination: &Destination,
        namespace: &str,
        referrer: &Referrer,
    ) -> Result<Resolved, ResolveError> {
        let mut resolved = match (&destination.reference, &destination.uri) {
            (None, None) => return Err(ResolveError::Nothing),
            (None, Some(uri)) => Resolved {
                url: address::absolute(uri)?,
                ..Resolved::default()
            },
            (Some(reference), uri) => {
                let secure = destination.ca_certs.is_some();
                let base = self.reference(reference, namespace, secure, referrer).await?;
                let url = base.url.unwrap_or_default();
                Resolved {
                    url: join(&url, uri.as_deref())?,
                    ca_certs: base.ca_certs,
                    audience: base.audience,
                }
            }
        };
        if destination.ca_certs.is_some() {
            resolved.ca_certs.clone_from(&destination.ca_certs);
        }
        if destination.audience.is_some() {
            resolved.audience.clone_from(&destination.audience);
        }
        Ok(resolved)
    }

    async fn reference(
        &self,
        reference: &KReference,
        namespace: &str,
        secure: bool,
        referrer: &Referrer,
    ) -> Result<Addressable, ResolveError> {
        let namespace = reference
            .namespace
            .as_deref()
            .filter(|namespace| !namespace.is_empty())
            .unwrap_or(namespace);
        if let Some(url) = self.mapped(reference, namespace) {
            return url.map(|url| Addressable {
                url: Some(url),
                ..Addressable::default()
            });
        }
        let target = Target {
            kind: self.kind(reference).await?,
            key: Key::new(namespace, &reference.name),
        };
        let Some(found) = self.tracker.observe(&target, referrer).await? else {
            let resource = self.tracker.resource(&target.kind).await?;
            return Err(ResolveError::NotFound {
                resource: match resource.group.as_str() {
                    "" => resource.plural,
                    group => format!("{}.{group}", resource.plural),
                },
                key: target.key,
            });
        };
        if target.kind.api_version == "v1" && target.kind.kind == "Service" {
            let scheme = if secure { "https" } else { "http" };
            let url = format!(
                "{scheme}://{}.{namespace}.svc.{}",
                reference.name, self.cluster_domain
            );
            return Ok(Addressable {
                url: Some(url),
                ..Addressable::default()
            });
        }
        address_of(&found.status, reference.address.as_deref(), &target)
    }

    /// The URL of a kind that the install has a template for.
    fn mapped(&self, reference: &KReference, namespace: &str) -> Option<Result<String, ResolveError>> {
        if !self.config.get::<Features>().kreference_mapping.is_enabled() {
            return None;
        }
        let mapping = self.config.get::<KReferenceMapping>();
        let url = mapping.url(reference, namespace, &self.system_namespace)?;
        Some(
            url.map_err(|error| ResolveError::Template(error.to_string()))
                .and_then(|url| address::absolute(&url)),
        )
    }

    /// Kind and version; a reference by group alone means the version that the API server prefers.
    async fn kind(&self, reference: &KReference) -> Result<Kind, ResolveError> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(api_version) = given(&reference.api_version) {
            return Ok(Kind::new(api_version, &reference.kind));
        }
        let Some(group) = given(&reference.group) else {
            return Err(ResolveError::NoVersion(reference.kind.clone()));
        };
        let api_version = self.tracker.preferred(&group, &reference.kind).await?;
        Ok(Kind::new(api_version, &reference.kind))
    }
}
