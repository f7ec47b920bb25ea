//! What a deployment does next.

use crds::conditions::{Condition, ConditionedStatus as _, READY};
use crds::serving::{Revision, Service};
use crds::spindrift::annotations::{BUILD, PREVIEWS_OF, REF};
use crds::spindrift::{Deployed, Repository};
use kube::ResourceExt;
use serde_json::Value;

use super::request::Request;
use super::service;
use crate::ledger::newest;
use crate::names;
use crate::repository::is_preview_wanted;
use crate::traffic;

/// Everything a decision follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub repository: &'a Repository,
    pub service: Option<&'a Service>,
    /// The newest revision of the Service, if there is one.
    pub revision: Option<&'a Revision>,
    pub request: &'a Request,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing, until something changes.
    Wait(String),
    Create(Box<Service>),
    /// A merge patch of the Service, conditional on its version.
    Change {
        change: Value,
        doing: String,
    },
    Done {
        revision: String,
    },
    Fail {
        reason: &'static str,
        message: String,
    },
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// What the Service runs.
    Branch,
    /// A revision under a tag.
    Preview(String),
}

impl Target {
    pub(super) fn of(repository: &Repository, request: &Request) -> Self {
        let spec = &repository.spec;
        if request.git_ref.is_empty() || request.git_ref == spec.main_ref() {
            Self::Branch
        } else {
            Self::Preview(names::tag(&request.git_ref, &spec.service))
        }
    }
}

/// Decides about a deployment that is not over.
pub(super) fn decide(facts: &Facts<'_>) -> Step {
    let Facts {
        repository, request, ..
    } = *facts;
    let target = Target::of(repository, request);
    if request.git_ref.is_empty() != repository.spec.url.is_empty() {
        return Step::Fail {
            reason: "Superseded",
            message: "the Repository takes its source from elsewhere by now: nothing is deployed".to_owned(),
        };
    }
    if let Some(by) = overtaken(repository, request, &target) {
        let message = format!(
            "push {by} is newer than push {}: nothing is deployed",
            request.sequence
        );
        return Step::Fail {
            reason: "Superseded",
            message,
        };
    }
    if matches!(target, Target::Preview(_)) && !is_preview_wanted(&repository.spec, &request.git_ref) {
        return Step::Fail {
            reason: "Superseded",
            message: format!("{} is to have no URL of its own any more", request.git_ref),
        };
    }
    let Some(service) = facts.service else {
        return match target {
            Target::Branch => match service::created(repository, request) {
                Ok(service) => Step::Create(Box::new(service)),
                Err(error) => Step::Fail {
                    reason: "InvalidServiceTemplate",
                    message: format!("spec.serviceTemplate is no Service: {error}"),
                },
            },
            Target::Preview(_) => Step::Fail {
                reason: "ServiceMissing",
                message: format!(
                    "there is no Service {} to show a preview",
                    repository.spec.service
                ),
            },
        };
    };
    if service.metadata.deletion_timestamp.is_some() {
        return Step::Wait("the Service is being deleted".to_owned());
    }
    let marked = service.annotations().get(PREVIEWS_OF);
    if matches!(target, Target::Preview(_)) && marked != repository.metadata.uid.as_ref() {
        // Whatever is written for a preview is conditional on a version that has the mark.
        let name = service.name_any();
        return Step::Wait(format!(
            "Service {name} is not marked as one with previews of this Repository"
        ));
    }
    let progress = Progress::of(service, facts.revision);
    if template_mark(service, BUILD) == Some(request.run.as_str()) {
        return follow(facts, service, &target, progress);
    }
    begin(facts, service, target, &progress)
}

/// The number of a newer push to the same ref, if there is one.
fn overtaken(repository: &Repository, request: &Request, target: &Target) -> Option<i64> {
    let status = repository.status.as_ref()?;
    let newest = newest(&status.pushes, &request.git_ref).map(|push| push.sequence);
    let of_target = |deployed: &Deployed| (deployed.git_ref == request.git_ref).then_some(deployed.sequence);
    let deployed = match target {
        Target::Branch => status.deployed.as_ref().and_then(of_target),
        Target::Preview(tag) => {
            let mut previews = status.previews.iter().filter(|preview| preview.tag == *tag);
            previews.find_map(|preview| of_target(&preview.deployed))
        }
    };
    newest.max(deployed).filter(|by| *by > request.sequence)
}

