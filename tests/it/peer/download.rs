use super::store::{content, geometry};
use super::world::{World, seconds, span};
use bip::peer::{Config, Gone, Violation};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::{BLOCK_LENGTH, Span};
use bip::proto::id::PieceIndex;
use bip::proto::message::Message;

/// Gives what the test's side of a stream was asked for.
pub(super) fn asked(world: &World, raw: usize) -> Vec<Span> {
    let word = |m: &[u8], at: usize| u32::from_be_bytes(m[at..at + 4].try_into().unwrap());
    let requests = world.messages(raw).into_iter().filter(|m| m.first() == Some(&6));
    requests.map(|m| span(word(&m, 1), word(&m, 5), word(&m, 9))).collect()
}

pub(super) fn piece<'a>(truth: &'a [u8], span: Span) -> Message<'a> {
    let at = span.piece.as_usize() * 65536 + span.begin as usize;
    Message::Piece { piece: span.piece, begin: span.begin, data: &truth[at..at + span.length as usize] }
}

#[test]
fn a_peer_that_takes_half_a_minute_for_a_block_is_asked_for_each_block_once() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(4).as_bytes()), Message::Unchoke]);
    let (mut served, mut out) = (0, Vec::new());
    for _ in 0..600 {
        world.run(seconds(1));
        if let Some(span) = asked(&world, raw).get(served).filter(|_| out.len() < 600) {
            piece(&truth, *span).encode(&mut out);
            served += 1;
        }
        let chunk: Vec<u8> = out.drain(..out.len().min(600)).collect();
        world.write(raw, &chunk);
    }
    assert!(world.nodes[b].is_complete() && world.nodes[b].store.is_true());
    assert_eq!((served, world.count(raw, 8), world.nodes[b].status().wasted), (15, 0, 0));
}

#[test]
fn a_peer_that_stalls_is_told_that_its_requests_are_off_and_what_it_sends_at_last_frees_it() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(4).as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let first = asked(&world, raw);
    assert_eq!(first.len(), 4);
    // Nobody else can be asked, so it is tried with one.
    world.run(seconds(21));
    assert_eq!((world.count(raw, 8), asked(&world, raw).len()), (4, 5));
    world.send(raw, &[piece(&truth, first[3])]);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].store.stores, 1);
    assert!(asked(&world, raw).len() >= 8, "{:?}", asked(&world, raw));
    assert_eq!(world.nodes[b].status().wasted, 0);
}

#[test]
fn a_block_may_come_late_also_when_other_requests_were_given_away_since() {
    let mut world = World::new(1);
    let shape = geometry(3);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let (raw, other) = (world.shaken(b, 1), world.shaken(b, 2));
    let all = Bitfield::full(3);
    world.send(raw, &[Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let early = asked(&world, raw);
    world.send(raw, &[Message::Choke]);
    world.run(seconds(1));
    world.send(other, &[Message::Have(early[0].piece), Message::Unchoke]);
    world.run(seconds(1));
    assert_eq!(asked(&world, other), early);
    world.send(raw, &[Message::Unchoke]);
    world.run(seconds(1));
    let later = asked(&world, raw).split_off(early.len());
    assert!(!later.is_empty() && later.iter().all(|span| !early.contains(span)));
    world.send(raw, &[Message::Choke, piece(&truth, early[0]), piece(&truth, later[0])]);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].store.stores, 2);
    assert_eq!((world.count(other, 8), world.nodes[b].status().wasted), (1, 0));
}

#[test]
fn what_comes_twice_or_unasked_is_redundant_and_what_is_no_use_is_wasted() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(4).as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let first = asked(&world, raw)[0];
    world.send(raw, &[piece(&truth, first), piece(&truth, first), piece(&truth, span(3, 0, 5_000))]);
    world.run(seconds(2));
    let status = world.nodes[b].status();
    assert_eq!((status.redundant, status.wasted), (16_384 + 5_000, 16_384 + 5_000));
    // Half a block is wasted and was wanted.
    let second = asked(&world, raw)[1];
    let mut half = Vec::new();
    piece(&truth, second).encode(&mut half);
    world.write(raw, &half[..13 + 8_000]);
    world.run(seconds(2));
    world.hang_up(raw);
    world.run(seconds(2));
    let status = world.nodes[b].status();
    assert_eq!((status.redundant, status.wasted), (16_384 + 5_000, 16_384 + 13_000));
}

#[test]
fn a_peer_that_is_not_read_for_its_own_requests_stalls_and_what_it_sent_behind_them_is_taken_at_last() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let truth = content(&shape);
    let config = Config { upload_queue: 8, ..Config::default() };
    let b = world.member(config, shape, Bitfield::from_bytes(&[0x80], 4).unwrap());
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(4).as_bytes()), Message::Unchoke, Message::Interested]);
    world.run(seconds(1));
    world.nodes[b].store.frozen = true;
    let mine = Message::Request(span(0, 0, BLOCK_LENGTH));
    world.send(raw, &[mine; 41]);
    for span in asked(&world, raw) {
        world.send(raw, &[piece(&truth, span)]);
    }
    world.run(seconds(18));
    assert_eq!((world.is_reading(b), world.count(raw, 8)), (vec![false], 0));
    // Others are asked after 20 s, and it is asked for nothing as long as we do not read what it would answer.
    world.run(seconds(82));
    assert_eq!((world.is_reading(b), world.count(raw, 8), world.count(raw, 6)), (vec![false], 4, 4));
    assert!(!world.is_closed(raw));
    world.nodes[b].store.frozen = false;
    world.run(seconds(1));
    assert_eq!((world.nodes[b].store.stores, world.nodes[b].status().wasted), (4, 0));
    assert!(world.count(raw, 6) > 4);
}

#[test]
fn a_bitfield_takes_the_place_of_what_the_peer_said_before() {
    let mut world = World::new(1);
    let b = world.leech(Config::default(), geometry(4));
    let raw = world.shaken(b, 1);
    let all = Bitfield::full(4);
    world.send(raw, &[Message::Have(PieceIndex(1)), Message::Bitfield(all.as_bytes()), Message::Unchoke]);
    world.run(seconds(3));
    assert_eq!((world.count(raw, 2), world.count(raw, 6), world.nodes[b].status().seeds), (1, 4, 1));
    // It has nothing after all: what it was asked for is off.
    world.send(raw, &[Message::Bitfield(&[0])]);
    world.run(seconds(3));
    assert_eq!((world.count(raw, 3), world.count(raw, 8), world.nodes[b].status().seeds), (1, 4, 0));
    world.send(raw, &[Message::Bitfield(all.as_bytes())]);
    world.run(seconds(3));
    assert_eq!((world.count(raw, 2), world.count(raw, 6), world.nodes[b].status().seeds), (2, 8, 1));
    // Of those that tell of nothing more there may be four.
    world.send(raw, &[Message::Bitfield(all.as_bytes()); 3]);
    world.run(seconds(1));
    assert!(world.nodes[b].gone().is_empty());
    world.send(raw, &[Message::Bitfield(all.as_bytes())]);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].gone(), [Gone::Violation(Violation::Bitfield)]);
    assert_eq!(world.count(raw, 2), 2);
}
