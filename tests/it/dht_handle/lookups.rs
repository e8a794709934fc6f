//! What is asked, and what is found.

use super::{HANG, first, hash, joined, loopback, node, silent};
use bip::dht::{Asked, Config, Item, Refusal};
use bip::proto::id::NodeId;
use bip::proto::krpc::item;
use bip::session::dht::{Dht, Error, Next};
use std::net::SocketAddr;
use std::time::Duration;

#[test]
fn peers_are_given_as_they_are_found_and_then_it_ends() {
    let (network, dht) = joined(10);
    let other = node(network.bootstrap()).spawn().unwrap();
    other.bootstrapped().wait(HANG).unwrap();
    let announced = other.announce(hash(1), Some(6881), false).wait(HANG).unwrap();
    assert!((1..=8).contains(&announced.nodes) && announced.rejection.is_none(), "{announced:?}");
    // The port that the node is bound to, where none is named.
    dht.announce(hash(1), None, true).wait(HANG).unwrap();

    let mut peers: Vec<SocketAddr> = dht.get_peers(hash(1)).collect();
    peers.sort();
    let mut expected = ["127.0.0.1:6881".parse().unwrap(), dht.addresses()[0]];
    expected.sort();
    assert_eq!(peers, expected);
    let mut found = dht.get_peers(hash(1));
    assert_eq!((&mut found).count(), 2);
    let end = found.try_end().unwrap().unwrap();
    assert!(end.stats.answered > 0 && end.stats.asked >= end.stats.answered && end.scrape.is_none(), "{end:?}");
    assert!(found.try_end().is_none() && found.next().is_none(), "it has one end");

    let counted = dht.find_peers(hash(1), true, true);
    let end = counted.end(HANG).unwrap();
    let scrape = end.scrape.unwrap();
    assert!(scrape.seeds >= 1 && scrape.peers >= 1, "{scrape:?}");
    assert_eq!(dht.get_peers(hash(2)).count(), 0);
}

#[test]
fn who_announces_is_told_of_peers_on_the_way() {
    let (_network, dht) = joined(4);
    dht.announce(hash(1), Some(1000), false).wait(HANG).unwrap();
    let mut found = dht.announce_and_find(hash(1), Some(2000), false);
    assert_eq!((&mut found).collect::<Vec<_>>(), ["127.0.0.1:1000".parse().unwrap()]);
    assert!(found.try_end().unwrap().unwrap().nodes > 0);
    assert_eq!(dht.get_peers(hash(1)).count(), 2);
}

#[test]
fn the_nearest_nodes_are_found_the_nearest_first() {
    let (_network, dht) = joined(20);
    let target = NodeId([0x55; 20]);
    let nodes = dht.find_node(target).wait(HANG).unwrap();
    assert_eq!(nodes.len(), 8);
    let far = |id: NodeId| -> Vec<u8> { id.0.iter().zip(target.0).map(|(a, b)| a ^ b).collect() };
    assert!(nodes.windows(2).all(|two| far(two[0].id) < far(two[1].id)));

    let (id, took) = dht.ping(nodes[0].address).wait(HANG).unwrap().unwrap();
    assert_eq!(id, nodes[0].id);
    assert!(took > Duration::ZERO);
    let (_socket, nobody) = silent();
    assert_eq!(dht.ping(nobody).wait(HANG).unwrap(), None);
}

#[test]
fn a_value_is_found_by_its_hash() {
    let (_network, dht) = joined(10);
    let value = b"12:Hello World!";
    let stored = dht.put_immutable(value).wait(HANG).unwrap();
    assert_eq!(stored.target.to_string(), "e5f96f6f38320f0f33959cb4d3d656452117aadb");
    assert!(stored.nodes > 0 && stored.rejection.is_none(), "{stored:?}");
    let got = dht.get_immutable(stored.target).wait(HANG).unwrap();
    assert_eq!(got.item, Some(Item::Immutable(value.to_vec())));
    assert_eq!(dht.get_immutable(item::immutable_target(b"1:x")).wait(HANG).unwrap().item, None);

    for bad in [&b""[..], b"no bencode", b"d1:bi1e1:ai1ee", &[b"1000:".to_vec(), vec![b'x'; 1000]].concat()] {
        let refused = dht.put_immutable(bad).wait(HANG);
        assert!(matches!(refused, Err(Error::Refused(Refusal::Value))), "{refused:?}");
    }
}

