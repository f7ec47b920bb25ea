//! What containers need that say nothing themselves: what the install says by their names, then what the LimitRanges of
//! the namespace say.

use std::collections::BTreeMap;

use formats::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, LimitRange, Pod, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Amount;

use super::merge::divide;

/// Upstream looks at no others.
const RESOURCES: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// What begins the key of a prefix, and the key of all other containers.
const PREFIX: &str = "prefix-";
const ALL: &str = "default";

type Amounts = BTreeMap<String, Amount>;

/// Gives containers without any requirements those of the install. The name itself is best, then the longest prefix.
pub(crate) fn by_name(pod: &mut Pod, known: &BTreeMap<String, ResourceRequirements>) {
    for container in containers(pod) {
        let own = container.resources.as_ref();
        let silent = own.is_none_or(|own| {
            own.requests.as_ref().is_none_or(BTreeMap::is_empty)
                && own.limits.as_ref().is_none_or(BTreeMap::is_empty)
        });
        if !silent {
            continue;
        }
        let prefixes = known.iter().filter(|(key, _)| {
            key.strip_prefix(PREFIX)
                .is_some_and(|prefix| container.name.starts_with(prefix))
        });
        let found = known
            .get(&container.name)
            .or_else(|| prefixes.max_by_key(|(key, _)| key.len()).map(|(_, found)| found))
            .or_else(|| known.get(ALL));
        if let Some(found) = found {
            container.resources = Some(found.clone());
        }
    }
}

/// The LimitRanges of a namespace as far as they are about containers, as if they were one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Limits {
    /// The smallest of the defaults.
    request: Amounts,
    /// The same for limits.
    limit: Amounts,
    /// The largest of the minimums.
    least: Amounts,
    /// The smallest of the maximums.
    most: Amounts,
    /// How many times its request a limit may be; the smallest of these.
    ratio: Amounts,
}

