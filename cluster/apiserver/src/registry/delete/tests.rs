use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::registry::Caller;
use crate::request::Query;
use crate::resource::ResourceTable;

fn call(plural: &str, query: &str) -> Call {
    let table = ResourceTable::new([]);
    Call {
        resource: Arc::clone(table.get("", "v1", plural).unwrap()),
        namespace: "default".into(),
        name: "a".into(),
        subresource: String::new(),
        query: Query::parse(query).unwrap(),
        caller: Caller::default(),
        warnings: Vec::new(),
        duplicates: Vec::new(),
        applying: false,
    }
}

fn marked(plan: Plan) -> Value {
    match plan {
        Plan::Mark(object) => object,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_delete_does_depends_on_finalizers_policy_and_grace() {
    let now = jiff::Timestamp::from_second(1_000).unwrap();
    let plain = json!({"metadata": {"name": "a"}});
    assert_eq!(plan(&call("configmaps", ""), &plain, now).unwrap(), Plan::Remove);
    assert_eq!(
        plan(&call("configmaps", "propagationPolicy=Background"), &plain, now).unwrap(),
        Plan::Remove
    );
    for (policy, finalizer) in [("Foreground", FOREGROUND), ("Orphan", ORPHAN)] {
        let object = marked(
            plan(
                &call("configmaps", &format!("propagationPolicy={policy}")),
                &plain,
                now,
            )
            .unwrap(),
        );
        assert_eq!(object["metadata"]["finalizers"], json!([finalizer]));
        assert_eq!(object["metadata"]["deletionTimestamp"], "1970-01-01T00:16:40Z");
        // Asking again changes nothing; asking for the other policy replaces the finalizer.
        assert_eq!(
            plan(&call("configmaps", ""), &object, now).unwrap(),
            Plan::Nothing
        );
        assert_eq!(
            plan(&call("configmaps", "propagationPolicy=Background"), &object, now).unwrap(),
            Plan::Remove
        );
    }
    assert_eq!(
        plan(&call("configmaps", "propagationPolicy=Sideways"), &plain, now)
            .unwrap_err()
            .code,
        400
    );

    let pod = |node: &str, phase: &str| json!({"metadata": {}, "spec": {"nodeName": node}, "status": {"phase": phase}});
    assert_eq!(
        plan(&call("pods", ""), &pod("", "Pending"), now).unwrap(),
        Plan::Remove
    );
    assert_eq!(
        plan(&call("pods", ""), &pod("n", "Succeeded"), now).unwrap(),
        Plan::Remove
    );
    assert_eq!(
        plan(&call("pods", "gracePeriodSeconds=0"), &pod("n", "Running"), now).unwrap(),
        Plan::Remove
    );
    let running = marked(plan(&call("pods", ""), &pod("n", "Running"), now).unwrap());
    assert_eq!(
        running["metadata"]["deletionGracePeriodSeconds"],
        DEFAULT_GRACE_SECONDS
    );
    assert_eq!(running["metadata"]["deletionTimestamp"], "1970-01-01T00:17:10Z");
    // A grace period can only get shorter.
    assert_eq!(
        plan(&call("pods", "gracePeriodSeconds=60"), &running, now).unwrap(),
        Plan::Nothing
    );
    let sooner = marked(plan(&call("pods", "gracePeriodSeconds=5"), &running, now).unwrap());
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);

    let namespace = json!({"metadata": {}, "spec": {"finalizers": ["kubernetes"]}});
    let namespace = marked(plan(&call("namespaces", ""), &namespace, now).unwrap());
    assert_eq!(namespace["status"]["phase"], "Terminating");
}
