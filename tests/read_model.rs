//! Explores the machine of `transaction` that reads over several shards: every interleaving of its snapshots with commits
//! over several shards, delays, deletions of marks, and gates that are lost.
//!
//! Why the machine itself: a model beside the code proves the model. What is modelled here is only the world around it.
//! Holds: under `ReadRules::ALL` no state breaks a property; with any one rule dropped the search finds one that does.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "in a test's helper a failure is the test's"
)]

#[path = "read_model/commits.rs"]
mod commits;
#[path = "commit_model/search.rs"]
mod search;

use commits::{Commits, Gates, ShardSet};
use shardgate::transaction::{Form, ReadRule, ReadRules};

/// No state may break a property, and the search must have come to its end.
fn holds(world: &Commits) {
    match search::search(world) {
        search::Found::Nothing { states } => assert!(states > 1_000, "only {states} states: nothing was explored"),
        search::Found::Broken { property, trace } => panic!("{property} is broken by\n{}", trace.join("\n")),
    }
}

/// Some state must break a property.
fn breaks(world: &Commits) {
    if let search::Found::Nothing { states } = search::search(world) {
        panic!("no counterexample in {states} states: the rule is good for nothing, or the model doesn't see it");
    }
}

/// Transactions on those shards; the first of each is where it is decided.
fn world(form: Form, transactions: &[&[usize]], reads: &[usize], rules: ReadRules) -> Commits {
    Commits {
        form,
        transactions: transactions.iter().map(|shards| shards.to_vec()).collect(),
        reads: reads.iter().copied().collect::<ShardSet>(),
        rules,
        gates: Gates::NotAtOnce,
        ticks: 3,
    }
}

const FORMS: [Form; 2] = [Form::Whole, Form::Bracketed];

#[test]
fn one_transaction_whole() {
    holds(&world(Form::Whole, &[&[0, 1]], &[0, 1], ReadRules::ALL));
}

#[test]
fn one_transaction_bracketed() {
    holds(&world(Form::Bracketed, &[&[0, 1]], &[0, 1], ReadRules::ALL));
}

#[test]
fn a_read_past_the_decision_shard() {
    for form in FORMS {
        holds(&Commits {
            ticks: 1,
            ..world(form, &[&[0, 1, 2]], &[1, 2], ReadRules::ALL)
        });
    }
}

#[test]
fn one_transaction_on_three_shards_whole() {
    holds(&Commits {
        ticks: 1,
        ..world(Form::Whole, &[&[0, 1, 2]], &[0, 1, 2], ReadRules::ALL)
    });
}

#[test]
fn one_transaction_on_three_shards_bracketed() {
    holds(&Commits {
        ticks: 0,
        ..world(Form::Bracketed, &[&[0, 1, 2]], &[0, 1, 2], ReadRules::ALL)
    });
}

#[test]
fn two_transactions_whole() {
    holds(&Commits {
        ticks: 1,
        ..world(Form::Whole, &[&[0, 1], &[1, 0]], &[0, 1], ReadRules::ALL)
    });
}

#[test]
fn two_transactions_bracketed() {
    holds(&Commits {
        ticks: 0,
        ..world(Form::Bracketed, &[&[0, 1], &[1, 0]], &[0, 1], ReadRules::ALL)
    });
}

#[test]
fn gates_that_are_lost() {
    holds(&Commits {
        gates: Gates::Needed,
        ticks: 0,
        ..world(Form::Bracketed, &[&[0, 1], &[1, 0]], &[0, 1], ReadRules::ALL)
    });
}

#[test]
fn what_is_surely_seen_was_listed_before() {
    breaks(&world(
        Form::Bracketed,
        &[&[0, 1]],
        &[0, 1],
        ReadRules::ALL.without(ReadRule::FirstListBefore),
    ));
}

#[test]
fn what_may_be_seen_is_listed_afterwards() {
    breaks(&world(
        Form::Bracketed,
        &[&[0, 1]],
        &[0, 1],
        ReadRules::ALL.without(ReadRule::SecondListAfter),
    ));
}

#[test]
fn what_was_waited_for_is_known() {
    for form in FORMS {
        breaks(&world(
            form,
            &[&[0, 1]],
            &[0, 1],
            ReadRules::ALL.without(ReadRule::KnownAfterWait),
        ));
    }
}

#[test]
fn snapshots_are_taken_while_marks_last() {
    for form in FORMS {
        breaks(&world(
            form,
            &[&[0, 1]],
            &[0, 1],
            ReadRules::ALL.without(ReadRule::Window),
        ));
    }
}

#[test]
fn the_window_begins_with_the_oldest_snapshot_that_is_kept() {
    breaks(&world(
        Form::Whole,
        &[&[0, 1], &[1, 0]],
        &[0, 1],
        ReadRules::ALL.without(ReadRule::OldestKept),
    ));
}

#[test]
fn every_gate_was_held_to_the_end() {
    breaks(&Commits {
        gates: Gates::Needed,
        ticks: 0,
        ..world(
            Form::Bracketed,
            &[&[0, 1]],
            &[0, 1],
            ReadRules::ALL.without(ReadRule::EveryGateHeld),
        )
    });
}
