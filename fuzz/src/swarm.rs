use crate::script::{Reader, Scope, Stage};

/// Everything that can happen to a swarm: torrents added, changed and removed, peers named, banned and connected, dials that succeed
/// or fail, streams, time, and a store that answers in any order, also what it was never asked.
///
/// The first byte seeds the swarm; then each step is a byte that chooses it, and what it needs.
pub fn swarm(data: &[u8]) {
    let reader = &mut Reader(data);
    Stage::new(Scope::Swarm, reader).play(reader);
}
