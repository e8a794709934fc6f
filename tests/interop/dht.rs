//! Nodes of the DHT by bip, libtorrent, the `mainline` crate and bittorrent-dht, with each other.
//!
//! All of a network are on 127.0.0.1, at ports of their own, which takes settings:
//!
//! - bip: none where it is bound to loopback, or `--local`, `Config::local_network`.
//! - libtorrent: `dht_restrict_routing_ips`, `dht_restrict_search_ips`, `dht_ignore_dark_internet`, `dht_prefer_verified_node_ids` and
//!   `dht_enforce_node_id` off, and `dht_block_ratelimit` and `dht_upload_rate_limit` raised. Its bootstrap nodes never enter its table, so that
//!   it stores nothing at them; and it takes in nodes that only ask (BEP 43) once they store something, and waits for them when they are gone.
//! - mainline: `server_mode()`, and `no_bootstrap()` for the first. It has no rules for loopback and private addresses, and IPv4 only.
//!   It does not look for more nodes soon after its start unless asked to, answers no query with a transaction id of another length than 4, so none
//!   of libtorrent's and bittorrent-dht's, and no `put` without a target, which BEP 44 does not have.
//! - bittorrent-dht: none, but `verify`, for it leaves signatures to the program, and `bootstrap: false` for the first. IPv4 only.
//!
//! One test has a network of addresses that could be of the Internet, where all keep to the rules that they have by default.

use std::path::Path;

use bip::proto::krpc::item::immutable_target;
use serde_json::Value;

use crate::fleet::{Fleet, Kind, Rules};
use crate::harness::Need::{self, BittorrentDht, Libtorrent, Mainline, Namespace};
use crate::nodes::{Key, Node, Ours, Signed, Speaker, Tool, until};
use crate::process::{self, Failure};

const WITH_LIBTORRENT: &[Need] = &[Namespace, Libtorrent];
const WITH_MAINLINE: &[Need] = &[Namespace, Mainline];
const WITH_BITTORRENT_DHT: &[Need] = &[Namespace, BittorrentDht];
const WITH_ALL: &[Need] = &[Namespace, Libtorrent, Mainline, BittorrentDht];

crate::harness::tests! {
    in_a_dht_of_all_each_finds_the_peers_of_each: WITH_ALL,
    a_dht_of_bip_libtorrent_and_bittorrent_dht_is_one: &[Namespace, Libtorrent, BittorrentDht],
    a_dht_of_bip_bittorrent_dht_and_mainline_is_one: &[Namespace, BittorrentDht, Mainline],
    in_a_dht_at_addresses_of_the_internet_the_usual_rules_hold: &[Namespace, Libtorrent, BittorrentDht],
    libtorrent_joins_a_dht_of_bip_which_stores_for_it: WITH_LIBTORRENT,
    mainline_joins_a_dht_of_bip_which_stores_for_it: WITH_MAINLINE,
    bittorrent_dht_joins_a_dht_of_bip_which_stores_for_it: WITH_BITTORRENT_DHT,
    bip_joins_a_dht_of_libtorrent_which_stores_for_it: WITH_LIBTORRENT,
    bip_joins_a_dht_of_mainline_which_stores_for_it: WITH_MAINLINE,
    bip_joins_a_dht_of_bittorrent_dht_which_stores_for_it: WITH_BITTORRENT_DHT,
    bip_and_libtorrent_count_peers_and_tell_samples_of_a_dht: WITH_LIBTORRENT,
    bip_and_libtorrent_are_a_dht_over_ipv6: WITH_LIBTORRENT,
}

/// The torrent that peers are announced for.
const HASH: &str = "0123456789abcdef0123456789abcdef01234567";

/// The port of the first peer that is announced; the others follow.
const PORT: u16 = 7001;

/// How many bytes of text an item has at most: its bencode has 1,000.
const LONGEST: usize = 995;

type Speakers<'a, 'b> = &'a mut [&'b mut dyn Speaker];

