//! The record of pushes in a Repository's status: which push has which number, and which of them counts.
//!
//! A push is noted, with its number, before it is answered; its PipelineRun is made of the note. So a crash at any point
//! loses no push and builds none twice. Of the pushes to one ref the one with the greatest number counts; numbers are
//! given in the order in which pushes come, unless the chain of `before` and `after` says that a push comes late.

use crds::spindrift::{Preview, PushRecord, PushState, Repository, RepositoryStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::delivery::{Push, cut};
use crate::filter::Verdict;
use crate::names;

/// Pushes that are remembered.
pub(crate) const MOST: usize = 30;
/// Why a push is not built that another one, which came before it, follows.
const LATE: &str = "a newer push had come before it";
/// What the ids begin with of pushes that nobody delivered: the git host was asked.
const ASKED: &str = "asked-";

/// What became of a push.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Taken {
    /// It is noted in this status, and built by this run.
    Noted {
        status: Box<RepositoryStatus>,
        run: String,
    },
    /// It came before, and is built by this run.
    Repeated { run: String },
    /// It is noted that nothing is built of it.
    Skipped {
        status: Box<RepositoryStatus>,
        reason: String,
    },
    /// More pushes wait for their runs than can be remembered.
    Full,
}

/// Decides about a push, with what is known of those before it. `delivery` is empty if the git host gives no id.
pub(crate) fn take(
    repository: &Repository,
    push: &Push,
    delivery: &str,
    verdict: Verdict,
    now: Timestamp,
) -> Taken {
    let status = repository.status.clone().unwrap_or_default();
    // One delivery may move several refs.
    let mut of_ref = status.pushes.iter().filter(|known| known.git_ref == push.git_ref);
    if let Some(same) = of_ref.find(|known| !delivery.is_empty() && known.delivery == delivery) {
        return Taken::Repeated {
            run: same.run.clone(),
        };
    }
    let record = PushRecord {
        git_ref: push.git_ref.clone(),
        url: repository.spec.url.clone(),
        before: push.before.clone(),
        after: push.after.clone(),
        tree: push.tree.clone(),
        author: push.author.clone(),
        message: cut(&push.message),
        delivery: delivery.to_owned(),
        at: Some(Time(second(now))),
        ..PushRecord::default()
    };
    match verdict {
        Verdict::Build => {}
        Verdict::Skip(reason) => return skip(status, record, reason),
        Verdict::Gone => return gone(status, record),
    }
    let order = order(&status, push);
    match order {
        Order::Again(run) => return Taken::Repeated { run },
        Order::Late => {
            return skip(status, record, LATE.to_owned());
        }
        Order::Next => {}
    }
    if is_running_already(repository, &status, push) {
        // It still is the newest: what was being built before it must not come after it.
        let reason = "the same files run already".to_owned();
        let sequence = status.sequence + 1;
        return skip(status, PushRecord { sequence, ..record }, reason);
    }
    let uid = repository.uid().unwrap_or_default();
    let parts = [push.git_ref.as_str(), push.before.as_str(), push.after.as_str()];
    let mut run = names::run(&repository.name_any(), &uid, parts, "");
    if status.pushes.iter().any(|known| known.run == run) {
        // The ref was moved away and back: that is another push.
        let nonce = (status.sequence + 1).to_string();
        run = names::run(&repository.name_any(), &uid, parts, &nonce);
    }
    note(
        status,
        PushRecord {
            run: run.clone(),
            ..record
        },
    )
    .map_or(Taken::Full, |status| Taken::Noted {
        status: Box::new(status),
        run,
    })
}

/// The id of the next push that nobody delivers.
pub(crate) fn asked(status: &RepositoryStatus, push: &Push) -> String {
    // A push that is left out raises no number: the next one must not look like the same.
    format!("{ASKED}{}-{}", status.sequence + 1, push.after)
}

/// The last push that moved a ref at `url`, in order of arrival; `None` if none is known.
pub(crate) fn last_move<'a>(pushes: &'a [PushRecord], git_ref: &str, url: &str) -> Option<&'a PushRecord> {
    let mut latest = pushes.iter().rev();
    latest.find(|push| push.git_ref == git_ref && push.reason != LATE && is_at(push, url))
}

/// Was it pushed to this address? Of what older versions noted that is not known, and taken for granted.
pub(crate) fn is_at(push: &PushRecord, url: &str) -> bool {
    push.url.is_empty() || push.url == url
}

/// Notes something that is to be built, with the next number; those of the same ref whose runs were not made yet are
/// superseded. `None` if there is no room.
pub(crate) fn note(mut status: RepositoryStatus, record: PushRecord) -> Option<RepositoryStatus> {
    let sequence = status.sequence + 1;
    status.sequence = sequence;
    supersede(&mut status, &record.git_ref, sequence);
    status.pushes.push(PushRecord {
        sequence,
        state: PushState::Accepted,
        ..record
    });
    trim(&mut status.pushes);
    (status.pushes.len() <= MOST).then_some(status)
}

