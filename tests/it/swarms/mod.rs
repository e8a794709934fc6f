//! Big swarms.

mod content;
mod figures;
mod ledger;
mod play;
mod store;
mod wire;

use ledger::Role;
use play::{Group, Scenario, play};

#[test]
fn probe() {
    let n: usize = std::env::var("N").ok().and_then(|s| s.parse().ok()).unwrap_or(20);
    let p: u32 = std::env::var("P").ok().and_then(|s| s.parse().ok()).unwrap_or(32);
    let scenario = Scenario {
        name: "flash crowd",
        pieces: p,
        piece_length: 256 * 1024,
        groups: vec![Group::new(Role::Seeder, 2, 100_000, 1_000_000), Group::new(Role::Leecher, n, 50_000, 500_000)],
    };
    let figures = play(&scenario, 1);
    println!("{} {figures}", scenario.name);
}
