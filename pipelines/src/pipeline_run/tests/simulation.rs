//! Children end in any order, statuses get lost, half of what was decided is not done: nothing is made twice, nothing
//! is forgotten, and the run ends.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;
use super::world::World;

/// What happens between two looks.
#[derive(Clone, Debug)]
enum Event {
    /// The child at this position, counted round, ends so.
    End(usize, Outcome),
    /// The status of the last look was not stored, and of its children only so many were made.
    Crash(usize),
    /// Seconds pass.
    Wait(i64),
    Look,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let outcome =
        prop_oneof![8 => Just(Outcome::Succeeded), 1 => Just(Outcome::Failed), 1 => Just(Outcome::Cancelled)];
    let event = prop_oneof![
        4 => (0..8usize, outcome).prop_map(|(child, outcome)| Event::End(child, outcome)),
        2 => (0..4usize).prop_map(Event::Crash),
        1 => (0..30i64).prop_map(Event::Wait),
        4 => Just(Event::Look),
    ];
    prop::collection::vec(event, 0..60)
}

/// Task `n` comes after, needs results of, or has nothing to do with each task before it.
fn pipelines() -> impl Strategy<Value = Value> {
    let edges = prop::collection::vec(prop::collection::vec(0..6u8, 8), 1..8);
    (edges, prop::collection::vec(0..5u8, 8), 0..3usize).prop_map(|(edges, kinds, finally)| {
        let mut tasks = Vec::new();
        for (n, edges) in edges.iter().enumerate() {
            let (mut after, mut params) = (Vec::new(), Vec::new());
            for (m, edge) in edges.iter().enumerate().take(n) {
                match edge {
                    0 => after.push(format!("t{m}")),
                    1 if kinds[m] != 1 => {
                        params.push(json!({"name": format!("p{m}"), "value": format!("$(tasks.t{m}.results.r)")}));
                    }
                    _ => {}
                }
            }
            let mut task = json!({"name": format!("t{n}"), "runAfter": after, "params": params, "taskRef": {"name": "x"}});
            match kinds[n] {
                1 => task["matrix"] = json!({"params": [{"name": "m", "value": ["0", "1", "2"]}]}),
                2 => task["onError"] = json!("continue"),
                3 => task["when"] = json!([{"input": "a", "operator": "in", "values": ["b"]}]),
                _ => {}
            }
            tasks.push(task);
        }
        let finally: Vec<Value> = (0..finally).map(|n| json!({"name": format!("f{n}"), "taskRef": {"name": "x"}})).collect();
        json!({"tasks": tasks, "finally": finally})
    })
}

fn end(world: &mut World, child: usize, outcome: Outcome) {
    let running: Vec<String> = world
        .children
        .iter()
        .filter(|child| child.outcome == Outcome::Running)
        .map(|child| child.name.trim_start_matches("run-").to_owned())
        .collect();
    if let Some(name) = running.get(child % running.len().max(1)) {
        let ended = world.end(name, outcome);
        if outcome == Outcome::Succeeded {
            ended.results.insert("r".to_owned(), "R".into());
        }
    }
}

/// All that was made is referred to, once.
fn check(world: &World) -> Result<(), TestCaseError> {
    let mut referred: Vec<&str> = world
        .status()
        .child_references
        .iter()
        .map(|child| child.name.as_str())
        .collect();
    let mut made: Vec<&str> = world.children.iter().map(|child| child.name.as_str()).collect();
    referred.sort_unstable();
    made.sort_unstable();
    prop_assert_eq!(referred, made);
    for skipped in &world.status().skipped_tasks {
        prop_assert!(
            world.children.iter().all(|child| child.task != skipped.name),
            "{} ran",
            skipped.name
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_child_is_made_twice_or_forgotten_and_the_run_ends(pipeline in pipelines(), events in events(), mode in 0..6u8) {
        let mut world = World::new(pipeline, json!({"timeouts": {"pipeline": "10m", "finally": "2m"}}));
        for (n, event) in events.into_iter().enumerate() {
            if n == 15 {
                world.run.spec.status = match mode {
                    0 => Some(PipelineRunSpecStatus::CancelledRunFinally),
                    1 => Some(PipelineRunSpecStatus::StoppedRunFinally),
                    _ => None,
                };
            }
            if is_done(&world.run) {
                break;
            }
            match event {
                Event::End(child, outcome) => end(&mut world, child, outcome),
                Event::Wait(seconds) => world.now += seconds,
                Event::Crash(made) => {
                    let decision = world.decide();
                    for new in decision.create.iter().take(made) {
                        world.make(new);
                    }
                }
                // Making panics if it is the second time.
                Event::Look => {
                    world.step();
                    check(&world)?;
                }
            }
        }
        // From now on all goes well.
        for _ in 0..60 {
            if is_done(&world.run) {
                break;
            }
            world.step();
            check(&world)?;
            for _ in 0..world.children.len() {
                end(&mut world, 0, Outcome::Succeeded);
            }
        }
        prop_assert!(is_done(&world.run), "{:?}", world.status());
        prop_assert!(world.status().completion_time.is_some());
        // Every task was run, or was skipped, or is why the run failed.
        let invalid = world.message().contains("Failed Validation");
        let at_once = world.message().contains("failed to finish within");
        for task in world.pipeline.tasks.iter().chain(&world.pipeline.finally) {
            let ran = world.children.iter().any(|child| child.task == task.name);
            let skipped = world.status().skipped_tasks.iter().any(|skipped| skipped.name == task.name);
            prop_assert!(ran != skipped || ((invalid || at_once) && !ran), "{}: {}", task.name, world.message());
        }
    }

    #[test]
    fn a_lost_status_changes_no_outcome(pipeline in pipelines(), order in prop::collection::vec(0..8usize, 40)) {
        let mut world = World::new(pipeline.clone(), json!({}));
        let mut forgetful = World::new(pipeline, json!({}));
        for child in order {
            world.step();
            forgetful.run.status = None;
            forgetful.step();
            end(&mut world, child, Outcome::Succeeded);
            end(&mut forgetful, child, Outcome::Succeeded);
        }
        prop_assert_eq!(world.told(), forgetful.told());
        prop_assert_eq!(&world.status().skipped_tasks, &forgetful.status().skipped_tasks);
        prop_assert_eq!(&world.status().child_references, &forgetful.status().child_references);
    }
}