#[cfg(feature = "mutable-items")]
mod mutable {
    use super::*;
    use bip::dht::Signed;
    use bip::proto::krpc::code;
    use bip::proto::krpc::item::SigningKey;

    fn signed(seed: u8, salt: &[u8], seq: i64, value: &[u8]) -> Signed {
        let key = SigningKey::from_seed(&[seed; 32]);
        let signature = key.sign(salt, seq, value);
        Signed { key: key.public(), salt: salt.to_vec(), seq, value: value.to_vec(), signature }
    }

    #[test]
    fn the_newest_that_its_owner_signed_is_found() {
        let (_network, dht) = joined(10);
        let key = SigningKey::from_seed(&[1; 32]).public();
        for (seq, value) in [(1, b"3:one"), (2, b"3:two")] {
            let stored = dht.put_mutable(signed(1, b"news", seq, value), None).wait(HANG).unwrap();
            assert!(stored.nodes > 0 && stored.target == item::mutable_target(&key, b"news"), "{stored:?}");
        }
        let newest = Item::Mutable(signed(1, b"news", 2, b"3:two"));
        let mut found = dht.get_mutable(key, b"news", None);
        // Those that come are ever newer.
        assert_eq!((&mut found).last(), Some(newest.clone()));
        assert_eq!(found.try_end().unwrap().unwrap().item, Some(newest));
        for (salt, newer_than) in [(&b""[..], None), (b"news", Some(2)), (b"old", None)] {
            assert_eq!(dht.get_mutable(key, salt, newer_than).end(HANG).unwrap().item, None);
        }
    }

    #[test]
    fn what_is_not_newer_or_not_what_was_to_be_replaced_is_told_as_rejected() {
        let (_network, dht) = joined(6);
        assert!(dht.put_mutable(signed(2, b"", 5, b"4:five"), None).wait(HANG).unwrap().nodes > 0);
        let old = dht.put_mutable(signed(2, b"", 4, b"4:four"), None).wait(HANG).unwrap();
        assert_eq!((old.nodes, old.rejection.unwrap().code), (0, code::SEQUENCE_TOO_LOW));
        let other = dht.put_mutable(signed(2, b"", 5, b"5:cinco"), None).wait(HANG).unwrap();
        assert_eq!((other.nodes, other.rejection.unwrap().code), (0, code::SEQUENCE_TOO_LOW));
        let raced = dht.put_mutable(signed(2, b"", 6, b"3:six"), Some(4)).wait(HANG).unwrap();
        assert_eq!((raced.nodes, raced.rejection.unwrap().code), (0, code::CAS_MISMATCH));
        let replaced = dht.put_mutable(signed(2, b"", 6, b"3:six"), Some(5)).wait(HANG).unwrap();
        assert!(replaced.nodes > 0 && replaced.rejection.is_none(), "{replaced:?}");
    }

    #[test]
    fn what_nobody_may_store_is_refused_before_anybody_is_asked() {
        let dht = first();
        let mut forged = signed(3, b"", 1, b"1:x");
        forged.seq = 2;
        let refused = dht.put_mutable(forged, None).wait(HANG);
        assert!(matches!(refused, Err(Error::Refused(Refusal::Signature))), "{refused:?}");
        let refused = dht.put_mutable(signed(3, &[0; 65], 1, b"1:x"), None).wait(HANG);
        assert!(matches!(refused, Err(Error::Refused(Refusal::Salt))), "{refused:?}");
        let refused = dht.get_mutable([0; 32], &[0; 65], None).end(HANG);
        assert!(matches!(refused, Err(Error::Refused(Refusal::Salt))), "{refused:?}");
    }
}

#[cfg(not(feature = "mutable-items"))]
#[test]
fn signed_values_are_refused_without_the_feature() {
    let dht = first();
    let refused = dht.get_mutable([0; 32], b"", None).end(HANG);
    assert!(matches!(refused, Err(Error::Refused(Refusal::NoSignatures))), "{refused:?}");
}

