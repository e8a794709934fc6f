//! The routers, and what their names stand for.

use super::config::Router;
use super::job::Job;
use super::machine::Node;
use super::side::Boot;
use crate::machine::{Instant, JobId};
use crate::proto::compact::Family;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How long resolved names are believed.
const LIFE: Duration = Duration::from_secs(3600);

/// The routers, and what their names stand for.
#[derive(Default)]
pub(super) struct Names {
    resolved: BTreeMap<Router, Vec<SocketAddr>>,
    under_way: BTreeMap<JobId, Router>,
    /// When they were asked for last.
    pub(super) asked: Option<Instant>,
    /// One of them was not found.
    failed: bool,
}

impl Names {
    /// Gives the routers' addresses of a family.
    pub(super) fn addresses(&self, family: Family) -> impl Iterator<Item = SocketAddr> {
        self.resolved.values().flatten().copied().filter(move |address| Family::of(address.ip()) == family)
    }

    /// Says whether an address is that of a router with a name: a public one, which many ask and which stores nothing.
    pub(super) fn is_named(&self, address: SocketAddr) -> bool {
        let named = self.resolved.iter().filter(|(router, _)| matches!(router, Router::Name(..)));
        named.flat_map(|(_, addresses)| addresses).any(|router| *router == address)
    }

    /// Says whether names are being resolved.
    pub(super) fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }
}

impl Node {
    /// Has the routers' names resolved, if that was not done lately.
    pub(super) fn resolve(&mut self, now: Instant) {
        if self.names.is_busy() || self.names.asked.is_some_and(|at| now.since(at) < LIFE) {
            return;
        }
        (self.names.asked, self.names.failed) = (Some(now), false);
        for router in self.config.routers.clone() {
            if let Router::Address(address) = router {
                self.names.resolved.insert(router, vec![address]);
            } else if let Router::Name(name, port) = &router {
                let id = self.job(Job::Resolve { name: name.clone(), port: *port });
                self.names.under_way.insert(id, router);
            }
        }
    }

