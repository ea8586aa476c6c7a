//! What waits, and what is dead.

use super::*;

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
