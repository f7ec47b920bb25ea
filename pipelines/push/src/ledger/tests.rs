use proptest::prelude::*;
use serde_json::json;

use super::*;

fn repository() -> Repository {
    serde_json::from_value(json!({
        "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository",
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {"url": "http://git/app", "branch": "main", "service": "web"},
    }))
    .unwrap()
}

fn push(before: &str, after: &str) -> Push {
    Push {
        git_ref: "refs/heads/main".to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        ..Push::default()
    }
}

/// Takes pushes one after the other; what became of the last.
fn taken(repository: &mut Repository, push: &Push, delivery: &str) -> Taken {
    let taken = take(repository, push, delivery, Verdict::Build, Timestamp::UNIX_EPOCH);
    if let Taken::Noted { status, .. } | Taken::Skipped { status, .. } = &taken {
        repository.status = Some((**status).clone());
    }
    taken
}

fn run_of(taken: &Taken) -> &str {
    match taken {
        Taken::Noted { run, .. } | Taken::Repeated { run } => run,
        other => panic!("{other:?}"),
    }
}

fn states(repository: &Repository) -> Vec<(i64, PushState)> {
    let pushes = &repository.status.as_ref().unwrap().pushes;
    pushes.iter().map(|push| (push.sequence, push.state)).collect()
}

#[test]
fn a_push_gets_the_next_number_and_its_run() {
    let mut web = repository();
    let first = taken(&mut web, &push("", "a"), "1");
    let second = taken(&mut web, &push("a", "b"), "2");
    assert_ne!(run_of(&first), run_of(&second));
    assert_eq!(
        states(&web),
        [(1, PushState::Superseded), (2, PushState::Accepted)]
    );
    assert_eq!(web.status.unwrap().sequence, 2);
}

#[test]
fn pushes_to_other_refs_go_on() {
    let mut web = repository();
    taken(&mut web, &push("", "a"), "1");
    let other = Push {
        git_ref: "refs/heads/other".to_owned(),
        ..push("", "a")
    };
    taken(&mut web, &other, "1");
    assert_eq!(states(&web), [(1, PushState::Accepted), (2, PushState::Accepted)]);
}

#[test]
fn what_came_before_changes_nothing() {
    let mut web = repository();
    let first = taken(&mut web, &push("", "a"), "1");
    let before = web.status.clone();
    // The same delivery, and the same push in another.
    for delivery in ["1", "2", ""] {
        let again = taken(&mut web, &push("", "a"), delivery);
        assert_eq!(
            again,
            Taken::Repeated {
                run: run_of(&first).to_owned()
            }
        );
        assert_eq!(web.status, before);
    }
    taken(&mut web, &push("a", "b"), "3");
    let late = taken(&mut web, &push("", "a"), "1");
    assert_eq!(
        late,
        Taken::Repeated {
            run: run_of(&first).to_owned()
        }
    );
    let late = taken(&mut web, &push("", "a"), "other id");
    assert_eq!(
        late,
        Taken::Repeated {
            run: run_of(&first).to_owned()
        }
    );
}

#[test]
fn a_push_that_was_overtaken_is_dropped() {
    let mut web = repository();
    taken(&mut web, &push("b", "c"), "2");
    assert!(matches!(
        taken(&mut web, &push("a", "b"), "1"),
        Taken::Skipped { .. }
    ));
    assert_eq!(
        newest(&web.status.unwrap().pushes, "refs/heads/main")
            .unwrap()
            .after,
        "c"
    );
}

#[test]
fn a_forced_push_is_newer() {
    let mut web = repository();
    taken(&mut web, &push("a", "b"), "1");
    let forced = Push {
        forced: true,
        ..push("x", "a")
    };
    assert!(matches!(taken(&mut web, &forced, "2"), Taken::Noted { .. }));
}

#[test]
fn back_and_forth_are_pushes_of_their_own() {
    let mut web = repository();
    let first = taken(&mut web, &push("a", "b"), "1");
    // Not every git host says that this one was forced; that it follows the newest does.
    assert!(matches!(
        taken(&mut web, &push("b", "a"), "2"),
        Taken::Noted { .. }
    ));
    let again = taken(&mut web, &push("a", "b"), "3");
    assert!(matches!(again, Taken::Noted { .. }), "{again:?}");
    assert_ne!(run_of(&first), run_of(&again));
}

#[test]
fn missed_pushes_do_not_stop_later_ones() {
    let mut web = repository();
    taken(&mut web, &push("a", "b"), "1");
    assert!(matches!(
        taken(&mut web, &push("x", "y"), "2"),
        Taken::Noted { .. }
    ));
}