/// Each announces a peer, and each finds all of them.
fn expect_peers(speakers: Speakers<'_, '_>) -> Result<(), Failure> {
    let mut expected = Vec::new();
    for (speaker, port) in speakers.iter_mut().zip(PORT..) {
        speaker.announce(HASH, port)?;
        expected.push(format!("{}:{port}", speaker.host()));
    }
    for speaker in speakers {
        let what = format!("{} finds {expected:?}", speaker.name());
        until(&what, || speaker.peers(HASH), |found| expected.iter().all(|peer| found.contains(peer)))?;
    }
    Ok(())
}

/// An item of somebody's: a text of `length` bytes, or a short one.
fn item(speaker: &dyn Speaker, length: usize) -> String {
    format!("{:.<length$}", format!("{} stores {length}", speaker.name()))
}

/// Each stores items, and each reads all of them: one short, one as long as can be.
fn expect_items(speakers: Speakers<'_, '_>) -> Result<(), Failure> {
    for length in [0, LONGEST] {
        let mut stored = Vec::new();
        for speaker in &mut *speakers {
            let text = item(&**speaker, length);
            stored.push((speaker.put(&text)?, text));
        }
        for speaker in &mut *speakers {
            for (target, text) in &stored {
                let what = format!("{} reads {text:?}", speaker.name());
                until(&what, || speaker.get(target), |found| found.as_ref() == Some(text))?;
            }
        }
    }
    Ok(())
}

/// Each in turn replaces what a key has signed, and each sees that it is newer.
fn expect_signed(speakers: Speakers<'_, '_>, key: &Key, salt: &str) -> Result<(), Failure> {
    for writer in 0..speakers.len() {
        let seq = writer as i64 + 1;
        let text = format!("number {seq}, by {}, salt {salt:?}", speakers[writer].name());
        speakers[writer].put_signed(key, salt, seq, &text)?;
        let signed = Signed { seq, text };
        for speaker in &mut *speakers {
            let what = format!("{} reads {signed:?}", speaker.name());
            until(&what, || speaker.get_signed(key, salt), |found| found.as_ref() == Some(&signed))?;
        }
    }
    Ok(())
}

/// All of the above, and what `bip dht` makes of it.
fn expect_all(speakers: Speakers<'_, '_>, tool: &Tool, folder: &Path) -> Result<(), Failure> {
    const SALT: &str = "a grain of salt";
    let key = Key::new(&folder.join("key"))?;
    expect_peers(speakers)?;
    expect_items(speakers)?;
    expect_signed(speakers, &key, "")?;
    expect_signed(speakers, &key, SALT)?;

    let found = tool.peers(HASH)?;
    if found.len() != speakers.len() {
        return Err(format!("bip dht peers finds {found:?}"));
    }
    for speaker in &mut *speakers {
        let text = item(&**speaker, 0);
        let target = immutable_target(format!("{}:{text}", text.len()).as_bytes()).to_string();
        let read = tool.get(&target, "")?;
        if read["text"] != text.as_str() {
            return Err(format!("bip dht get reads {read}, not {text:?}"));
        }
    }
    for salt in ["", SALT] {
        // One of the others may still have an older one, and name nobody besides.
        let newest = |read: &Value| read["seq"] == speakers.len();
        until("bip dht get reads the newest", || tool.get(&key.public, salt), newest)?;
    }
    Ok(())
}

/// Two nodes of a kind have three of ours to ask, of which they are told one. Ours store.
fn joins_a_dht_of_bip(kind: Kind, folder: &Path) -> Result<(), Failure> {
    let mut nodes = Node::start_many(3)?;
    let mut fleet = Fleet::start(kind, 2, &[&nodes[0].address])?;
    for node in 0..2 {
        fleet.wait_known(node, &[&nodes[1].address, &nodes[2].address])?;
    }
    for node in &mut nodes {
        node.wait_nodes(4)?;
    }
    let mut ours = Ours::start(&nodes[1].address)?;
    expect_all(&mut [&mut fleet, &mut ours], &Tool::new(&nodes[2].address), folder)?;
    for node in &mut nodes[1..] {
        let stored = |status: &Value, what: &str| status[what].as_u64().unwrap_or(0);
        node.wait_status("two peers and six items stored", |status| {
            stored(status, "stored_peers") >= 2 && stored(status, "stored_items") >= 6
        })?;
    }
    Ok(())
}

