//! Acting as somebody else: `kubectl --as` (`k8s.io/apiserver/pkg/endpoints/filters/impersonation`).

use std::collections::BTreeMap;

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use crate::authz::{Decision, Request, denied};
use crate::registry::{Caller, Registry};
use crate::status::StatusError;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// Returns whom the headers ask to act as; `None` if they ask for nobody.
///
/// # Errors
/// If they ask for groups and the like without a user.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<Caller>, StatusError> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).into_iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in headers.keys() {
        if let Some(key) = name.as_str().strip_prefix(EXTRA) {
            let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
            extra.insert(key, all(name.as_str()));
        }
    }
    let (name, uid, mut groups) = (text(USER), text(UID), all(GROUP));
    if name.is_empty() {
        if uid.is_empty() && groups.is_empty() && extra.is_empty() {
            return Ok(None);
        }
        return Err(StatusError::bad_request(
            "groups, uid and extra can be impersonated together with a user only: set Impersonate-User",
        ));
    }
    if groups.is_empty()
        && let Some((namespace, _)) = service_account(name)
    {
        groups = vec![
            "system:serviceaccounts".into(),
            format!("system:serviceaccounts:{namespace}"),
        ];
    }
    if name != "system:anonymous" && !groups.iter().any(|group| group == "system:authenticated") {
        groups.push("system:authenticated".into());
    }
    Ok(Some(Caller {
        name: name.to_owned(),
        uid: uid.to_owned(),
        groups,
        extra,
        agent: String::new(),
    }))
}

/// Returns namespace and name of a service account's user name.
fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')
}

/// Checks that `caller` may act as `wanted`: as the user, and with each group, uid and extra that was asked for.
///
/// # Errors
/// 403 for the first that is not allowed.
pub(super) fn check(
    registry: &Registry,
    caller: &Caller,
    wanted: &Caller,
    headers: &HeaderMap,
) -> Result<(), StatusError> {
    let may = |group: &str, resource: &str, subresource: &str, namespace: &str, name: &str| {
        let request = Request {
            verb: "impersonate",
            group,
            resource,
            subresource,
            namespace,
            name,
            path: "",
        };
        match registry.authorize(caller, &request) {
            Decision::Allowed(_) => Ok(()),
            Decision::Denied => Err(denied(caller, &request)),
        }
    };
    match service_account(&wanted.name) {
        Some((namespace, name)) => may("", "serviceaccounts", "", namespace, name)?,
        None => may("", "users", "", "", &wanted.name)?,
    }
    for group in headers
        .get_all(GROUP)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
    {
        may("", "groups", "", "", group)?;
    }
    if !wanted.uid.is_empty() {
        may("authentication.k8s.io", "uids", "", "", &wanted.uid)?;
    }
    for (key, values) in &wanted.extra {
        for value in values {
            may("authentication.k8s.io", "userextras", key, "", value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::HeaderName;
    use http::header::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    #[test]
    fn headers_name_a_user_and_what_belongs_to_it() {
        assert!(wanted(&headers(&[])).unwrap().is_none());
        assert!(wanted(&headers(&[("Impersonate-Group", "devs")])).is_err());
        let jane = wanted(&headers(&[
            ("Impersonate-User", "jane"),
            ("Impersonate-Group", "devs"),
            ("Impersonate-Group", "ops"),
            ("Impersonate-Extra-acme.com%2Fteam", "blue"),
        ]))
        .unwrap()
        .unwrap();
        assert_eq!(
            (jane.name.as_str(), jane.groups),
            (
                "jane",
                vec![
                    "devs".to_owned(),
                    "ops".to_owned(),
                    "system:authenticated".to_owned()
                ]
            )
        );
        assert_eq!(jane.extra["acme.com/team"], ["blue"]);
        let bot = wanted(&headers(&[("Impersonate-User", "system:serviceaccount:ns:bot")]))
            .unwrap()
            .unwrap();
        assert!(bot.groups.contains(&"system:serviceaccounts:ns".to_owned()));
    }
}
