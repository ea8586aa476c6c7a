//! Which flow gets the next run slot: deficit round robin over the measured time of polls, with the
//! two lists of FQ-CoDel (RFC 8290).
//!
//! A flow that had no work is served first, from `new`. A flow that has used its quantum waits in
//! `old` for its next round. The time of a poll is known after it, so a flow can owe time, and then
//! waits for as many rounds. While work waits, a flow without work stays until its debt is paid.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use landfall_model::lock;

/// The time that a flow gets in each round.
const QUANTUM_NS: i64 = 500_000;
/// The most time that one poll costs. A machine that was suspended charges no minutes.
const COST_MAX: Duration = Duration::from_millis(200);

/// The free slots, and the flows that share them. `T` is one piece of work.
pub(crate) struct FairQueue<T> {
    free: usize,
    waiting: usize,
    new: VecDeque<Arc<FlowQueue<T>>>,
    old: VecDeque<Arc<FlowQueue<T>>>,
}

/// The work of one flow that waits for a slot, oldest first.
pub(crate) struct FlowQueue<T> {
    state: Mutex<FlowState<T>>,
}

struct FlowState<T> {
    work: VecDeque<T>,
    in_use: usize,
    deficit_ns: i64,
    /// In `new` or `old`, as every flow with work is.
    is_listed: bool,
}

// === impl FairQueue ===

impl<T> FairQueue<T> {
    pub(crate) fn new(slots: usize) -> FairQueue<T> {
        FairQueue {
            free: slots,
            waiting: 0,
            new: VecDeque::new(),
            old: VecDeque::new(),
        }
    }

    /// A slot for work of this flow, if one is free and nothing waits.
    pub(crate) fn try_take(&mut self, flow: &FlowQueue<T>) -> bool {
        let is_free = self.free > 0 && self.waiting == 0;
        if is_free {
            self.free -= 1;
            lock(&flow.state).in_use += 1;
        }
        is_free
    }

    /// Adds work that waits until `next` returns it.
    pub(crate) fn push(&mut self, flow: &Arc<FlowQueue<T>>, work: T) {
        let mut state = lock(&flow.state);
        state.work.push_back(work);
        self.waiting += 1;
        if !state.is_listed {
            state.is_listed = true;
            state.deficit_ns = QUANTUM_NS;
            self.new.push_back(flow.clone());
        }
    }

    /// Gives a free slot to the work whose turn it is. Call this for each slot that is given back.
    pub(crate) fn next(&mut self) -> Option<T> {
        if self.free == 0 {
            return None;
        }
        if self.waiting == 0 {
            self.end_round();
            return None;
        }

        loop {
            let is_new = !self.new.is_empty();
            let list = if is_new { &mut self.new } else { &mut self.old };
            let flow = list.pop_front()?;
            let mut state = lock(&flow.state);

            if state.deficit_ns <= 0 {
                state.deficit_ns += QUANTUM_NS;
            } else if let Some(work) = state.work.pop_front() {
                state.in_use += 1;
                drop(state);
                list.push_front(flow);
                self.free -= 1;
                self.waiting -= 1;
                return Some(work);
            } else if !is_new && state.in_use == 0 {
                state.is_listed = false;
                continue;
            }
            drop(state);
            self.old.push_back(flow);
        }
    }

    /// Gives a slot back after a poll that took this long.
    pub(crate) fn give_back(&mut self, flow: &FlowQueue<T>, cost: Duration) {
        self.free += 1;
        let mut state = lock(&flow.state);
        state.in_use -= 1;
        state.deficit_ns -= cost.min(COST_MAX).as_nanos() as i64;
    }

    /// Moves a slot that is in use to another flow, if nothing waits.
    pub(crate) fn move_slot(&mut self, from: &FlowQueue<T>, to: &FlowQueue<T>) -> bool {
        if self.waiting > 0 {
            return false;
        }

        lock(&from.state).in_use -= 1;
        lock(&to.state).in_use += 1;
        true
    }

    /// Nothing waits, so no flow loses by what another one owes.
    fn end_round(&mut self) {
        for flow in self.new.drain(..).chain(self.old.drain(..)) {
            lock(&flow.state).is_listed = false;
        }
    }
}

// === impl FlowQueue ===

impl<T> FlowQueue<T> {
    pub(crate) fn new() -> FlowQueue<T> {
        FlowQueue {
            state: Mutex::new(FlowState {
                work: VecDeque::new(),
                in_use: 0,
                deficit_ns: 0,
                is_listed: false,
            }),
        }
    }

    /// How much work waits.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.state).work.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLL: Duration = Duration::from_micros(400);

