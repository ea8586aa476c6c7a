//! The background pool: threads of low priority for attempts that compute for long.
//!
//! The executor that serves callers polls an attempt only while each poll is short. A poll that
//! exceeds its budget moves the attempt to the background pool. Its threads serve the handlers in
//! turn and have a lower priority than the executor's, so a component that computes uses idle CPU
//! time and does not delay other hooks. IO and timers of the attempt stay with the executor's
//! drivers, whichever thread polls the attempt.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use thread_priority::unix::{
    NormalThreadSchedulePolicy, set_thread_priority_and_policy, thread_native_id,
};
use thread_priority::{ThreadPriority, ThreadSchedulePolicy};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::poll_budget::{PollBudget, SlowHistory, thread_ns};
use super::run_queue::{QueueId, Rank, RunQueue, TimeSlice};

/// The nice value of the one thread that runs even when the machine is never idle. It gets about a
/// quarter of a core beside the executor's threads, which have 0.
const NICE: i32 = 5;

/// The threads and the queue of slices that wait for one.
pub(crate) struct BackgroundPool {
    queue: Arc<RunQueue>,
}

/// How the attempts of one handler are scheduled.
pub(crate) struct HandlerSchedule {
    history: SlowHistory,
    queue: QueueId,
    /// Of its late attempts.
    late_queue: QueueId,
}

/// An attempt that has left the executor, for one poll or more.
struct Offloaded<F: Future> {
    future: Pin<Box<F>>,
    queue: QueueId,
    rank: Rank,
    budget: Arc<PollBudget>,
    wakes: Arc<Wakes>,
    runtime: Handle,
    result: oneshot::Sender<Polled<F>>,
}

/// The result of an offloaded attempt.
enum Polled<F: Future> {
    Done(F::Output),
    /// The attempt waits for IO or a timer, not for a thread.
    Waits(Pin<Box<F>>),
}

/// Remembers that an attempt was woken, which may happen before its slice has ended.
struct Wakes {
    is_woken: AtomicBool,
    waker: Mutex<Waker>,
}

// === impl BackgroundPool ===

impl BackgroundPool {
    /// Starts one thread for each core that runs only in idle time, and one that always gets a
    /// little time.
    pub(crate) fn start() -> std::io::Result<BackgroundPool> {
        let queue = Arc::<RunQueue>::default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);

        for number in 0..=cores {
            let queue = queue.clone();
            let is_nice = number == 0;
            std::thread::Builder::new()
                .name("background".into())
                .spawn(move || {
                    lower_priority(is_nice);
                    queue.work();
                })?;
        }
        Ok(BackgroundPool { queue })
    }

    /// Runs an attempt to its end: in the executor while it is quick, otherwise in the pool. The
    /// attempt is boxed by the caller: as a plain argument, it would make this future as large again.
    ///
    /// # Panics
    ///
    /// Panics if the attempt panics.
    pub(crate) async fn run<F>(
        &self,
        schedule: &HandlerSchedule,
        budget: &Arc<PollBudget>,
        mut attempt: Pin<Box<F>>,
    ) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if !schedule.history.is_slow() {
            let quick = poll_fn(|context| match budget.poll(attempt.as_mut(), context) {
                Poll::Ready(output) => Poll::Ready(Some(output)),
                Poll::Pending if budget.check_exceeded() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            });
            if let Some(output) = quick.await {
                schedule.history.record(budget.check_exceeded());
                return output;
            }
        }

        let queue = (schedule.queue, Rank::Normal);
        let output = self.run_offloaded(queue, budget, attempt).await;
        schedule.history.record(budget.was_exceeded());
        output
    }

    /// Runs an attempt to its end in the pool: in time that nothing else needs, neither the
    /// executor nor other attempts in the pool. The budget has its own time.
    ///
    /// # Panics
    ///
    /// Panics if the attempt panics.
    pub(crate) async fn run_late<F>(
        &self,
        schedule: &HandlerSchedule,
        budget: &Arc<PollBudget>,
        attempt: Pin<Box<F>>,
    ) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let queue = (schedule.late_queue, Rank::Late);
        self.run_offloaded(queue, budget, attempt).await
    }

    async fn run_offloaded<F>(
        &self,
        (queue, rank): (QueueId, Rank),
        budget: &Arc<PollBudget>,
        mut future: Pin<Box<F>>,
    ) -> F::Output
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let wakes = Arc::new(Wakes::new());
        loop {
            let (result, polled) = oneshot::channel();
            self.queue.push(Box::new(Offloaded {
                future,
                queue,
                rank,
                budget: budget.clone(),
                wakes: wakes.clone(),
                runtime: Handle::current(),
                result,
            }));

            match polled.await.expect("the attempt panicked in its slice") {
                Polled::Done(output) => return output,
                Polled::Waits(waiting) => future = waiting,
            }
            let waits_since = Instant::now();
            poll_fn(|context| wakes.poll(context)).await;
            if rank == Rank::Late {
                budget.add_own_time(waits_since.elapsed());
            }
        }
    }
}

