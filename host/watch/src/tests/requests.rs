//! What requests show: refusals, slow answers, ownership checks, errors.

use super::*;

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