/// The newest of the pushes to a ref that have numbers.
pub(crate) fn newest<'a>(pushes: &'a [PushRecord], git_ref: &str) -> Option<&'a PushRecord> {
    pushes
        .iter()
        .filter(|push| push.git_ref == git_ref && push.sequence > 0)
        .max_by_key(|push| push.sequence)
}

#[derive(Debug, PartialEq, Eq)]
enum Order {
    /// It comes after all that are known.
    Next,
    /// It is known.
    Again(String),
    /// A push that follows it came before it.
    Late,
}

fn order(status: &RepositoryStatus, push: &Push) -> Order {
    let same = |known: &&PushRecord| known.before == push.before && known.after == push.after;
    // What moved the ref, in order of arrival: also what was not built moved it.
    let moved: Vec<&PushRecord> = status
        .pushes
        .iter()
        .filter(|known| known.git_ref == push.git_ref && known.reason != LATE)
        .collect();
    let built: Vec<&PushRecord> = status
        .pushes
        .iter()
        .filter(|known| known.git_ref == push.git_ref && known.sequence > 0)
        .collect();
    let Some(newest) = built.iter().max_by_key(|known| known.sequence) else {
        return Order::Next;
    };
    if same(newest) {
        return Order::Again(newest.run.clone());
    }
    if newest.delivery.starts_with(ASKED) && !newest.after.is_empty() {
        // Who asks sees only where several pushes lead: they are told later, if at all.
        if push.after == newest.after {
            return Order::Again(newest.run.clone());
        }
        if !push.before.is_empty() && push.before == newest.before {
            return Order::Late;
        }
    }
    if !push.before.is_empty() && moved.last().is_some_and(|last| last.after == push.before) {
        return Order::Next;
    }
    if let Some(known) = built.iter().find(|known| same(known)) {
        return Order::Again(known.run.clone());
    }
    // Without its branch a push has nothing to follow, and a forced one follows whatever was there.
    let follows_nothing = push.forced || push.before.is_empty();
    let followed = moved
        .iter()
        .any(|known| !known.before.is_empty() && known.before == push.after);
    if followed && !follows_nothing {
        return Order::Late;
    }
    Order::Next
}

/// Are the files of the push what runs of its ref, made in the way in which it would be made now?
fn is_running_already(repository: &Repository, status: &RepositoryStatus, push: &Push) -> bool {
    let previews = status.previews.iter().map(|preview| &preview.deployed);
    let mut running = status.deployed.iter().chain(previews);
    !push.tree.is_empty()
        && running.any(|running| {
            running.git_ref == push.git_ref
                && running.tree == push.tree
                && Some(running.generation) == repository.metadata.generation
        })
}

fn skip(mut status: RepositoryStatus, record: PushRecord, reason: String) -> Taken {
    if record.sequence > 0 {
        status.sequence = record.sequence;
        supersede(&mut status, &record.git_ref, record.sequence);
    }
    status.pushes.push(PushRecord {
        state: PushState::Skipped,
        reason: reason.clone(),
        ..record
    });
    trim(&mut status.pushes);
    Taken::Skipped {
        status: Box::new(status),
        reason,
    }
}

/// Nothing that is being built of a ref that is gone may come into being any more.
fn gone(status: RepositoryStatus, record: PushRecord) -> Taken {
    // What is shown of it goes with it, although its push may be forgotten by now.
    let is_shown = |preview: &Preview| preview.deployed.git_ref == record.git_ref;
    let known = newest(&status.pushes, &record.git_ref).is_some() || status.previews.iter().any(is_shown);
    let sequence = if known { status.sequence + 1 } else { 0 };
    let reason = "it is gone".to_owned();
    skip(status, PushRecord { sequence, ..record }, reason)
}

fn supersede(status: &mut RepositoryStatus, git_ref: &str, by: i64) {
    for known in &mut status.pushes {
        if known.git_ref == git_ref && known.state == PushState::Accepted {
            known.state = PushState::Superseded;
            known.reason = format!("push {by} came before it was built");
        }
    }
}

/// Forgets the oldest: first those that say least.
fn trim(pushes: &mut Vec<PushRecord>) {
    while pushes.len() > MOST {
        let is_newest = |push: &PushRecord| {
            newest(pushes, &push.git_ref).is_some_and(|newest| newest.sequence == push.sequence)
        };
        let without_number = pushes.iter().position(|push| push.sequence == 0);
        let followed = || {
            pushes
                .iter()
                .position(|push| push.state != PushState::Accepted && !is_newest(push))
        };
        let done = || pushes.iter().position(|push| push.state != PushState::Accepted);
        match without_number.or_else(followed).or_else(done) {
            Some(at) => pushes.remove(at),
            None => return,
        };
    }
}

fn second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
