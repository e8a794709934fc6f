//! Big swarms on virtual time: a hundred leechers and two seeders, with unequal links, latency, churn, firewalls, free riders
//! and liars.
//!
//! The swarms are the real machines; their stores compare with the truth instead of keeping bytes. All that they say to each other
//! is read along and checked as it happens (`wire.rs`, `ledger.rs`):
//!
//! - A piece is done when every byte of it was compared with the truth, and announced only then; a bitfield is what is there.
//! - Nobody is sent what it did not ask for, or no longer wants; nobody is asked for what it has not, while it chokes, or twice.
//! - What a member says it sent and received is what passed on the wire. Bytes written are bytes read, under way, or lost with their stream.
//! - Connections, dials, upload slots, open requests and rates stay within the limits.
//! - Every leecher finishes. No honest member is banned; every liar is, by each member that took a wrong block of it.
//!
//! What a swarm achieves is compared with `golden.txt`, which says how to read it. After a change that is meant,
//! `BIP_GOLDEN=write cargo test -p bip-torrent --test it swarms` writes it anew.
//!
//! A failure prints the command that replays it; with `BIP_TRACE=1` it shows how far everybody is every 20 s. More seeds and bigger swarms (`BIP_SEEDS` of each, 10 where it is not set):
//! `cargo test --release -p bip-torrent --test it swarms -- --ignored`.

mod content;
mod figures;
mod golden;
mod ledger;
mod play;
mod scenarios;
mod store;
mod wire;

use play::{Scenario, play};

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Plays a scenario with some seeds, or with the one that `BIP_SEED` names.
fn with_seeds(test: &str, seeds: u64, scenario: &Scenario, golden: bool) {
    let only = number("BIP_SEED");
    for seed in only.map_or(0..seeds, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(|| {
            let figures = play(scenario, seed);
            println!("{:<24} {seed:>4} {figures}", scenario.name);
            scenarios::judge(scenario, &figures);
            if golden && seed < seeds {
                golden::compare(scenario.name, seed, &figures);
            }
        });
        let more = if golden { "" } else { " -- --ignored" };
        assert!(run.is_ok(), "replay with: BIP_SEED={seed} cargo test -p bip-torrent --test it swarms::{test}{more}");
    }
}

#[test]
fn a_hundred_who_are_alike_finish_together_and_soon() {
    with_seeds("a_hundred_who_are_alike", 1, &scenarios::alike(100, 96), true);
}

#[test]
fn unequal_links_are_all_made_use_of() {
    with_seeds("unequal_links", 3, &scenarios::unequal(1), true);
}

#[test]
fn most_may_be_behind_firewalls() {
    with_seeds("most_may_be_behind", 2, &scenarios::firewalled(1), true);
}

#[test]
fn who_crashes_comes_back_and_finishes() {
    with_seeds("who_crashes_comes_back", 3, &scenarios::churn(1), true);
}

#[test]
fn free_riders_come_last_where_upload_is_scarce() {
    with_seeds("free_riders_come_last", 3, &scenarios::free_riders(1), true);
}

#[test]
fn liars_are_banned_and_nobody_else_is() {
    with_seeds("liars_are_banned", 3, &scenarios::liars(1), true);
}

#[test]
fn rates_stay_within_their_limits_and_are_used() {
    with_seeds("rates_stay_within", 2, &scenarios::limited(1), true);
}

#[test]
fn from_many_fast_seeds_pieces_come_mostly_in_the_order_in_which_they_are_hashed() {
    with_seeds("from_many_fast_seeds", 2, &scenarios::fast_seeds(1), true);
}

#[test]
fn everything_at_once_ends_well_for_all() {
    with_seeds("everything_at_once", 1, &scenarios::everything(1), true);
}

#[test]
fn the_same_seed_gives_the_same_swarm() {
    let text = |seed| format!("{:?}", play(&scenarios::churn(1), seed));
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

#[test]
#[ignore = "minutes even in the release profile: see the front page"]
fn many_seeds_of_bigger_swarms_end_well() {
    let all = [
        scenarios::alike(300, 128),
        scenarios::unequal(3),
        scenarios::firewalled(3),
        scenarios::churn(3),
        scenarios::free_riders(3),
        scenarios::liars(3),
        scenarios::limited(3),
        scenarios::fast_seeds(2),
        scenarios::everything(2),
    ];
    for scenario in &all {
        with_seeds("many_seeds", number("BIP_SEEDS").unwrap_or(10), scenario, false);
    }
}