/// One of ours has nobody to ask but nodes of a kind, which store what it has, for it is alone.
fn joins_a_dht_of(kind: Kind, folder: &Path) -> Result<(), Failure> {
    let mut fleet = Fleet::start(kind, 3, &[])?;
    let first = fleet.addresses[0].clone();
    let mut ours = Ours::start(&first)?;
    let all = fleet.addresses.join(",");
    expect_all(&mut [&mut ours, &mut fleet], &Tool::new(&all), folder)?;
    drop(ours);
    let mut node = Node::start(&[&first])?;
    node.wait_nodes(3)?;
    for other in 0..3 {
        fleet.wait_known(other, &[&node.address])?;
    }
    Ok(())
}

/// A network of three nodes of ours and three of each kind, and one of ours in this process.
struct Mixed {
    nodes: Vec<Node>,
    others: Vec<Fleet>,
    ours: Ours,
}

impl Mixed {
    /// Each kind asks a node of the one before first.
    fn start(kinds: &[Kind]) -> Result<Mixed, Failure> {
        let mut nodes = Node::start_many(3)?;
        let mut others: Vec<Fleet> = Vec::new();
        for &kind in kinds {
            let first = others.last().map_or(&nodes[0].address, |fleet| &fleet.addresses[0]);
            let fleet = Fleet::start(kind, 3, &[first])?;
            others.push(fleet);
        }
        let count = 2 + 3 * kinds.len() as u64;
        for node in &mut nodes {
            node.wait_nodes(count)?;
        }
        let ours = Ours::start(&others[others.len() - 1].addresses[2])?;
        Ok(Mixed { nodes, others, ours })
    }

    fn expect_all(mut self, folder: &Path) -> Result<(), Failure> {
        let tool = Tool::new(&self.nodes[2].address);
        let mut speakers: Vec<&mut dyn Speaker> = vec![&mut self.ours];
        speakers.extend(self.others.iter_mut().map(|fleet| fleet as &mut dyn Speaker));
        expect_all(&mut speakers, &tool, folder)
    }
}

fn in_a_dht_of_all_each_finds_the_peers_of_each(_folder: &Path) -> Result<(), Failure> {
    // mainline answers neither of the others, and libtorrent waits for it for 15 seconds: not all can be tried.
    let mut network = Mixed::start(&Kind::ALL)?;
    let mut speakers: Vec<&mut dyn Speaker> = vec![&mut network.ours];
    speakers.extend(network.others.iter_mut().map(|fleet| fleet as &mut dyn Speaker));
    expect_peers(&mut speakers)
}

fn a_dht_of_bip_libtorrent_and_bittorrent_dht_is_one(folder: &Path) -> Result<(), Failure> {
    Mixed::start(&[Kind::Libtorrent, Kind::BittorrentDht])?.expect_all(folder)
}

fn a_dht_of_bip_bittorrent_dht_and_mainline_is_one(folder: &Path) -> Result<(), Failure> {
    Mixed::start(&[Kind::BittorrentDht, Kind::Mainline])?.expect_all(folder)
}

fn in_a_dht_at_addresses_of_the_internet_the_usual_rules_hold(folder: &Path) -> Result<(), Failure> {
    // Somebody's, but nothing leaves the namespace.
    let hosts: Vec<String> = (1..=17).map(|number| format!("45.11.{number}.1")).collect();
    for host in &hosts {
        process::run("ip", &["address", "add", &format!("{host}/32"), "dev", "lo"])?.expect_code(0)?;
    }
    let listen: Vec<String> = hosts.iter().map(|host| format!("{host}:6881")).collect();
    let listen: Vec<&str> = listen.iter().map(String::as_str).collect();
    let mut nodes = Vec::new();
    for address in &listen[..3] {
        nodes.push(Node::start_at(address, &listen[..1])?);
    }
    let mut libtorrent = Fleet::start_at(Kind::Libtorrent, &listen[3..13], &listen[..1], Rules::Usual)?;
    for (node, host) in nodes.iter_mut().zip(&hosts) {
        // It takes an id that goes with its address (BEP 42).
        node.wait_status("its address, and enough nodes", |status| {
            status["sides"][0]["external"] == host.as_str() && status["nodes"].as_u64() >= Some(8)
        })?;
    }
    // Eight have to tell a node of ours where it is, which those of bittorrent-dht do not: they would take places of those who do.
    let mut bittorrent_dht = Fleet::start_at(Kind::BittorrentDht, &listen[13..15], &listen[..1], Rules::Usual)?;
    let mut ours = Ours::start_at(&hosts[15], listen[1])?;
    let mut speakers: [&mut dyn Speaker; 3] = [&mut ours, &mut libtorrent, &mut bittorrent_dht];
    // libtorrent answers an address five times a second, and bans it for five minutes if it asks more: not all that is tried elsewhere.
    expect_peers(&mut speakers)?;
    expect_signed(&mut speakers, &Key::new(&folder.join("key"))?, "")?;
    let tool = Tool { host: hosts[16].clone(), bootstrap: listen[2].to_owned() };
    let found = tool.peers(HASH)?;
    if found.len() == 3 { Ok(()) } else { Err(format!("bip dht peers finds {found:?}")) }
}

