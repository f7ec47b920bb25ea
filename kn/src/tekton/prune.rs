//! Which runs a deletion of many takes.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::objects::{is_over, newness};
use super::times::instant;
use crate::commands::list::text;

/// What is kept. A run goes only if no rule keeps it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keep {
    /// The newest ones, by their start.
    pub newest: Option<usize>,
    /// Those that ended less than so many minutes ago, or did not end.
    pub since: Option<u32>,
    /// Those that are not over; they do not count among the newest ones.
    pub running: bool,
}

/// Names of the runs to delete, the newest first.
pub fn prunable(runs: &[Value], keep: Keep, now: Timestamp) -> Vec<String> {
    let young = |run: &Value| match (keep.since, instant(&run["status"]["completionTime"])) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(minutes), Some(end)) => now.duration_since(end) < SignedDuration::from_mins(i64::from(minutes)),
    };
    let mut candidates: Vec<&Value> = runs.iter().filter(|run| !keep.running || is_over(run)).collect();
    candidates.sort_by_cached_key(|run| (newness(run), text(run, "/metadata/name")));
    candidates
        .into_iter()
        .skip(keep.newest.unwrap_or(0))
        .filter(|run| !young(run))
        .map(|run| text(run, "/metadata/name"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_keep_runs() {
        let run = |name: &str, minute: u32, state: &str| {
            let over = state != "Unknown";
            json!({ "metadata": { "name": name }, "status": {
                "startTime": format!("2026-01-01T00:{minute:02}:00Z"),
                "completionTime": over.then(|| format!("2026-01-01T00:{:02}:00Z", minute + 1)),
                "conditions": [{ "status": state }] } })
        };
        let runs = [
            run("a", 0, "True"),
            run("d", 30, "Unknown"),
            run("c", 20, "False"),
            run("b", 10, "True"),
        ];
        let now = "2026-01-01T00:40:00Z".parse().unwrap();
        for (newest, since, running, expected) in [
            (None, None, true, &["c", "b", "a"][..]),
            (None, None, false, &["d", "c", "b", "a"]),
            (Some(1), None, true, &["b", "a"]),
            (Some(1), None, false, &["c", "b", "a"]),
            (Some(9), None, true, &[]),
            (None, Some(25), true, &["b", "a"]),
            (None, Some(25), false, &["b", "a"]),
            (Some(2), Some(25), true, &["a"]),
            (Some(1), Some(60), true, &[]),
        ] {
            let keep = Keep {
                newest,
                since,
                running,
            };
            assert_eq!(prunable(&runs, keep, now), expected, "{keep:?}");
        }
    }
}
