use crate::script::{Reader, Scope, Stage};
use bip::proto::bitfield::Bitfield;
use bip::proto::id::PieceIndex;
use std::collections::BTreeSet;

/// One torrent and one peer at a time, whose stream is the script's: raw bytes, or messages after a handshake, in any order; time,
/// the store's answers in any order, limits and pauses between.
///
/// The first byte seeds the swarm. The second says which of the torrent's pieces are there and whether the rest is wanted. Then each
/// step is a byte that chooses it, and what it needs.
pub fn connection(data: &[u8]) {
    play(data, false);
}

/// Gives the kinds of commands and events that a script of [`connection`] reaches.
pub fn connection_reaches(data: &[u8]) -> BTreeSet<String> {
    play(data, true)
}

fn play(data: &[u8], looked_on: bool) -> BTreeSet<String> {
    let reader = &mut Reader(data);
    let mut stage = Stage::new(Scope::Connection, reader);
    if looked_on {
        stage.look_on();
    }
    let choice = reader.byte();
    let mut have = Bitfield::new(4);
    (0..4).filter(|piece| choice >> piece & 1 == 1).for_each(|piece| {
        have.insert(PieceIndex(piece));
    });
    stage.add(0, have, choice & 16 == 0);
    stage.accept(1);
    stage.play(reader)
}
