//! Many creations at once, carefully.

use std::future::Future;

use futures::future::join_all;

/// Does `each` with all of `items`, in batches that double, so that a quota or admission error is met once, not once
/// for every item. Ends after the first batch in which something fails, with one of its errors.
pub async fn doubling<'a, T, E, F: Future<Output = Result<(), E>>>(
    items: &'a [T],
    each: impl Fn(&'a T) -> F,
) -> Result<(), E> {
    let (mut left, mut size) = (items, 1);
    while !left.is_empty() {
        let (now, later) = left.split_at(size.min(left.len()));
        for result in join_all(now.iter().map(&each)).await {
            result?;
        }
        (left, size) = (later, size * 2);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_failure_is_met_by_one_batch() {
        for (failing, tried) in [(0, 1), (1, 3), (5, 7), (99, 10)] {
            let count = AtomicUsize::new(0);
            let items: Vec<usize> = (0..10).collect();
            let result = doubling(&items, |item| {
                count.fetch_add(1, Ordering::Relaxed);
                async move { if *item == failing { Err(()) } else { Ok(()) } }
            })
            .await;
            assert_eq!(result.is_err(), failing < 10);
            assert_eq!(count.into_inner(), tried, "{failing}");
        }
    }
}
