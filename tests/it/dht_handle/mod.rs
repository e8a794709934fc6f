//! The DHT node by the hand of a program: real sockets on loopback, on a thread and in a loop of the caller's.

mod callers;
mod ends;
mod lookups;
mod networks;
mod states;

use bip::session::dht::{Builder, Dht, Testnet};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

const LOOPBACK: &str = "127.0.0.1:0";
/// A guard against hanging, never a measure.
const HANG: Duration = Duration::from_secs(60);

fn loopback() -> SocketAddr {
    LOOPBACK.parse().unwrap()
}

/// A node to be, of a network on this host.
fn node(router: SocketAddr) -> Builder {
    Dht::builder().bind(loopback()).router(router)
}

/// The first node of a network.
fn first() -> Dht {
    Dht::builder().bind(loopback()).no_routers().spawn().unwrap()
}

/// A network, and a node of it that has found others.
fn joined(nodes: usize) -> (Testnet, Dht) {
    let network = Testnet::spawn(nodes).unwrap();
    assert!(network.bootstrapped(HANG), "the network has not found itself");
    let dht = node(network.bootstrap()).spawn().unwrap();
    assert!(dht.bootstrapped().wait(HANG).unwrap() > 0);
    (network, dht)
}

/// Somebody who answers nothing.
fn silent() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(LOOPBACK).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn hash(byte: u8) -> bip::proto::id::InfoHash {
    bip::proto::id::InfoHash([byte; 20])
}
