use crate::proto::bencode::Number;
use std::net::{IpAddr, SocketAddr};

/// Takes what is written, or only its length.
pub(super) trait Out {
    fn put(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// How many bytes have been written.
pub(super) struct Count(pub(super) usize);

impl Out for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Writes bencode by keys that are bencoded already; that they come in order is for the caller to see to.
pub(super) struct Writer<'o, O>(pub(super) &'o mut O);

impl<O: Out> Writer<'_, O> {
    #[inline(always)]
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.put(bytes);
    }

    /// Writes the length of a string. Of nearly all it has one digit or two, and often it is known when this is compiled.
    #[inline(always)]
    pub(super) fn length(&mut self, length: usize) {
        let digit = |number: usize| b'0' + (number % 10) as u8;
        match length {
            0..=9 => self.raw(&[digit(length), b':']),
            10..=99 => self.raw(&[digit(length / 10), digit(length), b':']),
            _ => self.long(length),
        }
    }

    #[inline(never)]
    fn long(&mut self, length: usize) {
        self.0.put(Number::length(length).as_bytes());
    }

    #[inline(always)]
    pub(super) fn bytes(&mut self, key: &[u8], bytes: &[u8]) {
        self.raw(key);
        self.length(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn int(&mut self, key: &[u8], int: i64) {
        self.raw(key);
        self.raw(Number::integer(int).as_bytes());
    }

    /// `i1e`, or nothing.
    pub(super) fn flag(&mut self, key: &[u8], is_set: bool) {
        if is_set {
            self.raw(key);
            self.raw(b"i1e");
        }
    }

    /// Writes an address in its compact form, without a length in front.
    pub(super) fn address(&mut self, address: SocketAddr) {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => self.raw(&ip.octets()),
            IpAddr::V6(ip) => self.raw(&ip.octets()),
        }
        self.raw(&address.port().to_be_bytes());
    }

    /// Writes an address in its compact form as a string.
    pub(super) fn peer(&mut self, address: SocketAddr) {
        self.raw(if address.ip().to_canonical().is_ipv4() { b"6:" } else { b"18:" });
        self.address(address);
    }
}
