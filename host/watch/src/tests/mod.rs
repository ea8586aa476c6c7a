//! Each alarm with a moved clock: it opens once, closes once, and does not flap.

mod deliveries;
mod limits;
mod requests;
mod silence;
mod state;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_model::{AlarmKind, HookActivity};

use super::{
    AlarmEvent, Backlog, Change, HookReading, HookRules, NodeReading, ShapeReading, Watch,
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Thursday, 2026-01-01.
const START: u64 = 1_767_225_600;

/// One hook and its clock.
struct Scene {
    watch: Watch,
    now: SystemTime,
    step: Duration,
    rules: HookRules,
    reading: HookReading,
    node: NodeReading,
    /// `+silence`: it has opened; `-silence`: it has closed.
    changes: Vec<String>,
}

// === impl Scene ===

impl Scene {
    fn new() -> Scene {
        Scene {
            watch: Watch::default(),
            now: UNIX_EPOCH + Duration::from_secs(START),
            step: MINUTE,
            rules: HookRules {
                alarms: AlarmKind::ALL.to_vec(),
                sender: "acme".into(),
                queue_age: 10 * MINUTE,
                secret_notice: 14 * DAY,
                ..HookRules::default()
            },
            reading: HookReading {
                backlog: Some(Backlog::default()),
                ..HookReading::default()
            },
            node: NodeReading::default(),
            changes: Vec::new(),
        }
    }

    fn look(&mut self) {
        let hooks = [(
            "orders".to_owned(),
            self.rules.clone(),
            self.reading.clone(),
        )];
        let changes = self.watch.look(self.now, &hooks, &self.node);
        self.changes.extend(changes.iter().map(described));
    }

    /// Lets time pass, with a look at every step.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += self.step;
            self.look();
        }
    }

    /// The same, with what happens before each look.
    fn pass_with(&mut self, time: Duration, mut happens: impl FnMut(&mut Scene)) {
        let until = self.now + time;
        while self.now < until {
            happens(self);
            self.now += self.step;
            self.look();
        }
    }

    /// What the node counts: an event that was answered.
    fn event(&mut self) {
        self.reading.activity.events += 1;
        self.reading.activity.requests += 1;
    }

    fn refuse(&mut self) {
        self.reading.activity.refused += 1;
        self.reading.activity.requests += 1;
    }

    fn set_backlog(&mut self, backlog: Backlog) {
        self.reading.backlog = Some(backlog);
    }

    /// The process ends and another one begins, after this time.
    fn restart(&mut self, away: Duration) {
        let mut next = Watch::default();
        for unsaved in self.watch.unsaved(true) {
            let state = unsaved.state.expect("no hook was removed");
            assert!(next.restore(&unsaved.hook, &state));
        }
        self.watch = next;
        self.now += away;
        self.reading.activity = HookActivity::default();
        self.look();
    }

    /// The changes since the last call.
    fn taken(&mut self) -> String {
        std::mem::take(&mut self.changes).join(" ")
    }

    fn sentence(&self) -> String {
        let open = self.watch.open();
        let sentences: Vec<String> = open.into_iter().map(|alarm| alarm.sentence).collect();
        sentences.join("; ")
    }

    fn next_alarm(&self) -> Option<SystemTime> {
        self.watch.silent_from("orders", &self.rules)
    }

    fn hour_of_day(&self) -> u64 {
        self.seconds() / 3_600 % 24
    }

    /// 0 is a Thursday.
    fn day_of_week(&self) -> u64 {
        self.seconds() / 86_400 % 7
    }

    fn seconds(&self) -> u64 {
        self.now.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }
}

fn described(change: &Change) -> String {
    let sign = if change.is_open { '+' } else { '-' };
    format!("{sign}{}", change.alarm.alarm)
}

/// An event every 10 minutes, from Monday to Friday, 8 to 18.
fn office_hours(scene: &mut Scene) {
    let is_weekday = !matches!(scene.day_of_week(), 2 | 3);
    if is_weekday && (8..18).contains(&scene.hour_of_day()) {
        scene.event();
    }
}
