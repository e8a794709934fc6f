//! Datagrams: lost and overtaken as the receiver's link says.

use super::agenda::Task;
use super::network::{Network, Seat};
use bip::machine::{Instant, SocketId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The sockets of all machines.
#[derive(Default)]
pub(super) struct Sockets {
    by_address: BTreeMap<SocketAddr, (Seat, SocketId)>,
    by_seat: BTreeMap<(Seat, SocketId), SocketAddr>,
}

impl Sockets {
    pub(super) fn bind(&mut self, address: SocketAddr, seat: Seat) {
        let n = self.by_seat.range((seat, SocketId(0))..=(seat, SocketId(u32::MAX))).count();
        let socket = SocketId(u32::try_from(n).unwrap());
        self.by_address.insert(address, (seat, socket));
        self.by_seat.insert((seat, socket), address);
    }

    pub(super) fn cut(&mut self, host: usize) {
        self.by_address.retain(|_, (seat, _)| seat.0 != host);
        self.by_seat.retain(|(seat, _), _| seat.0 != host);
    }
}

impl Network {
    pub(super) fn bind(&mut self, address: SocketAddr, seat: Seat) {
        self.sockets.bind(address, seat);
    }

    pub(super) fn send_datagram(
        &mut self,
        now: Instant,
        seat: Seat,
        node: usize,
        socket: SocketId,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        let from = *self.sockets.by_seat.get(&(seat, socket)).expect("a machine sends from a socket that it has");
        let Some((receiver, there)) = self.sockets.by_address.get(&to).copied() else { return };
        let Some(other) = self.node_of(to.ip()) else { return };
        let link = self.link_of(other);
        if self.rng.below(1000) < link.loss {
            return;
        }
        let jitter = self.rng.below(u32::try_from(link.jitter.as_micros()).unwrap().saturating_add(1));
        let at = now + self.latency(node, other) + Duration::from_micros(jitter.into());
        self.agenda.add(at, Task::Datagram { seat: receiver, socket: there, from, bytes });
    }
}