impl Drop for BackgroundPool {
    fn drop(&mut self) {
        self.queue.close();
    }
}

// === impl HandlerSchedule ===

impl HandlerSchedule {
    pub(crate) fn new() -> HandlerSchedule {
        HandlerSchedule {
            history: SlowHistory::new(),
            queue: QueueId::next(),
            late_queue: QueueId::next(),
        }
    }
}

// === impl Offloaded ===

impl<F> TimeSlice for Offloaded<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn run(mut self: Box<Self>) -> Option<Box<dyn TimeSlice>> {
        if self.result.is_closed() {
            // The task that wanted the result was cancelled.
            return None;
        }

        let entered = self.runtime.enter();
        self.wakes.is_woken.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.wakes.clone());
        let started_ns = (self.rank == Rank::Late).then(thread_ns);
        let polled = self
            .budget
            .poll(self.future.as_mut(), &mut Context::from_waker(&waker));
        if let Some(started_ns) = started_ns {
            let used_ns = thread_ns().saturating_sub(started_ns);
            self.budget.add_own_time(Duration::from_nanos(used_ns));
        }
        let is_exceeded = self.budget.check_exceeded();

        match polled {
            Poll::Ready(output) => drop(self.result.send(Polled::Done(output))),
            Poll::Pending if is_exceeded => {
                // It yielded because of its budget, and has woken itself.
                drop(entered);
                return Some(self);
            }
            Poll::Pending => drop(self.result.send(Polled::Waits(self.future))),
        }
        None
    }

    fn is_late(&self) -> bool {
        self.result.is_closed() || Instant::now() >= self.budget.until()
    }

    fn queue(&self) -> QueueId {
        self.queue
    }

    fn rank(&self) -> Rank {
        self.rank
    }
}

// === impl Wakes ===

impl Wakes {
    fn new() -> Wakes {
        Wakes {
            is_woken: AtomicBool::new(false),
            waker: Mutex::new(Waker::noop().clone()),
        }
    }

    fn poll(&self, context: &mut Context) -> Poll<()> {
        self.lock().clone_from(context.waker());

        if self.is_woken.swap(false, Ordering::SeqCst) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waker> {
        landfall_model::lock(&self.waker)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        self.lock().wake_by_ref();
    }
}

/// Lowers the priority of this thread. Where the machine does not allow that, it keeps the priority
/// of the executor's.
fn lower_priority(is_nice: bool) {
    if is_nice {
        rustix::process::setpriority_process(None, NICE).ok();
        return;
    }

    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle).ok();
}

#[cfg(test)]
mod tests {
    use super::super::poll_budget::SLICE;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const PATIENCE: Duration = Duration::from_secs(30);
    const SLOW_ATTEMPTS: usize = 3;

    fn slow_schedule() -> HandlerSchedule {
        HandlerSchedule {
            history: SlowHistory::slow(),
            queue: QueueId::next(),
            late_queue: QueueId::next(),
        }
    }

