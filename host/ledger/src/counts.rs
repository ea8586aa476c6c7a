//! The number of deliveries by hook and state, from the number of all deliveries of each hook and
//! the number of those that are not done.

use std::collections::BTreeMap;

use super::shown::Count;
use super::state_column::DONE;
use landfall_model::DeliveryState;

/// How many deliveries a hook has in a state.
#[derive(Debug)]
pub(super) struct CountLine {
    pub hook: String,
    /// `None`: in any state.
    pub state: Option<DeliveryState>,
    pub deliveries: i64,
}

/// Adds the lines up, by hook and state. What is in no other state is done.
pub(super) fn add_up(lines: impl IntoIterator<Item = CountLine>) -> Vec<Count> {
    let mut counts: BTreeMap<(String, i16), i64> = BTreeMap::new();
    for CountLine {
        hook,
        state,
        deliveries,
    } in lines
    {
        let Some(state) = state else {
            *counts.entry((hook, DONE)).or_default() += deliveries;
            continue;
        };

        *counts.entry((hook.clone(), DONE)).or_default() -= deliveries;
        *counts.entry((hook, state.number())).or_default() += deliveries;
    }

    let counted = counts.into_iter().filter(|(_, deliveries)| *deliveries > 0);
    let counted = counted.map(|((hook, state), deliveries)| Count {
        hook,
        state: DeliveryState::from_number(state.into()).unwrap_or(DeliveryState::Dead),
        deliveries,
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_done() {
        let line = |hook: &str, state, deliveries| CountLine {
            hook: hook.into(),
            state,
            deliveries,
        };
        let counts = add_up([
            line("b", None, 10),
            line("a", None, 3),
            line("b", Some(DeliveryState::Pending), 2),
            line("b", Some(DeliveryState::Pending), 1),
            line("b", Some(DeliveryState::Dead), 4),
            line("a", Some(DeliveryState::Running), 3),
            line("gone", None, 0),
        ]);

        let counts: Vec<(&str, &str, i64)> = counts
            .iter()
            .map(|count| (&*count.hook, count.state.word(), count.deliveries))
            .collect();
        let expected = [
            ("a", "running", 3),
            ("b", "pending", 3),
            ("b", "done", 3),
            ("b", "dead", 4),
        ];
        assert_eq!(counts, expected);
    }
}
