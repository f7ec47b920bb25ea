//! The laws of server-side apply, on random configurations.

use proptest::prelude::*;
use serde_json::json;

use super::super::*;
use super::support::*;

fn labels() -> impl Strategy<Value = Value> {
    proptest::collection::btree_map("[a-c]", "[xy]", 1..3).prop_map(|map| json!(map))
}

fn container() -> impl Strategy<Value = (Option<String>, Vec<u16>, Value)> {
    (
        proptest::option::of("[12]"),
        proptest::collection::btree_set(1..3u16, 0..3),
        proptest::collection::btree_map("[A-C]", "[xy]", 0..3),
    )
        .prop_map(|(image, ports, env)| {
            let env: Vec<Value> = env
                .into_iter()
                .map(|(name, value)| json!({"name": name, "value": value}))
                .collect();
            (image, ports.into_iter().collect(), json!(env))
        })
}

/// Configurations whose fields all come from a small space, so that managers meet.
fn config() -> impl Strategy<Value = Value> {
    (
        proptest::option::of(1..3u8),
        proptest::option::of(any::<bool>()),
        proptest::option::of(labels()),
        proptest::option::of(proptest::collection::btree_set("[a-c]", 1..3)),
        proptest::option::of(proptest::collection::btree_map("[a-c]", container(), 1..3)),
        proptest::option::of(labels()),
        proptest::option::of(proptest::collection::vec("[ab]", 0..3)),
    )
        .prop_map(
            |(replicas, paused, labels, finalizers, containers, selector, args)| {
                let mut object = object(json!({}));
                let mut set = |pointer: &str, name: &str, value: Value| {
                    object.pointer_mut(pointer).unwrap()[name] = value;
                };
                if let Some(replicas) = replicas {
                    set("/spec", "replicas", json!(replicas));
                }
                if let Some(paused) = paused {
                    set("/spec", "paused", json!(paused));
                }
                if let Some(labels) = labels {
                    set("/metadata", "labels", labels);
                }
                if let Some(finalizers) = finalizers {
                    set("/metadata", "finalizers", json!(finalizers));
                }
                if let Some(selector) = selector {
                    set("/spec", "selector", json!({"matchLabels": selector}));
                }
                if let Some(args) = args {
                    set("/spec", "args", json!(args));
                }
                if let Some(containers) = containers {
                    let containers: Vec<Value> = containers
                        .into_iter()
                        .map(|(name, (image, ports, env))| {
                            let ports: Vec<Value> =
                                ports.iter().map(|port| json!({"containerPort": port})).collect();
                            let mut container = json!({"name": name, "ports": ports, "env": env});
                            if let Some(image) = image {
                                container["image"] = json!(image);
                            }
                            container
                        })
                        .collect();
                    set("/spec", "containers", json!(containers));
                }
                object
            },
        )
}

/// An object that several managers have written.
fn lived() -> impl Strategy<Value = Value> {
    proptest::collection::vec((0..3u8, config(), any::<bool>()), 1..5).prop_map(|writes| {
        let mut live: Option<Value> = None;
        for (second, (manager, config, is_apply)) in writes.into_iter().enumerate() {
            let name = format!("m{manager}");
            let next = if is_apply || live.is_none() {
                try_apply(live.as_ref(), &name, &config, true, second as i64).unwrap()
            } else {
                let mut new = live.clone().unwrap();
                new["spec"] = config["spec"].clone();
                updated(live.as_ref(), &name, &new, second as i64)
            };
            live = Some(next);
        }
        live.unwrap()
    })
}

/// Everything `config` sets is in `object`.
fn contains(typed: Typed<'_>, object: &Value, config: &Value) -> bool {
    let difference = compare::compare(typed, config, object);
    let set = owned::owned(typed, config);
    set.intersection(&difference.modified.union(&difference.removed))
        .is_empty()
}

