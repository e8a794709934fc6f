use super::store::{content, geometry};
use super::world::{TORRENT, World, seconds, span};
use bip::peer::{Command, Config, Event, Refusal, Selection};
use bip::proto::bitfield::Bitfield;
use bip::proto::geometry::Span;
use bip::proto::id::PieceIndex;
use bip::proto::message::Message;
use bip::select::Priority::{self, High, Low, Normal, Skip};

fn select(pieces: &[Priority], sequential: bool) -> Command {
    let pieces = Some(pieces.into());
    Command::Select { torrent: TORRENT, selection: Selection { pieces, sequential } }
}

fn asked(world: &World, raw: usize) -> Vec<Span> {
    let word = |m: &[u8], at: usize| u32::from_be_bytes(m[at..at + 4].try_into().unwrap());
    let requests = world.messages(raw).into_iter().filter(|m| m.first() == Some(&6));
    requests.map(|m| span(word(&m, 1), word(&m, 5), word(&m, 9))).collect()
}

fn piece<'a>(truth: &'a [u8], span: Span) -> Message<'a> {
    let at = span.piece.as_usize() * 65536 + span.begin as usize;
    Message::Piece { piece: span.piece, begin: span.begin, data: &truth[at..at + span.length as usize] }
}

#[test]
fn what_is_skipped_is_taken_back_and_interest_follows_what_is_wanted() {
    let mut world = World::new(1);
    let shape = geometry(4);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(4).as_bytes()), Message::Unchoke]);
    world.run(seconds(1));
    let first = asked(&world, raw)[0];
    let mut wanted = [Normal; 4];
    wanted[first.piece.as_usize()] = Skip;
    world.command(b, select(&wanted, false));
    world.run(seconds(1));
    // Whatever was asked for of that piece is cancelled, and nothing of it is asked for again.
    let before = asked(&world, raw).iter().filter(|s| s.piece == first.piece).count();
    assert_eq!(world.count(raw, 8), before);
    assert!(before > 0 && world.count(raw, 3) == 0);
    // It comes all the same, and is of no use.
    world.send(raw, &[piece(&truth, first)]);
    world.run(seconds(1));
    assert_eq!(world.nodes[b].store.stores, 0);
    // Nothing is wanted: so it is complete, and not interested.
    world.command(b, select(&[Skip; 4], false));
    world.run(seconds(1));
    assert!(world.nodes[b].is_complete());
    assert_eq!((world.count(raw, 2), world.count(raw, 3)), (1, 1));
    let status = world.nodes[b].status();
    assert_eq!((status.pieces, status.pieces_wanted, status.bytes_wanted), (4, 0, 0));
    world.command(b, select(&wanted, true));
    world.run(seconds(1));
    assert_eq!(world.count(raw, 2), 2);
    let again: Vec<Span> = asked(&world, raw);
    assert!(again.last().is_some_and(|last| last.piece != first.piece), "{again:?}");
}

#[test]
fn high_pieces_come_first_and_each_completion_is_told_once() {
    let mut world = World::new(2);
    let shape = geometry(8);
    let truth = content(&shape);
    let b = world.leech(Config::default(), shape);
    world.command(b, select(&[Low, Skip, High, Skip, Low, High, Skip, Normal], false));
    let raw = world.shaken(b, 1);
    world.send(raw, &[Message::Bitfield(Bitfield::full(8).as_bytes()), Message::Unchoke]);
    let mut served = 0;
    let mut serve = |world: &mut World| {
        for _ in 0..200 {
            world.run(seconds(1));
            let spans = asked(world, raw);
            let Some(span) = spans.get(served) else { break };
            world.send(raw, &[piece(&truth, *span)]);
            served += 1;
        }
    };
    serve(&mut world);
    let mut order: Vec<u32> = asked(&world, raw).iter().map(|s| s.piece.0).collect();
    order.dedup();
    assert_eq!(order.len(), 5);
    assert_eq!([order[0].min(order[1]), order[0].max(order[1]), order[2]], [2, 5, 7]);
    let completions =
        |world: &World| world.nodes[b].events.iter().filter(|e| matches!(e, Event::Completed { .. })).count();
    assert_eq!(completions(&world), 1);
    let status = world.nodes[b].status();
    assert_eq!((status.pieces_done, status.pieces_wanted, status.pieces_wanted_done), (5, 5, 5));
    // The connection stays, though the other side has everything: we may want more.
    assert!(world.nodes[b].gone().is_empty());
    // The same again is no news.
    world.command(b, select(&[Low, Skip, High, Skip, Low, High, Skip, Normal], true));
    world.run(seconds(1));
    assert_eq!(completions(&world), 1);
    world.command(b, select(&[Normal; 8], true));
    serve(&mut world);
    let order: Vec<u32> = asked(&world, raw).iter().map(|s| s.piece.0).skip_while(|p| *p != 1).collect();
    assert!(order.windows(2).all(|two| two[0] <= two[1]), "{order:?}");
    assert_eq!(completions(&world), 2);
    assert!(world.nodes[b].store.is_true());
}

#[test]
fn a_selection_of_another_torrent_is_refused_and_changes_nothing() {
    let mut world = World::new(3);
    let shape = geometry(4);
    let b = world.leech(Config::default(), shape);
    world.command(b, select(&[Skip; 5], false));
    world.run(seconds(1));
    let refused = Event::Refused { torrent: TORRENT, refusal: Refusal::WrongSelection };
    assert!(world.nodes[b].events.contains(&refused));
    assert_eq!(world.nodes[b].status().pieces_wanted, 4);
    let raw = world.shaken(b, 1);
    let mut one = Bitfield::new(4);
    one.insert(PieceIndex(3));
    world.send(raw, &[Message::Bitfield(one.as_bytes())]);
    world.run(seconds(1));
    assert_eq!(world.count(raw, 2), 1);
}
