//! How runs end before their tasks have: stopped, cancelled, or out of time.

use serde_json::json;

use super::super::*;
use super::world::{World, named, with};

#[test]
fn the_modes_of_ending_follow_the_table() {
    for (mode, cancels, finally, reason, told) in [
        ("Cancelled", true, false, "", "False Cancelled"),
        (
            "CancelledRunFinally",
            true,
            true,
            "PipelineRun was gracefully cancelled",
            "Unknown CancelledRunningFinally",
        ),
        (
            "StoppedRunFinally",
            false,
            false,
            "PipelineRun was gracefully stopped",
            "Unknown StoppedRunningFinally",
        ),
    ] {
        let mut world = World::new(
            json!({"tasks": [named("a"), named("b<a")], "finally": [named("z")]}),
            json!({}),
        );
        world.step();
        world.run.spec.status = Some(serde_json::from_value(json!(mode)).unwrap());
        assert!(world.step().is_empty(), "{mode}");
        assert_eq!(
            world.cancelled(),
            if cancels { vec!["run-a"] } else { vec![] },
            "{mode}"
        );
        assert_eq!(world.told(), told, "{mode}");
        if mode == "Cancelled" {
            assert_eq!(world.message(), "PipelineRun \"run\" was cancelled");
            continue;
        }
        assert_eq!(world.skipped(), [("b", reason)]);
        world.end(
            "a",
            if finally {
                Outcome::Cancelled
            } else {
                Outcome::Succeeded
            },
        );
        assert_eq!(world.step(), ["run-z"], "{mode}");
        world.succeed("z");
        world.step();
        assert_eq!(world.told(), "False Cancelled", "{mode}");
    }
}

#[test]
fn a_graceful_stop_with_a_failed_task_ends_failed() {
    let mut world = World::of_tasks(&["a", "b<a"]);
    world.step();
    world.run.spec.status = Some(PipelineRunSpecStatus::StoppedRunFinally);
    world.fail("a");
    world.step();
    assert_eq!(world.told(), "False Failed");
}

#[test]
fn a_pending_run_waits_without_a_start() {
    let mut world = World::of_tasks(&["a"]);
    world.run.spec.status = Some(PipelineRunSpecStatus::PipelineRunPending);
    assert!(world.step().is_empty());
    assert_eq!(world.told(), "Unknown PipelineRunPending");
    assert!(world.status().start_time.is_none());
    world.run.spec.status = None;
    assert_eq!(world.step(), ["run-a"]);
}

#[test]
fn the_whole_time_spent_ends_the_run_at_once() {
    let mut world = World::new(
        json!({"tasks": [named("a"), named("b<a")], "finally": [named("z")]}),
        json!({"timeouts": {"pipeline": "1m"}}),
    );
    world.step();
    assert_eq!(world.decide().next, Some(Duration::from_secs(60)));
    assert_eq!(world.task_run("run-a").spec.timeout.unwrap().to_string(), "1m0s");
    world.now += 59;
    world.step();
    assert_eq!(world.told(), "Unknown Running");
    world.now += 1;
    assert!(world.step().is_empty());
    assert_eq!(world.told(), "False PipelineRunTimeout");
    assert_eq!(
        world.message(),
        "PipelineRun \"run\" failed to finish within \"1m0s\""
    );
    assert_eq!(world.cancelled(), ["run-a"]);
}

#[test]
fn a_run_that_was_done_in_time_is_not_timed_out_by_being_looked_at_late() {
    let mut world = World::of_tasks(&["a"]);
    world.step();
    world.succeed("a");
    world.now += 100_000;
    world.step();
    assert_eq!(world.told(), "True Succeeded");
}

#[test]
fn the_tasks_time_spent_runs_finally() {
    let mut world = World::new(
        json!({"tasks": [named("a"), named("b<a")], "finally": [named("z")]}),
        json!({"timeouts": {"pipeline": "1m", "finally": "20s"}}),
    );
    world.step();
    assert_eq!(world.task_run("run-a").spec.timeout.unwrap().to_string(), "40s");
    world.now += 40;
    assert!(world.step().is_empty());
    assert_eq!(world.cancelled(), ["run-a"]);
    assert_eq!(
        world.skipped(),
        [("b", "PipelineRun Tasks timeout has been reached")]
    );
    assert_eq!(world.told(), "Unknown PipelineRunTimeoutRunningFinally");
    world.end("a", Outcome::Cancelled);
    assert_eq!(world.step(), ["run-z"]);
    assert_eq!(world.task_run("run-z").spec.timeout.unwrap().to_string(), "20s");
    world.succeed("z");
    world.step();
    assert_eq!(world.told(), "False PipelineRunTimeout");
    assert_eq!(
        world.message(),
        "Tasks Completed: 2 (Failed: 1, Cancelled 0), Skipped: 1"
    );
}

