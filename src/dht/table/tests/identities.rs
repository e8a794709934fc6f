use super::*;

#[test]
fn nobody_displaces_a_good_node_by_claiming_its_id_from_another_address() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let thief = Node { id: nodes[0].id, address: world.address() };
    assert!(!world.table.wants(world.now, &thief));
    assert!(!world.table.on_query(world.now, &thief));
    assert_eq!(world.answer(&thief), Admission::Refused);
    world.fail(&thief);
    world.fail(&thief);
    assert_eq!((world.state(&nodes[0]), world.entry(&thief)), (State::Good, None));
    assert_eq!(world.closest(&thief.id, 1), [nodes[0]]);
    // Nor where there is a free place.
    world.table.remove(nodes[1].address);
    assert_eq!(world.answer(&thief), Admission::Refused);
}

#[test]
fn who_claims_a_questionable_nodes_id_waits_until_that_one_has_failed() {
    let mut world = World::new(strict());
    let old = world.full()[0];
    world.wait(minutes(20));
    let new = Node { id: old.id, address: world.address() };
    assert!(world.table.wants(world.now, &new));
    assert_eq!(world.answer(&new), Admission::Spare);
    assert_eq!(world.closest(&old.id, 1), [old]);
    // Another's place it does not take meanwhile.
    let other = world.nodes().into_iter().find(|node| prefix::shared(&OWN, &node.id) == 0 && *node != old).unwrap();
    world.fail(&other);
    world.fail(&other);
    assert!(world.waits(&new) && world.state(&other) == State::Bad);
    world.fail(&old);
    world.fail(&old);
    assert_eq!((world.entry(&old), world.has(&new)), (None, true));
}

#[test]
fn who_claims_a_nodes_id_is_dropped_when_that_one_answers() {
    let mut world = World::new(strict());
    let old = world.full()[0];
    world.wait(minutes(20));
    let new = Node { id: old.id, address: world.address() };
    assert_eq!(world.answer(&new), Admission::Spare);
    // A third waits with the same claim only when the second is no longer good.
    let third = Node { id: old.id, address: world.address() };
    assert_eq!(world.answer(&third), Admission::Refused);
    world.wait(minutes(20));
    assert_eq!(world.answer(&third), Admission::Spare);
    assert_eq!(world.entry(&new), None);
    assert_eq!(world.answer(&old), Admission::Known);
    assert_eq!((world.entry(&third), world.state(&old)), (None, State::Good));
}

#[test]
fn a_bad_node_that_has_moved_is_back_at_once() {
    let mut world = World::new(strict());
    let old = world.full()[0];
    world.fail(&old);
    world.fail(&old);
    let new = Node { id: old.id, address: world.address() };
    assert_eq!(world.answer(&new), Admission::Added);
    assert_eq!((world.entry(&old), world.has(&new)), (None, true));
    assert_eq!(world.table.len(), 16);
}

#[test]
fn an_address_that_answers_with_another_id_is_no_longer_who_it_was() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let changed = Node { address: nodes[0].address, ..world.stranger(2) };
    assert!(world.table.wants(world.now, &changed));
    assert_eq!(world.answer(&changed), Admission::Added);
    assert_eq!((world.entry(&nodes[0]), world.has(&changed)), (None, true));
    // Also with our id, which it may not have.
    assert_eq!(world.answer(&Node { id: OWN, ..nodes[1] }), Admission::Refused);
    assert_eq!(world.entry(&nodes[1]), None);
}

#[test]
fn an_unasked_query_with_another_id_changes_nothing() {
    let mut world = World::new(strict());
    let nodes = world.full();
    let spoofed = Node { address: nodes[0].address, ..world.stranger(2) };
    assert!(!world.table.on_query(world.now, &spoofed));
    world.fail(&spoofed);
    world.fail(&spoofed);
    assert_eq!((world.state(&nodes[0]), world.entry(&spoofed)), (State::Good, None));
}

#[test]
fn a_node_that_changes_its_id_again_and_again_has_one_place() {
    let mut world = World::new(strict());
    world.full();
    let address = world.address();
    for depth in (0..8).cycle().take(200) {
        let restless = Node { address, ..world.stranger(depth) };
        world.answer(&restless);
        assert!(world.table.iter(world.now).filter(|entry| entry.node.address == address).count() <= 1);
        assert!(world.table.diversity.len() <= 17);
    }
}

#[test]
fn where_ids_are_enforced_only_those_that_go_with_their_addresses_enter() {
    let id: NodeId = "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401".parse().unwrap();
    let (right, wrong) = (node(id, "124.31.75.21:6881"), node(id, "21.75.31.124:6881"));
    let exempt = node(id_at(3, false), "192.168.7.7:6881");
    for enforce_id in [true, false] {
        let admission = |node: &Node| {
            let mut world = World::new(Rules { enforce_id, ..strict() });
            let wanted = world.table.wants(world.now, node);
            let admission = world.answer(node);
            assert_eq!(wanted, admission == Admission::Added);
            admission
        };
        assert_eq!(admission(&right), Admission::Added);
        assert_eq!(admission(&exempt), Admission::Added);
        assert_eq!(admission(&wrong), if enforce_id { Admission::Refused } else { Admission::Added });
    }
}

#[test]
fn a_table_takes_nodes_of_its_family_only() {
    let mut v4 = Table::new(OWN, Family::V4, strict());
    let mut v6 = Table::new(OWN, Family::V6, strict());
    let now = Instant::ZERO;
    let (four, six) = (node(id_at(0, false), "192.0.2.1:1"), node(id_at(1, false), "[2001:db8::1]:1"));
    assert!(v4.wants(now, &four) && !v4.wants(now, &six) && v6.wants(now, &six) && !v6.wants(now, &four));
    assert_eq!((v4.on_reply(now, &four, RTT), v4.on_reply(now, &six, RTT)), (Admission::Added, Admission::Refused));
    assert_eq!((v6.on_reply(now, &six, RTT), v6.on_reply(now, &four, RTT)), (Admission::Added, Admission::Refused));
    // An IPv4 address in an IPv6 form is IPv4, and the same.
    let mapped = node(four.id, "[::ffff:192.0.2.1]:1");
    assert_eq!(v4.on_reply(now, &mapped, RTT), Admission::Known);
    assert_eq!(v6.on_reply(now, &mapped, RTT), Admission::Refused);
}

#[test]
fn a_node_is_told_in_26_bytes_and_in_38_of_ipv6() {
    for (family, address, length) in [(Family::V4, "192.0.2.1:6881", 26), (Family::V6, "[2001:db8::1]:6881", 38)] {
        let mut table = Table::new(OWN, family, strict());
        let (node, mut nodes, mut bytes) = (node(id_at(0, false), address), Vec::new(), Vec::new());
        table.on_reply(Instant::ZERO, &node, RTT);
        table.closest(&OWN, 8, &mut nodes);
        nodes.iter().for_each(|node| node.encode(&mut bytes));
        assert_eq!((bytes.len(), Node::decode(&bytes)), (length, Some(node)));
    }
}
