//! What every member of a swarm did, and what it must never do.

use super::content::Content;
use super::store::Store;
use super::wire::{Fact, Side};
use crate::sim::{EndId, Seat, Tap};
use bip::machine::{Instant, Outbox};
use bip::peer::{Command, Config, Event, Refusal, Status};
use bip::proto::geometry::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// A count that leaks at a rate: what passed beyond the rate.
#[derive(Debug, Default)]
struct Leak {
    level: f64,
    at: Option<Instant>,
}

impl Leak {
    /// Counts; gives what has passed beyond the rate.
    fn add(&mut self, now: Instant, rate: f64, amount: usize) -> f64 {
        let passed = now.since(self.at.replace(now).unwrap_or(now)).as_secs_f64();
        self.level = (self.level - passed * rate).max(0.0) + amount as f64;
        self.level
    }
}

/// What a member is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Seeder,
    Leecher,
    /// It takes and gives nothing.
    FreeRider,
    /// It seems to have everything, and sends wrong bytes now and then.
    Liar,
}

pub(super) struct Member {
    pub(super) role: Role,
    pub(super) ip: IpAddr,
    pub(super) store: Store,
    config: Config,
    /// Its mailbox while it is there.
    mail: Option<Outbox<Command>>,
    seat: Option<Seat>,
    /// How many calls its machine has had.
    calls: u64,
    dials: usize,
    open: usize,
    served: usize,
    /// Bytes of blocks that came and went since it came.
    downloaded: u64,
    uploaded: u64,
    /// How far it was beyond its rates for bytes up, bytes down and dials.
    leaks: [Leak; 3],
    status: Status,
    /// Bytes of blocks that ever came, and of these those of blocks that were there already.
    pub(super) received: u64,
    pub(super) redundant: u64,
    /// Who sent a wrong block last.
    wrong_from: BTreeMap<Span, usize>,
    /// Members whose wrong bytes were taken for a block, and those that were banned.
    pub(super) wronged_by: BTreeSet<usize>,
    pub(super) banned: BTreeSet<usize>,
}

impl Member {
    pub(super) fn new(role: Role, ip: IpAddr, store: Store, config: &Config) -> Self {
        Self {
            role,
            ip,
            store,
            config: config.clone(),
            mail: None,
            seat: None,
            calls: 1,
            dials: 0,
            open: 0,
            served: 0,
            downloaded: 0,
            uploaded: 0,
            leaks: Default::default(),
            status: Status::default(),
            received: 0,
            redundant: 0,
            wrong_from: BTreeMap::new(),
            wronged_by: BTreeSet::new(),
            banned: BTreeSet::new(),
        }
    }

    /// Says whether it is there.
    pub(super) fn is_in(&self) -> bool {
        self.mail.is_some()
    }

    /// Counts what passes and says no more than what may gather beyond a rate may pass at once.
    fn check_rates(&mut self, now: Instant, up: usize, down: usize, dials: usize) {
        let limits = &self.config.limits;
        // A quarter of a second's worth may gather, or two blocks; the block that exceeds it is sent in whole. What was asked for
        // within the rate may come late and all together: as much as others keep ready for a second.
        for (leak, rate, bytes, late) in [(0, limits.upload_rate, up, 0.0), (1, limits.download_rate, down, 1.0)] {
            let Some(rate) = rate.map(|rate| rate.get() as f64).filter(|_| bytes > 0) else { continue };
            let beyond = self.leaks[leak].add(now, rate, bytes);
            let most = (rate / 4.0).max(32_768.0) + 16_384.0 + late * rate;
            assert!(beyond <= most, "{beyond:.0} bytes beyond the rate of {rate:.0}");
        }
        if dials > 0 {
            let rate = f64::from(limits.dials_per_second);
            let beyond = self.leaks[2].add(now, rate, dials);
            assert!(beyond <= rate / 4.0 + 1.0, "{beyond:.1} dials beyond the rate of {rate}");
        }
    }

    pub(super) fn post(&self, command: Command) {
        self.mail.as_ref().expect("it is there").post(command).expect("its machine is there");
    }
}

pub(super) struct Ledger {
    pub(super) content: Arc<Content>,
    pub(super) members: Vec<Member>,
    by_seat: BTreeMap<Seat, usize>,
    /// By the ends' names.
    sides: Vec<Option<Box<Side>>>,
    /// Who completed since it was looked at last.
    pub(super) completed: Vec<usize>,
}

/// The ledger as all share it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Ledger>>);