#[test]
fn nodes_tell_which_torrents_they_know_peers_of() {
    let (network, dht) = joined(4);
    (1..=3).for_each(|n| assert!(dht.announce(hash(n), Some(1), false).wait(HANG).unwrap().nodes > 0));
    let mut found = dht.sample(NodeId([0; 20]));
    let samples: Vec<_> = (&mut found).collect();
    assert!(samples.iter().all(|sample| sample.total == 3 && network.addresses().contains(&sample.from.address)));
    let mut hashes: Vec<_> = samples.iter().flat_map(|sample| sample.info_hashes.clone()).collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes, [hash(1), hash(2), hash(3)]);
    assert!(found.try_end().unwrap().unwrap().answered >= samples.len());
}

#[test]
fn what_others_ask_is_told_where_that_is_wished() {
    let crawler = Dht::builder().bind(loopback()).no_routers().report_queries().spawn().unwrap();
    assert_eq!(crawler.try_query().unwrap(), None);
    let dht = node(crawler.addresses()[0]).spawn().unwrap();
    dht.bootstrapped().wait(HANG).unwrap();
    dht.announce(hash(7), Some(4242), true).wait(HANG).unwrap();

    let mut told = Vec::new();
    while told.len() < 2 {
        let queried = crawler.next_query(HANG).unwrap().expect("it hangs");
        assert_eq!(queried.from.address, dht.addresses()[0]);
        told.push(queried.ask);
    }
    let peer = "127.0.0.1:4242".parse().unwrap();
    assert_eq!(told, [Asked::GetPeers(hash(7)), Asked::Announce { info_hash: hash(7), peer, seed: true }]);
    assert_eq!((crawler.next_query(Duration::ZERO).unwrap(), crawler.missed_queries()), (None, 0));
    // The other does not tell.
    assert_eq!(dht.try_query().unwrap(), None);
}

#[test]
fn a_node_takes_no_more_requests_than_it_may_and_takes_others_when_one_is_dropped() {
    let (_socket, dead) = silent();
    let config = Config { max_requests: 1, ..Config::default() };
    let dht = Dht::builder().config(config).bind(loopback()).router(dead).spawn().unwrap();
    let mut waiting = dht.bootstrapped();
    let busy = dht.find_node(NodeId([1; 20])).wait(HANG);
    assert!(matches!(busy, Err(Error::Refused(Refusal::Busy))), "{busy:?}");
    assert!(waiting.try_take().is_none());
    drop(waiting);
    assert!(dht.find_node(NodeId([1; 20])).wait(HANG).unwrap().is_empty());
    let refused = dht.announce(hash(1), Some(0), false).wait(HANG);
    assert!(matches!(refused, Err(Error::Refused(Refusal::Port))), "{refused:?}");
    let refused = dht.ping("[::1]:1".parse().unwrap()).wait(HANG);
    assert!(matches!(refused, Err(Error::Refused(Refusal::NoSocket(_)))), "{refused:?}");
}

#[test]
fn what_is_dropped_or_takes_too_long_is_cancelled() {
    let (_socket, dead) = silent();
    let dht = node(dead).spawn().unwrap();
    let timed_out = dht.bootstrapped().wait(Duration::ZERO);
    assert!(matches!(timed_out, Err(Error::TimedOut)), "{timed_out:?}");
    let mut kept = dht.bootstrapped();
    assert!(kept.wait_for(Duration::from_millis(1)).is_none(), "and goes on");
    let mut found = dht.get_peers(hash(1));
    assert_eq!(found.try_next(), Next::Waiting);
    assert_eq!(found.next_timeout(Duration::ZERO).unwrap(), Next::Waiting);
    drop((found, kept));
    // What comes after the cancelling is answered after it: then nothing is under way any more.
    dht.save().wait(HANG).unwrap();
    let begin = std::time::Instant::now();
    while dht.status().requests > 0 {
        assert!(begin.elapsed() < HANG, "{:?}", dht.status());
        std::thread::yield_now();
    }
}
