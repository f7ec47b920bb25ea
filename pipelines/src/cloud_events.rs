//! CloudEvents about runs: what becomes of TaskRuns, PipelineRuns and CustomRuns is told to the sink of `config-events`.
//!
//! A handler of the caches sees each change of a run, whoever wrote it, and decides by the condition before and after
//! what there is to tell (`word`); no reconciler knows of that, and none waits. What is to be told goes through an
//! outbox of bounded size (`outbox`) to senders that try again (`delivery`). How far all has been told is kept in a
//! ConfigMap (`record`), from which the next process goes on; `follow` puts this together.
//!
//! Without a sink there is no outbox and no sender, and a handler looks at nothing but the version of the run.

mod delivery;
mod follow;
mod ledger;
mod message;
mod metrics;
mod outbox;
mod record;
mod run;
mod word;

pub(crate) use follow::Follower;