    /// Takes what a name stands for; without addresses it is not known, or nobody could say.
    pub(super) fn on_resolved(&mut self, now: Instant, job: JobId, addresses: Vec<SocketAddr>) {
        let Some(router) = self.names.under_way.remove(&job) else { return };
        if addresses.is_empty() {
            // What the name stood for before is better than nothing.
            self.names.failed = true;
        } else {
            self.names.resolved.insert(router, addresses.clone());
        }
        // A name may take a minute to be found unknown: who is there is asked meanwhile.
        for side in 0..self.sides.len() {
            match self.sides[side].boot {
                Boot::Resolving => self.boot(now, side),
                Boot::Running(lookup) if self.sides[side].table.is_empty() => {
                    let own = &self.sides[side];
                    if let Some(running) = self.lookups.get_mut(&lookup) {
                        let good = addresses.iter().filter(|address| own.may_talk_to(**address, &self.config));
                        good.for_each(|address| running.lookup.add_router(*address));
                    }
                    self.activate(lookup);
                }
                _ => {}
            }
        }
        if self.names.failed && !self.names.is_busy() {
            // It is asked for again when it is needed: by the next attempt, and not by this one, which would never end.
            self.names.asked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::{Command, Config, Done, Event, RequestId, Start};
    use crate::machine::{Input, Machine, Output, Rng, Secret};
    use crate::proto::id::NodeId;
    use crate::proto::krpc::{Message, Reply};

    const NOW: Instant = Instant::from_micros(1_000_000);

    fn node(routers: &[&str]) -> Node {
        node_at(&["127.0.0.1:1"], routers)
    }

    fn node_at(sockets: &[&str], routers: &[&str]) -> Node {
        let routers = routers.iter().map(|router| router.parse().unwrap()).collect();
        let config = Config { local_network: true, routers, ..Config::default() };
        let sockets = sockets.iter().map(|socket| socket.parse().unwrap()).collect();
        let start = Start { sockets, ..Start::default() };
        let mut node = Node::new(config, start, Rng::new(1), &Secret::new([1; 32]));
        node.handle_timeout(NOW);
        node
    }

    /// The names that are to be resolved, and those who are asked something.
    fn outputs(node: &mut Node) -> (Vec<(JobId, String)>, Vec<SocketAddr>) {
        let (mut names, mut asked, mut buf) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(output) = node.poll_output(&mut buf) {
            match output {
                Output::Job { id, job: Job::Resolve { name, .. } } => names.push((id, name)),
                Output::Datagram { to, .. } => asked.push(to),
                _ => {}
            }
        }
        (names, asked)
    }

    fn resolved(node: &mut Node, job: JobId, addresses: &[SocketAddr]) {
        let done = Done::Resolved(addresses.to_vec());
        node.handle_input(NOW, Input::Done { job, done: Ok(done) });
    }

    /// The router at 127.0.0.1:2 answers whatever it is asked, until it is asked no more.
    fn answer(node: &mut Node) {
        loop {
            let mut buf = Vec::new();
            let Some(output) = node.poll_output(&mut buf) else { return };
            let Output::Datagram { socket, to, bytes } = output else { continue };
            let query = Message::decode(&buf[bytes]).unwrap();
            let mut reply = Vec::new();
            Message::reply(query.transaction, Reply::new(NodeId([1; 20]))).encode(&mut reply);
            node.handle_input(NOW, Input::Datagram { socket, from: to, bytes: &reply });
        }
    }

    #[test]
    fn a_request_does_not_wait_for_a_name_where_the_other_family_has_nodes() {
        let ends = |node: &mut Node, request| {
            std::iter::from_fn(|| node.poll_event())
                .any(|event| matches!(event, Event::Found { request: of, .. } if of == request))
        };
        let mut node = node_at(&["127.0.0.1:1", "[::1]:1"], &["127.0.0.1:2", "slow.example:3"]);
        // One that came before anything was found, and one that comes after.
        let (early, late) = (RequestId(1), RequestId(2));
        node.handle_command(NOW, Command::FindNode { request: early, target: NodeId([9; 20]) });
        assert!(!ends(&mut node, early));
        answer(&mut node);
        assert!(node.names.is_busy() && ends(&mut node, early));
        node.handle_command(NOW, Command::FindNode { request: late, target: NodeId([9; 20]) });
        answer(&mut node);
        assert!(node.names.is_busy() && ends(&mut node, late));
    }

    #[test]
    fn names_that_nobody_knows_are_looked_up_again_only_after_a_pause() {
        let mut node = node(&["a.example:1", "b.example:1"]);
        let (names, asked) = outputs(&mut node);
        assert!(names.len() == 2 && asked.is_empty());
        names.iter().for_each(|(job, _)| resolved(&mut node, *job, &[]));
        assert_eq!(outputs(&mut node), (vec![], vec![]));
        let due = node.poll_timeout().unwrap();
        assert!(due.since(NOW) >= Duration::from_secs(5), "{:?}", due.since(NOW));
        node.handle_timeout(due);
        assert_eq!(outputs(&mut node).0.len(), 2);
    }

    #[test]
    fn routers_are_asked_as_their_names_are_found_while_others_are_still_looked_up() {
        let mut node = node(&["a.example:1", "b.example:2", "c.example:3"]);
        let (names, _) = outputs(&mut node);
        let addresses = ["127.0.0.1:2", "127.0.0.1:3"].map(|address| address.parse().unwrap());
        resolved(&mut node, names[1].0, &addresses[..1]);
        assert_eq!(outputs(&mut node), (vec![], vec![addresses[0]]));
        resolved(&mut node, names[2].0, &addresses[1..]);
        assert_eq!(outputs(&mut node), (vec![], vec![addresses[1]]));
        resolved(&mut node, names[0].0, &[]);
        assert_eq!(outputs(&mut node), (vec![], vec![]));
    }
}
