//! Questions about callers: they are answered and never stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::service_account::account_of;
use super::{Answer, Call, Registry};
use crate::authn::Authenticator;
use crate::authz::{Decision, Request, listed};
use crate::meta::{self, as_map};
use crate::registry::Caller;
use crate::status::StatusError;
use crate::tokens::{Claims, ISSUER, Private, Reference};

/// Life of a token that does not ask for one, and the shortest that may be asked for (upstream: 1 h, 10 min).
const DEFAULT_TOKEN_SECONDS: i64 = 3600;
const MIN_TOKEN_SECONDS: i64 = 600;
const MAX_TOKEN_SECONDS: i64 = 1 << 32;

impl Registry {
    /// Answers a review kind; `None` for all other kinds.
    pub(crate) fn review(
        self: &Arc<Self>,
        call: &Call,
        authenticator: &Authenticator,
        mut body: Value,
    ) -> Result<Option<Answer>, StatusError> {
        let status = match (call.resource.group.as_str(), call.resource.plural.as_str()) {
            ("authentication.k8s.io", "tokenreviews") => self.token_review(authenticator, &body),
            ("authentication.k8s.io", "selfsubjectreviews") => json!({"userInfo": user_info(&call.caller)}),
            ("authorization.k8s.io", "selfsubjectaccessreviews") => {
                self.access_review(&call.caller, &body["spec"])
            }
            ("authorization.k8s.io", "subjectaccessreviews" | "localsubjectaccessreviews") => {
                self.access_review(&subject_of(&body["spec"]), &body["spec"])
            }
            ("authorization.k8s.io", "selfsubjectrulesreviews") => {
                self.rules_review(&call.caller, meta::text(&body, "/spec/namespace"))
            }
            _ => return Ok(None),
        };
        self.check_type(call, &mut body)?;
        as_map(&mut body).insert("status".into(), status);
        Ok(Some(Answer::Other {
            code: 201,
            value: body,
        }))
    }

    /// Answers whether somebody may do what `spec` describes.
    fn access_review(&self, caller: &Caller, spec: &Value) -> Value {
        let text = |path: &str| meta::text(spec, path);
        let request = if spec["resourceAttributes"].is_object() {
            Request {
                verb: text("/resourceAttributes/verb"),
                group: text("/resourceAttributes/group"),
                resource: text("/resourceAttributes/resource"),
                subresource: text("/resourceAttributes/subresource"),
                namespace: text("/resourceAttributes/namespace"),
                name: text("/resourceAttributes/name"),
                path: "",
            }
        } else {
            Request {
                verb: text("/nonResourceAttributes/verb"),
                path: text("/nonResourceAttributes/path"),
                ..Request::default()
            }
        };
        match self.authorize(caller, &request) {
            Decision::Allowed(reason) if reason.is_empty() => json!({"allowed": true}),
            Decision::Allowed(reason) => json!({"allowed": true, "reason": reason}),
            Decision::Denied => json!({"allowed": false}),
        }
    }

    fn rules_review(&self, caller: &Caller, namespace: &str) -> Value {
        let (resources, paths) = listed(&self.granted(caller, namespace));
        json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
    }

