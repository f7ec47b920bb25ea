//! `spindrift install` and `spindrift manifests`: what the components work on, created or printed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::ExitCode;

use super::component::connect;
use super::say;
use crate::cli::{InstallArgs, PlanArgs};
use crate::install::{self, Front, Half, doors};

/// Creates everything; what is there already is kept, but for the resource definitions and the sidecar's image.
pub async fn run(args: InstallArgs) -> anyhow::Result<ExitCode> {
    let client = connect(args.kubeconfig.as_deref()).await?;
    let plan = &args.plan;
    install::crds(&client).await?;
    install::configuration(
        &client,
        &plan.system_namespace,
        &configuration(plan),
        &BTreeMap::new(),
    )
    .await?;
    install::rights::for_components(&client, &plan.system_namespace).await?;
    install::rights::for_users(&client).await?;
    if let Some(address) = plan.component_address {
        install::fronts(&client, &plan.system_namespace, address, &fronts(plan)).await?;
        if let Some(domain) = &plan.domain {
            install::routes(&client, domain, plan.gateway_port).await?;
        }
    }
    say::line(format!("Installed in the namespace {}.", plan.system_namespace));
    Ok(ExitCode::SUCCESS)
}

/// Prints everything.
pub fn print(plan: &PlanArgs) -> anyhow::Result<ExitCode> {
    let fronts = fronts(plan);
    let at: Option<(Ipv4Addr, &[Front])> = plan.component_address.map(|address| (address, fronts.as_slice()));
    for object in install::manifests(&plan.system_namespace, &configuration(plan), at)? {
        say::line(format!("---\n{}", serde_saphyr::to_string(&object)?.trim_end()));
    }
    Ok(ExitCode::SUCCESS)
}

fn configuration(plan: &PlanArgs) -> crds::config::Install {
    crds::config::Install {
        queue_sidecar_image: plan.sidecar_image.clone(),
        domain: plan.domain.clone(),
        ..crds::config::Install::default()
    }
}

/// The components' usual ports.
fn fronts(plan: &PlanArgs) -> Vec<Front> {
    use crds::{names, ports};
    vec![
        Front {
            half: Half::Serving,
            service: names::GATEWAY_SERVICE,
            ports: vec![(ports::NAME_HTTP, ports::SERVICE_HTTP, plan.gateway_internal_port)],
        },
        Front {
            half: Half::Serving,
            service: names::GATEWAY_INTERNAL_SERVICE,
            ports: vec![(ports::NAME_HTTP2, ports::SERVICE_HTTP, plan.gateway_internal_port)],
        },
        Front {
            half: Half::Serving,
            service: names::ACTIVATOR_SERVICE,
            ports: vec![
                (ports::NAME_HTTP, ports::SERVICE_HTTP, ports::BACKEND_HTTP),
                (ports::NAME_HTTP2, ports::SERVICE_HTTP2, ports::BACKEND_HTTP2),
            ],
        },
        Front {
            half: Half::Serving,
            service: names::AUTOSCALER_SERVICE,
            ports: vec![(ports::NAME_HTTP, ports::AUTOSCALER, ports::AUTOSCALER)],
        },
        Front {
            half: Half::Serving,
            service: names::WEBHOOK_SERVICE,
            ports: vec![("https-webhook", ports::SERVICE_HTTPS, ports::WEBHOOK)],
        },
        Front {
            half: Half::Events,
            service: names::BROKER_INGRESS_SERVICE,
            ports: doors(ports::BROKER_INGRESS, ports::BROKER_INGRESS_TLS),
        },
        Front {
            half: Half::Events,
            service: names::CHANNEL_DISPATCHER_SERVICE,
            ports: doors(ports::BROKER_INGRESS, ports::BROKER_INGRESS_TLS),
        },
        Front {
            half: Half::Events,
            service: names::GIT_HUB_SOURCE_SERVICE,
            ports: vec![(ports::NAME_HTTP, ports::SERVICE_HTTP, ports::GIT_HUB_SOURCE)],
        },
        Front {
            half: Half::Events,
            service: names::JOB_SINK_SERVICE,
            ports: doors(ports::JOB_SINK, ports::JOB_SINK_TLS),
        },
        Front {
            half: Half::Pipelines,
            service: crds::spindrift::PUSH_SERVICE,
            ports: vec![(ports::NAME_HTTP, ports::SERVICE_HTTP, ports::PUSH)],
        },
        Front {
            half: Half::Pipelines,
            service: archive::SERVICE,
            ports: vec![(ports::NAME_HTTP, ports::SERVICE_HTTP, archive::PORT)],
        },
        Front {
            half: Half::Events,
            service: names::REQUEST_REPLY_SERVICE,
            ports: doors(ports::REQUEST_REPLY, ports::REQUEST_REPLY_TLS),
        },
    ]
}
