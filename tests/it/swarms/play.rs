//! Plays a scenario: who comes when, whom the tracker names, who crashes, until every leecher has everything.

use super::content::Content;
use super::figures::Figures;
use super::ledger::{Member, Role, Shared};
use super::store::Store;
use crate::sim::{Link, World};
use bip::machine::{Host, Instant, Rng, Secret, TorrentId, mailbox};
use bip::peer::{Command, Config, Event, Selection, Source, Swarm, TorrentLimits};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const TORRENT: TorrentId = TorrentId(7);
const PORT: u16 = 6881;
/// How many addresses the tracker names at a time.
const NAMED: usize = 30;
/// How long a member waits before it asks the tracker again.
const ANNOUNCE: Duration = Duration::from_secs(120);
/// How often the bytes of all streams are counted.
const AUDIT: Duration = Duration::from_secs(20);

/// Members that are alike.
#[derive(Debug, Clone)]
pub(super) struct Group {
    pub(super) role: Role,
    pub(super) count: usize,
    /// Bytes per second.
    pub(super) up: u64,
    pub(super) down: u64,
    /// The least and the most latency to a member with the same, in milliseconds.
    pub(super) latency: (u32, u32),
    /// How many in a hundred cannot be connected to.
    pub(super) firewalled: u32,
    /// All come within this time.
    pub(super) arrive: Duration,
    /// How long each stays when it has everything; `None` to the end.
    pub(super) stays: Option<Duration>,
    /// How many in a hundred crash and come back, half of them without a word.
    pub(super) crash: u32,
    /// How many in a hundred of its blocks have a wrong byte.
    pub(super) lies: u32,
    /// What it may use of its link up and down, for the bound, where that is less.
    pub(super) limit: Option<(u64, u64)>,
    pub(super) config: Config,
}

impl Group {
    pub(super) fn new(role: Role, count: usize, up: u64, down: u64) -> Self {
        let mut config = Config::default();
        if role == Role::FreeRider {
            (config.limits.upload_slots, config.limits.optimistic_slots) = (0, 0);
        }
        Self {
            role,
            count,
            up,
            down,
            latency: (20, 120),
            firewalled: 0,
            arrive: Duration::from_secs(2),
            stays: None,
            crash: 0,
            lies: 0,
            limit: None,
            config,
        }
    }

    /// Gives the rates up and down that it can reach.
    fn rates(&self) -> (u64, u64) {
        self.limit.unwrap_or((self.up, self.down))
    }
}

#[derive(Debug, Clone)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) pieces: u32,
    pub(super) piece_length: u32,
    pub(super) groups: Vec<Group>,
}

impl Scenario {
    pub(super) fn bytes(&self) -> u64 {
        Content::length(self.pieces, self.piece_length)
    }

    /// Gives the least time in which all leechers can have everything when all come at once (Kumar and Ross): the seeders send it
    /// all once, the slowest downloads it all, and all together send as much as is wanted. What liars send
    /// does not count.
    pub(super) fn bound(&self) -> f64 {
        let bytes = self.bytes() as f64;
        let of = |wanted: &[Role]| self.groups.iter().filter(|g| wanted.contains(&g.role)).cloned().collect::<Vec<_>>();
        let rate = |groups: &[Group]| groups.iter().map(|g| g.count as f64 * g.rates().0 as f64).sum::<f64>();
        let seeders = rate(&of(&[Role::Seeder]));
        let leechers = of(&[Role::Leecher, Role::FreeRider]);
        let slowest = leechers.iter().map(|g| g.rates().1).min().unwrap_or(u64::MAX) as f64;
        let count: usize = leechers.iter().map(|g| g.count).sum();
        let all = seeders + rate(&of(&[Role::Leecher]));
        (bytes / seeders).max(bytes / slowest).max(count as f64 * bytes / all)
    }
}

enum Act {
    Join(usize),
    Announce(usize, u32),
    Leave(usize),
    Crash(usize, bool),
    Audit,
}

struct Seated {
    group: usize,
    node: usize,
    host: usize,
    /// How often it came.
    visit: u32,
    address: SocketAddr,
    came: Option<Instant>,
    done: Option<Instant>,
}

struct Play<'a> {
    scenario: &'a Scenario,
    ledger: Shared,
    content: Arc<Content>,
    seats: Vec<Seated>,
    acts: BTreeMap<(Instant, u64), Act>,
    next_act: u64,
    rng: Rng,
}