    fn token_review(self: &Arc<Self>, authenticator: &Authenticator, body: &Value) -> Value {
        let asked: Vec<String> = body["spec"]["audiences"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        let audiences = if asked.is_empty() {
            vec![ISSUER.to_owned()]
        } else {
            asked
        };
        match authenticator.by_token(self, meta::text(body, "/spec/token"), &audiences) {
            Some((caller, common)) => {
                json!({"authenticated": true, "user": user_info(&caller), "audiences": common})
            }
            None => json!({"authenticated": false, "error": "the token is not valid for these audiences"}),
        }
    }

    /// Makes a token for a service account (`serviceaccounts/token`).
    pub(crate) fn request_token(
        &self,
        call: &Call,
        authenticator: &Authenticator,
        mut body: Value,
    ) -> Result<Answer, StatusError> {
        let account = self.find(call)?.value();
        let seconds = body
            .pointer("/spec/expirationSeconds")
            .and_then(Value::as_i64)
            .unwrap_or(DEFAULT_TOKEN_SECONDS);
        if !(MIN_TOKEN_SECONDS..=MAX_TOKEN_SECONDS).contains(&seconds) {
            let error = cluster_machinery::FieldError::invalid(
                "spec.expirationSeconds",
                &seconds.into(),
                "may not specify a duration less than 10 minutes or larger than 2^32 seconds",
            );
            let kind = crate::status::Subject {
                group: "authentication.k8s.io",
                resource: "TokenRequest",
            };
            return Err(StatusError::invalid(kind, &call.name, vec![error]));
        }
        let audiences: Vec<String> = match body.pointer("/spec/audiences").and_then(Value::as_array) {
            Some(list) if !list.is_empty() => {
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            }
            _ => vec![ISSUER.to_owned()],
        };
        let (pod, secret) = self.bound_object(call, &body)?;
        let now = (self.clock)().as_second();
        let claims = Claims {
            iss: ISSUER.into(),
            sub: format!("system:serviceaccount:{}:{}", call.namespace, call.name),
            aud: audiences.clone(),
            exp: now + seconds,
            iat: now,
            nbf: now,
            jti: uuid::Uuid::new_v4().to_string(),
            private: Private {
                namespace: call.namespace.clone(),
                serviceaccount: Reference {
                    name: call.name.clone(),
                    uid: meta::uid(&account).to_owned(),
                },
                pod,
                secret,
            },
        };
        let token = authenticator
            .tokens
            .sign(&claims)
            .map_err(StatusError::internal)?;
        let expires = jiff::Timestamp::from_second(claims.exp).map_err(StatusError::internal)?;
        let body = as_map(&mut body);
        body.insert("kind".into(), "TokenRequest".into());
        body.insert("apiVersion".into(), "authentication.k8s.io/v1".into());
        body.insert(
            "metadata".into(),
            json!({"name": call.name, "namespace": call.namespace, "creationTimestamp": self.now()}),
        );
        let spec = as_map(body.entry("spec").or_insert(Value::Null));
        spec.insert("expirationSeconds".into(), seconds.into());
        spec.insert("audiences".into(), json!(audiences));
        body.insert(
            "status".into(),
            json!({"token": token, "expirationTimestamp": meta::time(expires)}),
        );
        Ok(Answer::Other {
            code: 201,
            value: Value::Object(std::mem::take(body)),
        })
    }

    /// Finds the pod or secret that a token is to die with.
    fn bound_object(
        &self,
        call: &Call,
        body: &Value,
    ) -> Result<(Option<Reference>, Option<Reference>), StatusError> {
        let Some(reference) = body
            .pointer("/spec/boundObjectRef")
            .filter(|reference| reference.is_object())
        else {
            return Ok((None, None));
        };
        let name = meta::text(reference, "/name").to_owned();
        let plural = match meta::text(reference, "/kind") {
            "Pod" => "pods",
            "Secret" => "secrets",
            other => {
                return Err(StatusError::bad_request(format!(
                    "cannot bind token for serviceaccount \"{}\" to object of kind {other}: use a Pod or a Secret",
                    call.name
                )));
            }
        };
        let subject = crate::status::Subject {
            group: "",
            resource: plural,
        };
        let found = self
            .store
            .get(&format!("/{plural}/{}/{name}", call.namespace))
            .ok_or_else(|| StatusError::not_found(subject, &name))?
            .value();
        let (wanted, actual) = (meta::text(reference, "/uid"), meta::uid(&found));
        if !wanted.is_empty() && wanted != actual {
            let why = format!(
                "the UID in the bound object reference ({wanted}) does not match the UID in record ({actual})"
            );
            return Err(StatusError::conflict(subject, &name, why));
        }
        if plural == "pods" && account_of(&found) != call.name {
            return Err(StatusError::bad_request(format!(
                "cannot bind token for serviceaccount \"{}\" to pod running with different serviceaccount name.",
                call.name
            )));
        }
        let bound = Some(Reference {
            name,
            uid: actual.to_owned(),
        });
        Ok(if plural == "pods" {
            (bound, None)
        } else {
            (None, bound)
        })
    }
}

/// The caller that a `SubjectAccessReview` asks about.
fn subject_of(spec: &Value) -> Caller {
    let groups = spec["groups"].as_array().into_iter().flatten();
    Caller {
        name: meta::text(spec, "/user").to_owned(),
        uid: meta::text(spec, "/uid").to_owned(),
        groups: groups.filter_map(Value::as_str).map(str::to_owned).collect(),
        ..Caller::default()
    }
}

fn user_info(caller: &Caller) -> Value {
    let mut info = json!({"username": caller.name, "groups": caller.groups});
    if !caller.uid.is_empty() {
        info["uid"] = caller.uid.clone().into();
    }
    if !caller.extra.is_empty() {
        info["extra"] = json!(caller.extra);
    }
    info
}