    /// Work is the name of its flow and a number.
    type Queue = FairQueue<(char, u32)>;

    struct Flow {
        name: char,
        queue: Arc<FlowQueue<(char, u32)>>,
        /// What each poll costs.
        cost: Duration,
    }

    fn flow(name: char, cost: Duration) -> Flow {
        Flow {
            name,
            queue: Arc::new(FlowQueue::new()),
            cost,
        }
    }

    fn push(queue: &mut Queue, flow: &Flow, count: u32) {
        for number in 0..count {
            queue.push(&flow.queue, (flow.name, number));
        }
    }

    /// Serves one slot after the other until this many polls have run; the time of each flow. The
    /// last flows have work again after each poll.
    fn serve(queue: &mut Queue, polls: usize, flows: &[&Flow], again: &[&Flow]) -> Vec<Duration> {
        let mut times = vec![Duration::ZERO; flows.len() + again.len()];
        for _ in 0..polls {
            let (name, _) = queue.next().expect("work waits");
            let mut all = flows.iter().chain(again);
            let at = all.position(|flow| flow.name == name).unwrap();
            let flow = flows.get(at).unwrap_or_else(|| &again[at - flows.len()]);
            queue.give_back(&flow.queue, flow.cost);
            times[at] += flow.cost;
            if at >= flows.len() {
                push(queue, flow, 1);
            }
        }
        times
    }

    #[test]
    fn flows_share_time_not_turns() {
        let mut queue = Queue::new(1);
        let (slow, quick) = (flow('s', POLL * 10), flow('q', POLL / 10));
        push(&mut queue, &slow, 10_000);
        push(&mut queue, &quick, 10_000);

        let times = serve(&mut queue, 5_000, &[&slow, &quick], &[]);
        let share = times[0].as_secs_f64() / times[1].as_secs_f64();
        assert!((0.8..1.25).contains(&share), "{times:?}");
    }

    #[test]
    fn idle_flows_are_served_first() {
        let mut queue = Queue::new(1);
        let (busy, quiet) = (flow('b', POLL), flow('q', POLL));
        push(&mut queue, &busy, 1_000);
        serve(&mut queue, 7, &[&busy], &[]);

        push(&mut queue, &quiet, 1);
        assert_eq!(queue.next(), Some(('q', 0)));
        assert!(!queue.try_take(&quiet.queue));
    }

    #[test]
    fn pauses_do_not_pay_debts() {
        let mut queue = Queue::new(1);
        let (busy, paused) = (flow('b', POLL), flow('p', POLL * 10));
        push(&mut queue, &busy, 1_000);
        push(&mut queue, &paused, 1);

        let times = serve(&mut queue, 500, &[&busy], &[&paused]);
        let share = times[1].as_secs_f64() / times[0].as_secs_f64();
        assert!((0.8..1.25).contains(&share), "{times:?}");
    }

    #[test]
    fn no_flow_starves() {
        let mut queue = Queue::new(1);
        let flows: Vec<Flow> = ('a'..'u').map(|name| flow(name, POLL)).collect();
        for flow in &flows {
            push(&mut queue, flow, 100);
        }
        let flows: Vec<&Flow> = flows.iter().collect();
        let times = serve(&mut queue, 200, &flows, &[]);
        assert!(times.iter().all(|time| *time >= POLL * 8), "{times:?}");
    }

    #[test]
    fn waiting_work_goes_first() {
        let mut queue = Queue::new(1);
        let (first, second) = (flow('f', POLL), flow('s', POLL));
        assert!(queue.try_take(&first.queue));
        assert!(!queue.try_take(&second.queue), "one slot");
        push(&mut queue, &second, 1);
        assert_eq!(queue.next(), None);

        queue.give_back(&first.queue, POLL);
        assert!(!queue.try_take(&first.queue), "the other work waits");
        assert_eq!(queue.next(), Some(('s', 0)));
        queue.give_back(&second.queue, POLL);
        assert_eq!(queue.next(), None);
        assert!(queue.try_take(&first.queue));
    }

    #[test]
    fn slots_move_while_nothing_waits() {
        let mut queue = Queue::new(1);
        let (from, to) = (flow('f', POLL), flow('t', POLL));
        assert!(queue.try_take(&from.queue));
        assert!(queue.move_slot(&from.queue, &to.queue));
        push(&mut queue, &to, 1);
        assert!(!queue.move_slot(&to.queue, &from.queue));

        queue.give_back(&to.queue, POLL);
        assert_eq!(queue.next(), Some(('t', 0)));
    }
}