/// How far the Service is with its template.
#[derive(Debug)]
enum Progress {
    /// It is not known yet.
    UnderWay(String),
    /// The newest revision is ready.
    Ready(String),
    Failed {
        revision: String,
        why: String,
    },
}

impl Progress {
    fn of(service: &Service, revision: Option<&Revision>) -> Self {
        let name = service.name_any();
        let Some(status) = &service.status else {
            return Self::UnderWay(format!("Service {name} has no revision yet"));
        };
        if status.observed_generation != service.metadata.generation {
            return Self::UnderWay(format!("Service {name} has not seen its template yet"));
        }
        let Some(created) = status.latest_created_revision_name.clone() else {
            return Self::UnderWay(format!("Service {name} has no revision yet"));
        };
        let known = revision.filter(|revision| revision.name_any() == created);
        let ready = known.and_then(|revision| revision.status.as_ref()?.condition(READY));
        if let Some(failed) = ready.filter(|ready| ready.is_false()) {
            return Self::Failed {
                revision: created,
                why: why(failed),
            };
        }
        if status.latest_ready_revision_name.as_ref() == Some(&created) {
            return Self::Ready(created);
        }
        Self::UnderWay(format!("Revision {created} is not ready yet"))
    }
}

fn why(condition: &Condition) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    format!("{}: {}", part(&condition.reason), part(&condition.message))
}

/// The template is ours; what becomes of it?
fn follow(facts: &Facts<'_>, service: &Service, target: &Target, progress: Progress) -> Step {
    // Until the Service has seen the template, its newest revision is an older one.
    let ours = facts
        .revision
        .is_some_and(|revision| revision.annotations().get(BUILD) == Some(&facts.request.run));
    let revision = match progress {
        Progress::UnderWay(message) => return Step::Wait(message),
        Progress::Failed { .. } | Progress::Ready(_) if !ours => {
            return Step::Wait(format!("Service {} makes the revision", service.name_any()));
        }
        Progress::Failed { revision, why } => {
            return Step::Fail {
                reason: "RevisionFailed",
                message: format!("Revision {revision} failed, what ran before still runs: {why}"),
            };
        }
        Progress::Ready(revision) => revision,
    };
    if let Target::Preview(tag) = target
        && let Some(targets) = traffic::with_preview(&service.spec.traffic, tag, &revision)
    {
        return Step::Change {
            change: service::of_traffic(service, &targets),
            doing: format!("Revision {revision} gets the tag {tag}"),
        };
    }
    Step::Done { revision }
}

/// The template is not ours, or not yet.
fn begin(facts: &Facts<'_>, service: &Service, target: Target, progress: &Progress) -> Step {
    let request = facts.request;
    let of_ref = template_mark(service, REF);
    let same_target = of_ref.is_none_or(|of_ref| of_ref == request.git_ref);
    match (&target, progress) {
        // The same image makes no new revision.
        (Target::Branch, Progress::Ready(revision))
            if same_target && service::image(service) == Some(request.image.as_str()) =>
        {
            Step::Done {
                revision: revision.clone(),
            }
        }
        // An older template of the same ref need not become ready first; that of another has to, for its deployment
        // waits for it.
        (Target::Branch, Progress::UnderWay(message)) if !same_target => Step::Wait(message.clone()),
        (Target::Preview(_), Progress::UnderWay(message)) => Step::Wait(message.clone()),
        (Target::Branch, _) => Step::Change {
            change: service::for_branch(service, request),
            doing: format!(
                "Service {} makes a revision of {}",
                service.name_any(),
                request.image
            ),
        },
        (Target::Preview(_), _) => {
            let ready = service.status.as_ref();
            let ready = ready.and_then(|status| status.latest_ready_revision_name.as_deref());
            Step::Change {
                change: service::for_preview(service, request, ready),
                doing: format!(
                    "Service {} makes a preview of {}",
                    service.name_any(),
                    request.image
                ),
            }
        }
    }
}

/// An annotation of the template.
fn template_mark<'a>(service: &'a Service, key: &str) -> Option<&'a str> {
    let meta = service.spec.template.metadata.as_ref()?;
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests;