/// Equal but for the order of lists whose items have names.
fn sorted(typed: Typed<'_>, value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, field)| (name.clone(), sorted(typed.field(name).typed, field)))
                .collect(),
        ),
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| sorted(typed.items(), item)).collect();
            if typed.shape(value) != super::super::typed::Shape::Leaf {
                items.sort_by_key(ToString::to_string);
            }
            Value::Array(items)
        }
        scalar => scalar.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn applying_twice_is_applying_once(live in lived(), config in config()) {
        let once = try_apply(Some(&live), "me", &config, true, 10).unwrap();
        let twice = try_apply(Some(&once), "me", &config, false, 20).unwrap();
        prop_assert_eq!(twice, once);
    }

    #[test]
    fn a_forced_apply_wins_and_leaves_no_conflict(live in lived(), config in config()) {
        let schema = schema();
        let once = try_apply(Some(&live), "me", &config, true, 10).unwrap();
        prop_assert!(contains(Typed::root(&schema), &once, &config), "{} in {}", config, once);
    }

    #[test]
    fn the_result_is_valid_and_known(live in lived(), config in config()) {
        let schema = schema();
        let once = try_apply(Some(&live), "me", &config, true, 10).unwrap();
        prop_assert_eq!(schema.validate(&once, None), vec![]);
        prop_assert_eq!(schema.unknown_fields(&bare(&once)), Vec::<String>::new());
        // And what is stored reads back as the same record.
        let entries = &once["metadata"]["managedFields"];
        let managers = Managers::decode(entries).unwrap();
        prop_assert_eq!(&managers.encode(), entries);
    }

    #[test]
    fn applying_nothing_removes_exactly_what_only_this_manager_had(live in lived(), config in config()) {
        let schema = schema();
        let typed = Typed::root(&schema);
        let once = try_apply(Some(&live), "me", &config, true, 10).unwrap();
        let nothing = json!({"apiVersion": "apps/v1", "kind": "Thing", "metadata": {"name": "x", "namespace": "n"}});
        let gone = try_apply(Some(&once), "me", &nothing, false, 20).unwrap();
        // Nobody else lost anything.
        let others = |object: &Value| {
            let mut managers = Managers::decode(&object["metadata"]["managedFields"]).unwrap_or_default();
            managers.owned.retain(|id, _| id.manager != "me");
            managers
        };
        let (before, after) = (others(&once).union(), others(&gone).union());
        let left = owned::with_named_parents(&owned::owned(typed, &bare(&gone)), typed);
        let had = owned::with_named_parents(&owned::owned(typed, &bare(&once)), typed);
        let removed = had.difference(&left);
        // What went was this manager's, or lay inside what was.
        let mine = Managers::decode(&once["metadata"]["managedFields"]).unwrap();
        let mine = mine.owned.iter().find(|(id, _)| id.manager == "me").map(|(_, owned)| owned.fields.clone()).unwrap_or_default();
        let mine = owned::with_named_parents(&mine, typed);
        prop_assert_eq!(removed.recursive_difference(&mine).texts(), Vec::<String>::new());
        // What others owned on its own terms is still there, but for parts of items that were only this manager's.
        let lost = before.difference(&after).intersection(&removed);
        let inside = lost.recursive_difference(&mine.difference(&before));
        prop_assert_eq!(inside.texts(), Vec::<String>::new());
        // And nothing of this manager's own is left.
        let exclusive = mine.difference(&owned::with_named_parents(&before, typed)).difference(&FieldSet::of_fields(&UNOWNED));
        prop_assert_eq!(exclusive.intersection(&left).texts(), Vec::<String>::new());
    }

    #[test]
    fn disjoint_managers_commute(first in config(), mut second in config()) {
        let schema = schema();
        let typed = Typed::root(&schema);
        let all = |object: &Value| owned::owned(typed, object).difference(&FieldSet::of_fields(&UNOWNED));
        let shared = all(&first).intersection(&all(&second));
        remove::remove(typed, &mut second, &shared);
        // A manager that owns nothing is not recorded, and what it wrote then counts as older than all records.
        prop_assume!(!all(&first).is_empty() && !all(&second).is_empty());
        let one = applied(Some(&applied(None, "a", &first, 0)), "b", &second, 0);
        let other = applied(Some(&applied(None, "b", &second, 0)), "a", &first, 0);
        prop_assert_eq!(owners(&one), owners(&other));
        prop_assert_eq!(sorted(typed, &bare(&one)), sorted(typed, &bare(&other)));
    }

    #[test]
    fn an_update_that_changes_nothing_is_not_recorded(live in lived()) {
        prop_assert_eq!(updated(Some(&live), "someone", &bare(&live), 99), live);
    }

    #[test]
    fn every_change_has_an_owner_after_an_update(live in lived(), config in config()) {
        let schema = schema();
        let typed = Typed::root(&schema);
        // What nobody ever owned is not tracked.
        prop_assume!(live["metadata"].get("managedFields").is_some());
        let mut new = live.clone();
        new["spec"] = config["spec"].clone();
        let next = updated(Some(&live), "someone", &new, 99);
        let difference = compare::compare(typed, &bare(&live), &bare(&next));
        let changed = difference.added.union(&difference.modified).difference(&FieldSet::of_fields(&UNOWNED));
        let managers = Managers::decode(&next["metadata"]["managedFields"]).unwrap_or_default();
        prop_assert_eq!(changed.difference(&managers.union()).texts(), Vec::<String>::new());
        // And only one, the writer.
        for (id, owned) in &managers.owned {
            if id.manager != "someone" {
                prop_assert!(owned.fields.intersection(&changed).is_empty());
            }
        }
    }
}
