//! Silence: declared and learned rhythms.

use super::*;

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
