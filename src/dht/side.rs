//! One socket's part of a node: a node of its own, as others see it.

use super::command::{NodeState, SideStatus, TableNode, TableView};
use super::config::Config;
use super::identity::{Identity, new_id, random_id};
use super::lookup;
use super::martian::{is_martian, is_nobody, may_name};
use super::rtt::Rtt;
use super::table::{self, State, Table};
use super::transactions::LookupId;
use crate::machine::{Instant, Rng, SocketId, TokenBucket};
use crate::proto::compact::Family;
use crate::proto::id::NodeId;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;

/// How many of those who ask us something are asked in turn whether they are there, in a second.
const VERIFIED_PER_SECOND: NonZeroU64 = NonZeroU64::new(4).expect("4 is not 0");
/// The same in a local network, which is to be there at once.
const VERIFIED_LOCALLY: NonZeroU64 = NonZeroU64::new(100).expect("100 is not 0");
/// How many of our queries in a row may be lost before the network, and not the nodes, is at fault.
const SILENCE: u32 = 16;

/// How far a side has come in finding its first nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    /// A timer will start it.
    Waiting,
    /// It waits for names to be resolved.
    Resolving,
    /// It looks for its own neighbourhood.
    Running(LookupId),
    /// It has nodes, or nobody to ask.
    Settled,
}

/// A side's state.
pub(super) struct Side {
    pub(super) socket: SocketId,
    pub(super) local: SocketAddr,
    pub(super) family: Family,
    pub(super) table: Table,
    pub(super) identity: Identity,
    pub(super) external: Option<IpAddr>,
    pub(super) rtt: Rtt,
    pub(super) boot: Boot,
    /// Attempts to find nodes that found none, in a row.
    pub(super) attempts: u32,
    /// Lookups of far regions that are still to be made after the first one.
    pub(super) far: u8,
    /// A lookup that refreshes the table.
    pub(super) refreshing: Option<LookupId>,
    /// Queries lost since the last answer.
    silent: u32,
    verify: TokenBucket,
}

impl Side {
    /// Makes a side, with an id that is wished for, or one that goes with the external address, or any.
    pub(super) fn new(
        now: Instant,
        socket: SocketId,
        local: SocketAddr,
        wished: Option<NodeId>,
        config: &Config,
        rng: &mut Rng,
    ) -> Self {
        let family = Family::of(local.ip());
        let external = config.external_addresses.iter().copied().find(|ip| Family::of(*ip) == family);
        let id = wished.unwrap_or_else(|| match external {
            Some(ip) => new_id(rng, ip),
            None => random_id(rng),
        });
        let verified = if config.local_network { VERIFIED_LOCALLY } else { VERIFIED_PER_SECOND };
        Self {
            socket,
            local,
            family,
            table: Table::new(id, family, table_rules(config)),
            identity: Identity::new(id, rng),
            external,
            rtt: Rtt::new(),
            boot: Boot::Waiting,
            attempts: 0,
            far: 0,
            refreshing: None,
            silent: 0,
            verify: TokenBucket::full(now, verified, verified.get()),
        }
    }

    pub(super) fn id(&self) -> NodeId {
        self.table.own()
    }

    /// Says whether an address may be talked to from here.
    pub(super) fn may_talk_to(&self, address: SocketAddr, config: &Config) -> bool {
        let ours =
            || address == self.local || (self.external == Some(address.ip()) && address.port() == self.local.port());
        // An IPv4 address in an IPv6 form is none that a socket of either family sends to.
        address.ip() == address.ip().to_canonical()
            && Family::of(address.ip()) == self.family
            && !(if config.local_network { is_nobody(address) } else { is_martian(address) })
            && !ours()
    }

    /// Says whether an address that somebody names may be talked to from here.
    pub(super) fn may_be_told_of(&self, address: SocketAddr, by: IpAddr, config: &Config) -> bool {
        self.may_talk_to(address, config) && may_name(by, address, config.local_network)
    }

    /// Notes that somebody answered; says whether it ends a time in which nobody did.
    pub(super) fn on_heard(&mut self) -> bool {
        let was_silent = self.is_cut_off();
        if was_silent {
            self.table.forgive();
        }
        self.silent = 0;
        was_silent
    }

    /// Notes that a query was lost; says whether the network just turned out to be at fault.
    pub(super) fn on_lost(&mut self) -> bool {
        self.silent = self.silent.saturating_add(1);
        self.silent == SILENCE
    }

    /// Says whether so many queries were lost in a row that the network is at fault: nodes are not blamed for it.
    pub(super) fn is_cut_off(&self) -> bool {
        self.silent >= SILENCE
    }

    /// Says whether one who asks us may be asked now whether it is there, and counts it.
    pub(super) fn may_verify(&mut self, now: Instant) -> bool {
        let may = self.verify.level(now) >= 1;
        if may {
            self.verify.take(1);
        }
        may
    }

    pub(super) fn status(&self, now: Instant) -> SideStatus {
        SideStatus {
            local: self.local,
            id: self.id(),
            external: self.external,
            nodes: self.table.len(),
            good: self.table.good(now),
            bootstrapping: self.boot != Boot::Settled,
        }
    }

    pub(super) fn view(&self, now: Instant) -> TableView {
        let id = self.id();
        let nodes = self.table.iter(now).map(|entry| TableNode {
            node: entry.node,
            state: match entry.state {
                State::Good => NodeState::Good,
                State::Questionable => NodeState::Questionable,
                State::Bad => NodeState::Bad,
            },
            bucket: shared_bits(&id, &entry.node.id),
            spare: entry.spare,
            rtt: entry.rtt,
        });
        TableView { local: self.local, id, nodes: nodes.collect() }
    }
}

/// Gives how many first bits two ids share.
fn shared_bits(one: &NodeId, other: &NodeId) -> u8 {
    let distance = one.distance(other);
    let zeros = distance.iter().take_while(|byte| **byte == 0).count();
    let rest = distance.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u8::try_from(zeros * 8).unwrap_or(u8::MAX).saturating_add(u8::try_from(rest).unwrap_or(0))
}

fn table_rules(config: &Config) -> table::Rules {
    let local = config.local_network;
    table::Rules {
        bucket: config.bucket,
        spares: config.spares,
        one_per_ip: !local,
        per_subnet_bucket: if local { usize::MAX } else { config.per_subnet_bucket },
        per_subnet_table: if local { usize::MAX } else { config.per_subnet_table },
        enforce_id: config.enforce_ids && !local,
    }
}

pub(super) fn lookup_rules(config: &Config) -> lookup::Rules {
    let local = config.local_network;
    lookup::Rules {
        want: config.bucket,
        alpha: config.alpha,
        candidates: config.candidates,
        asks: 2 * config.candidates,
        one_per_ip: !local,
        per_subnet: if local { usize::MAX } else { config.per_subnet_bucket },
        enforce_id: config.enforce_ids && !local,
    }
}
