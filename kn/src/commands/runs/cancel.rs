//! `cancel`: says in the spec of a run that it shall end.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton;

/// Sets `spec.status` of a run that is not over.
///
/// # Errors
/// The run is over, or is not there.
pub async fn cancel(
    context: &Context,
    kind: Kind,
    namespace: &str,
    name: &str,
    status: &str,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let noun = kind.noun();
    let run = context.get(kind, namespace, name).await?;
    if tekton::is_over(&run) {
        return Err(CliError::new(
            Exit::Failure,
            format!(
                "cannot cancel {noun} '{name}': it is over: {}",
                tekton::status(&run)
            ),
        ));
    }
    // By its uid, so that a new run of the same name is left alone.
    let patch = json!({ "metadata": { "uid": text(&run, "/metadata/uid") }, "spec": { "status": status } });
    let api = context.api(kind, namespace).await?;
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    output.done(format!("{noun} cancelled: {name}"))?;
    Ok(Exit::Success)
}
