//! Somebody who watches all streams.

use super::network::Seat;
use bip::machine::Instant;

/// One end of a stream: never used twice in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EndId(pub(crate) usize);

/// What is told of streams, in the order in which the machines see it.
pub(crate) trait Tap {
    /// A machine asked for a connection.
    fn dialled(&mut self, now: Instant, by: Seat);
    /// A dial succeeded or failed.
    fn dial_ended(&mut self, by: Seat);
    /// A stream begins.
    fn opened(&mut self, dialler: (Seat, EndId), listener: (Seat, EndId));
    /// A machine is about to be given bytes.
    fn read(&mut self, now: Instant, end: EndId, bytes: &[u8]);
    /// A machine wrote bytes.
    fn wrote(&mut self, now: Instant, end: EndId, bytes: &[u8]);
    /// A machine closed its end, or its end was closed.
    fn closed(&mut self, end: EndId);
    /// All that a machine asked for in a call has been done.
    fn drained(&mut self, now: Instant, by: Seat);
}
