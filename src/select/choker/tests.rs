use super::*;

const ROUND: Duration = Duration::from_secs(10);

fn config(slots: usize, optimistic_slots: usize) -> ChokerConfig {
    ChokerConfig { slots, optimistic_slots, ..ChokerConfig::default() }
}

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn peer(key: u32, interested: bool, unchoked: bool, since: u64) -> Candidate {
    Candidate {
        peer: Peer(key),
        interested,
        unchoked,
        since: Instant::from_micros(since),
        optimistic: None,
        newcomer: false,
        snubs: false,
        rate: 0,
        given: 0,
    }
}

fn apply(candidates: &mut [Candidate], now: Instant, decision: &Decision) {
    for c in candidates {
        let (choke, unchoke) = (decision.choke.contains(&c.peer), decision.unchoke.contains(&c.peer));
        assert!(!choke || c.unchoked, "choked twice");
        assert!(!unchoke || (c.interested && !c.unchoked), "unchoked twice, or in vain");
        if choke || unchoke {
            (c.unchoked, c.since, c.given) = (unchoke, now, 0);
            c.newcomer &= !unchoke;
        }
        let optimistic = decision.optimistic.contains(&c.peer);
        assert!(!optimistic || (c.unchoked && c.interested), "an optimistic slot for one that is not served");
        c.optimistic = optimistic.then(|| c.optimistic.unwrap_or(now));
    }
}

fn served(candidates: &[Candidate]) -> Vec<u32> {
    candidates.iter().filter(|c| c.unchoked).map(|c| c.peer.0).collect()
}

#[test]
fn a_free_slot_goes_at_once_to_who_waited_longest() {
    for goal in [Goal::Download, Goal::Upload] {
        let choker = Choker::new(config(1, 1));
        let mut all = [peer(1, true, false, 30), peer(2, true, false, 10), peer(3, true, false, 20)];
        let decision = choker.fill(at(0), goal, &all);
        assert_eq!(decision.unchoke, [Peer(2), Peer(3)]);
        apply(&mut all, Instant::from_micros(40), &decision);
        let decision = choker.fill(at(0), goal, &all);
        assert!(decision.choke.is_empty() && decision.unchoke.is_empty());
        // One of them has all that it needs: its slot goes to the one who waits.
        all[1].interested = false;
        let decision = choker.fill(at(0), goal, &all);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(2)], vec![Peer(1)]));
    }
}

#[test]
fn nobody_is_choked_while_slots_are_free_and_slots_are_never_exceeded() {
    let mut rng = Rng::new(9);
    for _ in 0..4_000 {
        let config = config(rng.below(5) as usize, rng.below(3) as usize);
        let slots = config.slots + config.optimistic_slots;
        let (choker, goal) = (Choker::new(config), [Goal::Download, Goal::Upload][rng.below(2) as usize]);
        let mut all: Vec<Candidate> = (0..rng.below(12))
            .map(|k| {
                let unchoked = rng.below(2) == 0;
                let optimistic = (unchoked && rng.below(4) == 0).then(|| at(u64::from(rng.below(40))));
                Candidate {
                    optimistic,
                    newcomer: rng.below(3) == 0,
                    snubs: rng.below(4) == 0,
                    rate: u64::from(rng.below(4)),
                    given: u64::from(rng.below(2)) * 1_000_000,
                    ..peer(k, rng.below(2) == 0, unchoked, u64::from(rng.below(9)))
                }
            })
            .collect();
        let now = at(u64::from(rng.below(4)) * 20);
        let before = served(&all).len();
        let decision =
            if rng.below(2) == 0 { choker.fill(now, goal, &all) } else { choker.rotate(now, goal, &all, &mut rng) };
        let waiting = all.iter().filter(|c| c.interested && !c.unchoked).count();
        if before + waiting <= slots {
            assert!(decision.choke.is_empty(), "{all:?}");
        }
        apply(&mut all, now, &decision);
        let after = served(&all).len();
        assert!(after <= slots && decision.optimistic.len() <= config.optimistic_slots);
        // Every choke of a peer within the slots made room for another.
        assert!(after >= before.min(slots), "{all:?}");
        let waits = all.iter().any(|c| c.interested && !c.unchoked && !decision.choke.contains(&c.peer));
        assert!(!waits || after == slots);
        assert!(!waits || all.iter().all(|c| c.interested || !c.unchoked));
    }
}

