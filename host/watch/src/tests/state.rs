//! Hooks that are removed, clocks that are set, and what is saved.

use super::*;

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
