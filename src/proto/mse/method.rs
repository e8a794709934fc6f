//! What may be agreed on, and what is left when it is.

use super::rc4::Rc4;
use crate::proto::id::InfoHash;
use std::fmt;

/// How the stream after the encryption's own handshake goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// As it is: only the beginning of the connection was hidden.
    Plain,
    /// Encrypted with RC4.
    Rc4,
}

impl Method {
    fn bit(self) -> u32 {
        match self {
            Method::Plain => 1,
            Method::Rc4 => 2,
        }
    }
}

/// A set of methods, as on the wire: 1 for plain, 2 for RC4. Bits that we do not know are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Methods(pub u32);

impl Methods {
    /// Both methods.
    pub const BOTH: Self = Self(3);

    /// Says whether the method is in the set.
    pub fn contains(self, method: Method) -> bool {
        self.0 & method.bit() != 0
    }

    /// Gives what is in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Gives the method that the set has, if it has exactly one and nothing else.
    pub fn single(self) -> Option<Method> {
        [Method::Plain, Method::Rc4].into_iter().find(|method| method.bit() == self.0)
    }
}

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(method.bit())
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("none"),
            1 => f.write_str("plain"),
            2 => f.write_str("RC4"),
            3 => f.write_str("plain and RC4"),
            other => write!(f, "0x{other:08x}"),
        }
    }
}

/// What a side wants of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The methods that may be used. An initiator offers these. Default both.
    pub allowed: Methods,
    /// Which of several methods a responder takes. Default RC4.
    pub preferred: Method,
    /// The longest initial payload that a responder takes, in bytes, up to 65535; it is held in memory until it is whole. Default 1024:
    /// a handshake has 68.
    pub initial_payload: usize,
}

impl Policy {
    /// Gives the method for an initiator that offers these.
    pub(super) fn choose(&self, offered: Methods) -> Option<Method> {
        let common = self.allowed.intersection(offered);
        [self.preferred, Method::Rc4, Method::Plain].into_iter().find(|method| common.contains(*method))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self { allowed: Methods::BOTH, preferred: Method::Rc4, initial_payload: 1024 }
    }
}

/// One direction of a connection.
///
/// All its bytes go through it, each once and in their order.
#[derive(Debug, Clone)]
pub enum Stream {
    /// Bytes as they are.
    Plain,
    /// Encrypted bytes.
    Rc4(Box<Rc4>),
}

impl Stream {
    /// Encrypts what is to be sent, or decrypts what has come, in place.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        match self {
            Stream::Plain => {}
            Stream::Rc4(cipher) => cipher.apply(bytes),
        }
    }

    pub(super) fn new(method: Method, cipher: Rc4) -> Self {
        match method {
            Method::Plain => Stream::Plain,
            Method::Rc4 => Stream::Rc4(Box::new(cipher)),
        }
    }
}

/// An encrypted connection that has come about.
#[derive(Debug, Clone)]
pub struct Established {
    /// The torrent that it is for.
    pub info_hash: InfoHash,
    /// The method that was chosen.
    pub method: Method,
    /// What the initiator sent along, decrypted: the start of its stream, before what comes by `incoming`. Empty for the initiator.
    pub initial_payload: Vec<u8>,
    /// What comes from the other side.
    pub incoming: Stream,
    /// What goes to the other side.
    pub outgoing: Stream,
}

/// How far a connection has come.
#[derive(Debug)]
pub enum Progress {
    /// So many bytes, at least, have to come before anything happens; never 0.
    Needs(usize),
    /// It is there. Bytes that were left in the input belong to its stream.
    Done(Box<Established>),
}

impl Progress {
    /// Gives how many bytes have to come, at least; `None` when done.
    pub fn needed(&self) -> Option<usize> {
        match self {
            Progress::Needs(bytes) => Some(*bytes),
            Progress::Done(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_method_is_taken_if_both_allow_it_and_else_the_other() {
        let [none, plain, rc4, both] = [0, 1, 2, 3].map(Methods);
        for (allowed, preferred, offered, expected) in [
            (both, Method::Rc4, both, Some(Method::Rc4)),
            (both, Method::Plain, both, Some(Method::Plain)),
            (both, Method::Plain, rc4, Some(Method::Rc4)),
            (both, Method::Rc4, plain, Some(Method::Plain)),
            (rc4, Method::Plain, both, Some(Method::Rc4)),
            (rc4, Method::Rc4, plain, None),
            (plain, Method::Rc4, both, Some(Method::Plain)),
            (both, Method::Rc4, none, None),
            (both, Method::Rc4, Methods(0xffff_fffc), None),
            (both, Method::Rc4, Methods(0xffff_fffd), Some(Method::Plain)),
        ] {
            let policy = Policy { allowed, preferred, ..Policy::default() };
            assert_eq!(policy.choose(offered), expected, "{policy:?}, {offered}");
        }
    }

    #[test]
    fn only_one_known_method_alone_is_a_choice() {
        let choices: Vec<_> = (0..9).filter_map(|bits| Some((bits, Methods(bits).single()?))).collect();
        assert_eq!(choices, [(1, Method::Plain), (2, Method::Rc4)]);
        assert_eq!(Methods(7).single(), None);
    }
}
