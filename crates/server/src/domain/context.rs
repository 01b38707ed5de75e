//! Contexts: variables, files and hooks that stacks share. Pure.
//!
//! Takes ids and attachments, gives the order in which contexts count, and the hooks of a run out of its
//! stack's and theirs. Never: values.

use gantry_protocol::payload::Hooks;

use super::slug::slug_id;

slug_id! {
    /// A context's slug.
    ContextId, NoContextId, "context"
}

/// How a context came to a stack. Its order is that of strength: of two contexts with the same variable the
/// smaller one's counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContextAttachment {
    /// Somebody attached it; the lowest number is the strongest.
    ByHand(i32),
    /// One of its labels names one of the stack's.
    ByLabel,
}

impl ContextAttachment {
    /// The number that the API shows; what a label attached has none of its own.
    pub fn priority(self) -> i32 {
        match self {
            Self::ByHand(priority) => priority,
            Self::ByLabel => 0,
        }
    }
}

/// The hooks of a run: those of contexts (each with how it came to the stack, strongest first) around the
/// stack's own.
///
/// Before a phase: by hand in order of their priorities, then by label in reverse alphabetical order, then
/// the stack's. After it: the other way round.
pub fn joined_hooks(strongest_first: Vec<(ContextAttachment, Hooks)>, stack: Hooks) -> Hooks {
    let (mut before, by_label): (Vec<_>, Vec<_>) = strongest_first
        .into_iter()
        .partition(|(how, _)| matches!(how, ContextAttachment::ByHand(_)));
    before.extend(by_label.into_iter().rev());
    let mut joined = Hooks::default();
    let contexts = before.into_iter().map(|(_, hooks)| hooks);
    let mut all: Vec<Hooks> = contexts.chain([stack]).collect();
    for hooks in &mut all {
        for (into, from) in before_lists(&mut joined)
            .into_iter()
            .zip(before_lists(hooks))
        {
            into.append(from);
        }
    }
    for hooks in all.iter_mut().rev() {
        for (into, from) in after_lists(&mut joined).into_iter().zip(after_lists(hooks)) {
            into.append(from);
        }
    }
    joined
}

fn before_lists(hooks: &mut Hooks) -> [&mut Vec<String>; 5] {
    [
        &mut hooks.before_init,
        &mut hooks.before_plan,
        &mut hooks.before_apply,
        &mut hooks.before_perform,
        &mut hooks.before_destroy,
    ]
}

fn after_lists(hooks: &mut Hooks) -> [&mut Vec<String>; 6] {
    [
        &mut hooks.after_init,
        &mut hooks.after_plan,
        &mut hooks.after_apply,
        &mut hooks.after_perform,
        &mut hooks.after_destroy,
        &mut hooks.after_run,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(name: &str) -> Hooks {
        let list = |when: &str| vec![format!("{name} {when}")];
        Hooks {
            before_init: list("before"),
            after_init: list("after"),
            after_run: list("run"),
            ..Hooks::default()
        }
    }

    #[test]
    fn hooks_stand_around_the_stacks_own_in_the_documented_order() {
        use ContextAttachment::{ByHand, ByLabel};
        let contexts = vec![
            (ByHand(-1), hooks("first")),
            (ByHand(7), hooks("second")),
            (ByLabel, hooks("a")),
            (ByLabel, hooks("b")),
        ];
        let joined = joined_hooks(contexts, hooks("own"));
        let named = |names: &[&str], when: &str| {
            let line = |name: &&str| format!("{name} {when}");
            names.iter().map(line).collect::<Vec<_>>()
        };
        let order = ["first", "second", "b", "a", "own"];
        assert_eq!(joined.before_init, named(&order, "before"));
        let reverse = ["own", "a", "b", "second", "first"];
        assert_eq!(joined.after_init, named(&reverse, "after"));
        assert_eq!(joined.after_run, named(&reverse, "run"));
        assert!(joined.before_plan.is_empty());
    }

    #[test]
    fn every_list_of_hooks_is_carried() {
        let all = serde_json::to_value(Hooks::default()).unwrap();
        let mut full = Hooks::default();
        let lists = before_lists(&mut full).len() + after_lists(&mut full).len();
        assert_eq!(all.as_object().unwrap().len(), lists);
        for list in before_lists(&mut full) {
            list.push("x".to_owned());
        }
        for list in after_lists(&mut full) {
            list.push("x".to_owned());
        }
        let filled = serde_json::to_value(&full).unwrap();
        let filled = filled.as_object().unwrap().values();
        assert!(
            filled
                .into_iter()
                .all(|list| list == &serde_json::json!(["x"]))
        );
    }

    #[test]
    fn strength_is_by_hand_then_by_number() {
        use ContextAttachment::{ByHand, ByLabel};
        let mut all = [ByLabel, ByHand(3), ByHand(-2)];
        all.sort();
        assert_eq!(all, [ByHand(-2), ByHand(3), ByLabel]);
        let refused = "A b".parse::<ContextId>().unwrap_err().to_string();
        assert!(refused.contains("id of a context"), "{refused}");
    }
}
