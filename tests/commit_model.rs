//! Explores the machines of `transaction` that commit over several shards: every interleaving of their steps, crashes of
//! proxies and shards, cut connections, statements that run late or never, failovers.
//!
//! Why the machines themselves: a model beside the code proves the model. What is modelled here is only the world around
//! them. Two worlds, since one would be too large: `sockets` (statements lie in sockets) and `standbys` (a shard's standby
//! may take over without what was not replicated).
//! Holds: under `Rules::ALL` no state breaks a property; with any one rule dropped the search finds one that does.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::struct_excessive_bools,
    clippy::fn_params_excessive_bools,
    reason = "in a test's helper a failure is the test's; a modelled world is made of facts, each of its own"
)]

#[path = "commit_model/search.rs"]
mod search;
#[path = "commit_model/sockets.rs"]
mod sockets;
#[path = "commit_model/standbys.rs"]
mod standbys;

use shardgate::transaction::{Rule, Rules};

/// No state may break a property, and the search must have come to its end.
fn holds<W: search::World>(world: &W) {
    match search::search(world) {
        search::Found::Nothing { states } => assert!(states > 1_000, "only {states} states: nothing was explored"),
        search::Found::Broken { property, trace } => panic!("{property} is broken by\n{}", trace.join("\n")),
    }
}

/// Some state must break a property.
fn breaks<W: search::World>(world: &W) {
    if let search::Found::Nothing { states } = search::search(world) {
        panic!("no counterexample in {states} states: the rule is good for nothing, or the model doesn't see it");
    }
}

fn sockets(participants: usize, recoverers: usize, rules: Rules) -> sockets::Sockets {
    sockets::Sockets {
        participants,
        recoverers,
        rules,
    }
}

#[test]
fn one_participant_and_two_recoverers_agree() {
    holds(&sockets(1, 2, Rules::ALL));
}

#[test]
fn two_participants_and_a_recoverer_agree() {
    holds(&sockets(2, 1, Rules::ALL));
}

#[test]
fn the_decision_waits_for_every_prepare() {
    breaks(&sockets(2, 1, Rules::ALL.without(Rule::DecideAfterAllPrepared)));
}

#[test]
fn a_committer_in_doubt_for_long_does_not_know() {
    breaks(&sockets(1, 2, Rules::ALL.without(Rule::UnknownPastHalf)));
}

#[test]
fn an_abort_is_a_verdict_only_for_a_gid_seen_afterwards() {
    breaks(&sockets(1, 2, Rules::ALL.without(Rule::LookAgain)));
}

#[test]
fn commit_rows_are_kept_for_those_in_doubt() {
    breaks(&sockets(1, 2, Rules::ALL.without(Rule::RetainCommitRow)));
}

#[test]
fn gids_are_looked_for_after_the_row_was_read() {
    breaks(&sockets(1, 1, Rules::ALL.without(Rule::RowBeforeLook)));
}

#[test]
fn a_silent_participant_counts_as_holding() {
    breaks(&sockets(1, 1, Rules::ALL.without(Rule::AskEveryParticipant)));
}

#[test]
fn a_tombstone_stays_until_its_transaction_has_ended() {
    breaks(&sockets(1, 1, Rules::ALL.without(Rule::TombstoneWaitsForX)));
}

fn standbys(participants: usize, rules: Rules) -> standbys::Standbys {
    standbys::Standbys { participants, rules }
}

#[test]
fn failovers_lose_nothing() {
    holds(&standbys(1, Rules::ALL));
}

#[test]
fn failovers_of_three_shards_lose_nothing() {
    holds(&standbys(2, Rules::ALL));
}

#[test]
fn prepare_waits_for_the_standby() {
    breaks(&standbys(1, Rules::ALL.without(Rule::PrepareSynchronously)));
}

#[test]
fn commit_prepared_waits_for_the_standby() {
    breaks(&standbys(1, Rules::ALL.without(Rule::CommitSynchronously)));
}

#[test]
fn a_commit_that_was_read_is_made_sure_of_before_it_is_applied() {
    breaks(&standbys(1, Rules::ALL.without(Rule::BarrierBeforeCommit)));
}

#[test]
fn a_gid_that_is_gone_is_made_sure_of_before_the_row_goes() {
    breaks(&standbys(1, Rules::ALL.without(Rule::BarrierBeforeDelete)));
}

#[test]
fn a_standby_counts_as_holding() {
    breaks(&standbys(1, Rules::ALL.without(Rule::StandbyCountsAsHolding)));
}
