//! Which piece next, whom to ask, and whom to serve.

mod availability;
mod picker;
mod progress;

pub use picker::{Arrival, END_GAME_PEERS, Picker};

/// A peer's key within one torrent, given by whoever asks for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u32);