impl Shared {
    pub(super) fn new(content: &Arc<Content>) -> Self {
        Self(Arc::new(Mutex::new(Ledger {
            content: Arc::clone(content),
            members: Vec::new(),
            by_seat: BTreeMap::new(),
            sides: Vec::new(),
            completed: Vec::new(),
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl Ledger {
    pub(super) fn on_join(&mut self, member: usize, seat: Seat, mail: Outbox<Command>) {
        self.by_seat.insert(seat, member);
        let member = &mut self.members[member];
        (member.mail, member.seat) = (Some(mail), Some(seat));
        (member.downloaded, member.uploaded) = (0, 0);
        member.leaks = Default::default();
        member.status = Status::default();
        assert_eq!((member.dials, member.open, member.served), (0, 0, 0), "nothing is left of an earlier visit");
    }

    pub(super) fn on_gone(&mut self, member: usize) {
        let member = &mut self.members[member];
        member.mail = None;
        if let Some(seat) = member.seat.take() {
            self.by_seat.remove(&seat);
        }
        member.store.on_crash();
        member.wrong_from.clear();
        // Whom it suspected it has forgotten.
        member.wronged_by.retain(|liar| member.banned.contains(liar));
    }

    /// Takes what a member's swarm tells.
    pub(super) fn on_event(&mut self, n: usize, event: &Event) {
        let member = &mut self.members[n];
        match event {
            Event::Store { span, block, .. } if *block != *self.content.block(*span) => {
                let liar = *member.wrong_from.get(span).expect("a wrong block came from somebody");
                member.wronged_by.insert(liar);
            }
            Event::PieceDone { piece, .. } => {
                assert!(member.store.good.contains(*piece), "piece {piece} is done, but was not verified");
            }
            Event::Completed { .. } => {
                assert!(member.store.good.is_full(), "it completed, but not all pieces were verified");
                self.completed.push(n);
            }
            Event::Status { status, .. } => {
                assert!(status.pieces_done <= member.store.good.count());
                assert!(status.downloaded <= member.downloaded && status.uploaded <= member.uploaded);
                member.status = status.clone();
            }
            Event::PeerBanned { ip, .. } => {
                let banned = self.members.iter().position(|m| m.ip == *ip).expect("a member is banned");
                assert_eq!(self.members[banned].role, Role::Liar, "member {n} banned an honest one");
                self.members[n].banned.insert(banned);
            }
            // The tracker names the banned too.
            Event::Refused { refusal: Refusal::Banned, .. } => assert!(!member.banned.is_empty()),
            Event::Refused { refusal, .. } => panic!("refused: {refusal}"),
            _ => {}
        }
        let commands = self.members[n].store.on_event(event);
        commands.into_iter().for_each(|command| self.members[n].post(command));
    }

    /// Checks what must hold when nothing is under way: the members' own figures are those seen on the wire.
    pub(super) fn check_figures(&self) {
        for (n, member) in self.members.iter().enumerate().filter(|(_, m)| m.is_in()) {
            let status = &member.status;
            assert_eq!(status.pieces_done, member.store.good.count(), "pieces of member {n}");
            assert_eq!(status.downloaded, member.downloaded, "what member {n} downloaded");
            assert_eq!(status.uploaded, member.uploaded, "what member {n} uploaded");
        }
    }

    fn side(&mut self, end: EndId) -> (&mut Side, &mut Member, &Content) {
        let side = self.sides[end.0].as_mut().expect("every end has its side");
        let member = &mut self.members[side.member];
        (side, member, &self.content)
    }

    /// Has a side change, and counts what that changes.
    fn change(&mut self, end: EndId, change: impl FnOnce(&mut Side, &mut Member, &Content)) {
        let (side, member, content) = self.side(end);
        let before = (side.is_open(), side.is_served());
        change(side, member, content);
        member.open = member.open + usize::from(side.is_open()) - usize::from(before.0);
        member.served = member.served + usize::from(side.is_served()) - usize::from(before.1);
    }
}

impl Tap for Shared {
    fn dialled(&mut self, now: Instant, by: Seat) {
        let mut ledger = self.lock();
        let n = ledger.by_seat[&by];
        ledger.members[n].dials += 1;
        ledger.members[n].check_rates(now, 0, 0, 1);
    }

    fn dial_ended(&mut self, by: Seat) {
        let mut ledger = self.lock();
        let n = ledger.by_seat[&by];
        ledger.members[n].dials -= 1;
    }

    fn opened(&mut self, dialler: (Seat, EndId), listener: (Seat, EndId)) {
        let mut ledger = self.lock();
        for ((seat, end), (other, _)) in [(dialler, listener), (listener, dialler)] {
            let (member, to) = (ledger.by_seat[&seat], ledger.by_seat[&other]);
            let side = Side::new(&ledger.content, member, to);
            let most = ledger.sides.len().max(end.0 + 1);
            ledger.sides.resize_with(most, || None);
            ledger.sides[end.0] = Some(Box::new(side));
        }
    }

    fn read(&mut self, now: Instant, end: EndId, bytes: &[u8]) {
        self.lock().change(end, |side, member, content| {
            let from = side.to;
            side.on_read(content, member.calls, bytes, |fact| match fact {
                Fact::Bytes(n) => {
                    member.downloaded += n as u64;
                    member.received += n as u64;
                    member.check_rates(now, 0, n, 0);
                }
                Fact::Block(span, is_true) => {
                    if member.store.has(span) {
                        member.redundant += u64::from(span.length);
                    }
                    if !is_true {
                        member.wrong_from.insert(span, from);
                    }
                }
            });
        });
    }

    fn wrote(&mut self, now: Instant, end: EndId, bytes: &[u8]) {
        self.lock().change(end, |side, member, content| {
            let honest = member.role != Role::Liar;
            let (good, call) = (&member.store.good, member.calls);
            let mut sent = 0;
            side.on_written(content, good, honest, call, bytes, |fact| {
                if let Fact::Bytes(n) = fact {
                    sent += n;
                }
            });
            member.uploaded += sent as u64;
            member.check_rates(now, sent, 0, 0);
            let most = member.config.pipeline.max;
            assert!(side.open_requests() <= most, "{} requests are open to one peer", side.open_requests());
        });
    }

    fn closed(&mut self, end: EndId) {
        self.lock().change(end, |side, _, _| side.closed = true);
    }

    fn drained(&mut self, _: Instant, by: Seat) {
        let mut ledger = self.lock();
        let Some(n) = ledger.by_seat.get(&by).copied() else { return };
        let member = &mut ledger.members[n];
        member.calls += 1;
        let limits = &member.config.limits;
        let slots = limits.upload_slots + limits.optimistic_slots;
        assert!(member.served <= slots, "member {n} serves {} at a time", member.served);
        assert!(member.open <= limits.max_connections_per_torrent, "member {n} has {} peers", member.open);
        assert!(member.dials <= limits.max_dials, "member {n} has {} dials", member.dials);
    }
}
