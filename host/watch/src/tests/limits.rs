//! The disk, secrets, and the switches of alarms.

use super::*;

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
fn differences_of_shapes_open_once() {
    let mut scene = Scene::new();
    let differs = |open: u64| {
        Some(ShapeReading {
            open,
            first: "/id is missing".to_owned(),
        })
    };
    scene.reading.shape = differs(0);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "");
    scene.reading.shape = differs(3);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "+shape");
    assert_eq!(scene.sentence(), "/id is missing; and 2 other differences");

    // A node that does not know it changes nothing.
    scene.reading.shape = None;
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "");
    scene.reading.shape = differs(0);
    scene.pass(HOUR);
    assert_eq!(scene.taken(), "-shape");
}
