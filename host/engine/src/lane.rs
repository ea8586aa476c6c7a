//! The slow lane: threads of low priority for attempts that compute.
//!
//! The executor that serves callers polls an attempt only as long as it is quick. One that goes on computing is handed to these
//! threads, which take turns, hook by hook, and give way to the executor's wherever the machine is busy: a component that computes,
//! or makes the host work, takes idle time from its neighbours, not their turn. What an attempt waits for (calls, timers) stays with the
//! executor's drivers, whoever polls the attempt.

use std::collections::{HashMap, VecDeque};
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use thread_priority::unix::{
    NormalThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadSchedulePolicy};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What one poll may compute before it gives way.
const TURN: Duration = Duration::from_millis(1);
/// Of the thread that the lane has even on a machine that is never idle: about a quarter of a core beside the executor's, which have 0.
const NICE: i32 = 5;
/// Attempts of a handler in a row that were not quick, before the next ones begin in the lane.
const SLOW_MIN: u8 = 3;

/// Threads, and the turns that wait for one.
pub struct Lane {
    turns: Arc<Turns>,
}

/// Whether the attempts of a handler begin in the lane, because those before were not quick; and its place among the others there.
pub struct Habit {
    slow: AtomicU8,
    queue: u64,
}

/// What one attempt takes of its thread. Shared by who polls it and by the engine's look at its deadline.
pub struct Pace {
    until: Instant,
    /// Of the thread that polls, when it began to.
    polled_ns: AtomicU64,
    is_long: AtomicBool,
}

#[derive(Default)]
struct Turns {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Each handler has a queue of its own, none of them empty.
    queues: HashMap<u64, VecDeque<Box<dyn Turn>>>,
    /// Which is next.
    order: VecDeque<u64>,
    is_over: bool,
}

/// One poll of one attempt.
trait Turn: Send {
    /// Gives itself back where there is more to compute.
    fn take(self: Box<Self>) -> Option<Box<dyn Turn>>;
    /// Its time is up: all that is left is to say so.
    fn is_late(&self) -> bool;
    /// In which it stands.
    fn queue(&self) -> u64;
}

struct Away<F: Future> {
    future: Pin<Box<F>>,
    queue: u64,
    pace: Arc<Pace>,
    wakes: Arc<Wakes>,
    runtime: Handle,
    back: oneshot::Sender<Polled<F>>,
}

/// How a stay in the lane ended.
enum Polled<F: Future> {
    Done(F::Output),
    /// For something that is no thread.
    Waits(Pin<Box<F>>),
}

/// Remembers that an attempt was woken: that may be before it is back from its turn.
struct Wakes {
    came: AtomicBool,
    to: Mutex<Waker>,
}

// === impl Lane ===

impl Lane {
    /// A thread for each core that takes idle time alone, and one that always gets a little.
    pub fn start() -> std::io::Result<Lane> {
        let turns = Arc::<Turns>::default();
        for number in 0..=std::thread::available_parallelism().map_or(1, usize::from) {
            let turns = turns.clone();
            std::thread::Builder::new()
                .name("slow-lane".into())
                .spawn(move || {
                    // Where the machine does not let us, they are as good as the executor's.
                    if number == 0 {
                        rustix::process::setpriority_process(None, NICE).ok();
                    } else {
                        let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                        set_thread_priority_and_policy(
                            thread_native_id(),
                            ThreadPriority::Min,
                            idle,
                        )
                        .ok();
                    }
                    turns.work();
                })?;
        }
        Ok(Lane { turns })
    }

