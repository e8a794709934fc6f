//! Pieces that came with the wrong hash.

use super::*;
use crate::select::suspects::SUSPECTS;

/// A picker of pieces of four blocks.
fn picker(pieces: u32) -> (Picker, Bitfield) {
    let geometry = Geometry::new(u64::from(pieces) * 4 * u64::from(BLOCK_LENGTH), 4 * BLOCK_LENGTH).unwrap();
    let all = Bitfield::full(pieces);
    let mut picker = Picker::new(geometry, &Bitfield::new(pieces), Rng::new(3));
    (0..3).for_each(|_| picker.peer_joined(&all));
    (picker, all)
}

fn pick(picker: &mut Picker, peer: u32, has: &Bitfield, count: usize) -> Vec<Span> {
    let mut out = Vec::new();
    picker.pick(Peer(peer), has, count, &mut out);
    out
}

/// Has a peer give a whole piece, with the wrong hash.
fn spoil(picker: &mut Picker, peer: u32, piece: u32) {
    for block in 0..4 {
        let span = picker.geometry.block(PieceIndex(piece), block).unwrap();
        assert_eq!(picker.on_block(Peer(peer), span), Arrival::Wanted { cancel: vec![] });
        picker.on_stored(span);
    }
    picker.on_piece_bad(PieceIndex(piece));
}

fn pieces(spans: &[Span]) -> Vec<u32> {
    let mut pieces: Vec<u32> = spans.iter().map(|s| s.piece.0).collect();
    pieces.dedup();
    pieces
}

#[test]
fn a_suspect_piece_is_asked_of_one_peer_only_and_its_requests_do_not_move() {
    let (mut p, all) = picker(2);
    spoil(&mut p, 1, 0);
    let asked = pick(&mut p, 2, &all, 2);
    assert_eq!((pieces(&asked), p.owner(PieceIndex(0))), (vec![0], Some(Peer(2))));
    assert_eq!(pieces(&pick(&mut p, 3, &all, 9)), [1]);
    assert!(!p.move_request(Peer(2), Peer(3), asked[0]));
    assert!(pick(&mut p, 1, &all, 9).is_empty());
    // It goes on with it itself.
    assert_eq!(pieces(&pick(&mut p, 2, &all, 2)), [0]);
    // What another sends of it is not mixed in.
    assert_eq!(p.on_block(Peer(1), asked[0]), Arrival::Unwanted);
    assert_eq!(p.on_block(Peer(2), asked[0]), Arrival::Wanted { cancel: vec![] });
}

#[test]
fn who_gave_nothing_of_the_bad_copy_fetches_it_before_all_else_and_who_did_after_all_else() {
    let (mut p, all) = picker(3);
    spoil(&mut p, 1, 1);
    assert_eq!(pieces(&pick(&mut p, 1, &all, 8)).len(), 2);
    p.release(Peer(1));
    assert_eq!(pieces(&pick(&mut p, 2, &all, 1)), [1]);
    p.release(Peer(2));
    p.avoid(Peer(2), PieceIndex(1));
    assert!(!pieces(&pick(&mut p, 2, &all, 8)).contains(&1));
    // With nobody else there it is fetched all the same.
    assert_eq!(pieces(&pick(&mut p, 2, &all, 4)), [1]);
}

#[test]
fn a_piece_whose_only_source_spoils_it_is_fetched_until_it_is_good() {
    let (mut p, all) = picker(1);
    for _ in 0..3 {
        spoil(&mut p, 1, 0);
        assert!(p.is_suspect(PieceIndex(0)) && p.owner(PieceIndex(0)).is_none());
    }
    let asked = pick(&mut p, 1, &all, 9);
    assert_eq!(asked.len(), 4);
    for span in asked {
        assert!(matches!(p.on_block(Peer(1), span), Arrival::Wanted { .. }));
        p.on_stored(span);
    }
    assert!(p.is_stored(PieceIndex(0)));
    p.on_piece_good(PieceIndex(0));
    assert!(p.is_complete() && !p.is_suspect(PieceIndex(0)) && p.requests() == 0);
}

#[test]
fn what_an_owner_that_is_gone_began_is_finished_by_another_and_by_one_with_nothing_else_to_do() {
    let (mut p, all) = picker(2);
    spoil(&mut p, 1, 0);
    let asked = pick(&mut p, 2, &all, 3);
    assert!(matches!(p.on_block(Peer(2), asked[0]), Arrival::Wanted { .. }));
    p.release(Peer(2));
    // What it sent before it knew does not mix anything.
    assert!(matches!(p.on_block(Peer(2), asked[1]), Arrival::Wanted { .. }));
    assert_eq!(p.on_block(Peer(3), asked[2]), Arrival::Unwanted);
    // The piece may yet become all its own; and a third one has other things to do first.
    assert_eq!(pieces(&pick(&mut p, 3, &all, 4)), [1]);
    assert_eq!(pieces(&pick(&mut p, 2, &all, 1)), [0]);
    p.release_one(Peer(2), asked[2]);
    let rest = pick(&mut p, 3, &all, 4);
    assert_eq!((pieces(&rest), rest.len(), p.owner(PieceIndex(0))), (vec![0], 2, Some(Peer(3))));
    assert_eq!(p.on_block(Peer(2), asked[2]), Arrival::Unwanted);
}

