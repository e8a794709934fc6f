//! Torrents that wait for each other's announces.

use super::*;

const A: &str = "udp://192.0.2.1:6969/announce";

fn one_at_a_time() -> Host {
    Host::with_sockets(Config { max_announces: 1, ..Config::default() }, &["0.0.0.0:1"])
}

fn follow(host: &mut Host, torrent: u32, tiers: &[&[&str]]) {
    let following = Following { info_hash: hash(torrent as u8), ..following(tiers) };
    host.command(Command::Follow { torrent: TorrentId(torrent), following: Box::new(following) });
    host.wait(Duration::ZERO);
}

/// Gives the torrent of the one announce that is sent.
fn announced(host: &mut Host) -> (InfoHash, Sent) {
    let mut sent = host.one();
    if sent.is_connect() {
        host.connected(&sent, 1);
        sent = host.one();
    }
    (sent.announce().info_hash, sent)
}

#[test]
fn one_that_begins_nothing_takes_nobodys_turn() {
    let mut host = one_at_a_time();
    follow(&mut host, 0, &[&[A]]);
    // Nobody to ask, and nobody who may be asked.
    follow(&mut host, 1, &[]);
    let stranger = Following { trust: Trust::Stranger, ..following(&[&["udp://127.0.0.1:1", "udp://10.0.0.1:1"]]) };
    host.command(Command::Follow { torrent: TorrentId(2), following: Box::new(stranger) });
    follow(&mut host, 3, &[&[A]]);
    follow(&mut host, 4, &[&[A]]);
    assert_eq!(host.client.usage().due, 3);
    for torrent in [0, 3] {
        let (info_hash, sent) = announced(&mut host);
        assert_eq!(info_hash, hash(torrent));
        host.refused(&sent, "down");
    }
    // It is left when its turn has come.
    assert_eq!(announced(&mut host).0, hash(4));
    follow(&mut host, 5, &[&[A]]);
    host.command(Command::Leave { torrent: TorrentId(4) });
    assert_eq!(announced(&mut host).0, hash(5));
    assert_eq!(host.client.usage().due, 0);
}

#[test]
fn all_have_their_turn_although_trackers_fail_and_torrents_come_and_go() {
    let mut host = one_at_a_time();
    (0..20).for_each(|torrent| follow(&mut host, torrent, &[&[A], &["udp://127.0.0.1:1", "udp://10.0.0.1:1"]]));
    let mut asked = std::collections::BTreeSet::new();
    for n in 0..200_u32 {
        // Connects and announces, half of which nobody answers.
        for sent in host.taken() {
            match sent.is_connect() {
                true => host.connected(&sent, 1),
                false => {
                    asked.insert(sent.announce().info_hash);
                    if n % 2 == 0 {
                        host.refused(&sent, "down");
                    }
                }
            }
        }
        if n % 5 == 0 {
            host.command(Command::Leave { torrent: TorrentId(n / 5 % 7) });
        }
        host.wait(10 * SECOND);
    }
    assert!((7..20).all(|torrent| asked.contains(&hash(torrent))), "{asked:?}");
    (0..20).for_each(|torrent| host.command(Command::Leave { torrent: TorrentId(torrent) }));
    host.wait(MINUTE);
    assert_eq!((host.client.usage().requests, host.client.usage().due), (0, 0));
}

#[test]
fn coming_and_going_leaves_nothing_behind() {
    let mut host = one_at_a_time();
    follow(&mut host, 0, &[&[A]]);
    for _ in 0..100 {
        follow(&mut host, 1, &[&[A]]);
        assert_eq!(host.client.usage().due, 1);
        host.command(Command::Leave { torrent: TorrentId(1) });
        assert_eq!(host.client.usage().due, 0);
    }
}
