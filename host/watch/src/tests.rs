//! Each alarm with a moved clock: it opens once, closes once, and does not flap.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use landfall_model::{AlarmKind, HookActivity};

use super::{AlarmEvent, Backlog, Change, HookReading, HookRules, NodeReading, Watch};

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

#[test]
fn declared_silence_opens_once() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 6h".parse().ok();
    scene.event();
    scene.look();
    scene.pass(6 * HOUR);
    assert_eq!(scene.taken(), "");
    scene.pass(12 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    assert!(
        scene
            .sentence()
            .starts_with("no event for 18h; one is expected every 6h")
    );

    scene.event();
    scene.pass(MINUTE);
    assert_eq!(scene.taken(), "-silence");
    scene.pass(5 * HOUR);
    assert_eq!(scene.taken(), "");
}

#[test]
fn the_next_alarm_is_known() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.event();
    scene.look();
    scene.pass(20 * MINUTE);
    let expected = Some(scene.now + 40 * MINUTE);
    assert_eq!(scene.next_alarm(), expected);
    // Another node, which does not look, shows the same.
    let mut other = Watch::default();
    for unsaved in scene.watch.unsaved(true) {
        other.restore(&unsaved.hook, &unsaved.state.unwrap());
    }
    assert_eq!(other.silent_from("orders", &scene.rules), expected);

    scene.rules.expect = None;
    scene.pass(MINUTE);
    assert_eq!(scene.next_alarm(), None);
}

#[test]
fn too_few_events_are_silence() {
    let mut scene = Scene::new();
    scene.rules.expect = "10 per 1h".parse().ok();
    scene.pass(59 * MINUTE);
    assert_eq!(scene.taken(), "", "the first hour is not over");
    scene.pass(2 * MINUTE);
    assert_eq!(scene.taken(), "+silence");
    scene.pass_with(30 * MINUTE, Scene::event);
    assert_eq!(scene.taken(), "-silence");
    scene.pass_with(3 * HOUR, Scene::event);
    assert_eq!(scene.taken(), "");
}

#[test]
fn met_rates_do_not_flap() {
    let mut scene = Scene::new();
    scene.rules.expect = "10 per 1h".parse().ok();
    let mut number = 0;
    // Nine events in some hours, ten in others.
    scene.pass_with(DAY, |scene| {
        number += 1;
        if matches!(number % 13, 0 | 6) {
            scene.event();
        }
    });
    assert_eq!(scene.taken(), "+silence");
    scene.pass_with(HOUR, Scene::event);
    assert_eq!(scene.taken(), "-silence");
}

#[test]
fn a_restart_keeps_silence_open() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    scene.restart(3 * HOUR);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "");
    assert_eq!(scene.watch.open()[0].since, "2026-01-01T01:02:00Z");
    scene.event();
    scene.pass(MINUTE);
    assert_eq!(scene.taken(), "-silence");
}

#[test]
fn stopped_nodes_are_no_silence() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.event();
    scene.look();
    scene.restart(10 * HOUR);
    scene.pass(50 * MINUTE);
    assert_eq!(scene.taken(), "");

    // The clock is set, or the machine was suspended.
    scene.now += 3 * DAY;
    scene.look();
    scene.now -= DAY;
    scene.look();
    assert_eq!(scene.taken(), "");
    scene.pass(20 * MINUTE);
    assert_eq!(scene.taken(), "+silence");
}

#[test]
fn a_steady_rhythm_is_learned() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    let mut number = 0;
    scene.pass_with(8 * DAY, |scene| {
        number += 1;
        if number % 6 == 0 {
            scene.event();
        }
    });
    assert_eq!(scene.taken(), "");
    scene.pass(3 * HOUR);
    assert_eq!(scene.taken(), "", "three gaps are allowed");
    scene.pass(3 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    assert!(
        scene.sentence().contains("of its usual hours"),
        "{}",
        scene.sentence()
    );
    scene.event();
    scene.pass(10 * MINUTE);
    assert_eq!(scene.taken(), "-silence");
}

