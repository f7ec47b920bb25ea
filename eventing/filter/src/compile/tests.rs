use event::{Event, SpecVersion};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn event() -> Event {
    let mut event = Event::new("1", "/orders/eu", "dev.example.order");
    event.set_extension("subject", "anna");
    event.set_extension("count", 7);
    event.set_extension("urgent", true);
    event.set_extension("c1d2e3", "x");
    event.set_extension("time", "2026-11-21T09:00:00.000000001Z");
    event.set_extension("dataschema", "http://schema");
    event.set_extension("datacontenttype", "application/json; charset=utf-8");
    event.set_extension("blank", "");
    event
}

fn filters(json: Value) -> Vec<SubscriptionsApiFilter> {
    serde_json::from_value(json).unwrap()
}

fn passes(json: Value) -> bool {
    let text = json.to_string();
    Filter::compile(&filters(json), None)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .matches(&event())
}

#[test]
fn dialects() {
    let table = [
        (json!([]), true),
        (json!([{"exact": {"type": "dev.example.order"}}]), true),
        (json!([{"exact": {"type": "dev.example.Order"}}]), false),
        (
            json!([{"exact": {"type": "dev.example.order", "subject": "otto"}}]),
            false,
        ),
        (json!([{"exact": {"missing": "x"}}]), false),
        (
            json!([{"exact": {"count": "7", "urgent": "true", "c1d2e3": "x"}}]),
            true,
        ),
        (
            json!([{"exact": {"specversion": "1.0", "id": "1", "source": "/orders/eu"}}]),
            true,
        ),
        (
            json!([{"exact": {"time": "2026-11-21T09:00:00.000000001Z"}}]),
            true,
        ),
        (
            json!([{"exact": {"schemaurl": "http://schema", "datamediatype": "application/json"}}]),
            true,
        ),
        (json!([{"prefix": {"type": "dev."}}]), true),
        (json!([{"prefix": {"type": "dev.", "subject": "b"}}]), false),
        (json!([{"prefix": {"missing": "x"}}]), false),
        (json!([{"suffix": {"type": ".order", "count": "7"}}]), true),
        (json!([{"suffix": {"type": ".orde"}}]), false),
        // The list is an AND.
        (
            json!([{"prefix": {"type": "dev."}}, {"suffix": {"type": ".order"}}]),
            true,
        ),
        (
            json!([{"prefix": {"type": "dev."}}, {"suffix": {"type": ".invoice"}}]),
            false,
        ),
        (
            json!([{"all": [{"prefix": {"type": "dev."}}, {"exact": {"id": "2"}}]}]),
            false,
        ),
        (
            json!([{"any": [{"exact": {"id": "2"}}, {"prefix": {"type": "dev."}}]}]),
            true,
        ),
        (
            json!([{"any": [{"exact": {"id": "2"}}, {"exact": {"id": "3"}}]}]),
            false,
        ),
        (json!([{"not": {"exact": {"id": "2"}}}]), true),
        (
            json!([{"not": {"not": {"any": [{"exact": {"id": "2"}}]}}}]),
            false,
        ),
        (json!([{"cesql": "type LIKE 'dev.%' AND count > 6"}]), true),
        (json!([{"cesql": "urgent"}]), true),
        // Not Boolean, and errors: no match, also under NOT.
        (json!([{"cesql": "type"}]), false),
        (json!([{"cesql": "count"}]), false),
        (json!([{"cesql": "missing = 'x'"}]), false),
        (json!([{"cesql": "NOT (missing = 'x')"}]), false),
        (json!([{"cesql": "count / 0 = 0 OR TRUE"}]), false),
    ];
    for (json, expected) in table {
        assert_eq!(passes(json.clone()), expected, "{json}");
    }
}

#[test]
fn legacy_attributes() {
    let table: [(&[(&str, &str)], bool); 10] = [
        (&[], true),
        (&[("type", "dev.example.order")], true),
        (&[("type", "dev.example.order"), ("subject", "otto")], false),
        (&[("type", "DEV.EXAMPLE.ORDER")], false),
        // Present and not empty.
        (&[("subject", "")], true),
        (&[("missing", "")], false),
        (&[("blank", "")], false),
        // Only text.
        (&[("count", "7")], false),
        (&[("urgent", "")], false),
        (&[("datacontentencoding", "")], false),
    ];
    for (pairs, expected) in table {
        let map: BTreeMap<_, _> = pairs
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let filter = Filter::compile(&[], Some(&map)).unwrap();
        assert_eq!(filter.matches(&event()), expected, "{pairs:?}");
    }
    // It does not count beside filters.
    let never = BTreeMap::from([("type".to_owned(), "other".to_owned())]);
    let filter = Filter::compile(&filters(json!([{"exact": {"id": "1"}}])), Some(&never)).unwrap();
    assert!(filter.matches(&event()));
}

