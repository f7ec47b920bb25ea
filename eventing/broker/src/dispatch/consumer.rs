//! One consumer: from its place in the topic to its subscriber.
//!
//! One task does all of it: it reads batches, filters, and drives the attempts that are under way, connections
//! included. What waits, for another attempt or for its turn, is not in memory but for its position, and is read again
//! from the store. Bounds: attempts under way ([`Window`], [`Limits::in_flight`], [`IN_FLIGHT_BYTES`]), those that fail
//! ([`Budget`]), and events that wait ([`Limits::waiting`]); at any one the consumer stops reading, and the rest stays in
//! the log.

mod reading;
mod settling;

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use event_store::{Acks, Batch, Consumer as Source, Position, StoreError};
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use self::reading::Current;
use super::Limits;
use super::attempt::{Context, Delivery, Held, attempt};
use super::budget::Budget;
use super::decoded::Decoder;
use super::order::Order;
use super::plan::Plan;
use super::step::Outcome;
use super::waiting::Waiting;
use super::window::Window;

/// Bytes of events under way at a time, if it is more than one.
const IN_FLIGHT_BYTES: usize = 16 << 20;
/// Events that wait for their turn and stay in memory meanwhile.
const TURN_IN_MEMORY: usize = 128;
/// How often a store that is shared hears that a record is still being worked on.
const WORKING: Duration = Duration::from_secs(5);
/// Waits before a store that failed is asked again.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Runs the consumer until the sender of its plans is gone, and then until what is under way has ended, or for
/// [`Limits::drain`].
pub async fn run(
    context: Context,
    decoder: Arc<Decoder>,
    limits: Limits,
    mut plans: watch::Receiver<Arc<Plan>>,
) {
    let context = Arc::new(context);
    let mut pause = RECONNECT.0;
    loop {
        let plan = plans.borrow_and_update().clone();
        let subscribing = context
            .store
            .subscribe(&plan.topic.key, &plan.consumer.name, plan.consumer.start);
        let error = match subscribing.await {
            Ok(source) => {
                pause = RECONNECT.0;
                let session = Session::new(context.clone(), decoder.clone(), limits, plan, source, attempt);
                match session.run(plans).await {
                    Ok(()) => return,
                    Err((receiver, error)) => {
                        plans = receiver;
                        error
                    }
                }
            }
            Err(error) => error,
        };
        let plan = plans.borrow().clone();
        let (namespace, consumer) = (&plan.consumer.namespace, &plan.consumer.object);
        tracing::warn!(%error, namespace, consumer, "Events cannot be read");
        tokio::select! {
            () = sleep(pause) => {}
            () = closed(&mut plans) => return,
        }
        pause = (pause * 2).min(RECONNECT.1);
    }
}

async fn closed(plans: &mut watch::Receiver<Arc<Plan>>) {
    while plans.changed().await.is_ok() {}
}

type Fetching = BoxFuture<'static, (Box<dyn Source>, Result<Batch, StoreError>)>;
type Changing = BoxFuture<'static, Option<watch::Receiver<Arc<Plan>>>>;

struct Session<S, A> {
    context: Arc<Context>,
    decoder: Arc<Decoder>,
    limits: Limits,
    plan: Arc<Plan>,
    acks: Arc<dyn Acks>,
    source: Option<Box<dyn Source>>,
    fetching: Option<Fetching>,
    current: Option<Current>,
    window: Window,
    budget: Budget,
    /// [`attempt`], whose future has no name.
    start: S,
    attempts: FuturesUnordered<A>,
    /// What those are about.
    in_flight: HashSet<Position>,
    in_flight_bytes: usize,
    /// To be tried as soon as there is room.
    ready: VecDeque<Delivery>,
    waiting: Waiting,
    order: Order<Delivery>,
    /// Due for the earliest retry, for the end of a pause, or for telling the store that records are being worked on.
    alarm: Pin<Box<Sleep>>,
    next_working: Instant,
    warned: Option<Instant>,
}

