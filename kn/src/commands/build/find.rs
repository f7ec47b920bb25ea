//! Which build is meant.

use serde_json::Value;

use crate::commands::list::{Query, fetch};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::tekton::{self, Marks};

/// The build of this name; or the last one of the service of this name.
///
/// # Errors
/// There is neither.
pub async fn find(context: &Context, namespace: &str, name: &str) -> Result<Value, CliError> {
    let query = Query::within(namespace).labelled(format!("{}={name}", Marks::SERVICE));
    let of_service = fetch(context, Kind::PipelineRun, &query).await?;
    if let Some(run) = tekton::newest(&of_service) {
        return Ok(run.clone());
    }
    let missing = || {
        CliError::new(
            Exit::NotFound,
            format!(
                "neither a build '{name}' nor one of a service '{name}' is there in namespace '{namespace}'"
            ),
        )
        .with_hint("`kn build list` shows what there is")
    };
    match context.get(Kind::PipelineRun, namespace, name).await {
        Ok(run) if tekton::is_build(&run) => Ok(run),
        Ok(_) => Err(missing()),
        Err(error) if error.exit == Exit::NotFound => Err(missing()),
        Err(error) => Err(error),
    }
}

/// All builds of a Repository.
///
/// # Errors
/// The cluster refuses, or does not answer.
pub async fn of_repository(
    context: &Context,
    namespace: &str,
    repository: &str,
) -> Result<Vec<Value>, CliError> {
    let query = Query::within(namespace).labelled(format!("{}={repository}", Marks::REPOSITORY));
    fetch(context, Kind::PipelineRun, &query).await
}
