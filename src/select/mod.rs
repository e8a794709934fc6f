//! Which piece next, whom to ask, and whom to serve: the policies of a swarm, as plain functions over plain data.
//!
//! The three classes of policy are those of Luo et al. ("Understanding and Improving Piece-Related Algorithms in
//! the BitTorrent Protocol", IEEE TPDS 24(12), 2013); choking is the fourth:
//!
//! | class | question | here |
//! |---|---|---|
//! | revelation | what do we show of what we have? | honest: all that is verified, at once |
//! | selection | which piece next? | [`Picker`]: by priority; then what is begun, then rarest first or in order; a piece that was bad from one peer at a time |
//! | queueing | whom to ask, and for how much? | [`Picker`]: requests move when a peer chokes us, goes, or is much slower than another. [`Pipeline`]: how many at a time |
//! | choking | whom to serve? | [`Choker`]: all while there are slots, else who gives most, and others in turn |
//!
//! In scope: decisions. Out of scope: connections, messages, timers, bytes; whoever calls has those. Nothing here knows the time
//! but by what it is told, or fails: what makes no sense is ignored.
//!
//! # The life of a block
//!
//! ```text
//!              pick                 on_block               on_stored             on_piece_good
//!   missing ─────────► asked for ──────────────► arrived ─────────────► stored ─────────────► ours
//!      ▲   release, release_one │     on_store_failed │    on_piece_bad    │
//!      └────────────────────────┴─────────────────────┴────────────────────┘
//! ```
//!
//! # Example
//!
//! One peer that has everything gives us a torrent of three pieces.
//!
//! ```
//! use bip::machine::Rng;
//! use bip::proto::{bitfield::Bitfield, geometry::Geometry};
//! use bip::select::{Arrival, Peer, Picker};
//!
//! let geometry = Geometry::new(80_000, 32 * 1024).unwrap();
//! let mut picker = Picker::new(geometry, &Bitfield::new(3), Rng::new(1));
//! let (seed, has) = (Peer(0), Bitfield::full(3));
//! picker.peer_joined(&has);
//! while picker.wants_from(&has) {
//!     let mut requests = Vec::new();
//!     picker.pick(seed, &has, 4, &mut requests);
//!     for span in requests {
//!         // ... the request goes out, the block comes in ...
//!         assert_eq!(picker.on_block(seed, span), Arrival::Wanted { cancel: vec![] });
//!         // ... the store writes it; with the last one of a piece it verifies the piece ...
//!         picker.on_stored(span);
//!         if picker.is_stored(span.piece) {
//!             picker.on_piece_good(span.piece);
//!         }
//!     }
//! }
//! assert!(picker.is_complete());
//! ```
//!
//! # Limits
//!
//! Each type says what its calls cost and what bounds them. `Picker`: two million pieces and hundreds of peers.

mod availability;
mod choker;
mod order;
mod picker;
mod pipeline;
mod progress;
mod reassignment;
mod suspects;

pub use choker::{Candidate, Choker, ChokerConfig, Decision, Goal};
pub use picker::{Arrival, Owned, Picker};
pub use pipeline::{Pipeline, PipelineConfig};
pub use reassignment::Reassignment;

/// How much a piece or a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Priority {
    /// Not at all.
    Skip,
    /// After all others.
    Low,
    /// As usual.
    #[default]
    Normal,
    /// Before all others.
    High,
}

/// A peer's key within one torrent, given by whoever asks for decisions. A key is not given to another peer later: what the
/// [`Picker`] knows of the one would count against the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u32);
