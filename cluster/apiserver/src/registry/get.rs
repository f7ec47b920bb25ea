//! GET of one object.

use super::{Answer, Call, Registry};
use crate::status::StatusError;

impl Registry {
    /// Reads an object, always the newest: every `resourceVersion` a client may ask for is satisfied by it, unless it
    /// lies in the future.
    pub(crate) async fn get(&self, call: &Call) -> Result<Answer, StatusError> {
        self.not_in_the_future(&call.query.resource_version)?;
        let object = self.find(call)?;
        Ok(Answer::Object {
            code: 200,
            raw: self.served(&call.resource, &object).await?,
        })
    }

    /// Refuses a resource version that has not happened yet, as upstream does after waiting for it.
    pub(super) fn not_in_the_future(&self, version: &str) -> Result<u64, StatusError> {
        if version.is_empty() {
            return Ok(0);
        }
        let requested: u64 = version.parse().map_err(|_| {
            StatusError::bad_request(format!(
                "resourceVersion: Invalid value: \"{version}\": must be a whole number"
            ))
        })?;
        let current = self.store.revision();
        if requested > current {
            return Err(too_large_version(requested, current));
        }
        Ok(requested)
    }
}

/// 504 with the cause that client-go looks for (`ResourceVersionTooLarge`).
pub(super) fn too_large_version(requested: u64, current: u64) -> StatusError {
    let mut error = StatusError::timeout(format!(
        "Timeout: Too large resource version: {requested}, current: {current}"
    ));
    error.details.retry_after = Some(1);
    error.details.causes.push(crate::status::Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    });
    error
}