#[test]
fn files_that_run_already_are_not_built() {
    let mut web = repository();
    web.status = serde_json::from_value(json!({
        "sequence": 1,
        "deployed": {"sequence": 1, "ref": "refs/heads/main", "tree": "t", "generation": 1},
    }))
    .unwrap();
    let revert = Push {
        tree: "t".to_owned(),
        ..push("b", "c")
    };
    let of_other_ref = Push {
        git_ref: "refs/heads/other".to_owned(),
        ..revert.clone()
    };
    taken(&mut web, &push("a", "b"), "1");
    assert!(matches!(taken(&mut web, &of_other_ref, "2"), Taken::Noted { .. }));
    assert!(matches!(taken(&mut web, &revert, "2"), Taken::Skipped { .. }));
    // What was being built must not come after it.
    assert_eq!(
        states(&web),
        [
            (2, PushState::Superseded),
            (3, PushState::Accepted),
            (4, PushState::Skipped)
        ]
    );
    let mut changed = web.clone();
    changed.metadata.generation = Some(2);
    let again = Push {
        tree: "t".to_owned(),
        ..push("c", "d")
    };
    assert!(matches!(taken(&mut changed, &again, "3"), Taken::Noted { .. }));
}

#[test]
fn a_ref_that_is_gone_ends_what_is_built_of_it() {
    let mut web = repository();
    taken(&mut web, &push("", "a"), "1");
    let taken = take(&web, &push("a", ""), "2", Verdict::Gone, Timestamp::UNIX_EPOCH);
    let Taken::Skipped { status, .. } = taken else {
        panic!("{taken:?}");
    };
    assert_eq!(newest(&status.pushes, "refs/heads/main").unwrap().after, "");
    let unknown = take(
        &repository(),
        &push("a", ""),
        "2",
        Verdict::Gone,
        Timestamp::UNIX_EPOCH,
    );
    assert!(matches!(unknown, Taken::Skipped { status, .. } if status.sequence == 0));
}

#[test]
fn too_many_waiting_pushes_are_refused() {
    let mut web = repository();
    for branch in 0..MOST {
        let push = Push {
            git_ref: format!("refs/heads/{branch}"),
            ..push("", "a")
        };
        assert!(matches!(taken(&mut web, &push, ""), Taken::Noted { .. }));
    }
    assert_eq!(taken(&mut web, &push("", "a"), ""), Taken::Full);
}

proptest! {
    #[test]
    fn a_chain_of_pushes_in_any_pairwise_order_ends_at_its_end(swap in any::<bool>(), length in 2..8_usize) {
        let chain: Vec<Push> = (0..length).map(|at| push(&at.to_string(), &(at + 1).to_string())).collect();
        let mut order: Vec<usize> = (0..length).collect();
        if swap {
            order.swap(length - 1, length - 2);
        }
        let mut web = repository();
        for at in order {
            taken(&mut web, &chain[at], &at.to_string());
        }
        let status = web.status.unwrap();
        prop_assert_eq!(&newest(&status.pushes, "refs/heads/main").unwrap().after, &length.to_string());
    }

    #[test]
    fn the_record_stays_bounded_and_keeps_the_newest(count in 1..100_i32) {
        let mut web = repository();
        for at in 0..count {
            taken(&mut web, &push(&at.to_string(), &(at + 1).to_string()), &at.to_string());
        }
        let status = web.status.unwrap();
        prop_assert!(status.pushes.len() <= MOST);
        prop_assert_eq!(status.sequence, i64::from(count));
        prop_assert_eq!(newest(&status.pushes, "refs/heads/main").unwrap().sequence, i64::from(count));
    }
}

#[test]
fn what_was_asked_for_is_not_built_again_when_it_is_told() {
    let mut web = repository();
    taken(&mut web, &push("", "a"), "1");
    let id = asked(web.status.as_ref().unwrap(), &push("a", "c"));
    let seen = taken(&mut web, &push("a", "c"), &id);
    // The two pushes that led there come later.
    let first = taken(&mut web, &push("a", "b"), "2");
    assert!(matches!(first, Taken::Skipped { .. }), "{first:?}");
    let second = taken(&mut web, &push("b", "c"), "3");
    assert!(matches!(second, Taken::Repeated { .. }), "{second:?}");
    assert_eq!(run_of(&second), run_of(&seen));
    // The other way round, it is what is known already.
    let told = taken(&mut web, &push("c", "d"), "4");
    assert!(matches!(told, Taken::Noted { .. }));
    let pushes = &web.status.as_ref().unwrap().pushes;
    let last = last_move(pushes, "refs/heads/main", "http://git/app").unwrap();
    assert_eq!(last.after, "d");
    assert_eq!(last_move(pushes, "refs/heads/main", "http://other/app"), None);
    // Where it was before.
    let id = asked(web.status.as_ref().unwrap(), &push("d", "c"));
    let back = taken(&mut web, &push("d", "c"), &id);
    assert!(matches!(back, Taken::Noted { .. }), "{back:?}");
    assert_ne!(run_of(&back), run_of(&seen));
}
