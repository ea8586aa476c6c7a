use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use landfall_model::lock;
use tokio::task::yield_now;

use super::run_slots::{Flow, Overloaded, RunSlots};

const POLL: Duration = Duration::from_micros(400);
const LONG: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(30);

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

fn poll_once<T>(future: &mut Boxed<T>) -> Poll<T> {
    future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
}

fn running<T: 'static>(flow: &Flow, future: impl Future<Output = T> + 'static) -> Boxed<T> {
    Box::pin(flow.clone().run(Box::pin(future)))
}

/// A connection, a task of `of`, whose request enters a flow.
fn entering(of: &Flow, flow: &Flow, wait_max: Option<Duration>) -> Boxed<Result<(), Overloaded>> {
    let flow = flow.clone();
    running(of, async move { flow.enter(wait_max).await })
}

/// A task that has a slot until it is polled or dropped, and one that waits after each poll.
fn holding(flow: &Flow) -> (Boxed<()>, Waker) {
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let stored = waker.clone();
    let mut task = running(
        flow,
        poll_fn(move |context| {
            *lock(&stored) = Some(context.waker().clone());
            Poll::Pending
        }),
    );
    assert!(poll_once(&mut task).is_pending());
    let waker = lock(&waker).take().expect("it was polled");
    waker.wake_by_ref();
    (task, waker)
}

#[tokio::test(start_paused = true)]
async fn tasks_wait_for_a_slot() {
    let slots = RunSlots::new(1);
    let (busy, quiet) = (slots.flow(), slots.flow());
    let (mut held, _) = holding(&busy);

    let mut first = running(&busy, async {});
    let mut second = running(&quiet, async {});
    assert!(poll_once(&mut first).is_pending());
    assert!(poll_once(&mut second).is_pending());
    assert_eq!((busy.waiting(), quiet.waiting()), (1, 1));

    assert!(poll_once(&mut held).is_pending());
    assert!(
        poll_once(&mut second).is_pending(),
        "the other one is first"
    );
    assert!(poll_once(&mut first).is_ready());
    assert!(poll_once(&mut second).is_ready());
    assert_eq!((busy.waiting(), quiet.waiting()), (0, 0));
}

#[tokio::test]
async fn tasks_without_a_hook_are_counted() {
    let slots = RunSlots::new(1);
    let (mut held, _) = holding(&slots.flow());
    let connection = slots.spawn(async {});
    yield_now().await;
    assert_eq!(slots.unassigned_waiting(), 1);

    assert!(poll_once(&mut held).is_pending());
    connection.await.unwrap();
    assert_eq!(slots.unassigned_waiting(), 0);
}

#[test]
fn dropped_tasks_pass_slots_on() {
    let slots = RunSlots::new(1);
    let flow = slots.flow();
    let (held, _) = holding(&flow);

    let mut cancelled = running(&flow, async {});
    let mut waits = running(&flow, async {});
    assert!(poll_once(&mut cancelled).is_pending());
    assert!(poll_once(&mut waits).is_pending());
    drop(cancelled);
    assert!(poll_once(&mut waits).is_pending());
    drop(held);
    assert!(poll_once(&mut waits).is_ready());

    // A task that has ended is woken.
    let (held, waker) = holding(&flow);
    drop(held);
    waker.wake();
    assert!(poll_once(&mut running(&flow, async {})).is_ready());
}

#[test]
fn panics_give_slots_back() {
    let flow = RunSlots::new(1).flow();
    for _ in 0..3 {
        let panicking = std::panic::AssertUnwindSafe(|| {
            let panics = async { assert!(std::hint::black_box(false), "as a test") };
            assert!(poll_once(&mut running(&flow, panics)).is_ready());
        });
        assert!(std::panic::catch_unwind(panicking).is_err());
    }
    assert!(poll_once(&mut running(&flow, async {})).is_ready());
}

#[test]
fn woken_tasks_wait_their_turn() {
    let flow = RunSlots::new(1).flow();
    let (mut held, waker) = holding(&flow);
    let mut waits = running(&flow, async {});
    assert!(poll_once(&mut waits).is_pending());

    // A task that wakes itself while it is polled does not keep its slot.
    let mut yields = running(&flow, yield_once());
    assert!(poll_once(&mut yields).is_pending());
    assert!(poll_once(&mut held).is_pending());
    waker.wake();
    assert_eq!(flow.waiting(), 2);
    assert!(poll_once(&mut waits).is_ready());
    assert!(poll_once(&mut yields).is_pending());
    assert!(
        poll_once(&mut yields).is_pending(),
        "it is the turn of another one"
    );
    assert!(poll_once(&mut held).is_pending());
    assert!(poll_once(&mut yields).is_ready());
}

