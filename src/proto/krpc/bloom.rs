use crate::proto::sha1::Sha1;
use std::fmt;
use std::net::IpAddr;

/// A set of addresses in 256 bytes, of which the number can be estimated: what a scrape of the DHT gives (BEP 33).
///
/// The filters of several nodes are joined before they are counted. Beyond some 6,000 addresses the estimate breaks down.
///
/// ```
/// use bip::proto::krpc::Bloom;
/// let (mut one, mut two) = (Bloom::default(), Bloom::default());
/// one.insert("192.0.2.1".parse()?);
/// one.insert("192.0.2.2".parse()?);
/// two.insert("192.0.2.2".parse()?);
/// two.insert("2001:db8::1".parse()?);
/// one.join(&two);
/// assert_eq!(one.estimate().round(), 3.0);
/// assert!(one.may_contain("192.0.2.1".parse()?) && !one.may_contain("192.0.2.3".parse()?));
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Bloom(pub [u8; 256]);

/// How many bits a filter has.
const BITS: u32 = 256 * 8;

/// How many bits an address sets, where they are not the same.
const BITS_EACH: u32 = 2;

impl Bloom {
    /// Length in bytes.
    pub const LEN: usize = 256;

    /// Adds an address. An IPv4 address in an IPv6 form is added as IPv4.
    pub fn insert(&mut self, ip: IpAddr) {
        for (byte, bit) in places(ip) {
            self.0[byte] |= bit;
        }
    }

    /// Says whether an address may have been added; if not, it has not.
    pub fn may_contain(&self, ip: IpAddr) -> bool {
        places(ip).into_iter().all(|(byte, bit)| self.0[byte] & bit != 0)
    }

    /// Adds what is in another filter.
    pub fn join(&mut self, other: &Bloom) {
        self.0.iter_mut().zip(&other.0).for_each(|(byte, other)| *byte |= other);
    }

    /// Says whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Estimates how many addresses have been added: 0 to some 7,800, which is also what a full filter gives.
    pub fn estimate(&self) -> f64 {
        let ones: u32 = self.0.iter().map(|byte| byte.count_ones()).sum();
        let bits = f64::from(BITS);
        let zeros = f64::from((BITS - ones).clamp(1, BITS - 1));
        if ones == 0 {
            // The formula of the BEP takes at most one bit less than there are, and so never gives nothing.
            return 0.0;
        }
        (zeros / bits).ln() / (f64::from(BITS_EACH) * (-1.0 / bits).ln_1p())
    }
}

/// The bytes and bits that an address sets: they come from 11 bits of its hash each, and so lie within the filter.
fn places(ip: IpAddr) -> [(usize, u8); 2] {
    let hash = match ip.to_canonical() {
        IpAddr::V4(ip) => Sha1::digest(&ip.octets()),
        IpAddr::V6(ip) => Sha1::digest(&ip.octets()),
    };
    let [a, b, c, d, ..] = hash;
    [[a, b], [c, d]].map(|bytes| {
        let index = u16::from_le_bytes(bytes) % BITS as u16;
        (usize::from(index / 8), 1 << (index % 8))
    })
}

impl Default for Bloom {
    fn default() -> Self {
        Self([0; 256])
    }
}

impl From<&[u8; 256]> for Bloom {
    fn from(bytes: &[u8; 256]) -> Self {
        Self(*bytes)
    }
}

impl fmt::Debug for Bloom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bloom(about {:.0})", self.estimate())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const VECTOR: &str = "F6C3F5EAA07FFD91BDE89F777F26FB2BFF37BDB8FB2BBAA2FD3DDDE7BACFFF75EE7CCBAE\
        FE5EEDB1FBFAFF67F6ABFF5E43DDBCA3FD9B9FFDF4FFD3E9DFF12D1BDF59DB53DBE9FA5B\
        7FF3B8FDFCDE1AFB8BEDD7BE2F3EE71EBBBFE93BCDEEFE148246C2BC5DBFF7E7EFDCF24F\
        D8DC7ADFFD8FFFDFDDFFF7A4BBEEDF5CB95CE81FC7FCFF1FF4FFFFDFE5F7FDCBB7FD79B3\
        FA1FC77BFE07FFF905B7B7FFC7FEFEFFE0B8370BB0CD3F5B7F2BD93FEB4386CFDD6F7FD5\
        BFAF2E9EBFFFFEECD67ADBF7C67F17EFD5D75EBA6FFEBA7FFF47A91EB1BFBB53E8ABFB57\
        62ABE8FF237279BFEFBFEEF5FFC5FEBFDFE5ADFFADFEE1FB737FFFFBFD9F6AEFFEEE76B6\
        FD8F72EF";

    fn addresses() -> impl Iterator<Item = IpAddr> {
        let v4 = (0..=255).map(|last| Ipv4Addr::new(192, 0, 2, last).into());
        v4.chain((0..=0x3e7).map(|last| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()))
    }

    #[test]
    fn the_filter_of_bep_33_comes_out_and_is_counted() {
        let mut bloom = Bloom::default();
        addresses().for_each(|ip| bloom.insert(ip));
        let hex: String = bloom.0.iter().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(hex, VECTOR);
        // The BEP cuts it to 1224.9308.
        assert_eq!(format!("{:.6}", bloom.estimate()), "1224.930890");
        assert!(addresses().all(|ip| bloom.may_contain(ip)));
    }

    #[test]
    fn halves_joined_are_the_whole() {
        let (mut even, mut odd, mut whole) = (Bloom::default(), Bloom::default(), Bloom::default());
        for (at, ip) in addresses().enumerate() {
            if at % 2 == 0 {
                even.insert(ip)
            } else {
                odd.insert(ip)
            }
            whole.insert(ip);
        }
        assert_ne!(even, whole);
        even.join(&odd);
        assert_eq!(even, whole);
    }

    #[test]
    fn the_estimate_of_any_filter_is_a_number() {
        assert_eq!(Bloom::default().estimate(), 0.0);
        assert!(Bloom::default().is_empty());
        let full = Bloom([0xff; 256]).estimate();
        assert!((7000.0..8000.0).contains(&full), "{full}");
        let mut one = Bloom::default();
        one.insert("::ffff:1.2.3.4".parse().unwrap());
        assert!(one.may_contain("1.2.3.4".parse().unwrap()) && !one.is_empty());
        assert!((0.5..1.5).contains(&one.estimate()));
    }
}
