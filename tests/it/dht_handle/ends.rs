//! How a node ends, and what becomes of those who wait for it.

use super::{HANG, first, hash, loopback, node, silent};
use bip::proto::id::NodeId;
use bip::session::dht::{Error, Next};
use std::net::UdpSocket;
use std::time::Duration;

#[test]
fn dropping_a_node_gives_back_its_sockets_and_ends_all_waiting() {
    let (_socket, dead) = silent();
    let dht = node(dead).spawn().unwrap();
    let address = dht.addresses()[0];
    let (mut peers, mut answer) = (dht.get_peers(hash(1)), dht.bootstrapped());
    let waiting = std::thread::spawn({
        let mut peers = dht.get_peers(hash(2));
        move || peers.next()
    });
    assert!(dht.is_alive());
    drop(dht);
    UdpSocket::bind(address).unwrap();
    assert_eq!(waiting.join().unwrap(), None);
    assert_eq!(peers.next(), None);
    // They were answered with what was found until then.
    assert_eq!(peers.try_end().unwrap().unwrap().stats.answered, 0);
    assert_eq!(answer.try_take().unwrap().unwrap(), 0);
}

#[test]
fn who_waits_for_a_node_whose_reactor_is_gone_is_told() {
    let (_socket, dead) = silent();
    let (dht, reactor) = node(dead).in_caller().unwrap();
    let mut before = dht.find_node(NodeId([1; 20]));
    let mut peers = dht.get_peers(hash(1));
    drop(reactor);
    assert!(!dht.is_alive());
    assert!(matches!(before.try_take(), Some(Err(Error::Closed))));
    assert_eq!((peers.try_next(), peers.next()), (Next::Ended, None));
    assert!(matches!(peers.try_end(), Some(Err(Error::Closed))));
    assert!(matches!(dht.get_peers(hash(1)).try_end(), Some(Err(Error::Closed))));
    assert!(matches!(dht.try_query(), Err(Error::Closed)));
    dht.add_node(loopback());
    dht.network_changed();
    assert_eq!(dht.status().sides[0].local, dht.addresses()[0], "the last status is still there");
}

#[test]
fn a_node_is_shut_down_in_order_whatever_goes_on() {
    let first = first();
    let dht = node(first.addresses()[0]).spawn().unwrap();
    let waiting: Vec<_> = (0..20).map(|n| dht.get_peers(hash(n))).collect();
    dht.shut_down(HANG).unwrap();
    for mut found in waiting {
        assert_eq!(found.by_ref().count(), 0);
        assert!(found.try_end().is_some());
    }
    first.shut_down(Duration::MAX).unwrap();
}

#[test]
fn a_node_may_be_asked_from_several_threads() {
    let first = first();
    let dht = node(first.addresses()[0]).spawn().unwrap();
    std::thread::scope(|scope| {
        for n in 0..4 {
            let dht = &dht;
            scope.spawn(move || {
                for m in 0..10 {
                    let announced = dht.announce(hash(n), Some(1000 + m), false).wait(HANG).unwrap();
                    assert_eq!(announced.nodes, 1);
                }
                assert_eq!(dht.get_peers(hash(n)).count(), 10);
            });
        }
    });
}
