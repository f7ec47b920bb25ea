//! Which pods of many are asked, and what their answers say about all of them.

use std::time::Duration;

use crds::stat::Stat;
use rand::Rng;
use rand::seq::SliceRandom;

use crate::pods::ScrapePod;

/// Up to this many pods, all are asked.
const ALL_UP_TO: usize = 3;
/// z² σ² / e² for 95 % confidence, a variance of 100 and a margin of error of 5 (upstream's figures).
const SAMPLE_FACTOR: f64 = 15.3664;

/// How many of `population` pods have to answer.
pub fn size(population: usize) -> usize {
    if population <= ALL_UP_TO {
        return population;
    }
    let n = population as f64;
    let size = (n * SAMPLE_FACTOR / (n + SAMPLE_FACTOR - 1.0)).ceil();
    // Between 4 and 16 for every population.
    size as usize
}

/// The pods in the order in which they are asked: those older than the stable window first, since young ones have not
/// seen all of it; at random among each.
pub fn order<'a>(pods: &'a [ScrapePod], stable_window: Duration, rng: &mut impl Rng) -> Vec<&'a ScrapePod> {
    let (mut old, mut young): (Vec<_>, Vec<_>) = pods.iter().partition(|pod| pod.age >= stable_window);
    old.shuffle(rng);
    young.shuffle(rng);
    old.append(&mut young);
    old
}

/// The report for `population` pods: the average of `answers`, as often as there are pods.
pub fn combine(answers: &[Stat], population: usize) -> Stat {
    let factor = population as f64 / answers.len().max(1) as f64;
    let sum = |field: fn(&Stat) -> f64| answers.iter().map(field).sum::<f64>() * factor;
    Stat {
        average_concurrent_requests: sum(|stat| stat.average_concurrent_requests),
        average_proxied_concurrent_requests: sum(|stat| stat.average_proxied_concurrent_requests),
        request_count: sum(|stat| stat.request_count),
        proxied_request_count: sum(|stat| stat.proxied_request_count),
        ..Stat::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_sizes_are_upstreams() {
        for (population, expected) in [
            (0, 0),
            (1, 1),
            (3, 3),
            (4, 4),
            (10, 7),
            (50, 12),
            (200, 15),
            (100_000, 16),
        ] {
            assert_eq!(size(population), expected, "of {population}");
        }
    }

    #[test]
    fn old_pods_are_asked_first() {
        let pod = |ip: u8, seconds| ScrapePod {
            ip: std::net::Ipv4Addr::new(10, 0, 0, ip).into(),
            age: Duration::from_secs(seconds),
        };
        let pods = [pod(1, 5), pod(2, 100), pod(3, 10), pod(4, 60)];
        let order = order(&pods, Duration::from_secs(60), &mut rand::rng());
        assert!(order[..2].iter().all(|pod| pod.age.as_secs() >= 60));
        assert_eq!(order.len(), 4);
    }

    #[test]
    fn a_sample_stands_for_all() {
        let answer = |concurrency| Stat {
            average_concurrent_requests: concurrency,
            ..Stat::default()
        };
        let all = combine(&[answer(1.0), answer(3.0)], 10);
        assert!((all.average_concurrent_requests - 20.0).abs() < 1e-9);
    }
}
