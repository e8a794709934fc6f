use crate::script::{Reader, Scope, Stage};
use std::collections::BTreeSet;

/// Everything that can happen to a swarm: torrents added, changed and removed, peers named, banned and connected, dials that succeed
/// or fail, streams, time, and a store that answers in any order, also what it was never asked.
///
/// The first byte seeds the swarm; then each step is a byte that chooses it, and what it needs.
pub fn swarm(data: &[u8]) {
    let reader = &mut Reader(data);
    Stage::new(Scope::Swarm, reader).play(reader);
}

/// Gives the kinds of commands and events that a script of [`swarm`] reaches.
pub fn swarm_reaches(data: &[u8]) -> BTreeSet<String> {
    let reader = &mut Reader(data);
    let mut stage = Stage::new(Scope::Swarm, reader);
    stage.look_on();
    stage.play(reader)
}