#[test]
fn an_owner_that_is_asked_for_nothing_holds_up_nobody() {
    let (mut p, all) = picker(1);
    spoil(&mut p, 1, 0);
    let first = pick(&mut p, 2, &all, 1);
    assert_eq!(pick(&mut p, 3, &all, 4), []);
    assert!(matches!(p.on_block(Peer(2), first[0]), Arrival::Wanted { .. }));
    // Nothing is asked of it, for whatever reason.
    assert_eq!(pick(&mut p, 3, &all, 4).len(), 3);
    assert_eq!(pick(&mut p, 2, &all, 4), []);
}

#[test]
fn only_so_many_pieces_are_suspect_and_the_others_are_fetched_as_any() {
    let most = SUSPECTS as u32;
    let (mut p, all) = picker(most + 1);
    (0..=most).for_each(|piece| spoil(&mut p, 1, piece));
    assert!(p.is_suspect(PieceIndex(most - 1)) && !p.is_suspect(PieceIndex(most)));
    assert_eq!(pieces(&pick(&mut p, 1, &all, 4)), [most]);
    assert_eq!(pick(&mut p, 2, &all, 10_000).len(), 4 * SUSPECTS);
}

#[test]
fn a_piece_that_is_handed_over_is_the_new_owners_alone_and_the_old_one_comes_after_all_others() {
    let (mut p, all) = picker(2);
    spoil(&mut p, 1, 0);
    let asked = pick(&mut p, 2, &all, 3);
    let owned = Owned { piece: PieceIndex(0), owner: Peer(2), asked: 3, missing: 1 };
    assert_eq!(p.owned().collect::<Vec<_>>(), [owned]);
    // Not to itself; to one that spoiled it only where nobody else is found.
    let may = |p: &Picker, to, avoided| p.may_hand_over(PieceIndex(0), Peer(to), avoided);
    assert_eq!([may(&p, 2, true), may(&p, 3, false), may(&p, 1, false), may(&p, 1, true)], [false, true, false, true]);
    assert_eq!(p.hand_over(PieceIndex(0), Peer(2), 9), (vec![], 0));
    assert_eq!(p.hand_over(PieceIndex(0), Peer(3), 2), (asked.clone(), 2));
    assert_eq!((p.requests_to(Peer(2)), p.requests_to(Peer(3)), p.requests()), (0, 2, 2));
    assert_eq!(p.owned().next().map(|owned| (owned.owner, owned.asked, owned.missing)), Some((Peer(3), 2, 2)));
    // It goes on with it itself, and nobody beside it.
    assert_eq!(pieces(&pick(&mut p, 2, &all, 1)), [1]);
    assert_eq!(pick(&mut p, 3, &all, 2).len(), 2);
    assert_eq!(p.on_block(Peer(2), asked[0]), Arrival::Unwanted);
    assert!(matches!(p.on_block(Peer(3), asked[0]), Arrival::Wanted { .. }));
    // Given free, it is for the old owner after everything else.
    p.forget_peer(Peer(3));
    let rest = pick(&mut p, 2, &all, 9);
    assert_eq!((pieces(&rest), rest.len()), (vec![1, 0], 6));
}

#[test]
fn after_a_few_bad_copies_nobody_with_a_part_in_one_is_given_the_piece_of_another() {
    let (mut p, all) = picker(1);
    for copies in 1..6 {
        spoil(&mut p, 1, 0);
        pick(&mut p, 2, &all, 1);
        assert_eq!(p.may_hand_over(PieceIndex(0), Peer(1), true), copies < 4, "{copies}");
        assert!(p.may_hand_over(PieceIndex(0), Peer(3), false));
        p.release(Peer(2));
    }
}

#[test]
fn who_is_gone_is_avoided_no_more_and_the_avoided_are_bounded() {
    let (mut p, all) = picker(2);
    spoil(&mut p, 1, 0);
    (10..2_000).for_each(|peer| p.avoid(Peer(peer), PieceIndex(0)));
    let avoided = |p: &Picker, peer| !p.may_hand_over(PieceIndex(0), Peer(peer), false);
    pick(&mut p, 5_000, &all, 1);
    assert_eq!((10..2_000).filter(|peer| avoided(&p, *peer)).count(), 256);
    assert!(avoided(&p, 1_999));
    p.forget_peer(Peer(1_999));
    assert!(!avoided(&p, 1_999) && avoided(&p, 1_998));
}