#[test]
fn slots_go_to_those_who_give_most_and_a_free_rider_gets_an_optimistic_one_at_most() {
    let choker = Choker::new(config(4, 1));
    let mut rng = Rng::new(3);
    // Peers 0 to 5 give ever less, 6 to 9 nothing.
    let mut all: Vec<Candidate> = (0..10).map(|k| peer(k, true, false, u64::from(10 - k))).collect();
    (0..6).for_each(|k| all[k].rate = 60_000 - 10_000 * k as u64);
    let mut turns = [0u32; 10];
    for round in 0..3_000 {
        let now = at(10 * round);
        let decision = choker.rotate(now, Goal::Download, &all, &mut rng);
        apply(&mut all, now, &decision);
        if round > 0 {
            assert_eq!(served(&all)[..4], [0, 1, 2, 3], "round {round}");
        }
        served(&all).into_iter().for_each(|k| turns[k as usize] += 1);
    }
    // The six who are not among the best share one slot evenly, in turns of three rounds.
    assert!(turns[4..].iter().all(|n| (350..650).contains(n)), "{turns:?}");
}

#[test]
fn two_equal_peers_keep_their_slots() {
    let choker = Choker::new(config(2, 0));
    let mut rng = Rng::new(3);
    let mut all: Vec<Candidate> = (0..3).map(|k| peer(k, true, k < 2, 0)).collect();
    for round in 1..100 {
        // Rates are measured, so they are never quite the same.
        all.iter_mut().for_each(|c| c.rate = 100_000 + u64::from(rng.below(10_000)));
        let decision = choker.rotate(at(10 * round), Goal::Download, &all, &mut rng);
        assert!(decision.choke.is_empty(), "round {round}");
    }
    // Half as much again is worth a change.
    all[2].rate = 165_000;
    assert_eq!(choker.rotate(at(2000), Goal::Download, &all, &mut rng).unchoke, [Peer(2)]);
}

#[test]
fn one_that_snubs_us_comes_after_those_who_give_nothing() {
    let choker = Choker::new(config(1, 1));
    let mut rng = Rng::new(3);
    let mut all = vec![peer(0, true, true, 0), peer(1, true, true, 0)];
    (all[0].snubs, all[0].rate, all[1].optimistic) = (true, 9_000, Some(at(100)));
    // Nobody else wants its slot.
    assert!(choker.rotate(at(100), Goal::Download, &all, &mut rng).choke.is_empty());
    all.push(peer(2, true, false, 0));
    let decision = choker.rotate(at(100), Goal::Download, &all, &mut rng);
    assert_eq!((decision.choke, decision.unchoke), (vec![Peer(0)], vec![Peer(2)]));
    // It can have the optimistic slot.
    all[0].unchoked = false;
    all[1].optimistic = Some(at(0));
    all[2].unchoked = true;
    all[2].rate = 1;
    let decision = choker.rotate(at(100), Goal::Download, &all, &mut rng);
    assert_eq!((decision.choke, decision.optimistic), (vec![Peer(1)], vec![Peer(0)]));
}

#[test]
fn a_newcomer_is_three_times_as_likely_to_be_tried() {
    let choker = Choker::new(config(1, 1));
    let mut rng = Rng::new(5);
    let mut all: Vec<Candidate> = (0..6).map(|k| peer(k, true, k < 2, 0)).collect();
    (all[0].rate, all[1].optimistic, all[5].newcomer) = (1_000, Some(at(0)), true);
    let mut drawn = [0u32; 6];
    for _ in 0..6_000 {
        let decision = choker.rotate(at(30), Goal::Download, &all, &mut rng);
        assert_eq!((decision.choke.len(), decision.optimistic.len()), (1, 1));
        drawn[decision.optimistic[0].0 as usize] += 1;
    }
    // 3 : 1 : 1 : 1, and never the one whose turn is over.
    assert_eq!(drawn[..2], [0, 0]);
    assert!((2_800..3_200).contains(&drawn[5]), "{drawn:?}");
    // Before its turn is over it stays.
    assert!(choker.rotate(at(29), Goal::Download, &all, &mut rng).choke.is_empty());
}

#[test]
fn while_nobody_gives_anything_all_are_tried_in_turn() {
    let choker = Choker::new(config(3, 1));
    let mut rng = Rng::new(5);
    let mut all: Vec<Candidate> = (0..20).map(|k| peer(k, true, false, 0)).collect();
    let mut turns = [0u32; 20];
    for round in 0..1_000 {
        let decision = choker.rotate(at(10 * round), Goal::Download, &all, &mut rng);
        apply(&mut all, at(10 * round), &decision);
        served(&all).into_iter().for_each(|k| turns[k as usize] += 1);
    }
    assert!(turns.iter().all(|n| (150..250).contains(n)), "{turns:?}");
}

