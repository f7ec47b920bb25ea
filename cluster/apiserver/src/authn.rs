//! Who sends a request: a client certificate, the admin's token, or a service-account token.

mod impersonate;

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

use crate::registry::{Caller, Registry};
use crate::status::StatusError;
use crate::tokens::{Claims, ISSUER, Reference, TokenSigner};

/// What the TLS layer learned about the peer; put into the extensions of its requests.
#[derive(Clone, Debug)]
pub(crate) struct PeerCertificate {
    pub(crate) common_name: String,
    pub(crate) organizations: Vec<String>,
}

/// Knows whom to believe.
pub(crate) struct Authenticator {
    admin_token: String,
    pub(crate) tokens: TokenSigner,
    clock: crate::config::Clock,
}

impl Authenticator {
    pub(crate) fn new(admin_token: String, tokens: TokenSigner, clock: crate::config::Clock) -> Self {
        Self {
            admin_token,
            tokens,
            clock,
        }
    }

    /// Returns who asks; `None` for nobody, and for credentials that are not believed.
    pub(crate) fn authenticate(
        &self,
        registry: &Arc<Registry>,
        headers: &HeaderMap,
        peer: Option<&PeerCertificate>,
    ) -> Option<Caller> {
        match headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
            Some(value) => {
                let token = value
                    .strip_prefix("Bearer ")
                    .or_else(|| value.strip_prefix("bearer "))?;
                self.by_token(registry, token.trim(), &[ISSUER.to_owned()])
                    .map(|(caller, _)| caller)
            }
            None => peer.map(by_certificate),
        }
    }

    /// Returns whom `caller` acts as: whom the headers name, or itself.
    ///
    /// # Errors
    /// If it may not act as them.
    pub(crate) fn impersonate(
        registry: &Registry,
        headers: &HeaderMap,
        caller: Caller,
    ) -> Result<Caller, StatusError> {
        match impersonate::wanted(headers)? {
            None => Ok(caller),
            Some(wanted) => {
                impersonate::check(registry, &caller, &wanted, headers)?;
                Ok(wanted)
            }
        }
    }

    /// Returns whose token this is, if it is good for one of the audiences, and for which of them.
    pub(crate) fn by_token(
        &self,
        registry: &Arc<Registry>,
        token: &str,
        audiences: &[String],
    ) -> Option<(Caller, Vec<String>)> {
        if bool::from(token.as_bytes().ct_eq(self.admin_token.as_bytes())) {
            return Some((Caller::platform(), audiences.to_vec()));
        }
        let claims = self.tokens.verify(token, (self.clock)()).ok()?;
        let common: Vec<String> = audiences
            .iter()
            .filter(|audience| claims.aud.contains(audience))
            .cloned()
            .collect();
        if common.is_empty() || !bound_objects_exist(registry, &claims) {
            return None;
        }
        Some((by_claims(&claims), common))
    }
}

/// A token dies with its account, and with the pod or secret that it is bound to.
fn bound_objects_exist(registry: &Arc<Registry>, claims: &Claims) -> bool {
    let namespace = &claims.private.namespace;
    let exists = |plural: &str, reference: &Reference| {
        registry
            .store
            .get(&format!("/{plural}/{namespace}/{}", reference.name))
            .is_some_and(|object| crate::meta::uid(&object.value()) == reference.uid)
    };
    let optional = |plural: &str, reference: &Option<Reference>| {
        reference
            .as_ref()
            .is_none_or(|reference| exists(plural, reference))
    };
    exists("serviceaccounts", &claims.private.serviceaccount)
        && optional("pods", &claims.private.pod)
        && optional("secrets", &claims.private.secret)
}

fn by_claims(claims: &Claims) -> Caller {
    let Claims { private, .. } = claims;
    let mut extra = BTreeMap::from([(
        "authentication.kubernetes.io/credential-id".to_owned(),
        vec![format!("JTI={}", claims.jti)],
    )]);
    if let Some(pod) = &private.pod {
        extra.insert(
            "authentication.kubernetes.io/pod-name".into(),
            vec![pod.name.clone()],
        );
        extra.insert(
            "authentication.kubernetes.io/pod-uid".into(),
            vec![pod.uid.clone()],
        );
    }
    Caller {
        name: format!(
            "system:serviceaccount:{}:{}",
            private.namespace, private.serviceaccount.name
        ),
        uid: private.serviceaccount.uid.clone(),
        groups: vec![
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{}", private.namespace),
            "system:authenticated".into(),
        ],
        extra,
        agent: String::new(),
    }
}

fn by_certificate(peer: &PeerCertificate) -> Caller {
    let mut groups = peer.organizations.clone();
    groups.push("system:authenticated".into());
    Caller {
        name: peer.common_name.clone(),
        groups,
        ..Caller::default()
    }
}

/// Reads the subject of a certificate that the TLS layer has verified.
pub(crate) fn peer_of(certificate: &[u8]) -> Option<PeerCertificate> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let subject = certificate.subject();
    let common_name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let organizations = subject
        .iter_organization()
        .filter_map(|name| name.as_str().ok())
        .map(str::to_owned)
        .collect();
    Some(PeerCertificate {
        common_name,
        organizations,
    })
}
