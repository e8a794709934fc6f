//! What a session makes of what its client of trackers tells, by hand.

use super::{hash, url};
use bip::disk::{self, Checked};
use bip::machine::{Instant, Machine, TorrentId};
use bip::peer::{self, Source};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::PeerId;
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::session::{Command, Config, Coordinator, Directive, Spec};
use bip::tracker::client;
use std::net::SocketAddr;
use std::sync::Arc;

const TORRENT: TorrentId = TorrentId(0);
const A: &str = "udp://192.0.2.1:1";
const B: &str = "udp://192.0.2.2:1";

fn ask(coordinator: &mut Coordinator, command: Command) -> Vec<Directive> {
    coordinator.handle_command(Instant::ZERO, command);
    std::iter::from_fn(|| coordinator.poll_event()).filter(|d| !matches!(d, Directive::Publish(_))).collect()
}

/// A session whose torrent is in its swarm and announced.
fn announced(private: bool) -> Coordinator {
    let (coordinator, told) = announced_at(Some(6881), None, private);
    assert_eq!(follows(&told).len(), 1, "{told:?}");
    coordinator
}

fn announced_at(port_v4: Option<u16>, port_v6: Option<u16>, private: bool) -> (Coordinator, Vec<Directive>) {
    let path = SafePath::from_parts(["a"]).unwrap();
    let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
    let mut coordinator = Coordinator::new(Config::default());
    ask(&mut coordinator, Command::Listening { peer_id: PeerId([1; 20]), port_v4, port_v6 });
    let trackers = vec![vec![url(A)], vec![url(B)]];
    let spec = Spec { trackers, private, ..Spec::new(hash(1), layout, "/folder") };
    ask(&mut coordinator, Command::Add { torrent: TORRENT, spec });
    let (have, stored, checked, oddities) = (Bitfield::new(1), Vec::new(), Checked::Full, Vec::new());
    let added = disk::Event::Added { torrent: TORRENT, have, stored, checked, oddities };
    ask(&mut coordinator, Command::FromDisk(added));
    let told = ask(&mut coordinator, Command::FromPeer(peer::Event::TorrentAdded { torrent: TORRENT }));
    (coordinator, told)
}

fn follows(told: &[Directive]) -> Vec<&Directive> {
    let follow = |directive: &Directive| matches!(directive, Directive::ToTracker(client::Command::Follow { .. }));
    told.iter().filter(|directive| follow(directive)).collect()
}

fn peers(n: u8) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([192, 0, 2, n], 6881))]
}

/// A tracker tells of a peer.
fn tells(coordinator: &mut Coordinator, tracker: &str, n: u8) -> Vec<Directive> {
    let news = client::Event::Peers { torrent: TORRENT, url: url(tracker), peers: peers(n) };
    ask(coordinator, Command::FromTracker(news))
}

fn found(n: u8) -> Directive {
    Directive::ToPeer(peer::Command::FoundPeers { torrent: TORRENT, peers: peers(n), source: Source::Tracker })
}

fn dropped() -> Directive {
    Directive::ToPeer(peer::Command::DropPeers { torrent: TORRENT })
}

fn pause_and_resume(coordinator: &mut Coordinator) {
    let leave = Directive::ToTracker(client::Command::Leave { torrent: TORRENT });
    assert!(ask(coordinator, Command::Pause { torrent: TORRENT }).contains(&leave));
    ask(coordinator, Command::Resume { torrent: TORRENT });
    let told = ask(coordinator, Command::FromTracker(client::Event::Left { torrent: TORRENT }));
    assert_eq!(follows(&told).len(), 1, "{told:?}");
}

#[test]
fn a_private_torrent_drops_its_peers_when_it_comes_to_another_tracker() {
    let mut coordinator = announced(true);
    assert_eq!(tells(&mut coordinator, A, 1), [found(1)]);
    assert_eq!(tells(&mut coordinator, A, 2), [found(2)]);
    let switched = client::Event::Switched { torrent: TORRENT };
    assert_eq!(ask(&mut coordinator, Command::FromTracker(switched)), [dropped()]);
    assert_eq!(tells(&mut coordinator, B, 3), [found(3)]);
}

#[test]
fn a_private_torrent_drops_its_peers_when_it_comes_to_another_tracker_after_a_pause() {
    let mut coordinator = announced(true);
    assert_eq!(tells(&mut coordinator, A, 1), [found(1)]);
    pause_and_resume(&mut coordinator);
    assert_eq!(tells(&mut coordinator, A, 2), [found(2)], "it is the same one");
    pause_and_resume(&mut coordinator);
    assert_eq!(tells(&mut coordinator, B, 3), [dropped(), found(3)]);
    assert_eq!(tells(&mut coordinator, B, 4), [found(4)]);
}

#[test]
fn a_public_torrent_keeps_all_of_its_peers() {
    let mut coordinator = announced(false);
    tells(&mut coordinator, A, 1);
    pause_and_resume(&mut coordinator);
    assert_eq!(tells(&mut coordinator, B, 2), [found(2)]);
}

#[test]
fn trackers_are_told_the_port_of_each_family_and_where_there_is_none_the_other() {
    for (port_v4, port_v6, told_v4, told_v6) in
        [(Some(1), Some(2), 1, Some(2)), (None, Some(2), 2, Some(2)), (Some(1), None, 1, None), (None, None, 1, None)]
    {
        let (_, told) = announced_at(port_v4, port_v6, false);
        let following = told.iter().find_map(|directive| match directive {
            Directive::ToTracker(client::Command::Follow { following, .. }) => Some(following),
            _ => None,
        });
        let following = following.expect("it is announced");
        assert_eq!((following.port, following.port_v6), (told_v4, told_v6));
    }
}

#[test]
fn a_torrent_that_runs_out_of_peers_asks_for_more_once_until_it_has_had_some() {
    let mut coordinator = announced(false);
    let more = Directive::ToTracker(client::Command::MorePeers { torrent: TORRENT });
    let mut status = |known, connecting, peers, pieces_wanted_done| {
        let mut status = peer::Status::default();
        (status.pieces, status.pieces_wanted, status.pieces_wanted_done) = (9, 9, pieces_wanted_done);
        (status.known, status.connecting, status.peers) = (known, connecting, peers);
        ask(&mut coordinator, Command::FromPeer(peer::Event::Status { torrent: TORRENT, status })).contains(&more)
    };
    assert!(!status(1, 0, 0, 0), "it knows of one");
    assert!(!status(0, 1, 0, 0), "it dials one");
    assert!(!status(0, 0, 30, 0), "it has enough");
    assert!(status(0, 0, 2, 0));
    assert!(!status(0, 0, 1, 0), "it has asked");
    assert!(!status(5, 0, 1, 0));
    assert!(status(0, 0, 1, 0));
    assert!(!status(5, 0, 1, 0) && !status(0, 0, 1, 9), "it is complete");
}