/// Plays a scenario to its end. Panics where something happens that must not.
pub(super) fn play(scenario: &Scenario, seed: u64) -> Figures {
    let mut world = World::new(seed, Link::default());
    let content = Content::new(scenario.pieces, scenario.piece_length);
    let ledger = Shared::new(&content);
    world.set_tap(ledger.clone());
    let rng = world.rng().fork();
    let mut play = Play { scenario, ledger, content, seats: Vec::new(), acts: BTreeMap::new(), next_act: 0, rng };
    play.invite(&mut world);
    let start = world.now();
    // Far beyond what may be: to stop a swarm that stalls.
    let most = Duration::from_secs_f64(scenario.bound() * 20.0) + Duration::from_secs(3600);
    while !play.is_over() {
        let Some((at, _)) = play.acts.first_key_value().map(|(key, _)| *key) else { unreachable!("audits go on") };
        assert!(at.since(start) < most, "not all have everything: {}", play.laggards());
        let (ledger, wait) = (play.ledger.clone(), at.since(world.now()));
        world.run_until(wait, |_| !ledger.lock().completed.is_empty());
        play.on_completed(&world);
        while let Some((key, _)) = play.acts.first_key_value().filter(|((at, _), _)| *at <= world.now()) {
            let key = *key;
            let act = play.acts.remove(&key).expect("it was just seen");
            play.act(&mut world, act);
        }
    }
    // What is under way arrives, and the last figures are published.
    world.run_until(Duration::from_secs(60), |_| false);
    world.check_bytes();
    play.figures(start)
}

