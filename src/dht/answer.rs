//! Answers to our own queries.

use super::client::rejection;
use super::machine::Node;
use super::transactions::{Pending, Purpose};
use crate::machine::Instant;
use crate::proto::compact::{Family, Node as Contact};
use crate::proto::krpc::{Body, Message, Reply};
use std::net::{IpAddr, SocketAddr};

impl Node {
    /// Takes what was answered by whom we asked.
    pub(super) fn on_answer(&mut self, now: Instant, pending: &Pending, message: &Message<'_>) {
        if self.sides[pending.side].on_heard() {
            // The network is back: there may be others near us than before.
            self.rebuild(now, pending.side);
        }
        if let Some(ip) = message.ip {
            self.on_vote(now, pending.side, pending.to.ip(), ip.ip());
        }
        match &message.body {
            Body::Reply(reply) => {
                self.traffic.replies_in += 1;
                self.on_reply(now, pending, reply);
            }
            Body::Error { code, text } => {
                self.traffic.errors_in += 1;
                let side = &mut self.sides[pending.side];
                side.rtt.on_sample(now.since(pending.sent));
                match pending.purpose {
                    Purpose::Lookup(id) => self.on_lookup_failure(id, pending.to),
                    Purpose::Store(request) => self.on_stored(now, request, Some(Err(rejection(*code, text)))),
                    Purpose::Ping(request) => self.on_pong(request, None),
                    Purpose::Upkeep => {}
                }
            }
            Body::Query(_) => {}
        }
    }

    fn on_lookup_failure(&mut self, id: super::transactions::LookupId, to: SocketAddr) {
        if let Some(running) = self.lookups.get_mut(&id) {
            running.lookup.on_failure(to);
        }
        self.activate(id);
    }

    fn on_reply(&mut self, now: Instant, pending: &Pending, reply: &Reply<'_>) {
        let took = now.since(pending.sent);
        let own = self.sides[pending.side].id();
        let Some(id) = reply.id.filter(|id| *id != own) else {
            // It is not said who answers, or it is somebody with our own id.
            match pending.purpose {
                Purpose::Lookup(id) => self.on_lookup_failure(id, pending.to),
                Purpose::Store(request) => self.on_stored(now, request, None),
                Purpose::Ping(request) => self.on_pong(request, None),
                Purpose::Upkeep => {}
            }
            return;
        };
        let node = Contact { id, address: pending.to };
        let is_router = !self.config.local_network && self.names.is_named(pending.to);
        let side = &mut self.sides[pending.side];
        side.rtt.on_sample(took);
        if is_router {
            // It may have come in before its name was resolved.
            side.table.remove(pending.to);
        } else {
            // Whoever was known at that address by another id is gone with that (BEP 45).
            self.on_present(now, pending.side, &node, took);
        }
        match pending.purpose {
            Purpose::Lookup(lookup) => self.on_lookup_reply(now, lookup, pending, &node, reply),
            Purpose::Store(request) => self.on_stored(now, request, Some(Ok(()))),
            Purpose::Ping(request) => self.on_pong(request, Some((id, took))),
            Purpose::Upkeep => {}
        }
    }

    /// Takes what a node says our address is (BEP 42).
    fn on_vote(&mut self, now: Instant, side: usize, voter: IpAddr, ip: IpAddr) {
        let own = &mut self.sides[side];
        let known = self.config.external_addresses.iter().any(|ip| Family::of(*ip) == own.family);
        if self.config.local_network || known || Family::of(ip) != own.family {
            return;
        }
        if let Some(ip) = own.identity.vote(now, voter, ip) {
            self.on_external(now, side, ip);
        }
    }
}