#[test]
fn a_new_hook_has_no_rhythm() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.pass_with(6 * DAY, Scene::event);
    scene.pass(23 * HOUR);
    assert_eq!(scene.taken(), "", "a week is not over");
}

#[test]
fn bursts_do_not_shorten_the_rhythm() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    // A thousand events at once, every four hours.
    let mut number = 0;
    scene.pass_with(14 * DAY, |scene| {
        number += 1;
        if number % 24 == 0 {
            scene.reading.activity.events += 1_000;
            scene.reading.activity.requests += 1_000;
        }
    });
    scene.pass(11 * HOUR);
    assert_eq!(scene.taken(), "");
    scene.pass(2 * DAY);
    assert_eq!(scene.taken(), "+silence");
}

/// An event every 10 minutes, from Monday to Friday, 8 to 18.
fn office_hours(scene: &mut Scene) {
    let is_weekday = !matches!(scene.day_of_week(), 2 | 3);
    if is_weekday && (8..18).contains(&scene.hour_of_day()) {
        scene.event();
    }
}

#[test]
fn nights_and_weekends_are_no_silence() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.pass_with(70 * DAY, office_hours);
    assert_eq!(scene.taken(), "");

    // A Thursday at midnight. On Thursday nothing comes: it is noticed on the same day.
    assert_eq!((scene.day_of_week(), scene.hour_of_day()), (0, 0));
    let opens = scene.next_alarm().unwrap();
    let hours = opens.duration_since(scene.now).unwrap().as_secs() / 3_600;
    assert_eq!(hours, 9, "the nights do not count");
    scene.pass(9 * HOUR);
    assert_eq!(scene.taken(), "", "silence begins to count at 9");
    scene.pass(4 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    scene.pass(11 * HOUR);
    scene.pass_with(DAY, office_hours);
    assert_eq!(scene.taken(), "-silence");
}

#[test]
fn an_alarmed_gap_is_not_usual() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    let mut number = 0;
    let mut hourly = |scene: &mut Scene| {
        number += 1;
        if number % 6 == 0 {
            scene.event();
        }
    };
    scene.pass_with(10 * DAY, &mut hourly);
    scene.pass(3 * DAY);
    scene.pass_with(2 * DAY, &mut hourly);
    assert_eq!(scene.taken(), "+silence -silence");
    scene.pass(6 * HOUR);
    assert_eq!(scene.taken(), "+silence");
}

#[test]
fn events_of_other_nodes_count() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    let mut number = 1;
    scene.pass_with(5 * HOUR, |scene| {
        number += 1;
        scene.reading.newest_event = Some(number);
    });
    assert_eq!(scene.taken(), "");
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "+silence");
}

#[test]
fn a_surge_of_refusals_opens_once() {
    let mut scene = Scene::new();
    scene.pass_with(HOUR, Scene::event);
    scene.pass_with(9 * MINUTE, Scene::refuse);
    assert_eq!(scene.taken(), "");
    scene.pass_with(HOUR, Scene::refuse);
    assert_eq!(scene.taken(), "+refusals");
    assert!(scene.sentence().contains("acme could not be verified"));

    // It comes and goes: the alarm stays open until ten calm minutes and five more.
    scene.pass_with(4 * MINUTE, Scene::event);
    scene.pass_with(8 * MINUTE, Scene::refuse);
    scene.pass_with(8 * MINUTE, Scene::event);
    assert_eq!(scene.taken(), "");
    scene.pass_with(HOUR, Scene::event);
    assert_eq!(scene.taken(), "-refusals");
}

#[test]
fn usual_refusals_are_no_surge() {
    let mut scene = Scene::new();
    // Two of ten requests are refused all the time.
    let usual = |scene: &mut Scene| {
        for number in 0..10 {
            if number < 2 {
                scene.refuse()
            } else {
                scene.event()
            }
        }
    };
    scene.pass_with(9 * MINUTE, |scene| {
        for _ in 0..10 {
            scene.event();
        }
    });
    scene.pass_with(DAY, usual);
    scene.taken();
    scene.pass_with(DAY, usual);
    assert_eq!(scene.taken(), "");
    scene.pass_with(20 * MINUTE, |scene| (0..10).for_each(|_| scene.refuse()));
    assert_eq!(scene.taken(), "+refusals");
}

