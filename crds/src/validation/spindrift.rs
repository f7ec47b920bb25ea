//! Is a Repository what it may be?

use serde_json::Value;

use super::{FieldError, FieldErrors};
use crate::dns;
use crate::resource::spindrift::Context;
use crate::resource::{field, get, list, metadata, text};
use crate::spindrift::{Provider, host_of};

/// Schemes of addresses that are cloned from.
const SCHEMES: [&str; 4] = ["http", "https", "ssh", "git"];
/// A git host has more to do than to answer those who ask more often than this, seconds.
const MOST_OFTEN: i64 = 10;
/// Longest address; git has no bound, URLs in the wild do.
const LONGEST_URL: usize = 2048;
/// What a variable of a pipeline begins with. Addresses and branches become params of runs, which have no other use for
/// it.
const VARIABLE: &str = "$(";
const NO_VARIABLE: &str = "it must not have a variable in it: $(...)";
/// Patterns in one list.
const MOST_GLOBS: usize = 100;

/// Checks a Repository; what is wrong with it.
pub fn validate(object: &Value, context: &Context<'_>) -> FieldErrors {
    // An update of the status cannot change the rest, and what is being deleted need not be valid any more.
    if context.status_only || get(metadata(object), "deletionTimestamp").is_some() {
        return FieldErrors::default();
    }
    let spec = field(object, "spec");
    let mut errors = source(spec);
    errors.also(service(spec, context));
    errors.also(build(field(spec, "build")).via_field("build"));
    errors.also(filters(field(spec, "filters")).via_field("filters"));
    errors.also(webhook(spec).via_field("webhook"));
    errors.also(poll(spec));
    errors.also(statuses(spec));
    let mut errors = errors.via_field("spec");
    errors.also(name(metadata(object)).via_field("metadata"));
    errors
}

/// Builds carry the name in a label, and in names of their own.
fn name(meta: &Value) -> FieldErrors {
    let name = text(meta, "name");
    let problems = if name.is_empty() {
        Vec::new()
    } else {
        dns::label_1123(name)
    };
    let wrong = (!problems.is_empty()).then(|| {
        FieldError::new(
            format!("invalid resource name {name:?}: {}", problems.join(", ")),
            "name",
        )
    });
    wrong.into()
}

fn source(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    match (text(spec, "url"), text(spec, "source")) {
        ("", "") => errors.also(FieldError::missing_one_of(&["url", "source"])),
        (url, "") => {
            errors.also(url_problem(url).map(|why| FieldError::invalid(url, "url").with_details(why)));
            let branch = text(spec, "branch");
            if !branch.is_empty() && !is_branch(branch) {
                errors.also(FieldError::invalid(branch, "branch").with_details("it is no name of a branch"));
            } else if branch.contains(VARIABLE) {
                errors.also(FieldError::invalid(branch, "branch").with_details(NO_VARIABLE));
            }
        }
        ("", source) => {
            if !is_by_digest(source) {
                let error = FieldError::invalid(source, "source");
                errors.also(error.with_details("it has to be a repository with a digest: name@sha256:…"));
            }
            if !text(spec, "branch").is_empty() {
                errors.also(FieldError::disallowed("branch"));
            }
            if get(spec, "previews") == Some(&Value::Bool(true)) {
                errors.also(FieldError::disallowed("previews"));
            }
        }
        (_, _) => errors.also(FieldError::multiple_one_of(&["url", "source"])),
    }
    errors
}

