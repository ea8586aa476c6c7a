//! Which hook receives the alarms of another one. A hook never hears of itself, not even over
//! other hooks, so that no alarm can cause the next one for ever.

use landfall_model::NO_HOOK;

/// The hook that receives the alarms of `hook`; those of the node are the ones of `-`. `named` is
/// the receiver that a hook file names: `-` if it wants none, `None` if it leaves that to the
/// `default` of the node. `None`: there is no receiver, or the way from one named receiver to the
/// next leads back to `hook`.
pub fn receiver_of(
    hook: &str,
    default: Option<&str>,
    named: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let first = named(hook).or_else(|| default.map(str::to_owned));
    let first = first.filter(|name| name != NO_HOOK)?;
    let mut passed = Vec::new();
    let mut next = first.clone();
    loop {
        if next == hook {
            return None;
        }
        if passed.contains(&next) {
            return Some(first);
        }
        // The default leads back to a hook only if it is named on that way.
        let Some(after) = named(&next).filter(|name| name != NO_HOOK) else {
            return Some(first);
        };
        passed.push(std::mem::replace(&mut next, after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hook_hears_of_itself() {
        let named = |hook: &str| match hook {
            "a" => Some("b".to_owned()),
            "b" => Some("a".to_owned()),
            "c" => Some("a".to_owned()),
            "self" => Some("self".to_owned()),
            "quiet" => Some("-".to_owned()),
            _ => None,
        };
        for (hook, receiver) in [
            ("orders", Some("alerts")),
            ("-", Some("alerts")),
            ("alerts", None),
            ("quiet", None),
            ("self", None),
            ("a", None),
            ("b", None),
            ("c", Some("a")),
        ] {
            let found = receiver_of(hook, Some("alerts"), named);
            assert_eq!(found.as_deref(), receiver, "{hook}");
            let without = receiver_of(hook, None, named);
            let is_default = receiver == Some("alerts");
            assert_eq!(without.as_deref(), receiver.filter(|_| !is_default));
        }
    }

    /// `[watch] to = "alerts"` of the node, and `to = "mail"` in alerts.toml.
    #[test]
    fn receivers_may_have_a_receiver() {
        let named = |hook: &str| (hook == "alerts").then(|| "mail".to_owned());
        for (hook, receiver) in [
            ("orders", Some("alerts")),
            ("alerts", Some("mail")),
            ("mail", None),
        ] {
            let found = receiver_of(hook, Some("alerts"), named);
            assert_eq!(found.as_deref(), receiver, "{hook}");
        }
    }
}
