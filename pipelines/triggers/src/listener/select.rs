//! Which triggers an event of a listener goes to.

use std::collections::BTreeSet;

use crds::triggers::{
    BindingRef, EventListener, EventListenerTrigger, NamespaceSelector, TemplateRef, Trigger,
    TriggerInterceptor,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::Selector;

use super::api::Reader;

/// A trigger that an event goes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selected {
    /// Where it is: `<namespace>/<name>`, or `<namespace>/<listener>#<place>` of one without a name.
    pub key: String,
    /// Its name, if it has one.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Who looks at the event before, those of its group first.
    pub interceptors: Vec<TriggerInterceptor>,
    /// Where params come from.
    pub bindings: Vec<BindingRef>,
    /// What is created.
    pub template: TemplateRef,
    /// Who creates; the listener itself if empty.
    pub account: String,
    /// Why it cannot be carried out.
    pub problem: Option<String>,
}

/// The triggers of a listener.
pub(super) async fn select(reader: &Reader, listener: &EventListener) -> Result<Vec<Selected>, kube::Error> {
    let namespace = listener.metadata.namespace.clone().unwrap_or_default();
    let name = listener.metadata.name.clone().unwrap_or_default();
    let spec = &listener.spec;
    let mut selected = Vec::new();
    for (place, trigger) in spec.triggers.iter().enumerate() {
        if trigger.trigger_ref.is_empty() {
            selected.push(inline(trigger, &namespace, &name, place));
            continue;
        }
        let found = reader.get::<Trigger>(&namespace, &trigger.trigger_ref).await?;
        selected.push(match found {
            Some(found) => of_object(&found, &[]),
            None => Selected {
                key: format!("{namespace}/{}", trigger.trigger_ref),
                problem: Some(format!("there is no Trigger {}", trigger.trigger_ref)),
                ..inline(trigger, &namespace, &name, place)
            },
        });
    }
    let by_selector = |one: &NamespaceSelector, labels: &Option<LabelSelector>| {
        // Neither selects nothing; labels alone mean the listener's own namespace.
        (!one.match_names.is_empty() || labels.is_some()).then(|| (one.clone(), labels.clone()))
    };
    if let Some((namespaces, labels)) = by_selector(&spec.namespace_selector, &spec.label_selector) {
        for trigger in find(reader, &namespace, &namespaces, labels.as_ref()).await? {
            selected.push(of_object(&trigger, &[]));
        }
    }
    let direct: BTreeSet<String> = selected.iter().map(|selected| selected.key.clone()).collect();
    for group in &spec.trigger_groups {
        let selector = &group.trigger_selector;
        let Some((namespaces, labels)) = by_selector(&selector.namespace_selector, &selector.label_selector)
        else {
            continue;
        };
        for trigger in find(reader, &namespace, &namespaces, labels.as_ref()).await? {
            let trigger = of_object(&trigger, &group.interceptors);
            if !direct.contains(&trigger.key) {
                selected.push(trigger);
            }
        }
    }
    Ok(once(selected))
}

/// Each way to a trigger once: what is reached on the same way twice is meant once.
fn once(selected: Vec<Selected>) -> Vec<Selected> {
    let mut kept: Vec<Selected> = Vec::with_capacity(selected.len());
    for one in selected {
        if !kept
            .iter()
            .any(|other| other.key == one.key && other.interceptors == one.interceptors)
        {
            kept.push(one);
        }
    }
    kept
}

async fn find(
    reader: &Reader,
    own: &str,
    namespaces: &NamespaceSelector,
    labels: Option<&LabelSelector>,
) -> Result<Vec<Trigger>, kube::Error> {
    let selector = match labels {
        Some(labels) => match Selector::try_from(labels.clone()) {
            Ok(selector) => selector.to_string(),
            // Admission refuses such; one that is stored nevertheless selects nothing.
            Err(_) => return Ok(Vec::new()),
        },
        None => String::new(),
    };
    let names: Vec<Option<&str>> = if namespaces.is_every() {
        vec![None]
    } else if namespaces.match_names.is_empty() {
        vec![Some(own)]
    } else {
        namespaces
            .match_names
            .iter()
            .map(|name| Some(name.as_str()))
            .collect()
    };
    let mut found = Vec::new();
    for name in names {
        found.extend(reader.list::<Trigger>(name, &selector).await?.iter().cloned());
    }
    found.sort_by(|one, other| {
        let key = |trigger: &Trigger| (trigger.metadata.namespace.clone(), trigger.metadata.name.clone());
        key(one).cmp(&key(other))
    });
    Ok(found)
}

fn inline(trigger: &EventListenerTrigger, namespace: &str, listener: &str, place: usize) -> Selected {
    Selected {
        key: match trigger.name.as_str() {
            "" => format!("{namespace}/{listener}#{place}"),
            name => format!("{namespace}/{listener}#{place}/{name}"),
        },
        name: trigger.name.clone(),
        namespace: namespace.to_owned(),
        interceptors: trigger.interceptors.clone(),
        bindings: trigger.bindings.clone(),
        template: trigger.template.clone().unwrap_or_default(),
        account: trigger.service_account_name.clone(),
        problem: None,
    }
}

fn of_object(trigger: &Trigger, before: &[TriggerInterceptor]) -> Selected {
    let namespace = trigger.metadata.namespace.clone().unwrap_or_default();
    let name = trigger.metadata.name.clone().unwrap_or_default();
    let spec = &trigger.spec;
    Selected {
        key: format!("{namespace}/{name}"),
        name,
        namespace,
        interceptors: before.iter().chain(&spec.interceptors).cloned().collect(),
        bindings: spec.bindings.clone(),
        template: spec.template.clone(),
        account: spec.service_account_name.clone(),
        problem: None,
    }
}