#[test]
fn requests_enter_without_waiting() {
    let slots = RunSlots::new(1);
    let (connection, flow) = (slots.flow(), slots.flow());
    let mut request = entering(&connection, &flow, Some(Duration::ZERO));
    assert_eq!(poll_once(&mut request), Poll::Ready(Ok(())));

    // The next request of a connection comes in a poll of the flow already.
    let (mut held, _) = holding(&flow);
    let mut next = entering(&flow, &flow, None);
    assert!(poll_once(&mut next).is_pending());
    assert!(poll_once(&mut held).is_pending());
    assert_eq!(poll_once(&mut next), Poll::Ready(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn entered_flows_have_turns() {
    let slots = RunSlots::new(1);
    let (connections, busy) = (slots.flow(), slots.flow());
    let (mut held, _) = holding(&busy);
    let mut request = entering(&connections, &busy, None);
    let mut waits = running(&busy, async {});
    assert!(poll_once(&mut request).is_pending());
    assert!(poll_once(&mut waits).is_pending());

    assert!(poll_once(&mut held).is_pending());
    assert!(poll_once(&mut request).is_pending(), "it reads the head");
    assert_eq!(busy.waiting(), 1);
    assert!(poll_once(&mut waits).is_ready());
    assert_eq!(poll_once(&mut request), Poll::Ready(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn long_waits_end_in_refusals() {
    let flow = RunSlots::new(1).flow();
    let (held, _) = holding(&flow);
    let mut refused = entering(&flow, &flow, Some(LONG));
    let mut stored = entering(&flow, &flow, None);
    assert!(poll_once(&mut refused).is_pending());
    assert!(poll_once(&mut stored).is_pending());

    tokio::time::advance(LONG * 2).await;
    drop(held);
    assert_eq!(poll_once(&mut refused), Poll::Ready(Err(Overloaded)));
    assert_eq!(poll_once(&mut stored), Poll::Ready(Ok(())));
    let mut served = entering(&flow, &flow, Some(LONG));
    assert_eq!(poll_once(&mut served), Poll::Ready(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn crowds_do_not_delay_others() {
    let slots = RunSlots::new(2);
    let (busy, quiet) = (slots.flow(), slots.flow());
    let polls = Arc::new(AtomicUsize::new(0));
    for _ in 0..500 {
        let polls = polls.clone();
        busy.spawn(async move {
            loop {
                polls.fetch_add(1, Ordering::Relaxed);
                let mut advance = Box::pin(tokio::time::advance(POLL));
                poll_fn(|context| Poll::Ready(advance.as_mut().poll(context).is_ready())).await;
                yield_once().await;
            }
        });
    }
    while busy.waiting() < 400 {
        yield_now().await;
    }

    let observed = tokio::spawn(async move {
        let mut most = 0;
        for _ in 0..100 {
            let before = polls.load(Ordering::Relaxed);
            quiet.spawn(yield_once()).await.unwrap();
            most = most.max(polls.load(Ordering::Relaxed) - before);
        }
        most
    });
    let most = observed.await.unwrap();
    assert!(most < 20, "{most} polls of the crowd at a time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost() {
    let slots = RunSlots::new(2);
    let flows: Vec<Flow> = (0..5).map(|_| slots.flow()).collect();
    let mut tasks = Vec::new();
    for number in 0..100 {
        let flows = flows.clone();
        tasks.push(slots.spawn(async move {
            for request in 0..50 {
                let flow = &flows[(number + request / 10) % 5];
                flow.enter(None).await.unwrap();
                yield_now().await;
                // The attempt of an event.
                flow.spawn(yield_now()).await.unwrap();
                // One whose caller hangs up.
                flow.spawn(yield_now()).abort();
            }
        }));
    }

    for task in tasks {
        let ended = tokio::time::timeout(PATIENCE, task).await;
        ended.expect("no wake-up is lost").unwrap();
    }
}

/// As a guest yields. The yield of tokio waits for the next look at its drivers.
async fn yield_once() {
    let mut is_woken = false;
    poll_fn(|context| {
        if is_woken {
            return Poll::Ready(());
        }
        is_woken = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
