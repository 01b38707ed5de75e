//! Uses of signatures: by whom, how often, for how long, and what of it outlives a restart.

use super::*;

const NOW: i64 = 1_790_000_000;

fn shown(nonce: &str, run: char, attempt: u32, phase: SignedPhase) -> Shown {
    Shown {
        nonce: nonce.into(),
        lease: Lease {
            run: format!("01JB8M6Q7N4T0V2X5Y8Z9A1B2{run}").parse().unwrap(),
            attempt: Attempt(attempt),
        },
        envelope: Digest::of(&attempt.to_be_bytes()),
        phase,
        ends: NOW + 3600,
    }
}

fn shown_at(ledger: &Ledger, one: &Shown) -> Option<i64> {
    ledger.shown_at(&one.nonce, one.lease, one.envelope)
}

#[test]
fn a_plan_s_signature_is_one_run_s_and_holds_for_its_next_attempt_also_after_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let plan = |run, attempt| shown("n", run, attempt, SignedPhase::Plan);
    Ledger::open(temp.path())
        .unwrap()
        .show(&plan('A', 1), NOW)
        .unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    assert_eq!(shown_at(&ledger, &plan('A', 1)), Some(NOW));
    assert_eq!(shown_at(&ledger, &plan('A', 2)), None);
    // Again after a restart, and as the next attempt.
    ledger.show(&plan('A', 1), NOW + 1).unwrap();
    ledger.show(&plan('A', 3), NOW + 1).unwrap();
    let older = ledger.show(&plan('A', 2), NOW + 1).unwrap_err();
    assert!(matches!(older, UseError::Older(Attempt(3))), "{older}");
    let other = ledger.show(&plan('B', 4), NOW + 1).unwrap_err();
    assert!(matches!(other, UseError::OtherRun(_)), "{other}");
    let apply = ledger.show(&shown("n", 'A', 4, SignedPhase::Apply), NOW);
    assert!(matches!(apply, Err(UseError::OtherRun(_))), "{apply:?}");
}

#[test]
fn the_world_changes_once_by_a_signature_also_after_a_restart() {
    for phase in [
        SignedPhase::Apply,
        SignedPhase::Task,
        SignedPhase::PlanAndApply,
    ] {
        let temp = tempfile::tempdir().unwrap();
        let lease = |attempt| shown("n", 'A', attempt, phase);
        let ledger = Ledger::open(temp.path()).unwrap();
        // An attempt that got no grant changed nothing: the next one may.
        ledger.show(&lease(1), NOW).unwrap();
        ledger.show(&lease(2), NOW).unwrap();
        assert!(matches!(ledger.spend(&lease(1)), Err(UseError::Older(_))));
        ledger.spend(&lease(2)).unwrap();
        drop(ledger);
        let ledger = Ledger::open(temp.path()).unwrap();
        // The same attempt goes on after a restart, and does not begin again.
        ledger.show_again(&lease(2), NOW).unwrap();
        let begun = ledger.show(&lease(2), NOW).unwrap_err();
        assert!(matches!(begun, UseError::Spent(Attempt(2))), "{begun}");
        ledger.spend(&lease(2)).unwrap();
        let again = ledger.show(&lease(3), NOW).unwrap_err();
        assert!(matches!(again, UseError::Spent(Attempt(2))), "{again}");
        assert!(matches!(ledger.spend(&lease(3)), Err(UseError::Spent(_))));
    }
}

#[test]
fn a_use_is_kept_until_its_signature_is_long_over() {
    let temp = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    let first = shown("first", 'A', 1, SignedPhase::Plan);
    ledger.show(&first, NOW).unwrap();
    let over = first.ends + AFTERLIFE;
    ledger
        .show(&shown("second", 'B', 1, SignedPhase::Plan), over)
        .unwrap();
    assert!(shown_at(&ledger, &first).is_some());
    ledger
        .show(&shown("third", 'C', 1, SignedPhase::Plan), over + 1)
        .unwrap();
    assert_eq!(shown_at(&ledger, &first), None);
}

