//! Run slots: as many tasks of hooks are ready to run at a time as there are processors.
//!
//! The executor polls tasks in the order in which they were woken. A hook with many requests would
//! make the other hooks wait for all of them, whatever its `concurrency` is, because reading and
//! verifying a request also takes time. Therefore a woken task is passed on to the executor only
//! when it has a slot. The others wait in a queue of their hook, its flow, and the flows take turns
//! (`fair_queue`). A slot is given back after each poll, so a task that waits for IO has none, and a
//! component that computes for long has one for a time slice.
//!
//! Two locks are held at a time at most: the state of one task, and then the queue.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fair_queue::{FairQueue, FlowQueue};
use landfall_model::lock;

/// While tasks wait for slots, each worker of the executor looks for IO this often.
const LOOK_EVERY: Duration = Duration::from_micros(200);

type Queue = Mutex<FairQueue<Arc<Task>>>;

/// The slots of a node.
pub struct RunSlots {
    queue: Arc<Queue>,
    /// The flow of connections that have had no request yet, or may carry one of any hook next.
    unassigned: Flow,
}

/// Tasks that take turns as one: those of a hook.
#[derive(Clone)]
pub struct Flow {
    slots: Arc<Queue>,
    waiting: Arc<FlowQueue<Arc<Task>>>,
}

/// The hook has more requests than its share of the processors can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request has waited for a processor for too long")]
pub struct Overloaded;

/// A task of the executor that is polled only while it has a slot.
struct Task {
    slots: Arc<Queue>,
    state: Mutex<TaskState>,
}

struct TaskState {
    status: Status,
    flow: Flow,
    /// The flow of the next poll, if it is another one.
    next_flow: Option<Flow>,
    /// Counts the polls.
    polls: u64,
    /// When the task last asked for a slot.
    asked: Instant,
    /// How long it waited for the slot of the current poll.
    waited: Duration,
    /// Makes the executor poll the task.
    waker: Waker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Waits to be woken.
    Idle,
    /// Waits for a slot.
    Queued,
    /// Has a slot, and waits for the executor.
    Ready,
    /// Has a slot and is being polled.
    Polled,
    /// As `Polled`, and was woken in the meantime.
    Woken,
    Ended,
}

/// Since when a task is one of a flow.
enum Entered {
    Before,
    /// Its slot went with it: the wait for the slot was in another flow.
    Now,
    /// From the poll after so many.
    AfterPoll(u64),
}

/// Ends a task when it is dropped.
struct RunningTask {
    task: Arc<Task>,
    waker: Waker,
}

tokio::task_local! {
    static CURRENT: Arc<Task>;
}

thread_local! {
    /// When this thread was last made to look for IO.
    static LAST_LOOK: Cell<Option<Instant>> = const { Cell::new(None) };
}

// === impl RunSlots ===

impl RunSlots {
    /// One slot for each processor.
    pub(crate) fn new(processors: usize) -> Arc<RunSlots> {
        let queue = Arc::new(Mutex::new(FairQueue::new(processors.max(1))));
        let unassigned = Flow::new(queue.clone());
        Arc::new(RunSlots { queue, unassigned })
    }

    pub(crate) fn flow(&self) -> Flow {
        Flow::new(self.queue.clone())
    }

    /// Spawns a task that belongs to no hook until it enters a flow.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.unassigned.spawn(future)
    }

    /// From its next poll on, the current task belongs to no hook: its next request may be one of
    /// any hook.
    pub fn leave_flow(&self) {
        let _ = CURRENT.try_with(|task| {
            lock(&task.state).next_flow = Some(self.unassigned.clone());
        });
    }

    /// How many tasks without a hook wait for a slot.
    pub fn unassigned_waiting(&self) -> usize {
        self.unassigned.waiting()
    }
}

// === impl Flow ===

impl Flow {
    fn new(slots: Arc<Queue>) -> Flow {
        let waiting = Arc::new(FlowQueue::new());
        Flow { slots, waiting }
    }

