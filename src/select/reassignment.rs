//! When a request is better off with another peer.

use std::time::Duration;

/// How many times as long as another peer the present one has to need.
const FACTOR: u32 = 3;
/// How much longer beyond that, where the other peer has nothing else to do.
const IDLE: Duration = Duration::from_secs(1);
/// How much longer, where a piece waits for the present one alone.
const HOSTAGE: Duration = Duration::from_secs(5);
/// From when on a peer that sends no whole block is not spared.
const SILENT: Duration = Duration::from_secs(10);
/// Moved bytes that are allowed in a torrent of any size: four blocks.
const FREE: u64 = 4 * 16 * 1024;
/// The share of a torrent that may move besides: one part in so many.
const SHARE: u64 = 200;

/// Decides when a request moves from the peer that was asked to another (requests *move*, as Luo et al. have it, and are not made
/// twice).
///
/// What a slow peer was asked for it has mostly put on its way before a cancel reaches it: so a move may cost the block's bytes. Hence
///
/// - it is for a gain: the present peer needs over three times as long as the other would, and a second more; or five seconds
///   more where the other is busy but a piece is otherwise complete, and waits for the present peer alone;
/// - it moves no further unless there is as much to gain again, so that two peers do not pass a request to and fro;
/// - what moves away from peers that do send is at most 0.5 % of the torrent and four blocks. A peer that has sent no whole block for
///   ten seconds is not spared.
///
/// So blocks that come twice are below 1 % of any torrent of 13 MB or more, whatever its peers do that answer within ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reassignment {
    /// How long the present peer will take for it.
    pub present: Duration,
    /// How long the other peer would take.
    pub other: Duration,
    /// Whether the other has nothing else to do.
    pub idle: bool,
    /// Whether a piece waits for the present peer alone.
    pub hostage: bool,
}

impl Reassignment {
    /// Says whether there is enough to gain.
    pub fn is_worthwhile(&self) -> bool {
        let margin = match self {
            Self { idle: true, .. } => IDLE,
            Self { hostage: true, .. } => HOSTAGE,
            _ => return false,
        };
        self.present > self.other.saturating_mul(FACTOR).saturating_add(margin)
    }

    /// Says whether a peer may well have sent what is taken from it, that has sent no whole block for so long although it was asked.
    pub fn is_at_risk(unanswered: Duration) -> bool {
        unanswered < SILENT
    }

    /// Gives how many bytes may be taken from peers that may have sent them, in a torrent of that length.
    pub fn most_at_risk(total_length: u64) -> u64 {
        FREE + total_length / SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_moves_for_a_gain_only_and_never_to_and_fro() {
        let ms = Duration::from_millis;
        let case = |present, other, idle, hostage| {
            Reassignment { present: ms(present), other: ms(other), idle, hostage }.is_worthwhile()
        };
        assert!(case(1_301, 100, true, false) && !case(1_300, 100, true, false));
        assert!(case(5_301, 100, false, true) && !case(5_300, 100, false, true));
        assert!(!case(100_000, 100, false, false));
        for (present, other) in [(1_301, 100), (9_000, 2_000), (60_000, 19_000)] {
            assert!(case(present, other, true, true) && !case(other, present, true, true));
        }
    }
}
