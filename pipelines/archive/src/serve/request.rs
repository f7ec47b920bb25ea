//! What a request asks for.

use http::{Method, Request};
use url::form_urlencoded;

use super::answer::Refusal;
use crate::store::{Kind, Subject};

const PREFIX: &str = "/.spindrift/v1/namespaces/";

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    pub subject: Subject,
    /// Which of those of this name: the UID of a run, or of the TaskRun of a pod.
    pub id: Option<String>,
}

pub(super) fn read<B>(request: &Request<B>) -> Result<Ask, Refusal> {
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let (namespace, kind, name, id) = match parts[..] {
        [namespace, "pipelineruns", name] => (namespace, Kind::PipelineRun, name, "uid"),
        [namespace, "taskruns", name] => (namespace, Kind::TaskRun, name, "uid"),
        [namespace, "pods", name, "log"] => (namespace, Kind::Pod, name, "owner"),
        _ => return Err(Refusal::Path),
    };
    if *request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    let query = request.uri().query().unwrap_or_default();
    let id = form_urlencoded::parse(query.as_bytes())
        .find(|(key, value)| key == id && !value.is_empty())
        .map(|(_, value)| value.into_owned());
    Ok(Ask {
        subject: Subject {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read() {
        let asked = |method: &str, rest: &str| {
            let target = format!("/.spindrift/v1/namespaces/{rest}");
            let request = Request::builder().method(method).uri(target).body(()).unwrap();
            read(&request)
                .map(|ask| (ask.subject.kind, ask.subject.name, ask.id))
                .map_err(|refusal| refusal.to_string())
        };
        for (rest, kind, id) in [
            ("ns/pipelineruns/a", Kind::PipelineRun, None),
            ("ns/pipelineruns/a?uid=u&owner=x", Kind::PipelineRun, Some("u")),
            ("ns/taskruns/a?uid=", Kind::TaskRun, None),
            ("ns/pods/a/log?owner=x", Kind::Pod, Some("x")),
        ] {
            assert_eq!(
                asked("GET", rest),
                Ok((kind, "a".to_owned(), id.map(str::to_owned))),
                "{rest}"
            );
        }
        for rest in ["ns/pods/a", "ns/secrets/a", "ns", "ns/taskruns/a/b", ""] {
            assert!(asked("GET", rest).unwrap_err().contains("path"), "{rest}");
        }
        assert!(asked("POST", "ns/taskruns/a").unwrap_err().contains("GET"));
    }
}
