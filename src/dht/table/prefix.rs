//! What ids have in common: their first bits.

use crate::machine::Rng;
use crate::proto::id::NodeId;

/// How many bits an id has.
pub(super) const BITS: usize = 8 * NodeId::LEN;

/// How many bits two ids begin with alike: 0 to 160, and 160 of equal ones.
pub(super) fn shared(a: &NodeId, b: &NodeId) -> usize {
    let distance = a.distance(b);
    match distance.iter().position(|byte| *byte != 0) {
        Some(at) => 8 * at + distance[at].leading_zeros() as usize,
        None => BITS,
    }
}

/// Says whether the bit at a place is set; the first is at 0.
pub(super) fn bit(distance: &[u8; NodeId::LEN], at: usize) -> bool {
    distance[at / 8] & 0x80 >> (at % 8) != 0
}

/// Draws an id that begins with the same bits as `own`, `depth` of them, and differs in the next where `differs` says so.
pub(super) fn random(own: &NodeId, depth: usize, differs: bool, rng: &mut Rng) -> NodeId {
    let mut id = *own;
    let free = depth + usize::from(differs);
    if differs {
        id.0[depth / 8] ^= 0x80 >> (depth % 8);
    }
    for (at, byte) in id.0.iter_mut().enumerate() {
        // The bits of this byte that are to be drawn.
        let mask = match free.saturating_sub(8 * at) {
            0 => 0xff,
            kept @ 1..=7 => 0xff >> kept,
            _ => continue,
        };
        *byte = *byte & !mask | rng.next_u64() as u8 & mask;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_share_the_bits_before_the_first_that_differs() {
        let own = NodeId([0xa5; 20]);
        assert_eq!(shared(&own, &own), 160);
        for at in 0..BITS {
            let mut other = own;
            other.0[at / 8] ^= 0x80 >> (at % 8);
            assert_eq!(shared(&own, &other), at);
            assert!(bit(&own.distance(&other), at));
        }
    }

    #[test]
    fn a_random_id_keeps_exactly_the_bits_that_it_should() {
        let (own, mut rng) = (NodeId([0x3c; 20]), Rng::new(1));
        for depth in 0..BITS {
            let mut longest = 0;
            for _ in 0..50 {
                assert_eq!(shared(&own, &random(&own, depth, true, &mut rng)), depth);
                let near = shared(&own, &random(&own, depth, false, &mut rng));
                assert!(near >= depth);
                longest = longest.max(near);
            }
            assert!(longest > depth, "all bits from {depth} on are drawn");
        }
    }
}
