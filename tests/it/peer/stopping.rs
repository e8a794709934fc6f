//! A torrent that stops downloading, and a store that has more than we fetched, or less.

use super::store::{content, geometry};
use super::world::{TORRENT, World, seconds, span};
use bip::peer::{Command, Config};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::PieceIndex;
use bip::proto::message::Message;

const INTERESTED: u8 = 2;
const NOT_INTERESTED: u8 = 3;
const REQUEST: u8 = 6;
const CANCEL: u8 = 8;

/// Gives the places that a peer was asked for: piece and begin.
fn asked(world: &World, raw: usize) -> Vec<(u32, u32)> {
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let requests = world.messages(raw).into_iter().filter(|m| m.first() == Some(&REQUEST));
    requests.map(|m| (number(&m[1..5]), number(&m[5..9]))).collect()
}

#[test]
fn a_torrent_that_stops_downloading_takes_everything_back_and_goes_on_where_it_was() {
    let mut world = World::new(1);
    let shape = geometry(16);
    let b = world.leech(Config::default(), shape);
    let raw = world.shaken(b, 1);
    let all = Bitfield::full(16);
    world.send(raw, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let before = asked(&world, raw);
    assert!(!before.is_empty() && world.count(raw, INTERESTED) == 1);
    world.command(b, Command::SetDownload { torrent: TORRENT, download: false });
    world.run(seconds(1));
    assert_eq!((world.count(raw, NOT_INTERESTED), world.count(raw, CANCEL)), (1, before.len()));
    // What comes all the same is not stored, and nothing makes us interested again.
    let bytes = content(&shape);
    let (piece, begin) = before[0];
    let at = shape.offset_of(span(piece, begin, 16384)) as usize;
    let data = &bytes[at..at + 16384];
    world.send(raw, &[Message::Piece { piece: PieceIndex(piece), begin, data }, Message::Choke, Message::Unchoke]);
    world.send(raw, &[Message::Bitfield(all.as_bytes())]);
    world.run(seconds(60));
    assert_eq!(world.nodes[b].store.stores, 0);
    assert_eq!((world.count(raw, INTERESTED), asked(&world, raw).len()), (1, before.len()));
    world.command(b, Command::SetDownload { torrent: TORRENT, download: true });
    world.run(seconds(1));
    assert_eq!(world.count(raw, INTERESTED), 2);
    assert!(asked(&world, raw).len() > before.len());
    assert!(!world.is_closed(raw));
}

#[test]
fn a_torrent_that_downloads_nothing_is_uploaded_and_downloads_when_it_may() {
    let mut world = World::new(2);
    let shape = geometry(12);
    let (a, b) = (world.seed(Config::default(), shape), world.leech(Config::default(), shape));
    world.command(b, Command::SetDownload { torrent: TORRENT, download: false });
    world.introduce(b, a);
    world.run(seconds(30));
    assert_eq!(world.nodes[b].store.stores, 0);
    // A seed may be told as well.
    world.command(a, Command::SetDownload { torrent: TORRENT, download: false });
    world.command(b, Command::SetDownload { torrent: TORRENT, download: true });
    assert!(world.run_until(seconds(60), |w| w.nodes[b].is_complete()));
    assert!(world.nodes[b].store.is_true());
}

#[test]
fn blocks_that_the_store_has_are_not_asked_for() {
    let mut world = World::new(3);
    let shape = geometry(3);
    let b = world.leech(Config::default(), shape);
    let kept = [(0, 0), (0, 2), (1, 0), (1, 1), (1, 2)];
    let spans = kept.iter().map(|(piece, block)| shape.block(PieceIndex(*piece), *block).unwrap());
    // What is no block is passed over.
    let spans = spans.chain([span(2, 5, 16384), span(9, 0, 16384)]).collect();
    world.command(b, Command::Kept { torrent: TORRENT, spans });
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(3).as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let mut asked = asked(&world, raw);
    asked.sort_unstable();
    asked.dedup();
    let blocks = (0..3).flat_map(|p| (0..shape.blocks_in(PieceIndex(p))).map(move |b| (p, b)));
    let missing: Vec<_> = blocks.filter(|block| !kept.contains(block)).map(|(p, b)| (p, b * 16384)).collect();
    // No more than these, and the pieces that are begun first.
    assert!(asked.iter().all(|place| missing.contains(place)), "{asked:?}");
    assert!(asked.contains(&(1, 3 * 16384)) || asked.contains(&(0, 16384)), "{asked:?}");
}

#[test]
fn a_piece_that_is_lost_is_fetched_again_and_whoever_was_told_of_it_is_disconnected() {
    let mut world = World::new(4);
    let shape = geometry(4);
    let a = world.member(Config::default(), shape, Bitfield::full(4));
    let (poor, rich) = (world.shaken(a, 1), world.shaken(a, 2));
    let mut has = Bitfield::new(4);
    has.insert(PieceIndex(1));
    world.send(rich, &[Message::Bitfield(has.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    for _ in 0..2 {
        world.command(a, Command::PieceLost { torrent: TORRENT, piece: PieceIndex(1) });
    }
    world.command(a, Command::PieceLost { torrent: TORRENT, piece: PieceIndex(9) });
    world.run(seconds(1));
    assert!(world.is_closed(poor) && !world.is_closed(rich));
    assert_eq!(world.count(rich, INTERESTED), 1);
    let mut asked = asked(&world, rich);
    asked.sort_unstable();
    assert!(!asked.is_empty() && asked.iter().all(|(piece, _)| *piece == 1), "{asked:?}");
    assert_eq!(world.nodes[a].status().pieces_done, 3);
    // A newcomer is told the truth.
    let late = world.shaken(a, 3);
    world.run(seconds(1));
    assert_eq!(world.messages(late)[0], [5, 0b1011_0000]);
    // It comes again, and all is there.
    let bytes = content(&shape);
    let end = shape.length_of(PieceIndex(1));
    for begin in (0..end).step_by(16384) {
        let at = shape.offset_of(span(1, begin, 16384)) as usize;
        world.send(rich, &[Message::Piece { piece: PieceIndex(1), begin, data: &bytes[at..at + 16384] }]);
    }
    assert!(world.run_until(seconds(60), |w| w.nodes[a].is_complete()));
}
