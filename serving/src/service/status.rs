//! The status of a Service from what its children say.

use std::sync::Arc;

use crds::conditions::{Condition, ConditionedStatus, READY};
use crds::serving::{Configuration, Route, Service, ServiceStatus, TrafficTarget};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Conditions};

use crate::shared::name_of;

const CONFIGURATIONS_READY: &str = "ConfigurationsReady";
const ROUTES_READY: &str = "RoutesReady";
const CONDITIONS: ConditionSet = ConditionSet::new(&[CONFIGURATIONS_READY, ROUTES_READY]);

/// What one look at the children found.
#[derive(Debug)]
pub(super) struct Observed {
    pub configuration: Child<Configuration>,
    pub route: Child<Route>,
    /// The name that the user chose for the next revision, if another revision has it.
    pub taken_revision: Option<String>,
}

#[derive(Debug)]
pub(super) enum Child<K> {
    /// Not looked at, because something before it has to happen first.
    Waiting,
    /// Somebody else's object has the name.
    NotOwned,
    Current(Arc<K>),
}

impl Observed {
    pub(super) fn new(_: &Service) -> Self {
        Self {
            configuration: Child::Waiting,
            route: Child::Waiting,
            taken_revision: None,
        }
    }
}

pub(super) fn service_status(service: &Service, observed: &Observed, now: Timestamp) -> ServiceStatus {
    let mut status = service.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    CONDITIONS.begin(&mut status, service.metadata.generation, now);
    let name = name_of(&service.metadata);

    match &observed.route {
        Child::Waiting => {}
        Child::NotOwned => not_owned(&mut status, ROUTES_READY, "Route", name, now),
        Child::Current(route) => take_route(&mut status, route, now),
    }
    // After the Route: if both have failed, Ready names the cause, not that there is nothing to route to.
    match &observed.configuration {
        Child::Waiting => {}
        Child::NotOwned => not_owned(&mut status, CONFIGURATIONS_READY, "Configuration", name, now),
        Child::Current(configuration) => take_configuration(&mut status, configuration, now),
    }
    if let Some(taken) = &observed.taken_revision {
        CONDITIONS.manage(&mut status, now).mark_false(
            ROUTES_READY,
            "RevisionNameTaken",
            &format!("The revision name {taken:?} is taken by a conflicting Revision, so traffic will not be migrated"),
        );
    }
    if let (Child::Current(configuration), Child::Current(route)) = (&observed.configuration, &observed.route)
    {
        let routed = status.condition(ROUTES_READY).is_some_and(Condition::is_true);
        if routed && !traffic_has_migrated(configuration, route) {
            CONDITIONS.manage(&mut status, now).mark_unknown(
                ROUTES_READY,
                "TrafficNotMigrated",
                "Traffic is not yet migrated to the latest revision.",
            );
        }
    }
    CONDITIONS.finish(&mut status, &before, service.metadata.generation, now);
    status
}

fn take_configuration(status: &mut ServiceStatus, configuration: &Configuration, now: Timestamp) {
    let Some(found) = configuration
        .status
        .as_ref()
        .filter(|found| found.observed_generation() == configuration.metadata.generation.unwrap_or_default())
    else {
        return out_of_date(
            &mut CONDITIONS.manage(status, now),
            CONFIGURATIONS_READY,
            "Configuration",
        );
    };
    status.latest_created_revision_name = found.latest_created_revision_name.clone();
    status.latest_ready_revision_name = found.latest_ready_revision_name.clone();
    if let Some(ready) = found.condition(READY) {
        CONDITIONS.manage(status, now).copy(CONFIGURATIONS_READY, ready);
    }
}

fn take_route(status: &mut ServiceStatus, route: &Route, now: Timestamp) {
    let Some(found) = route
        .status
        .as_ref()
        .filter(|found| found.observed_generation() == route.metadata.generation.unwrap_or_default())
    else {
        return out_of_date(&mut CONDITIONS.manage(status, now), ROUTES_READY, "Route");
    };
    status.url = found.url.clone();
    status.address = found.address.clone();
    status.traffic = found.traffic.clone();
    if let Some(ready) = found.condition(READY) {
        CONDITIONS.manage(status, now).copy(ROUTES_READY, ready);
    }
}

fn out_of_date(conditions: &mut Conditions<'_>, type_: &str, kind: &str) {
    let message = format!("The {kind} is still working to reflect the latest desired specification.");
    conditions.mark_unknown(type_, "OutOfDate", &message);
}

fn not_owned(status: &mut ServiceStatus, type_: &str, kind: &str, name: &str, now: Timestamp) {
    let message = format!("There is an existing {kind} {name:?} that we do not own.");
    CONDITIONS
        .manage(status, now)
        .mark_false(type_, "NotOwned", &message);
}

/// Whether the traffic that flows is the traffic that was asked for, with the latest ready revision put in.
fn traffic_has_migrated(configuration: &Configuration, route: &Route) -> bool {
    let flowing = route
        .status
        .as_ref()
        .map(|status| status.traffic.as_slice())
        .unwrap_or_default();
    let latest_ready = configuration
        .status
        .as_ref()
        .and_then(|status| status.latest_ready_revision_name.clone());
    let wanted = route.spec.traffic.iter().map(|target| {
        if target.configuration_name.as_deref() == Some(name_of(&configuration.metadata)) {
            (latest_ready.clone(), target)
        } else {
            (target.revision_name.clone(), target)
        }
    });
    let essence = |target: &TrafficTarget| (target.tag.clone(), target.percent.unwrap_or(0));
    flowing.len() == route.spec.traffic.len()
        && flowing.iter().zip(wanted).all(|(flowing, (revision, wanted))| {
            flowing.revision_name == revision && essence(flowing) == essence(wanted)
        })
}