impl Limits {
    pub(crate) fn of<'r>(ranges: impl IntoIterator<Item = &'r LimitRange>) -> Self {
        let mut found = Self::default();
        let items = ranges.into_iter().filter_map(|range| range.spec.as_ref());
        for item in items.flat_map(|spec| &spec.limits) {
            if item.type_ != "Container" {
                continue;
            }
            take(&mut found.request, item.default_request.as_ref(), |new, old| {
                new < old
            });
            take(&mut found.limit, item.default.as_ref(), |new, old| new < old);
            take(&mut found.least, item.min.as_ref(), |new, old| new > old);
            take(&mut found.most, item.max.as_ref(), |new, old| new < old);
            let ratio = item.max_limit_request_ratio.as_ref();
            take(&mut found.ratio, ratio, |new, old| new < old);
        }
        found
    }

    /// Fills in what containers lack. The steps share the default of one container, since they run one after the other
    /// and count all at once; but none gets less than is allowed, and none so little that its limit is too many times
    /// that. Upstream leaves maximums and ratios to the API server, which refuses the pod then.
    pub(crate) fn fill(&self, pod: &mut Pod) {
        let steps = pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
        if let Some(spec) = &mut pod.spec {
            for container in spec.init_containers.iter_mut().flatten() {
                self.fill_one(container, 1);
            }
            for container in &mut spec.containers {
                self.fill_one(container, steps);
            }
        }
    }

    fn fill_one(&self, container: &mut Container, sharing: usize) {
        for name in RESOURCES {
            let own = container.resources.clone().unwrap_or_default();
            let asked = own.requests.as_ref().and_then(|amounts| amounts.get(name));
            let allowed = own.limits.as_ref().and_then(|amounts| amounts.get(name));
            let limit = match allowed {
                Some(_) => None,
                None => self.limit(name, asked),
            };
            let request = match asked {
                Some(_) => None,
                None => self.request(name, sharing, allowed.or(limit.as_ref())),
            };
            if limit.is_none() && request.is_none() {
                continue;
            }
            let filled = container.resources.get_or_insert_default();
            if let Some(limit) = limit {
                let limits = filled.limits.get_or_insert_default();
                limits.insert(name.to_owned(), limit);
            }
            if let Some(request) = request {
                let requests = filled.requests.get_or_insert_default();
                requests.insert(name.to_owned(), request);
            }
        }
    }

    /// The limit of a container that says none: the default, or the most that is allowed; but not too many times what it
    /// asks for.
    fn limit(&self, name: &str, asked: Option<&Amount>) -> Option<Amount> {
        let (default, most) = (self.limit.get(name), self.most.get(name));
        let limit = smaller(default, most)?;
        let Some(asked) = asked else {
            return Some(limit.clone());
        };
        let times = self.times(name, asked);
        let limit = smaller(Some(limit), times.as_ref())?;
        // What is more than the limit can never be had.
        (!is_more(asked, limit)).then(|| limit.clone())
    }

    /// The request of a container that says none, which has this limit.
    fn request(&self, name: &str, sharing: usize, limit: Option<&Amount>) -> Option<Amount> {
        let share = self.share(name, sharing);
        let enough = limit.and_then(|limit| self.part(name, limit));
        let request = larger(share.as_ref(), enough.as_ref())?;
        smaller(Some(request), limit).cloned()
    }

    /// The largest limit to a request.
    fn times(&self, name: &str, request: &Amount) -> Option<Amount> {
        let (ratio, request) = (read(self.ratio.get(name)?)?, read(request)?);
        amount(name, request.saturating_mul(ratio) / 1000)
    }

    /// The smallest request to a limit.
    fn part(&self, name: &str, limit: &Amount) -> Option<Amount> {
        let (ratio, limit) = (read(self.ratio.get(name)?)?, read(limit)?);
        // Rounded up to what is written: a part that is too small by a byte is refused.
        let unit = unit(name);
        let part = (limit.saturating_mul(1000) + ratio - 1) / ratio;
        amount(name, (part + unit - 1) / unit * unit)
    }

    /// What one of so many containers asks for.
    fn share(&self, name: &str, sharing: usize) -> Option<Amount> {
        let share = self.request.get(name).map(|whole| divide(name, whole, sharing));
        let least = self.least.get(name).cloned();
        match (share, least) {
            (Some(share), Some(least)) if read(&share) < read(&least) => Some(least),
            (Some(share), _) => Some(share),
            (None, least) => least,
        }
    }
}

/// Takes up amounts that are `better` than those that are known.
fn take(known: &mut Amounts, new: Option<&Amounts>, better: impl Fn(i128, i128) -> bool) {
    for (name, amount) in new.into_iter().flatten() {
        let Some(new) = read(amount).filter(|new| *new > 0) else {
            continue;
        };
        let old = known.get(name).and_then(read);
        if old.is_none_or(|old| better(new, old)) {
            known.insert(name.clone(), amount.clone());
        }
    }
}

/// The smaller of those that are there.
fn smaller<'a>(one: Option<&'a Amount>, other: Option<&'a Amount>) -> Option<&'a Amount> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if is_more(one, other) { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// The larger of those that are there.
fn larger<'a>(one: Option<&'a Amount>, other: Option<&'a Amount>) -> Option<&'a Amount> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if is_more(other, one) { other } else { one }),
        (one, other) => one.or(other),
    }
}

/// Not if one of them cannot be read: the API server says what is wrong with it.
fn is_more(one: &Amount, other: &Amount) -> bool {
    matches!((read(one), read(other)), (Some(one), Some(other)) if one > other)
}

/// Thousandths of what an amount is counted in.
fn unit(name: &str) -> i128 {
    if name == "cpu" { 1 } else { 1000 }
}

/// So many thousandths as an amount; what is less than one unit of it is left out.
fn amount(name: &str, milli: i128) -> Option<Amount> {
    let units = i64::try_from(milli / unit(name)).ok()?;
    let amount = match name {
        "cpu" => Quantity::from_milli(units),
        _ => Quantity::from_bytes(units),
    };
    Some(Amount(amount.to_string()))
}