#[test]
fn a_restart_keeps_refusals_open() {
    let mut scene = Scene::new();
    scene.pass_with(20 * MINUTE, Scene::refuse);
    assert_eq!(scene.taken(), "+refusals");
    scene.restart(MINUTE);
    scene.pass(9 * MINUTE);
    assert_eq!(scene.taken(), "", "the new process has seen too little");
    scene.pass(20 * MINUTE);
    assert_eq!(scene.taken(), "-refusals");
}

#[test]
fn a_new_leader_begins_anew() {
    let mut scene = Scene::new();
    (0..100).for_each(|_| scene.refuse());
    scene.watch.begin_at("orders", scene.reading.activity);
    scene.pass(20 * MINUTE);
    assert_eq!(scene.taken(), "");
    scene.pass_with(10 * MINUTE, Scene::refuse);
    assert_eq!(scene.taken(), "+refusals");
}

#[test]
fn slow_answers_open_once() {
    let mut scene = Scene::new();
    scene.rules.slow_from = Some(Duration::from_secs(7));
    let slow = |scene: &mut Scene, of: u64| {
        scene.reading.activity.requests += of;
        scene.reading.activity.slow_answers += 1;
    };
    scene.pass_with(HOUR, |scene| slow(scene, 200));
    assert_eq!(scene.taken(), "", "half a percent");
    scene.pass_with(HOUR, |scene| slow(scene, 50));
    assert_eq!(scene.taken(), "+slow_answers");
    assert!(
        scene.sentence().contains("longer than 7s"),
        "{}",
        scene.sentence()
    );
    scene.pass_with(HOUR, Scene::event);
    assert_eq!(scene.taken(), "-slow_answers");
}

#[test]
fn a_stopped_challenge_opens_once() {
    let mut scene = Scene::new();
    scene.rules.challenge_every = Some(HOUR);
    scene.pass(DAY);
    assert_eq!(scene.taken(), "", "there never was one");
    scene.reading.activity.challenges += 1;
    scene.pass(150 * MINUTE);
    assert_eq!(scene.taken(), "");
    scene.restart(MINUTE);
    scene.pass(DAY);
    assert_eq!(scene.taken(), "+challenge");
    scene.reading.activity.challenges += 1;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "-challenge");
}

#[test]
fn a_refused_challenge_opens_once() {
    let mut scene = Scene::new();
    scene.rules.challenge_every = Some(72 * HOUR);
    scene.reading.activity.challenges_refused += 1;
    scene.pass(HOUR);
    scene.reading.activity.challenges_refused += 1;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "+challenge");
    scene.reading.activity.challenges += 1;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "-challenge");
}

#[test]
fn lost_events_open_once() {
    let mut scene = Scene::new();
    let fail = |scene: &mut Scene| {
        scene.reading.activity.requests += 1;
        scene.reading.activity.server_errors += 1;
    };
    for (retries, expected) in [
        (None, ""),
        (Some(true), ""),
        (Some(false), "+server_errors"),
    ] {
        scene.rules.retries = retries;
        fail(&mut scene);
        scene.pass(MINUTE);
        assert_eq!(scene.taken(), expected, "{retries:?}");
    }
    scene.pass(20 * MINUTE);
    fail(&mut scene);
    scene.pass(29 * MINUTE);
    assert_eq!(scene.taken(), "");
    scene.pass(10 * MINUTE);
    assert_eq!(scene.taken(), "-server_errors");
}

#[test]
fn an_old_backlog_opens_once() {
    let mut scene = Scene::new();
    let overdue = |minutes: u32| Backlog {
        pending: 3,
        overdue: minutes * MINUTE,
        ..Backlog::default()
    };
    for minutes in [9, 10, 11, 9, 8, 11, 6] {
        scene.set_backlog(overdue(minutes));
        scene.pass(10 * MINUTE);
    }
    assert_eq!(scene.taken(), "+backlog");
    scene.reading.backlog = None;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "", "the ledger does not answer");
    scene.set_backlog(overdue(0));
    scene.pass(10 * MINUTE);
    assert_eq!(scene.taken(), "-backlog");
}