/// Why nothing is cloned from an address.
fn url_problem(url: &str) -> Option<&'static str> {
    if url.contains(VARIABLE) {
        return Some(NO_VARIABLE);
    }
    if url.len() > LONGEST_URL || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("it is too long, or has blanks");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        // As git does: `user@host:path`, unless a slash comes before the colon.
        let scp = url
            .split_once(':')
            .is_some_and(|(host, path)| !path.is_empty() && is_host(host.rsplit('@').next().unwrap_or(host)));
        return (!scp || url.starts_with('-'))
            .then_some("it has to be http://, https://, ssh://, git:// or user@host:path");
    };
    if !SCHEMES.contains(&scheme) {
        return Some("it has to be http://, https://, ssh://, git:// or user@host:path");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.contains(':') {
        return Some("a password does not belong here, but into a Secret of the ServiceAccount");
    }
    let host = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.chars().all(|c| c.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let bracketed = host.starts_with('[') && host.ends_with(']');
    (!bracketed && !is_host(host)).then_some("its host is none")
}

fn is_host(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with('-')
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

/// The rules of `git check-ref-format` for what stands behind `refs/heads/`.
fn is_branch(name: &str) -> bool {
    let bad = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    !name.is_empty()
        && name != "@"
        && !name.starts_with(['-', '/'])
        && !name.ends_with(['/', '.'])
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains("//")
        && !name.contains(bad)
        && name
            .split('/')
            .all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

fn is_by_digest(image: &str) -> bool {
    image.split_once("@sha256:").is_some_and(|(name, digest)| {
        is_repository(name)
            && digest.len() == 64
            && digest
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
    })
}

/// `host[:port]/path` without a tag or digest.
fn is_repository(name: &str) -> bool {
    let (host, path) = name.split_once('/').unwrap_or(("", name));
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || matches!(c, '.' | '_' | '-'))
    };
    let registry = host
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_' | '[' | ']'));
    registry && path.split('/').all(part)
}

fn service(spec: &Value, context: &Context<'_>) -> FieldErrors {
    let service = text(spec, "service");
    let mut errors = FieldErrors::default();
    if service.is_empty() {
        errors.also(FieldError::missing("service"));
    } else if let problems = dns::label_1035(service)
        && !problems.is_empty()
    {
        errors.also(FieldError::invalid(service, "service").with_details(problems.join(", ")));
    }
    let stored = context.old.map(|old| text(field(old, "spec"), "service"));
    if stored.is_some_and(|stored| !stored.is_empty() && stored != service) {
        errors.also(
            FieldError::new("the field cannot be changed", "service")
                .with_details("make another Repository for another Service"),
        );
    }
    let template = field(field(spec, "serviceTemplate"), "metadata");
    for name in ["name", "namespace"] {
        let given = text(template, name);
        if !given.is_empty() && (name != "name" || given != service) {
            errors.also(
                FieldError::disallowed(name)
                    .via_field("metadata")
                    .via_field("serviceTemplate"),
            );
        }
    }
    errors
}

fn build(build: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let strategy = text(build, "strategy");
    if !matches!(strategy, "" | "auto" | "dockerfile" | "files") {
        let error = FieldError::invalid(strategy, "strategy");
        errors.also(error.with_details("it has to be auto, dockerfile or files"));
    }
    for name in ["dockerfile", "context"] {
        let path = text(build, name);
        let inside = !path.starts_with(['/', '-']) && path.split('/').all(|part| part != "..");
        if !inside || path.contains('\0') {
            let error = FieldError::invalid(path, name);
            errors.also(error.with_details("it has to be a path within the source"));
        }
    }
    for (index, arg) in list(build, "args").iter().enumerate() {
        let arg = arg.as_str().unwrap_or_default();
        let name = arg.split('=').next().unwrap_or_default();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let error = FieldError::invalid(arg, "").with_details("it has to be NAME=value");
            errors.also(error.via_index(index).via_field("args"));
        }
    }
    let image = text(build, "image");
    if !image.is_empty() && !is_repository(image) {
        let error = FieldError::invalid(image, "image");
        errors.also(error.with_details("it has to be a repository without a tag: host/path"));
    }
    if let Some(given) = get(build, "timeout").and_then(Value::as_str) {
        match formats::duration::parse(given) {
            Ok(timeout) if timeout.is_negative() || timeout.is_zero() => {
                errors
                    .also(FieldError::invalid(given, "timeout").with_details("it has to be more than none"));
            }
            Ok(_) => {}
            Err(error) => errors.also(FieldError::invalid(given, "timeout").with_details(error.to_string())),
        }
    }
    errors
}

fn filters(filters: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    for by in ["branches", "paths"] {
        for which in ["include", "exclude"] {
            let globs = list(field(filters, by), which);
            let mut found = FieldErrors::default();
            if globs.len() > MOST_GLOBS {
                found.also(FieldError::out_of_bounds(globs.len(), 0, MOST_GLOBS, which));
            }
            for (index, glob) in globs.iter().enumerate() {
                if glob.as_str().is_none_or(str::is_empty) {
                    found.also(FieldError::missing("").via_index(index).via_field(which));
                }
            }
            errors.also(found.via_field(by));
        }
    }
    errors
}

fn webhook(spec: &Value) -> FieldErrors {
    let webhook = field(spec, "webhook");
    let mut errors = FieldErrors::default();
    let secret = get(webhook, "secretRef");
    if secret.is_some_and(|secret| text(secret, "name").is_empty()) {
        errors.also(FieldError::missing("name").via_field("secretRef"));
    }
    let unsigned = get(webhook, "allowUnsigned") == Some(&Value::Bool(true));
    if !text(spec, "url").is_empty() && secret.is_none() && !unsigned {
        let warning = FieldError::new("no push is taken without a secret", "secretRef");
        errors.also(warning.as_warning());
    }
    errors
}