/// An amount in thousandths; `None` if it is none.
fn read(amount: &Amount) -> Option<i128> {
    amount.0.parse::<Quantity>().ok().map(|amount| amount.milli())
}

fn containers(pod: &mut Pod) -> impl Iterator<Item = &mut Container> {
    pod.spec.iter_mut().flat_map(|spec| {
        let init = spec.init_containers.iter_mut().flatten();
        init.chain(&mut spec.containers)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(steps: &[Value]) -> Pod {
        let containers: Vec<Value> = steps
            .iter()
            .enumerate()
            .map(|(index, resources)| json!({"name": format!("step-{index}"), "resources": resources}))
            .collect();
        serde_json::from_value(json!({
            "spec": {"initContainers": [{"name": "prepare"}], "containers": containers},
        }))
        .unwrap()
    }

    fn limits(items: Value) -> Limits {
        Limits::of(&[serde_json::from_value::<LimitRange>(json!({"spec": {"limits": items}})).unwrap()])
    }

    /// What each container needs in the end, the init container first.
    fn needs(mut pod: Pod, limits: &Limits) -> Vec<Value> {
        limits.fill(&mut pod);
        containers(&mut pod)
            .map(|container| serde_json::to_value(&container.resources).unwrap())
            .collect()
    }

    #[test]
    fn steps_share_the_default_request_and_have_the_limit_whole() {
        let limits = limits(json!([
            {"type": "Pod", "max": {"cpu": "9"}},
            {"type": "Container", "defaultRequest": {"cpu": "300m", "memory": "2Gi", "x.y/z": "1"}, "default": {"cpu": "1"}},
        ]));
        let expected = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}, "limits": {"cpu": "1"}});
        assert_eq!(
            needs(pod(&[json!({}), json!({})]), &limits),
            [
                expected("300m", "2Gi"),
                expected("150m", "1Gi"),
                expected("150m", "1Gi")
            ]
        );
    }

    #[test]
    fn what_a_step_says_stays_and_nothing_contradicts_it() {
        let limits = limits(json!([{
            "type": "Container", "defaultRequest": {"cpu": "400m"}, "default": {"cpu": "1"}, "min": {"memory": "64Mi"},
        }]));
        let found = needs(
            pod(&[
                json!({"requests": {"cpu": "50m", "memory": "1Mi"}}),
                json!({"limits": {"cpu": "100m"}}),
                json!({"requests": {"cpu": "2"}}),
            ]),
            &limits,
        );
        let memory = "64Mi";
        assert_eq!(
            found[1..],
            [
                json!({"requests": {"cpu": "50m", "memory": "1Mi"}, "limits": {"cpu": "1"}}),
                json!({"requests": {"cpu": "100m", "memory": memory}, "limits": {"cpu": "100m"}}),
                json!({"requests": {"cpu": "2", "memory": memory}}),
            ]
        );
    }

    #[test]
    fn no_step_asks_for_less_than_is_allowed() {
        let limits = limits(json!([{
            "type": "Container", "defaultRequest": {"cpu": "300m"}, "min": {"cpu": "200m", "ephemeral-storage": "1Gi"},
        }]));
        let found = needs(pod(&[json!({}), json!({})]), &limits);
        let expected = |cpu: &str| json!({"requests": {"cpu": cpu, "ephemeral-storage": "1Gi"}});
        assert_eq!(found, [expected("300m"), expected("200m"), expected("200m")]);
    }

    #[test]
    fn the_most_that_is_allowed_is_the_limit_of_what_says_none() {
        let two = || pod(&[json!({}), json!({"requests": {"cpu": "3"}})]);
        for (range, first, second) in [
            (
                json!({"max": {"cpu": "2"}}),
                json!({"limits": {"cpu": "2"}}),
                // It asks for more than there is; the API server tells.
                json!({"requests": {"cpu": "3"}}),
            ),
            (
                json!({"max": {"cpu": "4"}, "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}),
                json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "1"}}),
                json!({"requests": {"cpu": "3"}}),
            ),
            // Of several ranges one may allow less than is another's default.
            (
                json!({"max": {"cpu": "500m"}, "default": {"cpu": "4"}, "defaultRequest": {"cpu": "2"}}),
                json!({"requests": {"cpu": "500m"}, "limits": {"cpu": "500m"}}),
                json!({"requests": {"cpu": "3"}}),
            ),
        ] {
            let mut range = range;
            range["type"] = json!("Container");
            let found = needs(two(), &limits(json!([range])));
            assert_eq!(found[1..], [first, second], "{range}");
        }
    }

    #[test]
    fn no_limit_is_too_many_times_its_request() {
        let limits = limits(json!([{
            "type": "Container", "defaultRequest": {"cpu": "1", "memory": "1Gi"}, "default": {"cpu": "2", "memory": "2Gi"},
            "maxLimitRequestRatio": {"cpu": "2", "memory": "3"},
        }]));
        let found = needs(
            pod(&[
                json!({}),
                json!({"requests": {"cpu": "500m"}}),
                json!({"limits": {"cpu": "3", "memory": "1000"}}),
                // What it says itself stays, whatever the API server says to it.
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "3"}}),
            ]),
            &limits,
        );
        // A quarter would be 250m, of which the limit is eight times; a third of 2Gi is rounded up.
        let memory = "715827883";
        assert_eq!(
            found[1..],
            [
                json!({"requests": {"cpu": "1", "memory": memory}, "limits": {"cpu": "2", "memory": "2Gi"}}),
                json!({"requests": {"cpu": "500m", "memory": memory}, "limits": {"cpu": "1", "memory": "2Gi"}}),
                json!({"requests": {"cpu": "1500m", "memory": "1000"}, "limits": {"cpu": "3", "memory": "1000"}}),
                json!({"requests": {"cpu": "1", "memory": memory}, "limits": {"cpu": "3", "memory": "2Gi"}}),
            ]
        );
    }

    #[test]
    fn of_several_ranges_all_are_met() {
        let range = |items: Value| -> LimitRange {
            serde_json::from_value(json!({"spec": {"limits": [items]}})).unwrap()
        };
        let ranges = [
            range(
                json!({"type": "Container", "defaultRequest": {"cpu": "2"}, "default": {"cpu": "4"}, "min": {"cpu": "1"}}),
            ),
            range(
                json!({"type": "Container", "defaultRequest": {"cpu": "1500m"}, "default": {"cpu": "3"}, "min": {"cpu": "500m"}}),
            ),
        ];
        let found = needs(pod(&[json!({})]), &Limits::of(&ranges));
        assert_eq!(
            found[1],
            json!({"requests": {"cpu": "1500m"}, "limits": {"cpu": "3"}})
        );
        assert_eq!(Limits::of(&[]), Limits::default());
        assert_eq!(
            needs(pod(&[json!({})]), &Limits::default()),
            [json!(null), json!({})]
        );
    }

    #[test]
    fn the_install_says_what_containers_need_by_their_names() {
        let of = |cpu: &str| json!({"requests": {"cpu": cpu}});
        let known = json!({
            "default": of("1"), "prefix-step": of("2"), "prefix-step-1": of("3"), "step-2": of("4"),
        });
        let own = json!({"limits": {"memory": "1Gi"}});
        let mut pod = pod(&[json!({}), json!({}), json!({}), own.clone()]);
        by_name(&mut pod, &serde_json::from_value(known).unwrap());
        let found: Vec<Value> = containers(&mut pod)
            .map(|container| serde_json::to_value(&container.resources).unwrap())
            .collect();
        assert_eq!(found, [of("1"), of("2"), of("3"), of("4"), own]);
    }
}