    /// Runs an attempt to its end, by the executor as long as it is quick.
    ///
    /// # Panics
    ///
    /// If the attempt does.
    pub async fn run<F>(&self, habit: &Habit, pace: &Arc<Pace>, attempt: F) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let mut attempt = Box::pin(attempt);
        if !habit.is_slow() {
            let quick = poll_fn(|context| match pace.poll(attempt.as_mut(), context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if pace.is_over() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            if let Some(output) = quick.await {
                habit.was_slow(pace.is_over());
                return output;
            }
        }
        let output = self.run_away(habit.queue, pace, attempt).await;
        habit.was_slow(pace.is_long());
        output
    }

    async fn run_away<F>(&self, queue: u64, pace: &Arc<Pace>, mut future: Pin<Box<F>>) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let wakes = Arc::new(Wakes {
            came: AtomicBool::new(false),
            to: Mutex::new(Waker::noop().clone()),
        });
        loop {
            let (back, polled) = oneshot::channel();
            let (pace, wakes_now, runtime) = (pace.clone(), wakes.clone(), Handle::current());
            self.turns.push(Box::new(Away {
                future,
                queue,
                pace,
                wakes: wakes_now,
                runtime,
                back,
            }));
            match polled.await.expect("the attempt panicked in its turn") {
                Polled::Done(output) => return output,
                Polled::Waits(back) => future = back,
            }
            poll_fn(|context| wakes.poll(context)).await;
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.turns.lock().is_over = true;
        self.turns.more.notify_all();
    }
}

// === impl Turns ===

impl Turns {
    fn push(&self, turn: Box<dyn Turn>) {
        let mut waiting = self.lock();
        let queue = turn.queue();
        waiting.queues.entry(queue).or_default().push_back(turn);
        if waiting.queues[&queue].len() == 1 {
            waiting.order.push_back(queue);
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Until the lane is gone.
    fn work(&self) {
        while let Some(turn) = self.next() {
            // A panic drops the attempt, and whoever waits for it hears of that.
            if let Ok(Some(again)) = catch_unwind(AssertUnwindSafe(|| turn.take())) {
                self.push(again);
            }
        }
    }

    fn next(&self) -> Option<Box<dyn Turn>> {
        let waiting = self.lock();
        let idle = |waiting: &mut Waiting| waiting.order.is_empty() && !waiting.is_over;
        let mut waiting = self
            .more
            .wait_while(waiting, idle)
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let queue = waiting.order.pop_front()?;
        let turns = waiting.queues.get_mut(&queue)?;
        let late = turns.iter().position(|turn| turn.is_late());
        let turn = turns.remove(late.unwrap_or(0));
        match turns.is_empty() {
            true => drop(waiting.queues.remove(&queue)),
            false => waiting.order.push_back(queue),
        }
        turn
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

// === impl Away ===

impl<F> Turn for Away<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn take(mut self: Box<Self>) -> Option<Box<dyn Turn>> {
        if self.back.is_closed() {
            // Nobody waits for it any more.
            return None;
        }
        let _entered = self.runtime.enter();
        self.wakes.came.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.wakes.clone());
        match self
            .pace
            .poll(self.future.as_mut(), &mut Context::from_waker(&waker))
        {
            Poll::Ready(output) => {
                self.pace.is_over();
                drop(self.back.send(Polled::Done(output)));
            }
            // It has woken itself.
            Poll::Pending if self.pace.is_over() => {
                drop(_entered);
                return Some(self);
            }
            Poll::Pending => drop(self.back.send(Polled::Waits(self.future))),
        }
        None
    }

    fn queue(&self) -> u64 {
        self.queue
    }

    fn is_late(&self) -> bool {
        self.back.is_closed() || Instant::now() >= self.pace.until
    }
}

// === impl Wakes ===

impl Wakes {
    fn poll(&self, context: &mut Context) -> Poll<()> {
        self.to
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .clone_from(context.waker());
        match self.came.swap(false, Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.came.store(true, Ordering::SeqCst);
        self.to
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .wake_by_ref();
    }
}

// === impl Habit ===

impl Habit {
    /// Of a handler that nobody has seen running.
    pub fn new() -> Habit {
        static HANDLERS: AtomicU64 = AtomicU64::new(0);
        Habit {
            slow: AtomicU8::new(0),
            queue: HANDLERS.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed) >= SLOW_MIN
    }

    fn was_slow(&self, was_slow: bool) {
        let slow = self.slow.load(Ordering::Relaxed);
        self.slow.store(
            if was_slow {
                slow.saturating_add(1).min(SLOW_MIN)
            } else {
                0
            },
            Ordering::Relaxed,
        );
    }
}

// === impl Pace ===

impl Pace {
    /// Of an attempt that begins now and ends in `limit` at the latest.
    pub fn new(limit: Duration) -> Arc<Pace> {
        Arc::new(Pace {
            until: Instant::now() + limit,
            polled_ns: AtomicU64::new(0),
            is_long: AtomicBool::new(false),
        })
    }

    /// When the attempt has to end.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether this poll has computed for longer than a turn.
    pub fn is_over(&self) -> bool {
        let took = thread_ns().saturating_sub(self.polled_ns.load(Ordering::Relaxed));
        let is_over = u128::from(took) >= TURN.as_nanos();
        if is_over {
            self.is_long.store(true, Ordering::Relaxed);
        }
        is_over
    }

    /// Whether any poll was longer than a turn.
    fn is_long(&self) -> bool {
        self.is_long.load(Ordering::Relaxed)
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>, context: &mut Context) -> Poll<F::Output> {
        self.polled_ns.store(thread_ns(), Ordering::Relaxed);
        future.poll(context)
    }
}

/// What this thread has computed: on a busy machine a quick attempt is away from its core for long without taking anything.
fn thread_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    /// Computes for so long, giving way as a guest does.
    async fn compute(pace: Arc<Pace>, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if pace.is_over() {
                let mut gave_way = false;
                poll_fn(|context| {
                    context.waker().wake_by_ref();
                    if std::mem::replace(&mut gave_way, true) {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
        }
    }

    /// Whether it began and ended in the lane.
    async fn where_it_runs(lane: &Lane, habit: &Habit, time: Duration) -> (bool, bool) {
        let pace = Pace::new(Duration::from_secs(60));
        let its = pace.clone();
        let is_in_lane = || std::thread::current().name() == Some("slow-lane");
        let attempt = async move {
            let began = is_in_lane();
            compute(its, time).await;
            (began, is_in_lane())
        };
        lane.run(habit, &pace, attempt).await
    }

    #[tokio::test]
    async fn who_computes_goes_to_the_lane_and_the_next_one_begins_there() {
        let (lane, habit) = (Lane::start().unwrap(), Habit::new());
        let long = Duration::from_millis(50);
        for _ in 0..SLOW_MIN {
            assert_eq!(where_it_runs(&lane, &habit, long).await, (false, true));
        }
        assert_eq!(where_it_runs(&lane, &habit, long).await, (true, true));
        // Quick ones find the way back; on a busy machine not every one is quick.
        let until = Instant::now() + Duration::from_secs(30);
        while where_it_runs(&lane, &habit, Duration::ZERO).await.0 {
            assert!(Instant::now() < until, "for ever in the lane");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_an_attempt_in_the_lane_waits_for_wakes_it() {
        let (lane, habit) = (Arc::new(Lane::start().unwrap()), Habit::new());
        (0..SLOW_MIN).for_each(|_| habit.was_slow(true));
        let pace = Pace::new(Duration::from_secs(60));
        let its = pace.clone();
        let waits = async move {
            for _ in 0..200 {
                let (send, receive) = oneshot::channel();
                tokio::spawn(async move { send.send(7).ok() });
                assert_eq!(receive.await, Ok(7));
                tokio::time::sleep(Duration::from_micros(10)).await;
            }
            compute(its, Duration::from_millis(5)).await;
            tokio::task::yield_now().await;
        };
        tokio::time::timeout(Duration::from_secs(30), lane.run(&habit, &pace, waits))
            .await
            .expect("nothing is lost");
    }

    #[tokio::test]
    async fn an_attempt_that_nobody_waits_for_is_dropped_and_a_panic_is_told() {
        let (lane, habit) = (Arc::new(Lane::start().unwrap()), Arc::new(Habit::new()));
        let (alive, dropped) = oneshot::channel::<()>();
        let pace = Pace::new(Duration::from_secs(60));
        let its = pace.clone();
        let endless = async move {
            let _alive = alive;
            compute(its, Duration::from_secs(600)).await;
        };
        tokio::time::timeout(Duration::from_millis(50), lane.run(&habit, &pace, endless))
            .await
            .unwrap_err();
        tokio::time::timeout(Duration::from_secs(30), dropped)
            .await
            .expect("it is dropped")
            .unwrap_err();
        for _ in 0..20 {
            let (lane, habit) = (lane.clone(), habit.clone());
            (0..SLOW_MIN).for_each(|_| habit.was_slow(true));
            let told = tokio::spawn(async move {
                lane.run(&habit, &Pace::new(Duration::from_secs(60)), async {
                    panic!("as a test")
                })
                .await
            });
            assert!(told.await.unwrap_err().is_panic());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_handler_waits_for_a_turn_of_each_other_and_not_for_all_their_attempts() {
        let lane = Arc::new(Lane::start().unwrap());
        let (crowd, one) = (Arc::new(Habit::new()), Habit::new());
        for habit in [&*crowd, &one] {
            (0..SLOW_MIN).for_each(|_| habit.was_slow(true));
        }
        let loops: Vec<_> = (0..200)
            .map(|_| {
                let (lane, crowd, pace) = (
                    lane.clone(),
                    crowd.clone(),
                    Pace::new(Duration::from_secs(60)),
                );
                let its = pace.clone();
                tokio::spawn(async move {
                    lane.run(&crowd, &pace, compute(its, Duration::from_secs(60)))
                        .await
                })
            })
            .collect();
        while lane
            .turns
            .lock()
            .queues
            .get(&crowd.queue)
            .is_none_or(|turns| turns.len() < 150)
        {
            tokio::task::yield_now().await;
        }
        // In one queue it would come after 150 turns and more, again and again.
        let before = lane.turns.lock().order.len();
        assert!(before <= 2, "{before} queues");
        let pace = Pace::new(Duration::from_secs(60));
        let its = pace.clone();
        let turns = async move {
            for _ in 0..20 {
                compute(its.clone(), Duration::from_millis(1)).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), lane.run(&one, &pace, turns))
            .await
            .expect("it has its turns");
        loops.iter().for_each(|one| one.abort());
    }
}
