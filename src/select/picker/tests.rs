use super::*;
use std::collections::BTreeSet;

fn picker(pieces: u32, blocks: u32, seed: u64) -> Picker {
    let length = blocks * BLOCK_LENGTH;
    let geometry = Geometry::new(u64::from(pieces) * u64::from(length), length).unwrap();
    Picker::new(geometry, &Bitfield::new(pieces), Rng::new(seed))
}

fn set(pieces: u32, members: impl IntoIterator<Item = u32>) -> Bitfield {
    let mut set = Bitfield::new(pieces);
    members.into_iter().for_each(|p| {
        set.insert(PieceIndex(p));
    });
    set
}

fn pick(picker: &mut Picker, peer: u32, has: &Bitfield, count: usize) -> Vec<Span> {
    let mut out = Vec::new();
    picker.pick(Peer(peer), has, count, &mut out);
    out
}

fn pieces(spans: &[Span]) -> BTreeSet<u32> {
    spans.iter().map(|s| s.piece.0).collect()
}

#[test]
fn a_begun_piece_is_finished_before_another_is_begun_and_peers_share_it() {
    let mut p = picker(50, 8, 1);
    let all = Bitfield::full(50);
    p.peer_joined(&all);
    p.peer_joined(&all);
    let first = pick(&mut p, 1, &all, 3);
    let second = pick(&mut p, 2, &all, 3);
    let third = pick(&mut p, 1, &all, 2);
    let mut together: Vec<Span> = [first, second, third].concat();
    assert_eq!(pieces(&together).len(), 1);
    together.sort_unstable();
    together.dedup();
    assert_eq!(together.len(), 8);
}

fn pick_apart(picker: &mut Picker, peer: u32, has: &Bitfield, count: usize) -> Vec<Span> {
    let mut out = Vec::new();
    picker.pick_apart(Peer(peer), has, count, &mut out);
    out
}

#[test]
fn apart_each_peer_has_pieces_of_its_own_and_what_nobody_goes_on_with_comes_before_new_ones() {
    let mut p = picker(50, 8, 1);
    let all = Bitfield::full(50);
    (0..3).for_each(|_| p.peer_joined(&all));
    let first = pieces(&pick_apart(&mut p, 1, &all, 3));
    let second = pieces(&pick_apart(&mut p, 2, &all, 3));
    assert!(first.len() == 1 && second.len() == 1 && first != second);
    // The first one's piece to its end, and the beginning of another.
    let more = pick_apart(&mut p, 1, &all, 7);
    assert_eq!(more.iter().filter(|span| first.contains(&span.piece.0)).count(), 5);
    let next = more[6].piece;
    assert!(!second.contains(&next.0) && more[5].piece == next);
    // Who is gone leaves a piece of which a block has come.
    p.on_block(Peer(1), more[5]);
    p.release(Peer(1));
    assert_eq!(pieces(&pick_apart(&mut p, 3, &all, 7)), BTreeSet::from([next.0]));
}

#[test]
fn apart_pieces_are_shared_all_the_same_where_many_are_begun_or_none_is_left() {
    let mut p = picker(6, 8, 1);
    let all = Bitfield::full(6);
    p.peer_joined(&all);
    (0..5).for_each(|n| drop(pick_apart(&mut p, 1, &set(6, [n]), 1)));
    assert!(pieces(&pick_apart(&mut p, 2, &all, 8)).iter().all(|piece| *piece < 5));
    let mut p = picker(1, 8, 1);
    p.peer_joined(&Bitfield::full(1));
    let both = [1, 2].map(|peer| pick_apart(&mut p, peer, &Bitfield::full(1), 4));
    assert_eq!(both.concat().len(), 8);
}

#[test]
fn a_peer_goes_on_with_its_own_piece_rather_than_with_one_nearer_to_its_end() {
    let mut p = picker(50, 8, 1);
    let (low, all) = (set(50, 0..10), Bitfield::full(50));
    let own = pick(&mut p, 1, &set(50, 20..30), 2);
    let others = pick(&mut p, 2, &low, 7);
    assert_eq!(pieces(&pick(&mut p, 1, &all, 4)), pieces(&own));
    // Without one of its own it takes the one with the fewest blocks missing.
    assert_eq!(pieces(&pick(&mut p, 3, &all, 1)), pieces(&others));
}