/// Seeds for `w + s` leechers that take at random rates, and gives the longest wait and how many turns each one had.
fn seeded(slots: usize, optimistic_slots: usize, leechers: u32, seed: u64) -> (Duration, Vec<u32>) {
    let choker = Choker::new(config(slots, optimistic_slots));
    let mut rng = Rng::new(seed);
    let mut all: Vec<Candidate> = (0..leechers).map(|k| peer(k, true, false, u64::from(k))).collect();
    let rates: Vec<u64> = (0..leechers).map(|_| 1 << rng.below(24)).collect();
    let (mut longest, mut turns) = (Duration::ZERO, vec![0; leechers as usize]);
    let decision = choker.fill(at(1), Goal::Upload, &all);
    decision.unchoke.iter().for_each(|p| turns[p.0 as usize] += 1);
    apply(&mut all, at(1), &decision);
    for round in 1..2_000 {
        let now = at(10 * round);
        for c in all.iter_mut().filter(|c| c.unchoked) {
            c.rate = rates[c.peer.0 as usize];
            c.given += c.rate * 10;
        }
        let decision = choker.rotate(now, Goal::Upload, &all, &mut rng);
        for gone in &decision.choke {
            let c = all.iter().find(|c| c.peer == *gone).unwrap();
            assert!(now.since(c.since) >= ROUND - Duration::from_secs(1), "its turn was cut short");
        }
        let waits = all.iter().filter(|c| decision.unchoke.contains(&c.peer)).map(|c| now.since(c.since));
        longest = longest.max(waits.max().unwrap_or_default());
        decision.unchoke.iter().for_each(|p| turns[p.0 as usize] += 1);
        apply(&mut all, now, &decision);
        assert!(decision.optimistic.is_empty());
    }
    (longest, turns)
}

#[test]
fn of_many_leechers_that_a_seed_has_none_waits_longer_than_its_share_of_turns() {
    for seed in 0..20 {
        for (slots, optimistic_slots, leechers) in [(4, 1, 6), (4, 1, 25), (1, 0, 8), (3, 2, 100)] {
            let (longest, turns) = seeded(slots, optimistic_slots, leechers, seed);
            let slots = (slots + optimistic_slots) as u32;
            // A turn is of 30 s, and ends with a round of 10 s.
            let most = Duration::from_secs(40) * (leechers - slots).div_ceil(slots);
            assert!(longest <= most, "seed {seed}, {leechers} leechers: {longest:?} of {most:?}");
            assert!(turns.iter().all(|n| *n > 0));
        }
    }
}

#[test]
fn a_seed_lets_those_go_on_who_take_fastest_and_makes_room_for_no_more_than_wait() {
    let choker = Choker::new(config(3, 0));
    let mut rng = Rng::new(1);
    let mut all: Vec<Candidate> = (0..4).map(|k| peer(k, true, k < 3, 0)).collect();
    (0..3).for_each(|k| (all[k].rate, all[k].given) = ([9_000, 1_000, 50_000][k], 400_000));
    let decision = choker.rotate(at(10), Goal::Upload, &all, &mut rng);
    assert_eq!((decision.choke, decision.unchoke), (vec![Peer(1)], vec![Peer(3)]));
    // Who has got less than its quota goes on until its turn is over.
    all[1].given = 300_000;
    assert_eq!(choker.rotate(at(10), Goal::Upload, &all, &mut rng).choke, [Peer(0)]);
    assert_eq!(choker.rotate(at(30), Goal::Upload, &all, &mut rng).choke, [Peer(1)]);
    assert!(choker.rotate(at(9), Goal::Upload, &all, &mut rng).choke.is_empty());
}

#[test]
fn fewer_slots_than_before_choke_the_uninterested_first_and_then_who_gives_least() {
    let choker = Choker::new(config(1, 0));
    let mut all = [peer(1, true, true, 5), peer(2, true, true, 9), peer(3, false, true, 10), peer(4, true, false, 0)];
    all[0].rate = 7;
    for goal in [Goal::Download, Goal::Upload] {
        let decision = choker.fill(at(1), goal, &all);
        assert_eq!((decision.choke, decision.unchoke), (vec![Peer(3), Peer(2)], vec![]));
    }
}