#[test]
fn one_lease_in_two_envelopes_is_a_replay_whatever_the_journal_has_forgotten() {
    for phase in [SignedPhase::Plan, SignedPhase::Task] {
        let temp = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(temp.path()).unwrap();
        let first = shown("n", 'A', 1, phase);
        ledger.show(&first, NOW).unwrap();
        if phase.changes() {
            ledger.spend(&first).unwrap();
        }
        let again = Shown {
            envelope: Digest::of(b"the server made another one"),
            ..first.clone()
        };
        let ledger = Ledger::open(temp.path()).unwrap();
        assert_eq!(shown_at(&ledger, &again), None, "it has to be in time");
        let refused = ledger.show(&again, NOW).unwrap_err();
        assert!(
            matches!(refused, UseError::Again(Attempt(1))),
            "{phase}: {refused}"
        );
        // The one that was accepted goes on.
        ledger.show_again(&first, NOW).unwrap();
    }
}

#[test]
fn a_clock_that_is_set_back_brings_no_use_back() {
    let temp = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    let used = shown("used", 'A', 1, SignedPhase::Task);
    ledger.show(&used, NOW).unwrap();
    ledger.spend(&used).unwrap();
    let later = |nonce, run, ends| Shown {
        ends,
        ..shown(nonce, run, 1, SignedPhase::Task)
    };
    let wrong = used.ends + AFTERLIFE + 1;
    ledger
        .show(&later("of the wrong day", 'B', wrong + 3600), wrong)
        .unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    for (nonce, run) in [("used", 'A'), ("used", 'C'), ("another", 'D')] {
        let refused = ledger.show(&later(nonce, run, used.ends), NOW).unwrap_err();
        assert!(matches!(refused, UseError::Forgotten), "{refused}");
    }
    // One that lives longer than any that was forgotten can't have been used.
    let fresh = later("longer", 'E', used.ends + 1);
    ledger.show(&fresh, NOW).unwrap();
}

#[test]
fn the_list_of_an_older_launcher_is_read() {
    let temp = tempfile::tempdir().unwrap();
    let use_of = |spent: &str| {
        format!(
            r#"{{"run":"01JB8M6Q7N4T0V2X5Y8Z9A1B2A","phase":"task","attempt":1,"shown":{NOW},"ends":{}{spent}}}"#,
            NOW + 3600
        )
    };
    let text = format!(r#"{{"n":{},"m":{}}}"#, use_of(""), use_of(r#","spent":1"#));
    std::fs::write(temp.path().join(FILE), text).unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    let one = |nonce| shown(nonce, 'A', 1, SignedPhase::Task);
    ledger.show(&one("n"), NOW).unwrap();
    let spent = ledger.show(&one("m"), NOW).unwrap_err();
    assert!(matches!(spent, UseError::Again(_)), "{spent}");
}

#[test]
fn what_can_t_be_written_is_refused_and_what_is_damaged_is_not_ignored() {
    let temp = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    std::fs::create_dir(temp.path().join("signatures.new")).unwrap();
    let one = shown("n", 'A', 1, SignedPhase::Plan);
    let refused = ledger.show(&one, NOW).unwrap_err();
    assert!(matches!(refused, UseError::Write { .. }), "{refused}");
    assert_eq!(shown_at(&ledger, &one), None);
    for text in ["", "{torn", "[]", r#"{"n": {"run": "x"}}"#] {
        std::fs::write(temp.path().join(FILE), text).unwrap();
        let error = Ledger::open(temp.path()).unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_full_ledger_takes_nothing_new() {
    let temp = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(temp.path()).unwrap();
    let one = |nonce: String| shown(&nonce, 'A', 1, SignedPhase::Plan);
    let kept = Use {
        run: one(String::new()).lease.run,
        phase: SignedPhase::Plan,
        attempt: Attempt(1),
        envelope: None,
        shown: NOW,
        ends: NOW + 3600,
        spent: None,
    };
    let uses = (0..MOST).map(|n| (format!("n{n}"), kept.clone()));
    ledger.kept().uses = uses.collect();
    let refused = ledger.show(&one("new".into()), NOW).unwrap_err();
    assert!(matches!(refused, UseError::Full), "{refused}");
    // What it knows goes on.
    ledger.show(&one("n7".into()), NOW).unwrap();
}
