use super::*;

#[tokio::test(start_paused = true)]
async fn earlier_delay_wakes_a_sleeping_worker() {
    let queue = Queue::new("test-delays");
    let start = Instant::now();
    queue.add_after("a", Duration::from_secs(10));
    let worker = tokio::spawn({
        let queue = queue.clone();
        async move { queue.next().await }
    });
    tokio::task::yield_now().await;
    queue.add_after("a", Duration::from_secs(2));
    assert_eq!(worker.await.unwrap(), "a");
    assert_eq!(start.elapsed(), Duration::from_secs(2));
    queue.done(&"a");
    let later = tokio::time::timeout(Duration::from_secs(60), queue.next()).await;
    assert!(later.is_err(), "the later delay was replaced");
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_with_failures_and_start_over_when_forgotten() {
    let queue = Queue::new("test-retries");
    let pace = Pace {
        first: Duration::from_millis(100),
        max: Duration::from_secs(1),
    };
    for (failures, longest) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000)] {
        let asked = Instant::now();
        assert_eq!(queue.retry("a", pace), failures);
        assert_eq!(queue.next().await, "a");
        let longest = Duration::from_millis(longest);
        let waited = asked.elapsed();
        // Timers round up to whole milliseconds.
        assert!(
            waited >= longest.mul_f64(0.75) && waited <= longest + Duration::from_millis(1),
            "{waited:?}"
        );
        queue.done(&"a");
    }
    queue.forget(&"a");
    assert_eq!(queue.retry("a", pace), 1);
}