#[test]
fn a_growing_backlog_opens_once() {
    let mut scene = Scene::new();
    let mut pending = 0;
    scene.pass_with(40 * MINUTE, |scene| {
        pending += 100;
        scene.set_backlog(Backlog {
            pending,
            ..Backlog::default()
        });
    });
    assert_eq!(scene.taken(), "+backlog");
    assert!(scene.sentence().contains("more arrive than are handled"));
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "-backlog");
}

#[test]
fn dead_letters_open_once() {
    let mut scene = Scene::new();
    let dead = |dead: u64| Backlog {
        dead,
        ..Backlog::default()
    };
    for count in [1, 2, 2, 5] {
        scene.set_backlog(dead(count));
        scene.pass(HOUR);
    }
    assert_eq!(scene.taken(), "+dead_letters");
    scene.restart(MINUTE);
    scene.set_backlog(dead(0));
    scene.pass(MINUTE);
    assert_eq!(scene.taken(), "-dead_letters");

    scene.set_backlog(dead(1));
    scene.pass(23 * HOUR);
    assert_eq!(scene.taken(), "+dead_letters");
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "-dead_letters");
}

#[test]
fn a_full_disk_opens_once() {
    let mut scene = Scene::new();
    scene.node.free_min = Some(1_000);
    for free in [1_001, 999, 1_100, 999, 1_249] {
        scene.node.free_bytes = Some(free);
        scene.pass(10 * MINUTE);
    }
    assert_eq!(scene.taken(), "+disk");
    scene.restart(MINUTE);
    scene.node.free_bytes = Some(1_250);
    scene.pass(10 * MINUTE);
    assert_eq!(scene.taken(), "-disk");
}

#[test]
fn secrets_near_their_end_open_once() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.rules.secret_expires = Some(scene.now + 20 * DAY);
    scene.pass(6 * DAY - HOUR);
    assert_eq!(scene.taken(), "");
    scene.pass(20 * DAY);
    assert_eq!(scene.taken(), "+secret");
    assert!(
        scene.sentence().contains("has expired on 2026-01-21"),
        "{}",
        scene.sentence()
    );
    scene.rules.secret_expires = None;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "-secret");

    scene.rules.secret_max_age = Some(90 * DAY);
    scene.reading.secret_age = Some(75 * DAY);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "");
    scene.reading.secret_age = Some(76 * DAY);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "+secret");
}

#[test]
fn alarms_can_be_switched_off() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    scene
        .rules
        .alarms
        .retain(|kind| *kind != AlarmKind::Silence);
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "-silence");
}

#[test]
fn removed_hooks_close_their_alarms() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "+silence");
    let mut changes = Vec::new();
    for _ in 0..15 {
        scene.now += MINUTE;
        changes.extend(scene.watch.look(scene.now, &[], &NodeReading::default()));
    }
    let changes: Vec<String> = changes.iter().map(described).collect();
    assert_eq!(changes, ["-silence"]);

    // It is forgotten once its receiver knows.
    for (hook, notice) in scene.watch.notices() {
        scene.watch.passed_on(&hook, &notice);
    }
    let unsaved = scene.watch.unsaved(true);
    let of_hook = unsaved.iter().find(|unsaved| unsaved.hook == "orders");
    assert_eq!(of_hook.map(|unsaved| &unsaved.state), Some(&None));
    assert!(
        scene
            .watch
            .unsaved(true)
            .iter()
            .all(|unsaved| unsaved.hook == "-")
    );
}

#[test]
fn removed_hooks_keep_their_receiver() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.rules.to = Some("alerts-orders".into());
    scene.pass(2 * HOUR);
    scene.restart(MINUTE);
    // The hook is renamed.
    for _ in 0..11 {
        scene.now += MINUTE;
        let hooks = [(
            "renamed".to_owned(),
            HookRules::default(),
            HookReading::default(),
        )];
        scene.watch.look(scene.now, &hooks, &NodeReading::default());
    }
    let notices = scene.watch.notices();
    let closed = notices
        .last()
        .map(|(hook, notice)| (&**hook, notice.is_open));
    assert_eq!(closed, Some(("orders", false)));
    assert_eq!(scene.watch.last_to("orders"), Some("alerts-orders"));
    assert_eq!(scene.watch.last_to("renamed"), None);
    assert!(scene.watch.open().is_empty());
}