fn poll(spec: &Value) -> FieldErrors {
    let Some(given) = get(spec, "poll").and_then(Value::as_str) else {
        return FieldErrors::default();
    };
    let url = text(spec, "url");
    let wrong = |why: &str| FieldError::invalid(given, "poll").with_details(why).into();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return wrong("only http:// and https:// addresses are asked");
    }
    match formats::duration::parse(given) {
        Ok(every) if every.as_secs() < MOST_OFTEN => wrong("it has to be at least 10s"),
        Ok(_) => FieldErrors::default(),
        Err(error) => wrong(&error.to_string()),
    }
}

fn statuses(spec: &Value) -> FieldErrors {
    let mut errors = FieldErrors::default();
    let Some(statuses) = get(spec, "statuses").filter(|statuses| statuses.is_object()) else {
        return errors;
    };
    let url = text(spec, "url");
    if url.is_empty() {
        return FieldError::disallowed("statuses").into();
    }
    if text(field(statuses, "secretRef"), "name").is_empty() {
        errors.also(FieldError::missing("name").via_field("secretRef"));
    }
    match text(statuses, "provider") {
        "" if Provider::of_host(host_of(url)).is_none() => {
            let error = FieldError::missing("provider");
            errors.also(error.with_details("the host does not tell: github, gitlab or gitea"));
        }
        "" | "github" | "gitlab" | "gitea" => {}
        other => {
            let error = FieldError::invalid(other, "provider");
            errors.also(error.with_details("it has to be github, gitlab or gitea"));
        }
    }
    let api = text(statuses, "apiURL");
    let is_web = api.starts_with("http://") || api.starts_with("https://");
    let problem = match is_web {
        true => url_problem(api),
        false => Some("it has to be http:// or https://"),
    };
    if !api.is_empty()
        && let Some(problem) = problem
    {
        errors.also(FieldError::invalid(api, "apiURL").with_details(problem));
    }
    errors.via_field("statuses")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(spec: Value) -> String {
        let object = json!({"metadata": {"name": "web"}, "spec": spec});
        validate(&object, &Context::default()).errors().to_string()
    }

    fn with(path: &str, value: Value) -> Value {
        let mut spec = json!({"url": "http://git/app.git", "branch": "main", "service": "web", "build": {}, "filters": {}, "webhook": {}});
        match path.split_once('.') {
            Some((outer, inner)) => spec[outer][inner] = value,
            None => spec[path] = value,
        }
        spec
    }

    #[test]
    fn what_may_be_is_let_through() {
        let digest = "0".repeat(64);
        for spec in [
            with("url", json!("https://git.example.com:8443/me/app.git")),
            with("url", json!("ssh://git@host/app")),
            with("url", json!("git@github.com:me/app.git")),
            with("url", json!("http://[::1]:80/app")),
            with("url", json!("git://10.0.0.1/app")),
            with("branch", json!("feature/a.b-c")),
            with("build.dockerfile", json!("docker/Dockerfile.prod")),
            with("build.context", json!("./app..x")),
            with("build.image", json!("localhost:5000/default/web")),
            with("build.args", json!(["A=b", "C"])),
            with("build.timeout", json!("1h")),
            with("filters.branches", json!({"include": ["**"]})),
            with("webhook.secretRef", json!({"name": "x"})),
            with("poll", json!("10s")),
            with(
                "statuses",
                json!({"secretRef": {"name": "x"}, "provider": "gitea", "apiURL": "http://git:3000/api/v1"}),
            ),
            json!({"url": "git@github.com:me/app", "service": "web", "statuses": {"secretRef": {"name": "x"}}}),
            with(
                "serviceTemplate",
                json!({"metadata": {"name": "web", "labels": {}}}),
            ),
            json!({"source": format!("localhost:5000/default/web-source@sha256:{digest}"), "service": "web"}),
        ] {
            assert_eq!(problems(spec.clone()), "", "{spec}");
        }
    }

    #[test]
    fn what_may_not_be_is_told_with_its_place() {
        let digest = "0".repeat(64);
        for (spec, begin) in [
            (
                json!({"service": "web"}),
                "expected exactly one, got neither: spec.source, spec.url",
            ),
            (
                with("source", json!("x")),
                "expected exactly one, got both: spec.source, spec.url",
            ),
            (
                with("url", json!("--upload-pack=x")),
                "invalid value: --upload-pack=x: spec.url",
            ),
            (
                with("url", json!("-oProxyCommand=x:y")),
                "invalid value: -oProxyCommand=x:y: spec.url",
            ),
            (
                with("url", json!("ssh://-oProxyCommand=x/y")),
                "invalid value: ssh://-oProxyCommand=x/y: spec.url",
            ),
            (
                with("url", json!("file:///etc")),
                "invalid value: file:///etc: spec.url",
            ),
            (
                with("url", json!("ext::sh -c x")),
                "invalid value: ext::sh -c x: spec.url",
            ),
            (
                with("url", json!("/srv/git/app")),
                "invalid value: /srv/git/app: spec.url",
            ),
            (
                with("url", json!("https://me:word@host/x")),
                "invalid value: https://me:word@host/x: spec.url",
            ),
            (
                with("url", json!("https:///x")),
                "invalid value: https:///x: spec.url",
            ),
            (
                with("url", json!("http://git/$(params.x)")),
                "invalid value: http://git/$(params.x): spec.url\nit must not have a variable",
            ),
            (
                with("branch", json!("a$(params.x)")),
                "invalid value: a$(params.x): spec.branch\nit must not have a variable",
            ),
            (with("branch", json!("-x")), "invalid value: -x: spec.branch"),
            (with("branch", json!("a..b")), "invalid value: a..b: spec.branch"),
            (
                with("branch", json!("a.lock/b")),
                "invalid value: a.lock/b: spec.branch",
            ),
            (with("service", json!("")), "missing field(s): spec.service"),
            (with("service", json!("Web")), "invalid value: Web: spec.service"),
            (
                with("build.strategy", json!("magic")),
                "invalid value: magic: spec.build.strategy",
            ),
            (
                with("build.dockerfile", json!("../x")),
                "invalid value: ../x: spec.build.dockerfile",
            ),
            (
                with("build.context", json!("/")),
                "invalid value: /: spec.build.context",
            ),
            (
                with("build.args", json!(["--x=y"])),
                "invalid value: --x=y: spec.build.args[0]",
            ),
            (
                with("build.image", json!("web:latest")),
                "invalid value: web:latest: spec.build.image",
            ),
            (
                with("build.timeout", json!("0")),
                "invalid value: 0: spec.build.timeout",
            ),
            (
                with("build.timeout", json!("soon")),
                "invalid value: soon: spec.build.timeout",
            ),
            (
                with("filters.paths", json!({"exclude": [""]})),
                "missing field(s): spec.filters.paths.exclude[0]",
            ),
            (
                with("webhook.secretRef", json!({})),
                "missing field(s): spec.webhook.secretRef.name",
            ),
            (with("poll", json!("9s")), "invalid value: 9s: spec.poll"),
            (with("poll", json!("often")), "invalid value: often: spec.poll"),
            (
                json!({"url": "git@git:app", "service": "web", "poll": "1m"}),
                "invalid value: 1m: spec.poll",
            ),
            (
                with("statuses", json!({"secretRef": {"name": "x"}})),
                "missing field(s): spec.statuses.provider",
            ),
            (
                with("statuses", json!({"provider": "gitea"})),
                "missing field(s): spec.statuses.secretRef.name",
            ),
            (
                with("statuses", json!({"provider": "cvs", "secretRef": {"name": "x"}})),
                "invalid value: cvs: spec.statuses.provider",
            ),
            (
                with(
                    "statuses",
                    json!({"provider": "gitea", "secretRef": {"name": "x"}, "apiURL": "ssh://git"}),
                ),
                "invalid value: ssh://git: spec.statuses.apiURL",
            ),
            (
                with("serviceTemplate", json!({"metadata": {"name": "other"}})),
                "must not set the field(s): spec.serviceTemplate.metadata.name",
            ),
            (
                json!({"source": "r/x:tag", "service": "web"}),
                "invalid value: r/x:tag: spec.source",
            ),
            (
                json!({"source": format!("r/x@sha256:{digest}"), "service": "web", "branch": "main", "previews": true}),
                "must not set the field(s): spec.branch, spec.previews",
            ),
        ] {
            let found = problems(spec.clone());
            assert!(found.starts_with(begin), "{spec}: {found}");
        }
    }

    #[test]
    fn the_service_stays() {
        let old = json!({"metadata": {"name": "web"}, "spec": with("service", json!("web"))});
        let new = json!({"metadata": {"name": "web"}, "spec": with("service", json!("other"))});
        let context = Context {
            old: Some(&old),
            ..Context::default()
        };
        assert!(
            validate(&new, &context)
                .to_string()
                .contains("the field cannot be changed: spec.service")
        );
        assert!(validate(&old, &context).errors().is_empty());
    }

    #[test]
    fn a_webhook_without_a_secret_is_told() {
        let object = json!({"metadata": {"name": "web"}, "spec": with("webhook", json!({}))});
        let warnings = validate(&object, &Context::default()).warnings().to_string();
        assert_eq!(
            warnings,
            "no push is taken without a secret: spec.webhook.secretRef"
        );
    }
}
