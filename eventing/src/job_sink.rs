//! JobSink: says where it takes events in, and whether its Job can be made.
//!
//! Jobs are made by the data plane, one for each event.

mod status;

use crds::names::JOB_SINK_SERVICE;
use crds::sinks::{JobSink, job_of};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Api;
use kube::Resource as _;
use kube::api::PostParams;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Reconcile, report};

use crate::encryption::Receiver;
use crate::ingress;
use crate::policies::{Policies, spoken_of};
use crate::shared::{Shared, name_of, namespace_of};
use status::{Observed, Template};

pub(crate) struct JobSinks {
    shared: Shared,
    sinks: Cache<JobSink>,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared, sinks: &Cache<JobSink>) -> Controller<JobSinks> {
    let reconciler = JobSinks {
        shared: shared.clone(),
        sinks: sinks.clone(),
        applier: shared.applier("spindrift-jobsink"),
    };
    let of_slices = sinks.clone();
    let of_secrets = sinks.clone();
    Controller::with_queue(
        "eventing-jobsink",
        reconciler::queue("eventing-jobsink"),
        reconciler,
    )
    .watches(sinks)
    .wakes(&shared.slices, move |slice: &EndpointSlice| {
        if ingress::is_of(slice, JOB_SINK_SERVICE) {
            of_slices.keys()
        } else {
            Vec::new()
        }
    })
    .wakes(shared.encryption.secrets(Receiver::JobSinks), move |_| {
        of_secrets.keys()
    })
    .wakes(&shared.services, ingress::reached_by(JOB_SINK_SERVICE, sinks))
    .wakes(&shared.policies, spoken_of(sinks))
}

impl Reconcile for JobSinks {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(sink) = self.sinks.get(key) else {
            return Ok(Next::OnChange);
        };
        if sink.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let shared = &self.shared;
        let (namespace, name) = (namespace_of(&sink.metadata), name_of(&sink.metadata));
        let audience = shared.features().authentication_oidc.is_enabled().then(|| {
            let (group, kind) = (JobSink::group(&()), JobSink::kind(&()));
            crds::names::audience(&group, &kind, namespace, name)
        });
        let observed = Observed {
            template: self.try_out(&sink).await?,
            served: ingress::is_served(&shared.slices, JOB_SINK_SERVICE),
            addresses: ingress::job_sink(shared, (namespace, name), audience),
            policies: Policies::of(shared, sink.as_ref()),
        };
        let mut updated = (*sink).clone();
        updated.status = Some(status::job_sink_status(&sink, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.sinks,
            &sink,
            updated,
            Ok(Next::OnChange),
        )
        .await
    }
}

impl JobSinks {
    /// Has the API server look at a Job as events would make it, without storing it.
    async fn try_out(&self, sink: &JobSink) -> Result<Template, Error> {
        // The specification of a Job is looked at once.
        if status::was_accepted(sink) {
            return Ok(Template::Accepted);
        }
        let (namespace, name) = (namespace_of(&sink.metadata), name_of(&sink.metadata));
        let trial = crds::names::child_name(name, "-dry-run");
        let Some(job) = job_of(sink, &trial, "dry-run") else {
            return Ok(Template::Missing);
        };
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let jobs: Api<Job> = Api::namespaced(self.shared.client.clone(), namespace);
        match jobs.create(&params, &job).await {
            Ok(_) => Ok(Template::Accepted),
            // There is a Job of this name: it got past all checks of the content.
            Err(kube::Error::Api(refusal)) if refusal.code == 409 => Ok(Template::Accepted),
            Err(kube::Error::Api(refusal)) if matches!(refusal.code, 400 | 403 | 422) => {
                Ok(Template::Refused(refusal.message.clone()))
            }
            Err(error) => Err(Error::api(
                format!("try out the Job of JobSink {namespace}/{name}"),
                error,
            )),
        }
    }
}