#[test]
fn changes_without_receiver_are_forgotten() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    let mut forgotten = 0;
    for _ in 0..25 * 60 {
        scene.now += MINUTE;
        scene.watch.look(scene.now, &[], &NodeReading::default());
        let unsaved = scene.watch.unsaved(false);
        forgotten += unsaved.iter().filter(|one| one.state.is_none()).count();
    }
    assert_eq!(forgotten, 1);
    assert!(scene.watch.notices().is_empty());
}

#[test]
fn clocks_set_back_keep_the_order() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    scene.now -= DAY;
    scene.event();
    scene.pass(2 * MINUTE);
    assert_eq!(scene.taken(), "+silence -silence");
    let order: Vec<bool> = scene
        .watch
        .notices()
        .iter()
        .map(|(_, notice)| notice.is_open)
        .collect();
    assert_eq!(order, [true, false]);
    scene.pass(2 * HOUR);
    assert_eq!(scene.taken(), "+silence");
}

#[test]
fn clocks_ahead_forget_the_rhythm() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.pass_with(70 * DAY, office_hours);
    scene.now += 365 * DAY;
    scene.look();
    scene.now -= 365 * DAY;
    scene.look();
    assert_eq!(scene.next_alarm(), None, "it is learned anew");
    scene.pass_with(6 * DAY, office_hours);
    assert_eq!(scene.taken(), "");
}

#[test]
fn small_corrections_end_no_week() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.pass_with(70 * DAY, office_hours);
    assert!(scene.next_alarm().is_some());
    let before = scene.next_alarm().unwrap().duration_since(scene.now);
    // The week begins at this hour; the clock is set back and forth.
    for _ in 0..8 {
        scene.now -= MINUTE;
        scene.look();
        scene.now += MINUTE;
        scene.look();
    }
    let after = scene.next_alarm().unwrap().duration_since(scene.now);
    assert_eq!(
        before.unwrap().as_secs() / 3_600,
        after.unwrap().as_secs() / 3_600
    );
}

#[test]
fn notices_survive_until_passed_on() {
    let mut scene = Scene::new();
    scene.rules.expect = "1 per 1h".parse().ok();
    scene.pass(2 * HOUR);
    let before = scene.watch.notices();
    scene.restart(MINUTE);
    assert_eq!(scene.watch.notices(), before);
    let (hook, notice) = before[0].clone();
    let event = AlarmEvent::new(&hook, &notice, "http://a");
    let (_, again) = scene.watch.notices()[0].clone();
    assert_eq!(AlarmEvent::new(&hook, &again, "http://a"), event);

    scene.watch.passed_on(&hook, &notice);
    assert!(scene.watch.notices().is_empty());
    scene.restart(MINUTE);
    assert!(scene.watch.notices().is_empty());
}

#[test]
fn state_is_bounded() {
    let mut scene = Scene::new();
    scene.step = 10 * MINUTE;
    scene.rules.expect = "1 per 1h".parse().ok();
    let mut number = 0;
    // No notice is passed on.
    scene.pass_with(60 * DAY, |scene| {
        number += 1;
        if number % 20 < 4 {
            scene.event();
        }
    });
    let unsaved = scene.watch.unsaved(true);
    let longest = unsaved
        .iter()
        .filter_map(|one| one.state.as_ref())
        .map(String::len);
    let longest = longest.max().unwrap_or_default();
    assert!(longest < 16_384, "{longest} bytes");
}

#[test]
fn foreign_state_is_ignored() {
    let mut watch = Watch::default();
    assert!(!watch.restore("orders", "{}"));
    assert!(!watch.restore("orders", "no JSON"));
    assert!(!watch.restore("-", "[]"));
    assert!(watch.open().is_empty());
}