#[test]
fn the_time_of_finally_spent_ends_its_tasks() {
    let mut world = World::new(
        json!({"tasks": [named("a")], "finally": [named("z")]}),
        json!({"timeouts": {"pipeline": "10m", "finally": "20s"}}),
    );
    world.step();
    world.succeed("a");
    world.now += 5;
    world.step();
    world.now += 20;
    world.step();
    assert_eq!(world.cancelled(), ["run-z"]);
    world.end("z", Outcome::Cancelled);
    world.step();
    assert_eq!(world.told(), "False PipelineRunTimeout");
}

#[test]
fn timeouts_of_a_task_come_from_the_nearest() {
    let mut world = World::new(
        json!({"tasks": [with("a", json!({"timeout": "5m"})), with("b", json!({"timeout": "5m"})), named("c")]}),
        json!({"timeouts": {"pipeline": "0s"}, "taskRunSpecs": [{"pipelineTaskName": "b", "timeout": "7m"}]}),
    );
    world.step();
    let timeout = |name: &str| world.task_run(name).spec.timeout.unwrap().to_string();
    assert_eq!(
        [timeout("run-a"), timeout("run-b"), timeout("run-c")],
        ["5m0s", "7m0s", "0s"]
    );
    assert_eq!(world.decide().next, None);
}

#[test]
fn what_could_not_be_ended_is_not_done() {
    let mut world = World::of_tasks(&["a"]);
    world.step();
    let mut told = |reason: &str| {
        let status = world.run.status.as_mut().unwrap();
        let now = Time(Timestamp::from_second(1).unwrap());
        status.set_succeeded(ConditionStatus::False, reason, "", &now);
        is_done(&world.run)
    };
    assert_eq!(
        [told("PipelineRunCouldntCancel"), told("Cancelled")],
        [false, true]
    );
}

#[test]
fn cancelling_refers_to_children_that_a_lost_status_did_not() {
    let mut world = World::of_tasks(&["a", "b"]);
    world.step();
    world.run.status = None;
    world.run.spec.status = Some(PipelineRunSpecStatus::Cancelled);
    world.step();
    let children: Vec<&str> = world
        .status()
        .child_references
        .iter()
        .map(|child| child.name.as_str())
        .collect();
    assert_eq!(children, ["run-a", "run-b"]);
    assert_eq!(world.cancelled(), ["run-a", "run-b"]);
}

#[test]
fn a_child_that_sees_first_that_its_parents_time_is_up_times_the_run_out() {
    for (own, reason) in [
        (json!({}), "PipelineRunTimeout"),
        (json!({"timeout": "3s"}), "Failed"),
    ] {
        let mut world = World::new(
            json!({"tasks": [with("a", own)], "finally": [named("z")]}),
            json!({"timeouts": {"pipeline": "1m", "tasks": "4s"}}),
        );
        world.step();
        world.now += 4;
        world.fail("a");
        world.child("run-a").reason = "TaskRunTimeout".to_owned();
        assert_eq!(world.step(), ["run-z"]);
        world.succeed("z");
        world.step();
        assert_eq!(world.told(), format!("False {reason}"));
    }
    let mut world = World::new(
        json!({"tasks": [named("a")]}),
        json!({"timeouts": {"pipeline": "1m"}}),
    );
    world.step();
    world.now += 60;
    world.fail("a");
    world.child("run-a").reason = "TaskRunTimeout".to_owned();
    world.step();
    assert_eq!(world.told(), "False PipelineRunTimeout");
    assert!(
        world.message().contains("failed to finish within"),
        "{}",
        world.message()
    );
}

#[test]
fn what_is_left_for_a_child_is_rounded_up() {
    let mut world = World::of_tasks(&["a"]);
    let facts = Facts {
        run: &world.run,
        pipeline: &world.pipeline,
        name: "pipe",
        children: &[],
        now: Timestamp::from_millisecond(1_000_900).unwrap(),
        elapsed: Elapsed::default(),
    };
    let decision = decide(&facts);
    world.make(&decision.create[0]);
    assert_eq!(
        world.task_run("run-a").spec.timeout.unwrap().to_string(),
        "1h0m0s"
    );
}

#[test]
fn a_clock_that_is_set_neither_ends_a_run_nor_keeps_it_alive() {
    let hour = Duration::from_secs(3600);
    let begun = || {
        let mut world = World::of_tasks(&["a"]);
        world.step();
        world
    };
    // The clock jumps ahead, and nothing has happened.
    let mut world = begun();
    (world.now, world.elapsed.run) = (world.now + 7200, Some(Duration::from_secs(5)));
    let decision = world.decide();
    assert!(decision.cancel.is_empty() && decision.next == Some(hour - Duration::from_secs(5)));
    // It is set back, and the time is up nevertheless.
    let mut world = begun();
    (world.now, world.elapsed.run) = (world.now - 900, Some(hour));
    assert_eq!(world.decide().cancel.len(), 1);
    world.step();
    assert_eq!(world.told(), "False PipelineRunTimeout");
}
