//! Reads the log of a step, and how it is kept: lines of JSON.
//!
//! ```text
//! {"step":"compile","dropped":512}                       bytes before these that were not kept
//! {"step":"compile","log":"2026-01-01T00:00:00Z text"}   a line, with its time
//! {"step":"compile","error":"why the rest is missing"}
//! ```

use crds::tekton::names::STEP_PREFIX;
use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use serde_json::{Value, json};

use super::tail::{MOST, Tail};

/// Longest line, in bytes; a longer one goes on as the next.
const LONGEST: u64 = 64 << 10;

/// How logs of a pod are read.
pub(super) struct Reading {
    pub api: Api<Pod>,
    pub pod: String,
    /// Whether to go on until the container ends.
    pub follow: bool,
}

impl Reading {
    /// Appends the log of a container to `text`; `false` if it could not be read to its end, but may be later.
    pub async fn step(&self, container: &str, text: &mut Vec<u8>) -> bool {
        let step = container.strip_prefix(STEP_PREFIX).unwrap_or(container);
        let params = LogParams {
            container: Some(container.to_owned()),
            follow: self.follow,
            timestamps: true,
            ..LogParams::default()
        };
        let mut tail = Tail::new(MOST);
        let (broken, passes) = match self.api.log_stream(&self.pod, &params).await {
            Ok(log) => match read(&mut Box::pin(log), &mut tail).await {
                Ok(()) => (None, false),
                Err(error) => (Some(error.to_string()), true),
            },
            // Who says that there is no such log says it again.
            Err(kube::Error::Api(status)) => {
                let passes = status.code == 429 || status.code >= 500;
                (Some(status.message.clone()), passes)
            }
            Err(error) => (Some(error.to_string()), true),
        };
        write(step, tail, broken.as_deref(), text);
        !passes
    }
}

async fn read(log: &mut (impl AsyncBufRead + Unpin), tail: &mut Tail) -> std::io::Result<()> {
    loop {
        let mut bytes = Vec::new();
        (&mut *log).take(LONGEST).read_until(b'\n', &mut bytes).await?;
        if bytes.is_empty() {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&bytes);
        let line = line.strip_suffix('\n').unwrap_or(&line);
        tail.push(line.strip_suffix('\r').unwrap_or(line).to_owned());
    }
}

fn write(step: &str, tail: Tail, broken: Option<&str>, text: &mut Vec<u8>) {
    let mut line = |value: Value| {
        text.extend_from_slice(value.to_string().as_bytes());
        text.push(b'\n');
    };
    if tail.dropped > 0 {
        line(json!({ "step": step, "dropped": tail.dropped }));
    }
    for log in tail.into_lines() {
        line(json!({ "step": step, "log": log }));
    }
    if let Some(error) = broken {
        line(json!({ "step": step, "error": error }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_becomes_lines_of_json() {
        let mut tail = Tail::new(12);
        let mut log = futures::io::Cursor::new(b"t first\nt \"two\"\r\nt \xff".to_vec());
        read(&mut log, &mut tail).await.unwrap();
        let mut text = Vec::new();
        write("a", tail, Some("cut"), &mut text);
        let lines: Vec<Value> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(
            lines,
            [
                json!({ "step": "a", "dropped": 16 }),
                json!({ "step": "a", "log": "t \u{fffd}" }),
                json!({ "step": "a", "error": "cut" }),
            ]
        );
    }
}
