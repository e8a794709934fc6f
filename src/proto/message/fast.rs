use crate::proto::id::{InfoHash, PieceIndex};
use crate::proto::sha1::Sha1;
use std::net::IpAddr;

/// How many pieces BEP 6 lets a choked peer ask for.
pub const ALLOWED_FAST: u32 = 10;

/// The most pieces that [`allowed_fast`] gives.
pub const MOST_ALLOWED_FAST: u32 = 100;

/// Gives the pieces that a peer may ask for while it is choked: always the same for its network and the torrent (BEP 6).
///
/// Two who offer different numbers of pieces offer the same first ones. There are `count` of them, at most
/// [`MOST_ALLOWED_FAST`], or all pieces where the torrent has no more.
///
/// The address is the peer's. Of an IPv4 address the first three bytes count, so that a user gets nothing by having more
/// addresses in one network. For IPv6, which BEP 6 leaves open, the first eight bytes count, for the same reason, and eight zero
/// bytes follow. An IPv4 address in an IPv6 form is IPv4. The messages name the pieces, so that nobody need compute the same.
///
/// ```
/// use bip::proto::{id::{InfoHash, PieceIndex}, message::allowed_fast};
/// let pieces = allowed_fast(&InfoHash([0xaa; 20]), "80.4.4.200".parse()?, 1313, 3);
/// assert_eq!(pieces, [PieceIndex(1059), PieceIndex(431), PieceIndex(808)]);
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub fn allowed_fast(info_hash: &InfoHash, address: IpAddr, piece_count: u32, count: u32) -> Vec<PieceIndex> {
    let count = count.min(MOST_ALLOWED_FAST);
    if count >= piece_count {
        return (0..piece_count).map(PieceIndex).collect();
    }
    let mut hasher = Sha1::new();
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            hasher.update(&[a, b, c, 0]);
        }
        IpAddr::V6(ip) => hasher.update(&(u128::from(ip) >> 64 << 64).to_be_bytes()),
    }
    hasher.update(&info_hash.0);
    let mut hash = hasher.finish();
    let mut pieces: Vec<PieceIndex> = Vec::new();
    // Ends by itself: the hardest is 100 of 101 pieces, which takes about 100 hashes. The bound is for the sceptic.
    for _ in 0..10_000 {
        for word in hash.chunks_exact(4) {
            if pieces.len() >= count as usize {
                return pieces;
            }
            let number = word.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
            // Not a division by zero: there are more pieces than are wanted.
            let piece = PieceIndex(number % piece_count);
            if !pieces.contains(&piece) {
                pieces.push(piece);
            }
        }
        hash = Sha1::digest(&hash);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str, pieces: u32, count: u32) -> Vec<u32> {
        let set = allowed_fast(&InfoHash([0xaa; 20]), address.parse().unwrap(), pieces, count);
        set.into_iter().map(|piece| piece.0).collect()
    }

    #[test]
    fn the_examples_of_bep_6_come_out() {
        let nine = [1059, 431, 808, 1217, 287, 376, 1188, 353, 508];
        assert_eq!(of("80.4.4.200", 1313, 7), nine[..7]);
        assert_eq!(of("80.4.4.200", 1313, 9), nine);
        assert_eq!(of("::ffff:80.4.4.200", 1313, 9), nine);
    }

    #[test]
    fn one_network_has_one_set() {
        assert_eq!(of("80.4.4.200", 1313, 9), of("80.4.4.1", 1313, 9));
        assert_ne!(of("80.4.4.200", 1313, 9), of("80.4.5.200", 1313, 9));
        assert_eq!(of("2001:db8:0:1::1", 1313, 9), of("2001:db8:0:1:ffff::2", 1313, 9));
        assert_ne!(of("2001:db8:0:1::1", 1313, 9), of("2001:db8:0:2::1", 1313, 9));
    }

    #[test]
    fn a_small_torrent_gives_all_its_pieces_and_a_big_wish_is_cut() {
        assert_eq!(of("80.4.4.200", 0, 10), []);
        assert_eq!(of("80.4.4.200", 1, 10), [0]);
        assert_eq!(of("80.4.4.200", 10, 10), (0..10).collect::<Vec<_>>());
        for pieces in [11, 101, u32::MAX] {
            let mut set = of("80.4.4.200", pieces, u32::MAX);
            assert!(set.iter().all(|piece| *piece < pieces));
            set.sort_unstable();
            set.dedup();
            assert_eq!(set.len() as u32, pieces.min(MOST_ALLOWED_FAST));
        }
        assert_eq!(of("80.4.4.200", 1313, 0), []);
    }
}