impl Play<'_> {
    fn add(&mut self, at: Instant, act: Act) {
        self.next_act += 1;
        self.acts.insert((at, self.next_act), act);
    }

    fn below(&mut self, time: Duration) -> Duration {
        let micros = u32::try_from(time.as_millis()).unwrap();
        Duration::from_millis(self.rng.below(micros.max(1)).into())
    }

    /// Makes all members and plans their lives.
    fn invite(&mut self, world: &mut World) {
        let now = world.now();
        for (place, group) in self.scenario.groups.iter().enumerate() {
            for _ in 0..group.count {
                let n = self.seats.len();
                let latency = group.latency.0 + self.rng.below(group.latency.1 - group.latency.0 + 1);
                let node = world.add_node(Link {
                    latency: Duration::from_millis(latency.into()),
                    rate: group.up,
                    down: Some(group.down),
                    window: 128 * 1024,
                    max_read: u32::MAX,
                    split: false,
                    firewalled: self.rng.below(100) < group.firewalled,
                    ..Link::default()
                });
                let address = SocketAddr::new(world.ip(node), PORT);
                let full = matches!(group.role, Role::Seeder | Role::Liar);
                let store = Store::new(&self.content, full, group.lies, self.rng.fork());
                self.ledger.lock().members.push(Member::new(group.role, address.ip(), store, &group.config));
                self.seats.push(Seated { group: place, node, host: 0, visit: 0, address, came: None, done: None });
                let at = now + self.below(group.arrive);
                self.add(at, Act::Join(n));
                if self.rng.below(100) < group.crash {
                    let life = Duration::from_secs_f64(self.scenario.bound());
                    let (at, silent) = (at + self.below(life), self.rng.below(2) == 0);
                    self.add(at, Act::Crash(n, silent));
                }
            }
        }
        self.add(now, Act::Audit);
    }

    fn act(&mut self, world: &mut World, act: Act) {
        let now = world.now();
        match act {
            Act::Join(n) => self.join(world, n),
            Act::Announce(n, visit) if self.seats[n].visit == visit => self.announce(now, n),
            Act::Announce(..) => {}
            Act::Leave(n) => self.remove(world, n, false),
            Act::Crash(n, silent) if self.ledger.lock().members[n].is_in() => {
                self.remove(world, n, silent);
                let away = Duration::from_secs(10) + self.below(Duration::from_secs(80));
                self.add(now + away, Act::Join(n));
            }
            Act::Crash(..) => {}
            Act::Audit => {
                world.check_bytes();
                self.trace(now);
                self.add(now + AUDIT, Act::Audit);
            }
        }
    }

    fn join(&mut self, world: &mut World, n: usize) {
        let seat = &mut self.seats[n];
        let config = self.scenario.groups[seat.group].config.clone();
        seat.visit += 1;
        seat.came.get_or_insert(world.now());
        seat.host = world.add_hosts_to(seat.node, 1);
        let host = seat.host;
        let mut key = [0; 32];
        key[..8].copy_from_slice(&self.rng.next_u64().to_le_bytes());
        let swarm = Swarm::new(config, self.rng.fork(), &Secret::new(key));
        let (mail, inbox) = mailbox(0, world.hosts[host].doorbell());
        let ledger = self.ledger.clone();
        let outlet = move |event: Event| ledger.lock().on_event(n, &event);
        let machine = world.hosts[host].host(swarm, inbox, Box::new(outlet), None);
        world.listen(host, machine.0, PORT);
        let mut ledger = self.ledger.lock();
        ledger.on_join(n, (host, machine.0), mail);
        let member = &ledger.members[n];
        member.post(Command::AddTorrent {
            torrent: TORRENT,
            info_hash: self.content.info_hash,
            geometry: self.content.geometry,
            have: member.store.good.clone(),
            download: true,
            selection: Selection::default(),
            limits: TorrentLimits::default(),
        });
        drop(ledger);
        self.announce(world.now(), n);
    }

    /// Has the tracker name some of those who are there.
    fn announce(&mut self, now: Instant, n: usize) {
        let ledger = self.ledger.lock();
        if !ledger.members[n].is_in() {
            return;
        }
        let others = (0..self.seats.len()).filter(|m| *m != n && ledger.members[*m].is_in());
        let mut others: Vec<usize> = others.collect();
        self.rng.shuffle(&mut others);
        for other in others.into_iter().take(NAMED) {
            let address = self.seats[other].address;
            ledger.members[n].post(Command::AddPeer { torrent: TORRENT, address, source: Source::Tracker });
        }
        drop(ledger);
        let (visit, again) = (self.seats[n].visit, ANNOUNCE + self.below(ANNOUNCE / 4));
        self.add(now + again, Act::Announce(n, visit));
    }

    fn remove(&mut self, world: &mut World, n: usize, silent: bool) {
        let host = self.seats[n].host;
        if silent {
            world.vanish(host);
        } else {
            world.cut(host);
        }
        world.hosts[host].crash();
        self.ledger.lock().on_gone(n);
    }

    fn on_completed(&mut self, world: &World) {
        let completed = std::mem::take(&mut self.ledger.lock().completed);
        for n in completed {
            let seat = &mut self.seats[n];
            seat.done.get_or_insert(world.now());
            if let Some(stays) = self.scenario.groups[seat.group].stays {
                self.add(world.now() + stays, Act::Leave(n));
            }
        }
    }

    /// Shows how far everybody is, where `BIP_TRACE` is set.
    fn trace(&self, now: Instant) {
        if std::env::var_os("BIP_TRACE").is_none() {
            return;
        }
        let ledger = self.ledger.lock();
        for (place, group) in self.scenario.groups.iter().enumerate() {
            let of_group = (0..self.seats.len()).filter(|n| self.seats[*n].group == place);
            let pieces: Vec<u32> = of_group.map(|n| ledger.members[n].store.good.count()).collect();
            println!("{now} {:?} with {} up: pieces {pieces:?}", group.role, group.up);
        }
    }

    fn wants(&self, n: usize) -> bool {
        matches!(self.scenario.groups[self.seats[n].group].role, Role::Leecher | Role::FreeRider)
    }

    fn is_over(&self) -> bool {
        (0..self.seats.len()).all(|n| !self.wants(n) || self.seats[n].done.is_some())
    }

    fn laggards(&self) -> String {
        let ledger = self.ledger.lock();
        let late = (0..self.seats.len()).filter(|n| self.wants(*n) && self.seats[*n].done.is_none());
        let shown = late.map(|n| {
            let member = &ledger.members[n];
            format!("{n} ({:?}, in: {}, {} pieces)", member.role, member.is_in(), member.store.good.count())
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    fn figures(&self, start: Instant) -> Figures {
        let ledger = self.ledger.lock();
        ledger.check_figures();
        let mut figures = Figures::new(self.scenario);
        for (n, seat) in self.seats.iter().enumerate() {
            let member = &ledger.members[n];
            figures.count(member);
            if !self.wants(n) {
                continue;
            }
            assert!(member.store.good.is_full());
            let came = if self.scenario.groups[seat.group].arrive > Duration::from_secs(10) { seat.came } else { None };
            let taken = seat.done.expect("all are done").since(came.unwrap_or(start)).as_secs_f64();
            figures.finished(member.role, self.scenario.groups[seat.group].rates().0, taken);
            for liar in &member.wronged_by {
                assert!(member.banned.contains(liar), "member {n} took a wrong block of {liar} and never banned it");
            }
        }
        figures
    }
}
