//! Makes the Job of an event, and tells how it goes.
//!
//! Secret first, for a Job without its Secret would wait for ever: it belongs to the sink until the Job is there, and
//! to the Job from then on. Each step finds what an earlier attempt has left, so whoever sends an event again after a
//! crash, at any moment, completes it. What nobody completes, [`sweep`](crate::sweep) removes.

use std::collections::BTreeMap;

use crds::sinks::{EVENT_FILE, JobSink, job_of, job_sink_labels};
use event::{Event, Mode};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;

use crate::names::Address;
use crate::refusal::Refusal;

/// Bytes of an event: what a Secret holds.
pub(crate) const MAX_EVENT: usize = 1024 * 1024;

/// Annotations that say which event an object is for.
const EVENT_SOURCE: &str = "eventing.spindrift.dev/event-source";
const EVENT_ID: &str = "eventing.spindrift.dev/event-id";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    Complete,
    Failed,
}

pub(crate) struct Jobs {
    client: Client,
}

impl Jobs {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// The sink of this name.
    pub async fn sink(&self, namespace: &str, name: &str) -> Result<JobSink, Refusal> {
        // Asked of the server itself: a copy might not know yet of a sink that a trigger already sends to.
        let sinks: Api<JobSink> = Api::namespaced(self.client.clone(), namespace);
        let named = || format!("{namespace}/{name}");
        match sinks.get_opt(name).await {
            Ok(Some(sink)) => Ok(sink),
            Ok(None) => Err(Refusal::NoSink(named())),
            // No name of an object at all.
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => {
                Err(Refusal::NoSink(named()))
            }
            Err(error) => Err(Refusal::api("a question for the JobSink", error)),
        }
    }

    /// Sees to it that there is a Job of `sink` for `event`. The event is not lost any more when this returns `Ok`.
    pub async fn make(&self, sink: &JobSink, address: &Address, event: &Event) -> Result<(), Refusal> {
        let named = format!("{}/{}", address.namespace, address.sink);
        let (name, label) = (address.job(), address.label());
        let mut job = job_of(sink, &name, &label).ok_or(Refusal::NoJob(named))?;
        mark(&mut job.metadata, address);
        let owner = sink.owner_ref(&());
        let secret = secret(sink, address, event, owner)?;

        self.create_secret(address, &secret).await?;
        let job = self.create_job(address, &job).await?;
        self.hand_over(address, secret, &job).await
    }

    async fn create_secret(&self, address: &Address, secret: &Secret) -> Result<(), Refusal> {
        let secrets: Api<Secret> = self.api(address);
        match secrets.create(&PostParams::default(), secret).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let name = address.job();
                let there = secrets
                    .get_metadata_opt(&name)
                    .await
                    .map_err(|error| Refusal::api("a question for the Secret", error))?;
                match there {
                    Some(there) if !is_of(&there.metadata, address) => {
                        Err(Refusal::Taken(format!("Secret {name}")))
                    }
                    // Gone meanwhile is as good: handing over makes it again.
                    _ => Ok(()),
                }
            }
            Err(error) => Err(Refusal::api("the Secret with the event", error)),
        }
    }

    /// The Job as it is stored, by this attempt or by an earlier one.
    async fn create_job(&self, address: &Address, job: &Job) -> Result<Job, Refusal> {
        let jobs: Api<Job> = self.api(address);
        match jobs.create(&PostParams::default(), job).await {
            Ok(job) => Ok(job),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let name = address.job();
                match jobs.get(&name).await {
                    Ok(there) if is_of(&there.metadata, address) => Ok(there),
                    Ok(_) => Err(Refusal::Taken(format!("Job {name}"))),
                    Err(error) => Err(Refusal::api("a question for the Job", error)),
                }
            }
            Err(error) => Err(Refusal::api("the Job", error)),
        }
    }

    /// Makes the Secret go with the Job.
    async fn hand_over(&self, address: &Address, mut secret: Secret, job: &Job) -> Result<(), Refusal> {
        let secrets: Api<Secret> = self.api(address);
        let owner = job.controller_owner_ref(&());
        let name = address.job();
        match secrets
            .patch_metadata(&name, &PatchParams::default(), &belongs_to(owner.as_ref()))
            .await
        {
            Ok(_) => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(Refusal::api("the owner of the Secret", error)),
        }
        secret.metadata.owner_references = owner.map(|owner| vec![owner]);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::api("the Secret with the event", error)),
        }
    }

    /// How the Job of an event goes.
    pub async fn progress(&self, address: &Address) -> Result<Progress, Refusal> {
        let jobs: Api<Job> = self.api(address);
        match jobs.get_opt(&address.job()).await {
            Ok(Some(job)) if is_of(&job.metadata, address) => Ok(progress(&job)),
            Ok(_) => Err(Refusal::NotFound),
            Err(kube::Error::Api(status)) if matches!(status.code, 400 | 404) => Err(Refusal::NotFound),
            Err(error) => Err(Refusal::api("a question for the Job", error)),
        }
    }

    fn api<K>(&self, address: &Address) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &address.namespace)
    }
}

/// The change that makes `owner` the only owner.
pub(crate) fn belongs_to(owner: Option<&OwnerReference>) -> Patch<serde_json::Value> {
    let owners: Vec<&OwnerReference> = owner.into_iter().collect();
    Patch::Merge(json!({ "metadata": { "ownerReferences": owners } }))
}

fn secret(
    sink: &JobSink,
    address: &Address,
    event: &Event,
    owner: Option<OwnerReference>,
) -> Result<Secret, Refusal> {
    let (_, file) = event::http::write(event, Mode::Structured);
    if file.len() > MAX_EVENT {
        return Err(Refusal::EventTooLarge(MAX_EVENT));
    }
    let mut metadata = ObjectMeta {
        name: Some(address.job()),
        labels: Some(job_sink_labels(sink, &address.label())),
        owner_references: owner.map(|owner| vec![owner]),
        ..ObjectMeta::default()
    };
    mark(&mut metadata, address);
    Ok(Secret {
        metadata,
        immutable: Some(true),
        data: Some(BTreeMap::from([(
            EVENT_FILE.to_owned(),
            ByteString(file.to_vec()),
        )])),
        ..Secret::default()
    })
}

fn mark(metadata: &mut ObjectMeta, address: &Address) {
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(EVENT_SOURCE.to_owned(), address.source.clone());
    annotations.insert(EVENT_ID.to_owned(), address.id.clone());
}

/// Whether an object was made for this event: a name alone may be somebody else's.
fn is_of(metadata: &ObjectMeta, address: &Address) -> bool {
    let labels = metadata.labels.as_ref();
    let annotations = metadata.annotations.as_ref();
    let is = |map: Option<&BTreeMap<String, String>>, key: &str, value: &str| {
        map.and_then(|map| map.get(key))
            .is_some_and(|found| found == value)
    };
    is(labels, crds::labels::JOB_SINK_NAME, &address.sink)
        && is(annotations, EVENT_SOURCE, &address.source)
        && is(annotations, EVENT_ID, &address.id)
}

fn progress(job: &Job) -> Progress {
    let holds = |kind: &str| {
        let conditions = job
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    };
    if holds("Complete") {
        Progress::Complete
    } else if holds("Failed") {
        Progress::Failed
    } else {
        Progress::Running
    }
}
