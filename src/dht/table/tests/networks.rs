use super::*;

fn answer(table: &mut Table, id: NodeId, address: &str) -> Admission {
    let (now, node) = (Instant::ZERO + minutes(1), node(id, address));
    let wanted = table.wants(now, &node);
    let admission = table.on_reply(now, &node, RTT);
    assert_eq!(wanted, matches!(admission, Admission::Added | Admission::Spare), "{address}");
    admission
}

fn fail_twice(table: &mut Table, id: NodeId, address: &str) {
    for _ in 0..2 {
        table.on_failure(Instant::ZERO + minutes(2), &node(id, address));
    }
}

/// Two buckets, those of depth 0 and 1 and what is deeper, with nobody in them.
fn split(family: Family, rules: Rules) -> Table {
    let mut table = Table::new(OWN, family, rules);
    table.split();
    table.split();
    table
}

#[test]
fn an_ip_address_has_one_node_on_whatever_port() {
    let rules = Rules { per_subnet_bucket: usize::MAX, per_subnet_table: usize::MAX, ..strict() };
    let mut table = split(Family::V4, rules);
    let (one, other) = (id_at(0, false), id_at(1, false));
    assert_eq!(answer(&mut table, one, "192.0.2.1:1"), Admission::Added);
    assert_eq!(answer(&mut table, other, "192.0.2.1:2"), Admission::Refused);
    assert_eq!(answer(&mut table, other, "192.0.2.2:2"), Admission::Added);
    // Who is bad does not stand in the way.
    fail_twice(&mut table, one, "192.0.2.1:1");
    assert_eq!(answer(&mut table, id_at(2, false), "192.0.2.1:3"), Admission::Added);
    assert_eq!((table.len(), table.diversity.len()), (2, 2));
}

#[test]
fn a_network_has_few_nodes_in_a_bucket_and_few_in_all() {
    let rules = Rules { per_subnet_bucket: 1, per_subnet_table: 2, ..strict() };
    for (family, address) in [
        (Family::V4, (|last| format!("192.0.2.{last}:1")) as fn(u8) -> String),
        (Family::V6, |last| format!("[2001:db8:0:1:{last}::1]:1")),
    ] {
        let mut table = split(family, rules);
        assert_eq!(answer(&mut table, id_at(0, false), &address(1)), Admission::Added);
        assert_eq!(answer(&mut table, id_at(0, true), &address(2)), Admission::Refused);
        assert_eq!(answer(&mut table, id_at(1, false), &address(3)), Admission::Added);
        assert_eq!(answer(&mut table, id_at(2, false), &address(4)), Admission::Refused);
        // A bad one makes place, in its bucket and in all, but for one at a time.
        fail_twice(&mut table, id_at(0, false), &address(1));
        assert_eq!(answer(&mut table, id_at(0, true), &address(2)), Admission::Added);
        assert_eq!(answer(&mut table, id_at(2, false), &address(4)), Admission::Refused);
        fail_twice(&mut table, id_at(1, false), &address(3));
        assert_eq!(answer(&mut table, id_at(2, false), &address(4)), Admission::Added);
        assert_eq!(answer(&mut table, id_at(1, true), &address(5)), Admission::Refused);
        assert_eq!(table.diversity.len(), 2);
        // Neighbouring networks are others.
        let neighbours = [format!("192.0.3.{}:1", 1), "[2001:db8:0:2::1]:1".to_owned()];
        assert_eq!(
            answer(&mut table, id_at(1, true), &neighbours[usize::from(family == Family::V6)]),
            Admission::Added
        );
    }
}

#[test]
fn spares_count_as_nodes_of_their_network() {
    let rules = Rules { bucket: 1, ..strict() };
    let mut table = split(Family::V4, rules);
    let ids = [2, 3, 4].map(|seed| prefix::random(&OWN, 0, true, &mut Rng::new(seed)));
    assert_eq!(answer(&mut table, ids[0], "198.51.100.1:1"), Admission::Added);
    assert_eq!(answer(&mut table, ids[1], "192.0.2.1:1"), Admission::Spare);
    assert_eq!(answer(&mut table, ids[2], "192.0.2.2:1"), Admission::Refused);
    table.remove("192.0.2.1:1".parse().unwrap());
    assert_eq!(answer(&mut table, ids[2], "192.0.2.2:1"), Admission::Spare);
}

#[test]
fn one_network_cannot_fill_a_table_however_many_ids_it_has() {
    for family in [Family::V4, Family::V6] {
        let mut table = Table::new(OWN, family, Rules { one_per_ip: true, ..strict() });
        let mut rng = Rng::new(3);
        for n in 0..2000 {
            let id = prefix::random(&OWN, n % 40, true, &mut rng);
            let address = match family {
                Family::V4 => format!("192.0.2.{}:{}", n % 250, n),
                Family::V6 => format!("[2001:db8::{n:x}]:1"),
            };
            table.on_reply(Instant::ZERO, &node(id, &address), RTT);
        }
        assert!(table.diversity.len() <= 3);
    }
}

#[test]
fn without_the_rules_all_may_be_at_one_address() {
    let mut table = Table::new(OWN, Family::V4, local());
    for depth in 0..10 {
        let mut rng = Rng::new(9);
        for n in 0..8 {
            let id = prefix::random(&OWN, depth, true, &mut rng);
            assert_eq!(answer(&mut table, id, &format!("127.0.0.1:{}", 1000 + depth * 8 + n)), Admission::Added);
        }
    }
    assert_eq!((table.len(), table.diversity.len()), (80, 80));
    // One at each port all the same.
    assert_eq!(answer(&mut table, id_at(20, false), "127.0.0.1:1000"), Admission::Added);
    assert_eq!(table.len(), 80);
}
