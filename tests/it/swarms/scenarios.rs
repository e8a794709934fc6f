//! Who meets in a swarm, and what is expected of it.

use super::figures::Figures;
use super::ledger::Role;
use super::play::{Group, Scenario};
use std::num::NonZeroU64;
use std::time::Duration;

const KB: u64 = 1_000;

fn scenario(name: &'static str, pieces: u32, groups: Vec<Group>) -> Scenario {
    Scenario { name, pieces, piece_length: 64 * 1024, groups }
}

fn seeders(up: u64) -> Group {
    Group::new(Role::Seeder, 2, up, 10 * up)
}

fn leechers(count: usize, up: u64) -> Group {
    Group::new(Role::Leecher, count, up, 10 * up)
}

/// All come at once and are alike.
pub(super) fn alike(leechers_: usize, pieces: u32) -> Scenario {
    let groups = vec![seeders(100 * KB), leechers(leechers_, 50 * KB)];
    Scenario { piece_length: 128 * 1024, ..scenario("alike", pieces, groups) }
}

pub(super) fn unequal(scale: usize) -> Scenario {
    let groups = vec![
        seeders(100 * KB),
        leechers(15 * scale, 20 * KB),
        leechers(15 * scale, 50 * KB),
        Group { latency: (100, 400), ..leechers(10 * scale, 200 * KB) },
    ];
    scenario("unequal links", 320, groups)
}

pub(super) fn firewalled(scale: usize) -> Scenario {
    let hidden = Group { firewalled: 60, ..leechers(40 * scale, 50 * KB) };
    scenario("firewalled", 160, vec![seeders(100 * KB), hidden])
}

/// They come over a minute, some crash and come back, and all leave soon after they have everything.
pub(super) fn churn(scale: usize) -> Scenario {
    let group = Group {
        arrive: Duration::from_secs(60),
        stays: Some(Duration::from_secs(30)),
        crash: 30,
        ..leechers(40 * scale, 50 * KB)
    };
    scenario("churn", 240, vec![seeders(100 * KB), group])
}

/// Two of five give nothing; the seeders have put everything into the swarm soon, so that what is scarce is what leechers send.
pub(super) fn free_riders(scale: usize) -> Scenario {
    let riders = Group::new(Role::FreeRider, 16 * scale, 50 * KB, 500 * KB);
    scenario("free riders", 160, vec![seeders(150 * KB), leechers(24 * scale, 50 * KB), riders])
}

pub(super) fn liars(scale: usize) -> Scenario {
    let liars = Group { lies: 10, ..Group::new(Role::Liar, 3, 50 * KB, 500 * KB) };
    scenario("liars", 160, vec![seeders(50 * KB), leechers(20 * scale, 50 * KB), liars])
}

/// Fast links, of which each member may use a part only.
pub(super) fn limited(scale: usize) -> Scenario {
    let mut groups = vec![Group::new(Role::Seeder, 2, 10_000 * KB, 10_000 * KB)];
    groups.push(Group::new(Role::Leecher, 20 * scale, 10_000 * KB, 10_000 * KB));
    for (group, up) in groups.iter_mut().zip([100 * KB, 50 * KB]) {
        group.config.limits.upload_rate = NonZeroU64::new(up);
        group.config.limits.download_rate = NonZeroU64::new(400 * KB);
        // What the bound is of.
        group.limit = Some((up, 400 * KB));
    }
    scenario("limited rates", 128, groups)
}

/// One who downloads from fifty seeds with fast and unequal links, so that the queues to them are deep.
pub(super) fn fast_seeds(scale: usize) -> Scenario {
    let seeds = |up: u64| Group::new(Role::Seeder, 25 * scale, up, 10 * up);
    let leecher = Group::new(Role::Leecher, 1, 10_000 * KB, 50_000 * KB);
    let groups = vec![seeds(400 * KB), Group { latency: (5, 20), ..seeds(2_000 * KB) }, leecher];
    Scenario { piece_length: 256 * 1024, ..scenario("fast seeds", 1_000 * scale as u32, groups) }
}

/// Everything at once.
pub(super) fn everything(scale: usize) -> Scenario {
    let hard = |group: Group| Group {
        firewalled: 40,
        crash: 15,
        arrive: Duration::from_secs(30),
        stays: Some(Duration::from_secs(120)),
        ..group
    };
    let groups = vec![
        Group { latency: (20, 60), ..seeders(150 * KB) },
        hard(leechers(30 * scale, 30 * KB)),
        hard(leechers(35 * scale, 60 * KB)),
        hard(Group { latency: (150, 400), ..leechers(20 * scale, 150 * KB) }),
        hard(Group::new(Role::FreeRider, 12 * scale, 50 * KB, 500 * KB)),
        Group { lies: 10, ..Group::new(Role::Liar, 3, 50 * KB, 500 * KB) },
    ];
    scenario("everything", 224, groups)
}

/// What must hold of a swarm whatever its figures are.
pub(super) fn judge(scenario: &Scenario, figures: &Figures) {
    let mean = figures.mean();
    match scenario.name {
        "alike" => {
            assert!(mean <= 1.5, "the mean is {mean:.3} times the bound");
            assert!(figures.fairness() >= 0.98, "Jain's index is {:.3}", figures.fairness());
        }
        "free riders" => {
            let ratio = figures.free_riders().expect("there are some");
            assert!(ratio > 1.1, "free riders take {ratio:.3} times as long as those who give");
            assert!(mean <= 2.0, "the mean is {mean:.3} times the bound");
        }
        "fast seeds" => assert!(figures.reread() < 20.0, "{:.1} % are read back", figures.reread()),
        "liars" => assert!(figures.wronged > 0, "nobody took a wrong block: the scenario shows nothing"),
        _ => assert!(mean <= 3.0, "the mean is {mean:.3} times the bound"),
    }
    let redundant = figures.redundant();
    assert!(redundant < 1.0, "{redundant:.3} % of what came was there already");
}