    /// Spawns a task of this flow.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.clone().run(Box::pin(future)))
    }

    /// Runs a future as a task of this flow. Only for futures that are polled whenever they are
    /// woken: one that has a slot and is not polled takes it from others.
    pub(crate) async fn run<F: Future>(self, future: Pin<Box<F>>) -> F::Output {
        let running = RunningTask::new(self);
        let mut future = pin!(CURRENT.scope(running.task.clone(), future));
        poll_fn(|context| running.poll(future.as_mut(), context.waker())).await
    }

    /// Makes the current task one of this flow, and waits for its turn if others wait. An error if
    /// the task has waited for longer than `wait_max`.
    pub async fn enter(&self, wait_max: Option<Duration>) -> Result<(), Overloaded> {
        let Ok(task) = CURRENT.try_with(Arc::clone) else {
            return Ok(());
        };

        let has_waited_here = match task.enter(self) {
            Entered::Before => true,
            Entered::Now => false,
            Entered::AfterPoll(polls) => {
                poll_fn(|context| {
                    if task.polls() > polls {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                true
            }
        };

        let is_overloaded = has_waited_here && wait_max.is_some_and(|max| task.waited() > max);
        if is_overloaded {
            Err(Overloaded)
        } else {
            Ok(())
        }
    }

    /// How many tasks wait for a slot.
    pub fn waiting(&self) -> usize {
        self.waiting.waiting()
    }
}

// === impl Task ===

impl Task {
    /// Begins a poll. `false`: the task has no slot, and will be woken when it has one.
    fn begin(self: &Arc<Task>, waker: &Waker, now: Instant) -> bool {
        let mut state = lock(&self.state);
        let replaced = (!state.waker.will_wake(waker))
            .then(|| std::mem::replace(&mut state.waker, waker.clone()));
        if state.status == Status::Idle {
            self.ask(&mut state, now);
        }

        let has_slot = state.status == Status::Ready;
        if has_slot {
            state.status = Status::Polled;
            state.polls += 1;
            state.waited = now.duration_since(state.asked);
        }
        drop(state);
        // It may be the last reference to a task of the executor, whose end needs the locks.
        drop(replaced);
        has_slot
    }

    /// Asks for a slot.
    fn ask(self: &Arc<Task>, state: &mut TaskState, now: Instant) {
        state.asked = now;
        let mut queue = lock(&self.slots);
        state.status = if queue.try_take(&state.flow.waiting) {
            Status::Ready
        } else {
            queue.push(&state.flow.waiting, self.clone());
            Status::Queued
        };
    }

    /// Ends a poll: gives the slot back, and asks for the next one if the task was woken.
    fn end(self: &Arc<Task>, now: Instant, cost: Duration) {
        let mut state = lock(&self.state);
        let mut queue = lock(&self.slots);
        queue.give_back(&state.flow.waiting, cost);
        if let Some(flow) = state.next_flow.take() {
            state.flow = flow;
        }

        if state.status == Status::Woken {
            state.status = Status::Queued;
            state.asked = now;
            queue.push(&state.flow.waiting, self.clone());
        } else {
            state.status = Status::Idle;
        }
        let next = queue.next();
        drop(queue);
        drop(state);

        if let Some(waker) = grant(next) {
            wake_after_look(&waker, now);
        }
    }

    /// Makes this a task of another flow. If others wait, it is one from its next poll on.
    fn enter(&self, flow: &Flow) -> Entered {
        let mut state = lock(&self.state);
        state.next_flow = None;
        if Arc::ptr_eq(&state.flow.waiting, &flow.waiting) {
            return Entered::Before;
        }

        if lock(&self.slots).move_slot(&state.flow.waiting, &flow.waiting) {
            state.flow = flow.clone();
            Entered::Now
        } else {
            state.next_flow = Some(flow.clone());
            Entered::AfterPoll(state.polls)
        }
    }

    fn polls(&self) -> u64 {
        lock(&self.state).polls
    }

    fn waited(&self) -> Duration {
        lock(&self.state).waited
    }
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        if state.status == Status::Polled {
            state.status = Status::Woken;
        }
        if state.status != Status::Idle {
            return;
        }

        self.ask(&mut state, Instant::now());
        if state.status == Status::Ready {
            let waker = state.waker.clone();
            drop(state);
            waker.wake();
        }
    }
}

/// Makes the task ready that has got a slot, or the next one if it has ended while it waited. Call
/// this without locks.
fn grant(mut next: Option<Arc<Task>>) -> Option<Waker> {
    while let Some(task) = next {
        let mut state = lock(&task.state);
        if state.status != Status::Ended {
            state.status = Status::Ready;
            return Some(state.waker.clone());
        }

        let mut queue = lock(&task.slots);
        queue.give_back(&state.flow.waiting, Duration::ZERO);
        next = queue.next();
    }
    None
}

/// Wakes a task, from time to time after this worker of the executor has looked for IO. A worker
/// that always has a task to poll looks rarely, and requests of other hooks are found only then.
fn wake_after_look(waker: &Waker, now: Instant) {
    let last = LAST_LOOK.get();
    if last.is_some_and(|last| now.duration_since(last) < LOOK_EVERY) {
        waker.wake_by_ref();
        return;
    }

    LAST_LOOK.set(Some(now));
    // The executor wakes what yields after its next look.
    let yielding = pin!(tokio::task::yield_now());
    let _ = yielding.poll(&mut Context::from_waker(waker));
}

// === impl RunningTask ===

impl RunningTask {
    fn new(flow: Flow) -> RunningTask {
        let task = Arc::new(Task {
            slots: flow.slots.clone(),
            state: Mutex::new(TaskState {
                status: Status::Idle,
                flow,
                next_flow: None,
                polls: 0,
                asked: Instant::now(),
                waited: Duration::ZERO,
                waker: Waker::noop().clone(),
            }),
        });
        let waker = Waker::from(task.clone());
        RunningTask { task, waker }
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
        // The time on the clock: a poll does not block, and a clock of the thread's processor time
        // would be a system call.
        let started = Instant::now();
        if !self.task.begin(waker, started) {
            return Poll::Pending;
        }

        let polled = future.poll(&mut Context::from_waker(&self.waker));
        let now = Instant::now();
        self.task.end(now, now.duration_since(started));
        polled
    }
}

impl Drop for RunningTask {
    fn drop(&mut self) {
        let mut state = lock(&self.task.state);
        // `Polled`: the poll has panicked.
        let has_slot = matches!(state.status, Status::Ready | Status::Polled | Status::Woken);
        state.status = Status::Ended;
        let waker = std::mem::replace(&mut state.waker, Waker::noop().clone());
        let mut next = None;
        if has_slot {
            let mut queue = lock(&self.task.slots);
            queue.give_back(&state.flow.waiting, Duration::ZERO);
            next = queue.next();
        }
        drop(state);

        if let Some(waker) = grant(next) {
            waker.wake();
        }
        drop(waker);
    }
}
