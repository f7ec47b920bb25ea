//! Which pod gets the next request, and which pods are this activator's own.

use std::num::NonZeroUsize;

/// Up to this concurrency the first pod with a free slot is taken: requests stay on few pods (upstream value).
const FIRST_AVAILABLE_UP_TO: usize = 3;

/// Chooses among pods `0..count`; `in_flight` tells a pod's running requests, `None` for one that cannot be used.
///
/// Without a limit: the less loaded of two random pods. With a small limit: the first with a free slot. Else round
/// robin over pods with a free slot; `cursor` remembers where it stopped.
pub(crate) fn choose(
    count: usize,
    concurrency: Option<NonZeroUsize>,
    cursor: &mut usize,
    in_flight: impl Fn(usize) -> Option<usize>,
    random: impl FnMut(usize) -> usize,
) -> Option<usize> {
    let Some(limit) = concurrency.map(NonZeroUsize::get) else {
        return random_of_two(count, &in_flight, random);
    };
    let free = |index: &usize| in_flight(*index).is_some_and(|running| running < limit);
    if limit <= FIRST_AVAILABLE_UP_TO {
        return (0..count).find(free);
    }
    let start = if *cursor < count { *cursor } else { 0 };
    let chosen = (start..count).chain(0..start).find(free)?;
    *cursor = chosen + 1;
    Some(chosen)
}

fn random_of_two(
    count: usize,
    in_flight: &impl Fn(usize) -> Option<usize>,
    mut random: impl FnMut(usize) -> usize,
) -> Option<usize> {
    if count == 0 {
        return None;
    }
    // An unusable pod passes its turn to the next usable one.
    let mut draw = || {
        let start = random(count) % count;
        (start..count)
            .chain(0..start)
            .find_map(|index| Some((index, in_flight(index)?)))
    };
    let (first, first_load) = draw()?;
    let (second, second_load) = draw()?;
    Some(if second_load < first_load { second } else { first })
}

/// Whether pod `index` of `pods` (sorted by address) belongs to activator `own` of `activators`.
///
/// Each has the same number of pods, and the lowest indices one more of the rest; with more activators than pods they
/// share. `own` is `None` when this activator is not listed: then it serves all.
pub(crate) fn owns(index: usize, pods: usize, own: Option<(usize, usize)>) -> bool {
    let Some((own, activators)) = own.filter(|(_, activators)| *activators > 1) else {
        return true;
    };
    if pods < activators {
        return pods > 0 && index == own % pods;
    }
    let each = pods / activators;
    let rest = pods % activators;
    let mine = own * each..(own + 1) * each;
    mine.contains(&index) || (own < rest && index == pods - rest + own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(n: usize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(n)
    }

    #[test]
    fn small_limits_fill_the_first_pod_first() {
        let mut cursor = 0;
        for (loads, expected) in [
            (vec![Some(0), Some(0)], Some(0)),
            (vec![Some(2), Some(1)], Some(1)),
            (vec![None, Some(1)], Some(1)),
            (vec![Some(2), Some(2)], None),
            (vec![], None),
        ] {
            assert_eq!(
                choose(loads.len(), limit(2), &mut cursor, |i| loads[i], |_| 0),
                expected,
                "{loads:?}"
            );
        }
    }

    #[test]
    fn larger_limits_go_round() {
        let mut cursor = 0;
        let loads = [Some(0), Some(4), None, Some(3)];
        let mut next = || choose(4, limit(4), &mut cursor, |i| loads[i], |_| 0);
        assert_eq!([next(), next(), next()], [Some(0), Some(3), Some(0)]);
    }

    #[test]
    fn without_a_limit_the_less_loaded_of_two_wins() {
        let mut draws = [0, 2].into_iter();
        let loads = [Some(5), None, Some(4)];
        assert_eq!(
            choose(3, None, &mut 0, |i| loads[i], |_| draws.next().unwrap()),
            Some(2)
        );
        let mut draws = [1, 1].into_iter();
        assert_eq!(
            choose(3, None, &mut 0, |i| loads[i], |_| draws.next().unwrap()),
            Some(2)
        );
        assert_eq!(choose(2, None, &mut 0, |_| None, |_| 0), None);
    }

    #[test]
    fn every_pod_belongs_to_exactly_one_activator_when_there_are_enough() {
        for pods in 0..20 {
            for activators in 1..6 {
                let owners = |pod| {
                    (0..activators)
                        .filter(|own| owns(pod, pods, Some((*own, activators))))
                        .count()
                };
                for pod in 0..pods {
                    let expected = if pods < activators {
                        activators / pods..=activators.div_ceil(pods)
                    } else {
                        1..=1
                    };
                    assert!(
                        expected.contains(&owners(pod)),
                        "pod {pod} of {pods}, {activators} activators"
                    );
                }
            }
        }
        assert!(!owns(4, 5, Some((0, 3))) && owns(3, 5, Some((0, 3))) && owns(4, 5, Some((1, 3))));
        assert!((0..5).all(|pod| owns(pod, 5, None)));
    }
}
