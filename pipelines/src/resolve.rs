//! Finds Tasks, Pipelines and what else is referred to: by name in the cluster, or by asking a resolver.
//!
//! A resolver is asked by a ResolutionRequest that the asking run owns. Whoever serves that type of request answers it, of
//! this project or not; the answer is checked as admission would check an object.

mod answer;
mod decode;

use std::sync::Arc;
use std::time::Duration;

use crds::config::tekton::{Configs, Defaults, Features};
use crds::resource::tekton::Resource;
use crds::tekton::{
    Param, Pipeline, PipelineRef, PipelineRun, RefSource, ResolutionRequest, ResolutionRequestSpec,
    StepAction, StepRef, Task, TaskRef, labels, names,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, Resource as _, ResourceExt};
use reconciler::error::is_conflict;
use reconciler::object::{api, controller_of, is_controlled_by};
use reconciler::{Applier, Cache, ConfigStore, Key, Object, Scoped};

use answer::{Answer, answer};

/// How often a question without an answer is looked at: an event that got lost must not hold up a run.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{kind} {key} was not found")]
    NotFound { kind: &'static str, key: Key },
    /// The resolver says so, or what it gave is no such thing.
    #[error("the {kind} of the resolver {resolver:?} cannot be had: {message}")]
    Unresolved {
        kind: &'static str,
        resolver: String,
        message: String,
    },
    /// The API server did not answer; trying again may help.
    #[error("cannot {doing}")]
    Api {
        doing: String,
        #[source]
        source: Box<reconciler::Error>,
    },
}

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Found<K> {
    There {
        object: K,
        /// Where a resolver found it.
        source: Option<RefSource>,
    },
    /// A resolver was asked; look again after [`RECHECK`] at the latest.
    Resolving,
}

/// Follows references on behalf of runs.
#[derive(Clone)]
pub(crate) struct Resolver {
    applier: Applier,
    requests: Cache<ResolutionRequest>,
    config: ConfigStore,
}

impl Resolver {
    pub(crate) fn new(applier: Applier, requests: Cache<ResolutionRequest>, config: ConfigStore) -> Self {
        Self {
            applier,
            requests,
            config,
        }
    }

    /// The Task that a reference of `run` means.
    pub(crate) async fn task<O: Asker>(
        &self,
        run: &O,
        reference: &TaskRef,
        now: Timestamp,
    ) -> Result<Found<Task>, Error> {
        let TaskRef {
            name,
            resolver,
            params,
            ..
        } = reference;
        self.find(run, Resource::Task, "task", name, resolver, params, now)
            .await
    }

    /// The Pipeline that a reference of `run` means.
    pub(crate) async fn pipeline<O: Asker>(
        &self,
        run: &O,
        reference: &PipelineRef,
        now: Timestamp,
    ) -> Result<Found<Pipeline>, Error> {
        let PipelineRef {
            name,
            resolver,
            params,
            ..
        } = reference;
        self.find(run, Resource::Pipeline, "pipeline", name, resolver, params, now)
            .await
    }

    /// The StepAction that a reference of a step of `run` means.
    pub(crate) async fn step_action<O: Asker>(
        &self,
        run: &O,
        reference: &StepRef,
        now: Timestamp,
    ) -> Result<Found<StepAction>, Error> {
        let StepRef {
            name,
            resolver,
            params,
        } = reference;
        self.find(
            run,
            Resource::StepAction,
            "stepaction",
            name,
            resolver,
            params,
            now,
        )
        .await
    }