#[test]
fn both_versions_of_the_specification_pass() {
    let mut old = Event::new("1", "/orders/eu", "t");
    old.version = SpecVersion::V03;
    old.set_extension("schemaurl", "http://schema");
    let filter = Filter::compile(
        &filters(json!([{"exact": {"specversion": "0.3", "dataschema": "http://schema"}}])),
        None,
    )
    .unwrap();
    assert!(filter.matches(&old));
}

#[test]
fn complaints() {
    let name = "Attribute name must start with a letter and can only contain lowercase alphanumeric";
    let table = [
        (json!([{"exact": {"Type": "x"}}]), format!("invalid key name \"Type\": spec.filters[0].exact\n{name}")),
        (json!([{"exact": {"type": ""}}]), "invalid value: \"\": spec.filters[0].exact.type\nthe value must not be empty".into()),
        (
            json!([{"exact": {"type": "x"}, "prefix": {"type": "x"}}]),
            "multiple dialects found, filters can have only one dialect set: spec.filters[0]".into(),
        ),
        (
            json!([{}]),
            ["all", "any", "cesql", "exact", "not", "prefix", "suffix"]
                .map(|dialect| format!("spec.filters[0].{dialect}"))
                .join(", "),
        ),
        (
            json!([{"any": [{"exact": {"id": "1"}}, {"not": {"cesql": "a ="}}]}]),
            "invalid value: a =: spec.filters[0].any[1].not.cesql\nexpected an attribute, a value, a function or a \
             parenthesis, found the end at column 4"
                .into(),
        ),
        (
            json!([{"cesql": "LEN(a) = 1"}]),
            "invalid value: LEN(a) = 1: spec.filters[0].cesql\nthere is no function LEN, only LENGTH".into(),
        ),
        (json!([{"all": [{"suffix": {"a-b": "x"}}]}]), format!("invalid key name \"a-b\": spec.filters[0].all[0].suffix\n{name}")),
    ];
    for (json, expected) in table {
        let filters = filters(json);
        let found = problems(&filters, None).via_field("spec").to_string();
        assert!(found.contains(&expected), "{found}\nis not\n{expected}");
        assert_eq!(Filter::compile(&filters, None).unwrap_err().to_string(), found);
    }
    let legacy = BTreeMap::from([("My-Type".to_owned(), String::new())]);
    let found = problems(&[], Some(&legacy)).via_field("spec").to_string();
    assert_eq!(
        found,
        format!("invalid key name \"My-Type\": spec.filter.attributes\n{name}")
    );
    assert!(Filter::compile(&[], Some(&legacy)).is_err());
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let mut filter = json!({"exact": {"id": "1"}});
        for _ in 1..depth {
            filter = json!({"not": filter});
        }
        Filter::compile(&filters(json!([filter])), None)
    };
    assert!(nested(MAX_DEPTH).is_ok());
    let error = nested(MAX_DEPTH + 1).unwrap_err().to_string();
    assert!(
        error.starts_with("filters are nested more than 32 levels deep: spec.filters[0].not."),
        "{error}"
    );
}

fn filter() -> impl Strategy<Value = SubscriptionsApiFilter> {
    let map = prop::collection::btree_map("type|id|subject|missing|count|A", "|1|7|anna|dev.*", 0..3);
    let leaf = (map, 0..4, "|TRUE|count = 7|missing = 1|\\(").prop_map(|(map, dialect, cesql)| {
        let mut filter = SubscriptionsApiFilter::default();
        match dialect {
            0 => filter.exact = map,
            1 => filter.prefix = map,
            2 => filter.suffix = map,
            _ => filter.cesql = cesql,
        }
        filter
    });
    leaf.prop_recursive(4, 20, 3, |inner| {
        (prop::collection::vec(inner, 0..3), 0..3).prop_map(|(mut inner, dialect)| {
            let mut filter = SubscriptionsApiFilter::default();
            match dialect {
                0 => filter.all = inner,
                1 => filter.any = inner,
                _ => filter.not = inner.pop().map(Box::new),
            }
            filter
        })
    })
}

proptest! {
    #[test]
    fn what_admission_lets_in_compiles_and_nothing_else(filters in prop::collection::vec(filter(), 0..4)) {
        let compiled = Filter::compile(&filters, None);
        prop_assert_eq!(compiled.is_ok(), problems(&filters, None).is_empty());
        if let Ok(filter) = compiled {
            // Each element alone decides the whole.
            let each = filters.iter().all(|one| {
                Filter::compile(std::slice::from_ref(one), None).unwrap().matches(&event())
            });
            prop_assert_eq!(filter.matches(&event()), each);
        }
    }
}