/// What a session woke up for.
enum Wake {
    Finished(Delivery, Outcome),
    Fetched(Box<dyn Source>, Result<Batch, StoreError>),
    Alarm,
    Changed(watch::Receiver<Arc<Plan>>),
    Stopped,
}

impl<S, A> Session<S, A>
where
    S: Fn(Arc<Context>, Arc<Plan>, Delivery) -> A,
    A: Future<Output = (Delivery, Outcome)>,
{
    fn new(
        context: Arc<Context>,
        decoder: Arc<Decoder>,
        limits: Limits,
        plan: Arc<Plan>,
        source: Box<dyn Source>,
        start: S,
    ) -> Self {
        let now = Instant::now();
        Self {
            context,
            decoder,
            limits,
            plan,
            acks: source.acks(),
            source: Some(source),
            fetching: None,
            current: None,
            window: Window::new(limits.in_flight, now),
            budget: Budget::new(limits.in_flight),
            start,
            attempts: FuturesUnordered::new(),
            in_flight: HashSet::new(),
            in_flight_bytes: 0,
            ready: VecDeque::new(),
            waiting: Waiting::default(),
            order: Order::default(),
            alarm: Box::pin(sleep_until(now + WORKING)),
            next_working: now + WORKING,
            warned: None,
        }
    }

    /// `Ok` when it was stopped. An error gives the receiver back; what was under way is given up and comes again.
    async fn run(
        mut self,
        plans: watch::Receiver<Arc<Plan>>,
    ) -> Result<(), (watch::Receiver<Arc<Plan>>, StoreError)> {
        let receiver = plans.clone();
        let mut changing = change(plans);
        loop {
            self.fill();
            match self.wake(&mut changing).await {
                Wake::Finished(delivery, outcome) => self.settle(delivery, outcome),
                Wake::Fetched(source, Ok(batch)) => {
                    self.source = Some(source);
                    self.take(batch);
                }
                Wake::Fetched(_, Err(error)) => return Err((receiver, error)),
                Wake::Alarm => self.alarm(),
                Wake::Changed(mut plans) => {
                    self.plan = plans.borrow_and_update().clone();
                    changing = change(plans);
                }
                Wake::Stopped => {
                    self.drain().await;
                    return Ok(());
                }
            }
        }
    }

    async fn wake(&mut self, changing: &mut Changing) -> Wake {
        std::future::poll_fn(|cx| self.poll_wake(cx, changing)).await
    }

    fn poll_wake(&mut self, cx: &mut TaskContext<'_>, changing: &mut Changing) -> Poll<Wake> {
        // First, so that no flood of events holds up a change, and none stored after it goes by the old plan.
        if let Poll::Ready(changed) = changing.as_mut().poll(cx) {
            return Poll::Ready(changed.map_or(Wake::Stopped, Wake::Changed));
        }
        if let Poll::Ready(Some((delivery, outcome))) = self.attempts.poll_next_unpin(cx) {
            return Poll::Ready(Wake::Finished(delivery, outcome));
        }
        if let Some(fetching) = &mut self.fetching
            && let Poll::Ready((source, result)) = fetching.as_mut().poll(cx)
        {
            self.fetching = None;
            return Poll::Ready(Wake::Fetched(source, result));
        }
        if self.alarm_is_set() && self.alarm.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Wake::Alarm);
        }
        Poll::Pending
    }

    /// Starts what there is room for, and reads on when nothing is left to start.
    fn fill(&mut self) {
        if self.attempts.is_empty() && self.current.is_some() {
            self.window.wakes(Instant::now());
        }
        while self.has_room() {
            if let Some(delivery) = self.ready.pop_front() {
                self.launch(delivery);
                continue;
            }
            if self.held_back() >= self.limits.waiting {
                break;
            }
            match self.next_event() {
                Some(delivery) => self.enter(delivery),
                None => break,
            }
        }
        let wanted = self.current.is_none() && self.fetching.is_none() && self.ready.is_empty();
        if wanted && self.has_room() && self.held_back() < self.limits.waiting {
            self.fetching = self.source.take().map(fetch);
        }
    }

    fn has_room(&self) -> bool {
        let under_way = self.attempts.len();
        let more = under_way < self.window.size() && self.in_flight_bytes < IN_FLIGHT_BYTES;
        (under_way == 0 || more) && under_way < self.budget.left()
    }

    /// Events that are neither under way nor settled.
    fn held_back(&self) -> usize {
        self.waiting.len() + self.order.waiting() + self.ready.len()
    }

    /// Starts an event, or lets it wait for its turn.
    fn enter(&mut self, mut delivery: Delivery) {
        let Some(key) = delivery.key.clone() else {
            return self.launch(delivery);
        };
        if self.order.waiting() >= TURN_IN_MEMORY {
            // Whoever goes at once was not read in vain; the others are read again.
            match self.order.enter(
                &key,
                Delivery {
                    content: Held::Not,
                    ..delivery
                },
            ) {
                None => return,
                Some(first) => delivery = first,
            }
        } else {
            match self.order.enter(&key, delivery) {
                None => return,
                Some(first) => delivery = first,
            }
        }
        self.launch(delivery);
    }

    fn launch(&mut self, delivery: Delivery) {
        self.in_flight.insert(delivery.position);
        self.in_flight_bytes += delivery.size;
        self.attempts
            .push((self.start)(self.context.clone(), self.plan.clone(), delivery));
        self.context.meter.in_flight.set(self.attempts.len() as i64);
    }

    fn alarm(&mut self) {
        let now = Instant::now();
        self.budget.reopen(now);
        while let Some(delivery) = self.waiting.due(now) {
            self.ready.push_back(delivery);
        }
        if self.next_working <= now {
            self.next_working = now + WORKING;
            let held_back = self.waiting.iter().chain(self.order.iter()).chain(&self.ready);
            let held_back = held_back.map(|delivery| delivery.position);
            for position in held_back
                .chain(self.in_flight.iter().copied())
                .chain(self.unread())
            {
                self.acks.working(position);
            }
            self.show();
        }
        self.set_alarm();
    }

    fn alarm_is_set(&self) -> bool {
        self.held_back() > 0 || !self.attempts.is_empty() || self.budget.shut_until().is_some()
    }

    fn set_alarm(&mut self) {
        // What is due in a pause would have to wait for its end.
        let next = match self.budget.shut_until() {
            Some(until) => Some(until),
            None => self.waiting.earliest(),
        };
        let due = next.map_or(self.next_working, |due| due.min(self.next_working));
        if self.alarm.deadline() != due {
            self.alarm.as_mut().reset(due);
        }
    }

    fn show(&self) {
        let meter = &self.context.meter;
        meter.in_flight.set(self.attempts.len() as i64);
        meter.waiting.set(self.held_back() as i64);
        // Counting may take a lock in the store: at the end of what came, and now and then.
        if self.attempts.is_empty() || self.attempts.len().is_multiple_of(64) {
            meter.lag.set(self.acks.lag() as i64);
        }
    }

    /// Lets what is under way end, for a while. Nothing new begins; what did not end comes again.
    async fn drain(&mut self) {
        self.fetching = None;
        let deadline = Instant::now() + self.limits.drain;
        while !self.attempts.is_empty() {
            match tokio::time::timeout_at(deadline, self.attempts.next()).await {
                Ok(Some((delivery, outcome))) => {
                    self.ready.clear();
                    self.settle(delivery, outcome);
                }
                Ok(None) | Err(_) => return,
            }
        }
    }
}

fn fetch(mut source: Box<dyn Source>) -> Fetching {
    Box::pin(async move {
        let result = source.next().await;
        (source, result)
    })
}

/// Resolves with the receiver when there is a new plan, and with nothing when there will be none.
fn change(mut plans: watch::Receiver<Arc<Plan>>) -> Changing {
    Box::pin(async move { plans.changed().await.is_ok().then_some(plans) })
}