fn libtorrent_joins_a_dht_of_bip_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of_bip(Kind::Libtorrent, folder)
}

fn mainline_joins_a_dht_of_bip_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of_bip(Kind::Mainline, folder)
}

fn bittorrent_dht_joins_a_dht_of_bip_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of_bip(Kind::BittorrentDht, folder)
}

fn bip_joins_a_dht_of_libtorrent_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of(Kind::Libtorrent, folder)
}

fn bip_joins_a_dht_of_mainline_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of(Kind::Mainline, folder)
}

fn bip_joins_a_dht_of_bittorrent_dht_which_stores_for_it(folder: &Path) -> Result<(), Failure> {
    joins_a_dht_of(Kind::BittorrentDht, folder)
}

fn bip_and_libtorrent_count_peers_and_tell_samples_of_a_dht(_folder: &Path) -> Result<(), Failure> {
    let mut fleet = Fleet::start(Kind::Libtorrent, 2, &[])?;
    let first = fleet.addresses[0].clone();
    // Addresses are counted (BEP 33), and all of 127/8 are on `lo`. Each of the nine nodes has eight others to store at and to ask, and so all.
    let mut ours = Vec::new();
    for number in 2..9 {
        let node = Ours::start_at(&format!("127.0.0.{number}"), &first)?;
        node.announce_as(HASH, PORT, number < 7)?;
        ours.push(node);
    }
    fleet.ask(0, &format!("seed {HASH} {PORT}"))?;
    let tool = Tool::new(&first);
    until("bip counts six seeds and two others", || tool.scrape(HASH), |count| *count == (6, 2))?;

    let told = ours[0].samples(HASH)?;
    for address in &fleet.addresses {
        let of = told.iter().find(|sample| sample.from.address.to_string() == *address);
        if of.is_none_or(|sample| sample.total != 1 || sample.info_hashes[0].to_string() != HASH) {
            return Err(format!("libtorrent tells bip other samples: {told:?}"));
        }
    }
    let mut node = Node::start(&[&first])?;
    // All but a few know it then, and of a torrent with its id it is the nearest of them all.
    node.wait_nodes(8)?;
    let hash = node.id()?;
    ours[0].announce_as(&hash, PORT, true)?;
    node.wait_status("a torrent stored", |status| status["stored_torrents"] == 1)?;
    let answer = fleet.ask(1, &format!("sample {} {hash}", node.address))?;
    if answer["samples"] == serde_json::json!([hash]) && answer["total"] == 1 {
        return Ok(());
    }
    Err(format!("bip tells libtorrent other samples: {answer}"))
}

fn bip_and_libtorrent_are_a_dht_over_ipv6(folder: &Path) -> Result<(), Failure> {
    let node = Node::start_at("[::1]:0", &[])?;
    let mut fleet = Fleet::start_at(Kind::Libtorrent, &["[::1]:0", "[::1]:0"], &[&node.address], Rules::Local)?;
    let second = Node::start_at("[::1]:0", &[&fleet.addresses[0]])?;
    fleet.wait_known(0, &[&second.address])?;
    let mut ours = Ours::start_at("[::1]", &node.address)?;
    let tool = Tool { host: "[::1]".to_owned(), bootstrap: node.address.clone() };
    expect_all(&mut [&mut fleet, &mut ours], &tool, folder)
}