    /// What a reference of `run` means: the object `name` of its namespace, or if there is a resolver what that finds.
    /// `kind` is how people call it.
    #[expect(
        clippy::too_many_arguments,
        reason = "a reference has these parts in each of its types"
    )]
    pub(crate) async fn find<K, O>(
        &self,
        run: &O,
        resource: Resource,
        kind: &'static str,
        name: &str,
        resolver: &str,
        params: &[Param],
        now: Timestamp,
    ) -> Result<Found<K>, Error>
    where
        K: Object,
        K::Scope: Scoped,
        O: Asker,
    {
        if resolver.is_empty() {
            let key = Key::new(run.namespace().unwrap_or_default(), name);
            let object = local(self.applier.client(), kind, key).await?;
            return Ok(Found::There { object, source: None });
        }
        let unresolved = |message: String| Error::Unresolved {
            kind,
            resolver: resolver.to_owned(),
            message,
        };
        let request = self.request(run, resolver, params).await?;
        let patience = self.config.get::<Defaults>().maximum_resolution_timeout;
        match answer(&request, now, patience) {
            Answer::NotYet => Ok(Found::Resolving),
            Answer::Never(message) => Err(unresolved(message)),
            Answer::Data { data, source } => {
                let configs = Configs {
                    defaults: (*self.config.get::<Defaults>()).clone(),
                    features: (*self.config.get::<Features>()).clone(),
                    ..Configs::default()
                };
                let object = decode::decode(resource, &data, &configs).map_err(unresolved)?;
                let source = source.filter(|_| configs.features.enable_provenance_in_status);
                Ok(Found::There { object, source })
            }
        }
    }

    /// The question with its answer so far; asks if nobody has.
    async fn request<O: Asker>(
        &self,
        run: &O,
        resolver: &str,
        params: &[Param],
    ) -> Result<Arc<ResolutionRequest>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        if let Some(request) = self.of_pipeline(run.meta(), &namespace, resolver, params) {
            return Ok(request);
        }
        let name = names::resolution_request(resolver, &namespace, &run.name_any(), params);
        let key = Key::new(namespace, name);
        if let Some(known) = self.requests.get(&key).filter(|known| is_of(known, run)) {
            if answer::is_answered(&known) {
                return Ok(known);
            }
            // The watch may have lost the answer.
            if let Some(live) = self.read(&key).await?.filter(|live| is_of(live, run)) {
                self.requests.record(live.clone());
                return Ok(Arc::new(live));
            }
        }
        let question = question(&key, resolver, params);
        match self.applier.create(run, &self.requests, question).await {
            Ok(created) => Ok(created),
            Err(reconciler::Error::Api { source, .. }) if is_conflict(&source) => {
                let live = self.read(&key).await?;
                live.filter(|live| is_of(live, run)).map(Arc::new).ok_or_else(|| {
                    // Of a run of the same name that is being removed with all that it owns: soon the name is free.
                    let message = format!("ResolutionRequest {key} is of another run");
                    api_error("ask a resolver", reconciler::Error::fault(message))
                })
            }
            Err(error) => Err(api_error("ask a resolver", error)),
        }
    }

    /// The answer that the pipeline of a task has got to the same question: what it looked at is what runs.
    fn of_pipeline(
        &self,
        meta: &ObjectMeta,
        namespace: &str,
        resolver: &str,
        params: &[Param],
    ) -> Option<Arc<ResolutionRequest>> {
        let owner = controller_of(meta).filter(|owner| owner.kind == PipelineRun::kind(&()))?;
        let name = names::resolution_request(resolver, namespace, &owner.name, params);
        let found = self.requests.named(namespace, &name)?;
        let usable = is_controlled_by(&found.metadata, &owner.uid) && answer::is_answered(&found);
        usable.then_some(found)
    }

    async fn read(&self, key: &Key) -> Result<Option<ResolutionRequest>, Error> {
        let requests = api::<ResolutionRequest>(self.applier.client(), &key.namespace);
        let doing = || format!("read ResolutionRequest {key}");
        requests
            .get_opt(&key.name)
            .await
            .map_err(|error| api_error(doing(), reconciler::Error::api(doing(), error)))
    }
}

/// A run that may ask.
pub(crate) trait Asker: kube::Resource<DynamicType = ()> + Sync {}
impl<K: kube::Resource<DynamicType = ()> + Sync> Asker for K {}

fn api_error(doing: impl Into<String>, source: reconciler::Error) -> Error {
    Error::Api {
        doing: doing.into(),
        source: Box::new(source),
    }
}

/// Does the question belong to this very run?
fn is_of<O: Asker>(request: &ResolutionRequest, run: &O) -> bool {
    is_controlled_by(&request.metadata, &run.uid().unwrap_or_default())
}

fn question(key: &Key, resolver: &str, params: &[Param]) -> ResolutionRequest {
    let spec = ResolutionRequestSpec {
        params: params.to_vec(),
        ..ResolutionRequestSpec::default()
    };
    let mut request = ResolutionRequest::new(&key.name, spec);
    request.metadata.namespace = Some(key.namespace.clone());
    request.metadata.labels = Some([(labels::RESOLVER.to_owned(), resolver.to_owned())].into());
    request
}

/// Not from a cache: whoever changes something and then creates a run means what he changed.
async fn local<K>(client: &Client, kind: &'static str, key: Key) -> Result<K, Error>
where
    K: Object,
    K::Scope: Scoped,
{
    match api::<K>(client, &key.namespace).get_opt(&key.name).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Error::NotFound { kind, key }),
        Err(source) => {
            let doing = format!("read {kind} {key}");
            Err(api_error(doing.clone(), reconciler::Error::api(doing, source)))
        }
    }
}

impl Error {
    /// The fault of the API server, which is no fault of the reference.
    pub(crate) fn into_fault(self) -> Result<Self, reconciler::Error> {
        match self {
            Self::Api { source, .. } => Err(*source),
            other => Ok(other),
        }
    }
}
