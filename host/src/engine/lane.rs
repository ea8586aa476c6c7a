//! The slow lane: threads of low priority for attempts that compute.
//!
//! The executor that serves callers polls an attempt only as long as it is quick. One that goes on computing is handed to these
//! threads, which take turns and give way to the executor's wherever the machine is busy: a component that computes, or makes
//! the host work, takes idle time from its neighbours, not their turn. What an attempt waits for (calls, timers) stays with the
//! executor's drivers, whoever polls the attempt.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use thread_priority::unix::{NormalThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id};
use thread_priority::{ThreadPriority, ThreadSchedulePolicy};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What one poll may compute before it gives way.
const TURN: Duration = Duration::from_millis(1);
/// Of the thread that the lane has even on a machine that is never idle; the executor's have 0, and 19 yields most.
const NICE: i32 = 19;

/// Threads, and the turns that wait for one.
pub struct Lane {
    turns: Arc<Turns>,
}

/// Whether the attempts of a handler begin in the lane, because the one before was not quick.
#[derive(Default)]
pub struct Habit(AtomicBool);

/// What one attempt takes of its thread. Shared by who polls it and by the engine's look at its deadline.
pub struct Pace {
    since: Instant,
    until: Instant,
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
    turns: VecDeque<Box<dyn Turn>>,
    is_over: bool,
}

/// One poll of one attempt.
trait Turn: Send {
    /// Gives itself back where there is more to compute.
    fn take(self: Box<Self>) -> Option<Box<dyn Turn>>;
    /// Its time is up: all that is left is to say so.
    fn is_late(&self) -> bool;
}

struct Away<F: Future> {
    future: Pin<Box<F>>,
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
            std::thread::Builder::new().name("slow-lane".into()).spawn(move || {
                // Where the machine does not let us, they are as good as the executor's.
                if number == 0 {
                    rustix::process::setpriority_process(None, NICE).ok();
                } else {
                    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
                    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).ok();
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
                habit.set(pace.is_over());
                return output;
            }
        }
        habit.set(true);
        let output = self.run_away(pace, attempt).await;
        habit.set(pace.is_long());
        output
    }

    async fn run_away<F>(&self, pace: &Arc<Pace>, mut future: Pin<Box<F>>) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let wakes = Arc::new(Wakes { came: AtomicBool::new(false), to: Mutex::new(Waker::noop().clone()) });
        loop {
            let (back, polled) = oneshot::channel();
            let (pace, wakes_now, runtime) = (pace.clone(), wakes.clone(), Handle::current());
            self.turns.push(Box::new(Away { future, pace, wakes: wakes_now, runtime, back }));
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
        self.lock().turns.push_back(turn);
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
        let idle = |waiting: &mut Waiting| waiting.turns.is_empty() && !waiting.is_over;
        let mut waiting = self.more.wait_while(waiting, idle).unwrap_or_else(|poisoned| poisoned.into_inner());
        let late = waiting.turns.iter().position(|turn| turn.is_late());
        waiting.turns.remove(late.unwrap_or(0))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
        match self.pace.poll(self.future.as_mut(), &mut Context::from_waker(&waker)) {
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

    fn is_late(&self) -> bool {
        self.back.is_closed() || Instant::now() >= self.pace.until
    }
}

// === impl Wakes ===

impl Wakes {
    fn poll(&self, context: &mut Context) -> Poll<()> {
        self.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone_from(context.waker());
        match self.came.swap(false, Ordering::SeqCst) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.came.store(true, Ordering::SeqCst);
        self.to.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).wake_by_ref();
    }
}

// === impl Habit ===

impl Habit {
    fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_slow: bool) {
        self.0.store(is_slow, Ordering::Relaxed);
    }
}

// === impl Pace ===

impl Pace {
    /// Of an attempt that begins now and ends in `limit` at the latest.
    pub fn new(limit: Duration) -> Arc<Pace> {
        let since = Instant::now();
        Arc::new(Pace { since, until: since + limit, polled_ns: AtomicU64::new(0), is_long: AtomicBool::new(false) })
    }

    /// When the attempt has to end.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Whether this poll has computed for longer than a turn.
    pub fn is_over(&self) -> bool {
        let took = self.now_ns() - self.polled_ns.load(Ordering::Relaxed);
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
        self.polled_ns.store(self.now_ns(), Ordering::Relaxed);
        future.poll(context)
    }

    fn now_ns(&self) -> u64 {
        self.since.elapsed().as_nanos() as u64
    }
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
                    if std::mem::replace(&mut gave_way, true) { Poll::Ready(()) } else { Poll::Pending }
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
        let (lane, habit) = (Lane::start().unwrap(), Habit::default());
        let long = Duration::from_millis(20);
        assert_eq!(where_it_runs(&lane, &habit, long).await, (false, true));
        assert_eq!(where_it_runs(&lane, &habit, long).await, (true, true));
        // Quick ones find the way back; on a busy machine not every one is quick.
        let until = Instant::now() + Duration::from_secs(30);
        while where_it_runs(&lane, &habit, Duration::ZERO).await.0 {
            assert!(Instant::now() < until, "for ever in the lane");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_an_attempt_in_the_lane_waits_for_wakes_it() {
        let (lane, habit) = (Arc::new(Lane::start().unwrap()), Habit::default());
        habit.set(true);
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
        tokio::time::timeout(Duration::from_secs(30), lane.run(&habit, &pace, waits)).await.expect("nothing is lost");
    }

    #[tokio::test]
    async fn an_attempt_that_nobody_waits_for_is_dropped_and_a_panic_is_told() {
        let (lane, habit) = (Arc::new(Lane::start().unwrap()), Arc::new(Habit::default()));
        let (alive, dropped) = oneshot::channel::<()>();
        let pace = Pace::new(Duration::from_secs(60));
        let its = pace.clone();
        let endless = async move {
            let _alive = alive;
            compute(its, Duration::from_secs(600)).await;
        };
        tokio::time::timeout(Duration::from_millis(50), lane.run(&habit, &pace, endless)).await.unwrap_err();
        tokio::time::timeout(Duration::from_secs(30), dropped).await.expect("it is dropped").unwrap_err();
        for _ in 0..20 {
            let (lane, habit) = (lane.clone(), habit.clone());
            habit.set(true);
            let told = tokio::spawn(async move {
                lane.run(&habit, &Pace::new(Duration::from_secs(60)), async { panic!("as a test") }).await
            });
            assert!(told.await.unwrap_err().is_panic());
        }
    }
}