    /// Computes for this long and yields as a guest does.
    async fn compute(budget: Arc<PollBudget>, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if budget.check_exceeded() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn is_in_background() -> bool {
        std::thread::current().name() == Some("background")
    }

    /// Whether an attempt started and ended in the background pool.
    async fn where_it_runs(
        pool: &BackgroundPool,
        schedule: &HandlerSchedule,
        time: Duration,
    ) -> (bool, bool) {
        let budget = PollBudget::new(LIMIT, SLICE);
        let its_budget = budget.clone();
        let attempt = async move {
            let began = is_in_background();
            compute(its_budget, time).await;
            (began, is_in_background())
        };
        pool.run(schedule, &budget, Box::pin(attempt)).await
    }

    #[tokio::test]
    async fn slow_handlers_start_in_the_background() {
        let (pool, schedule) = (BackgroundPool::start().unwrap(), HandlerSchedule::new());
        let long = Duration::from_millis(50);
        for _ in 0..SLOW_ATTEMPTS {
            assert_eq!(where_it_runs(&pool, &schedule, long).await, (false, true));
        }
        assert_eq!(where_it_runs(&pool, &schedule, long).await, (true, true));

        // Quick attempts bring the handler back. On a busy machine not every one is quick.
        let until = Instant::now() + PATIENCE;
        while where_it_runs(&pool, &schedule, Duration::ZERO).await.0 {
            assert!(Instant::now() < until, "it never left the background pool");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn io_wakes_offloaded_attempts() {
        let (pool, schedule) = (BackgroundPool::start().unwrap(), slow_schedule());
        let budget = PollBudget::new(LIMIT, SLICE);
        let its_budget = budget.clone();
        let waits = async move {
            for _ in 0..200 {
                let (send, receive) = oneshot::channel();
                tokio::spawn(async move { send.send(7).ok() });
                assert_eq!(receive.await, Ok(7));
                tokio::time::sleep(Duration::from_micros(10)).await;
            }
            compute(its_budget, Duration::from_millis(5)).await;
            tokio::task::yield_now().await;
        };
        tokio::time::timeout(PATIENCE, pool.run(&schedule, &budget, Box::pin(waits)))
            .await
            .expect("no wake-up is lost");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn late_attempts_have_own_time() {
        let (pool, schedule) = (BackgroundPool::start().unwrap(), HandlerSchedule::new());
        let (budget, pause) = (PollBudget::new(LIMIT, SLICE), Duration::from_millis(50));
        let attempt = Box::pin(async move {
            tokio::time::sleep(pause).await;
            is_in_background()
        });
        assert!(pool.run_late(&schedule, &budget, attempt).await);
        // It has waited by itself, at least for most of that.
        assert!(budget.own_time() >= pause / 2, "{:?}", budget.own_time());

        let idle = PollBudget::new(LIMIT, SLICE);
        pool.run_late(&schedule, &idle, Box::pin(async {})).await;
        assert!(idle.own_time() < LIMIT / 2);
    }

    #[tokio::test]
    async fn cancelled_attempts_are_dropped() {
        let (pool, schedule) = (BackgroundPool::start().unwrap(), HandlerSchedule::new());
        let (alive, dropped) = oneshot::channel::<()>();
        let budget = PollBudget::new(LIMIT, SLICE);
        let its_budget = budget.clone();
        let endless = async move {
            let _alive = alive;
            compute(its_budget, Duration::from_secs(600)).await;
        };

        let attempt = pool.run(&schedule, &budget, Box::pin(endless));
        tokio::time::timeout(Duration::from_millis(50), attempt)
            .await
            .unwrap_err();
        tokio::time::timeout(PATIENCE, dropped)
            .await
            .expect("it is dropped")
            .unwrap_err();
    }

    #[tokio::test]
    async fn panics_reach_the_caller() {
        let pool = Arc::new(BackgroundPool::start().unwrap());
        for _ in 0..20 {
            let pool = pool.clone();
            let attempt = tokio::spawn(async move {
                let panics = Box::pin(async { panic!("as a test") });
                pool.run(&slow_schedule(), &PollBudget::new(LIMIT, SLICE), panics)
                    .await
            });
            assert!(attempt.await.unwrap_err().is_panic());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn handlers_take_turns() {
        let pool = Arc::new(BackgroundPool::start().unwrap());
        let (crowd, one) = (Arc::new(slow_schedule()), slow_schedule());
        let crowd_queue = crowd.queue;
        let loops: Vec<_> = (0..200)
            .map(|_| {
                let (pool, crowd) = (pool.clone(), crowd.clone());
                let budget = PollBudget::new(LIMIT, SLICE);
                let its_budget = budget.clone();
                tokio::spawn(async move {
                    let loops = Box::pin(compute(its_budget, LIMIT));
                    pool.run(&crowd, &budget, loops).await;
                })
            })
            .collect();
        while pool.queue.waiting(crowd_queue) < 150 {
            tokio::task::yield_now().await;
        }

        // In one common queue, each of its slices would wait for 150 others.
        let handlers = pool.queue.waiting_handlers();
        assert!(handlers <= 2, "{handlers} queues");
        let budget = PollBudget::new(LIMIT, SLICE);
        let its_budget = budget.clone();
        let slices = async move {
            for _ in 0..20 {
                compute(its_budget.clone(), Duration::from_millis(1)).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, pool.run(&one, &budget, Box::pin(slices)))
            .await
            .expect("it has its turns");
        loops.iter().for_each(|one| one.abort());
    }
}
