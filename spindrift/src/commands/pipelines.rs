//! The component of tasks against any cluster.

use std::process::ExitCode;

use reconciler::{Caches, leases};

use super::component::{client, identity, until_told};
use crate::cli::PipelinesArgs;

pub async fn controller(args: PipelinesArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.process).await?;
    let config = pipelines::Config {
        election: Some(pipelines::Election {
            identity: identity(),
            timing: leases::Timing::default(),
        }),
        ..pipelines::Config::new(args.entrypoint_image)
    };
    let caches = Caches::new(client);
    let start = |until| pipelines::run_until(caches.clone(), config, until);
    until_told(&args.process, &caches, "the caches are not filled yet", start).await
}