#[test]
fn the_rarest_piece_is_begun_first() {
    let mut p = picker(40, 1, 2);
    let all = Bitfield::full(40);
    p.peer_joined(&all);
    p.peer_joined(&set(40, (0..40).filter(|i| *i != 17)));
    p.peer_joined(&set(40, (0..40).filter(|i| *i != 17 && *i != 23)));
    let order: Vec<u32> = pick(&mut p, 1, &all, 40).iter().map(|s| s.piece.0).collect();
    assert_eq!(order[..2], [17, 23]);
    assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 40);
}

#[test]
fn the_requests_of_a_peer_that_chokes_or_leaves_can_be_made_to_others_at_once() {
    let mut p = picker(3, 4, 3);
    let all = Bitfield::full(3);
    p.peer_joined(&all);
    p.peer_joined(&all);
    let gone = pick(&mut p, 1, &all, 12);
    assert_eq!((gone.len(), p.requests_to(Peer(1))), (12, 12));
    p.release(Peer(1));
    assert_eq!((p.requests(), p.requests_to(Peer(1))), (0, 0));
    let again = pick(&mut p, 2, &all, 20);
    assert_eq!(again.iter().collect::<BTreeSet<_>>(), gone.iter().collect::<BTreeSet<_>>());
    // What the first peer had sent before it knew is taken, and the second one is told.
    assert_eq!(p.on_block(Peer(1), gone[0]), Arrival::Wanted { cancel: vec![Peer(2)] });
    assert_eq!(p.on_block(Peer(2), gone[0]), Arrival::Unwanted);
}

#[test]
fn what_is_no_block_of_the_torrent_is_unwanted() {
    let mut p = picker(3, 2, 5);
    let block = Span { piece: PieceIndex(1), begin: BLOCK_LENGTH, length: BLOCK_LENGTH };
    for wrong in [
        Span { begin: 1, ..block },
        Span { length: BLOCK_LENGTH - 1, ..block },
        Span { length: 0, ..block },
        Span { begin: 2 * BLOCK_LENGTH, ..block },
        Span { piece: PieceIndex(3), ..block },
        Span { piece: PieceIndex(u32::MAX), begin: u32::MAX, length: u32::MAX },
    ] {
        assert_eq!(p.on_block(Peer(1), wrong), Arrival::Unwanted);
        p.on_stored(wrong);
        p.on_store_failed(wrong);
        p.release_one(Peer(1), wrong);
    }
    p.on_piece_good(PieceIndex(3));
    p.on_piece_bad(PieceIndex(u32::MAX));
    p.peer_has(PieceIndex(3));
    assert!(p.have().is_empty() && p.begun.is_empty());
    assert_eq!(p.on_block(Peer(1), block), Arrival::Wanted { cancel: vec![] });
}

#[test]
fn a_peer_finds_its_one_piece_among_a_thousand_begun_ones() {
    let mut p = picker(4_000, 2, 6);
    for piece in 0..1_000 {
        let span = p.geometry.block(PieceIndex(piece * 3), 0).unwrap();
        p.on_block(Peer(0), span);
    }
    let picked = pick(&mut p, 1, &set(4_000, [1_500]), 9);
    assert_eq!(picked, [p.geometry.block(PieceIndex(1_500), 1).unwrap()]);
}

#[test]
fn a_peer_with_one_piece_costs_a_bounded_search_among_two_million() {
    const PIECES: u32 = 1 << 21;
    let mut p = picker(PIECES, 1, 7);
    let all = Bitfield::full(PIECES);
    (0..200).for_each(|_| p.peer_joined(&all));
    assert_eq!(p.availability.work, 0);
    let poor = set(PIECES, [1_234_567]);
    p.peer_joined(&poor);
    assert_eq!(pieces(&pick(&mut p, 1, &poor, 500)), [1_234_567].into());
    // Two searches: one finds the piece, one finds that there is no more.
    assert!(p.availability.work <= 2 * (256 + u64::from(PIECES) / 64 + 1), "{}", p.availability.work);
    p.availability.work = 0;
    assert_eq!(pick(&mut p, 2, &all, 500).len(), 500);
    assert_eq!(p.availability.work, 500);
}
