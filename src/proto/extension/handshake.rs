use super::dict::{self, Entry, Field};
use super::{Error, Id, Limits, metadata};
use crate::proto::bencode::encode_dict;
use crate::proto::message::encode_extended;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;

/// The extension handshake: the extended message with the number 0 (BEP 10).
///
/// Every part is optional. A peer may send it again; a later one says what has changed ([`Theirs::merge`](super::Theirs::merge)).
///
/// ```
/// use bip::proto::extension::{Handshake, Id, Limits};
/// let bytes = b"d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e";
/// let handshake = Handshake::decode(bytes, &Limits::default())?;
/// assert_eq!(handshake.name(b"LT_metadata"), Some(Id::new(1)));
/// assert_eq!(handshake.port.map(|port| port.get()), Some(6881));
/// assert_eq!(handshake.client_text().as_deref(), Some("µTorrent 1.2"));
/// # Ok::<(), bip::proto::extension::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Handshake<'a> {
    /// The sender's program and its version: `v`. It should be UTF-8.
    pub client: Option<&'a [u8]>,
    /// The port that the sender listens on: `p`.
    pub port: Option<NonZeroU16>,
    /// The receiver's address as the sender sees it: `yourip`.
    pub your_ip: Option<IpAddr>,
    /// The sender's IPv4 address: `ipv4`.
    pub ipv4: Option<Ipv4Addr>,
    /// The sender's IPv6 address: `ipv6`.
    pub ipv6: Option<Ipv6Addr>,
    /// How many requests the sender keeps: `reqq`.
    pub request_queue: Option<u32>,
    /// How long the torrent's `info` dictionary is, where the sender has it: `metadata_size` (BEP 9).
    pub metadata_size: Option<metadata::Size>,
    /// Whether the sender wants nothing (more): `upload_only` (BEP 21).
    pub upload_only: Option<bool>,
    /// Whether the sender prefers encrypted connections: `e` (BEP 11).
    pub prefers_encryption: Option<bool>,
    /// Sorted.
    names: Vec<(&'a [u8], Option<Id>)>,
    /// Sorted; the values as they stand.
    others: Vec<(&'a [u8], &'a [u8])>,
}

/// The keys with a meaning here.
const KEYS: [&[u8]; 10] =
    [b"e", b"ipv4", b"ipv6", b"m", b"metadata_size", b"p", b"reqq", b"upload_only", b"v", b"yourip"];

/// Something in a handshake that was passed over, but for [`Reason::SharedId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Oddity<'a> {
    /// Whether it stands among the names of extensions.
    pub place: Place,
    /// The key that it stands at.
    pub key: &'a [u8],
    /// What is odd.
    pub reason: Reason,
}

/// Where in a handshake something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a key of the handshake itself.
    Handshake,
    /// In its `m`: the key is the name of an extension.
    Names,
}

/// What is odd about something in a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The value is of another kind than the key's.
    WrongKind,
    /// The value has a length that the key's cannot have, or the key is over a limit.
    WrongLength,
    /// The number is none that the key can have, or over a limit.
    OutOfRange(i64),
    /// There are more keys than are kept.
    TooMany,
    /// Another extension has the same id. Both are kept: it is the peer that has to tell its messages apart.
    SharedId(Id),
}

impl<'a> Handshake<'a> {
    /// Reads the payload. Bytes after its dictionary are passed over.
    ///
    /// # Errors
    ///
    /// Fails where the bytes do not begin with a dictionary, or with one of more than 500 elements or 8 levels.
    pub fn decode(payload: &'a [u8], limits: &Limits) -> Result<Self, Error> {
        Self::decode_noting(payload, limits, |_| {})
    }

    /// Reads the payload and tells of each part that was passed over, which an honest peer has none of.
    ///
    /// ```
    /// use bip::proto::extension::{Handshake, Limits, Oddity, Place, Reason};
    /// let mut odd = Vec::new();
    /// let payload = b"d1:md6:ut_pexi256ee4:reqqi100ee";
    /// let handshake = Handshake::decode_noting(payload, &Limits::default(), |oddity| odd.push(oddity))?;
    /// assert_eq!(handshake.request_queue, Some(100));
    /// assert_eq!(odd, [Oddity { place: Place::Names, key: b"ut_pex", reason: Reason::OutOfRange(256) }]);
    /// # Ok::<(), bip::proto::extension::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Handshake::decode`].
    pub fn decode_noting(payload: &'a [u8], limits: &Limits, mut note: impl FnMut(Oddity<'a>)) -> Result<Self, Error> {
        let mut handshake = Self::default();
        dict::read(payload, |entry| {
            if let Err(reason) = handshake.take(entry, limits, &mut note) {
                note(Oddity { place: Place::Handshake, key: entry.key, reason });
            }
        })?;
        handshake.names.sort_unstable();
        handshake.others.sort_unstable();
        for (at, &(name, id)) in handshake.names.iter().enumerate() {
            if let Some(id) = id.filter(|_| handshake.names.iter().take(at).any(|(_, other)| *other == id)) {
                note(Oddity { place: Place::Names, key: name, reason: Reason::SharedId(id) });
            }
        }
        Ok(handshake)
    }

    fn take(&mut self, entry: Entry<'a>, limits: &Limits, note: &mut impl FnMut(Oddity<'a>)) -> Result<(), Reason> {
        match (entry.key, entry.value) {
            (b"e", Field::Int(int)) => self.prefers_encryption = Some(int != 0),
            (b"ipv4", Field::Bytes(bytes)) => self.ipv4 = Some(octets::<4>(bytes)?.into()),
            (b"ipv6", Field::Bytes(bytes)) => self.ipv6 = Some(octets::<16>(bytes)?.into()),
            (b"m", Field::Dict) => self.take_names(entry.raw, limits, note),
            (b"metadata_size", Field::Int(int)) => {
                self.metadata_size = Some(metadata::Size::new(int, limits.metadata).ok_or(Reason::OutOfRange(int))?);
            }
            (b"p", Field::Int(int)) => {
                let port = u16::try_from(int).ok().and_then(NonZeroU16::new);
                self.port = Some(port.ok_or(Reason::OutOfRange(int))?);
            }
            (b"reqq", Field::Int(int)) => {
                self.request_queue = Some(u32::try_from(int).map_err(|_| Reason::OutOfRange(int))?);
            }
            (b"upload_only", Field::Int(int)) => self.upload_only = Some(int != 0),
            (b"v", Field::Bytes(bytes)) => {
                self.client = Some(Some(bytes).filter(|b| b.len() <= limits.client_length).ok_or(Reason::WrongLength)?);
            }
            (b"yourip", Field::Bytes(bytes)) => {
                let ip = octets::<4>(bytes).map(IpAddr::from).or_else(|_| octets::<16>(bytes).map(IpAddr::from));
                self.your_ip = Some(ip?);
            }
            (key, _) if KEYS.contains(&key) => return Err(Reason::WrongKind),
            _ if self.others.len() >= limits.others => return Err(Reason::TooMany),
            _ => self.others.push((entry.key, entry.raw)),
        }
        Ok(())
    }

    fn take_names(&mut self, raw: &'a [u8], limits: &Limits, note: &mut impl FnMut(Oddity<'a>)) {
        let mut take = |entry: Entry<'a>| {
            let Field::Int(int) = entry.value else { return Err(Reason::WrongKind) };
            let id = u8::try_from(int).map_err(|_| Reason::OutOfRange(int))?;
            if entry.key.len() > limits.name_length {
                return Err(Reason::WrongLength);
            }
            if self.names.len() >= limits.names {
                return Err(Reason::TooMany);
            }
            self.names.push((entry.key, Id::new(id)));
            Ok(())
        };
        // Bencode already: it was read with the rest.
        let _ = dict::read(raw, |entry| {
            if let Err(reason) = take(entry) {
                note(Oddity { place: Place::Names, key: entry.key, reason });
            }
        });
    }

    /// Gives the names of extensions and the ids of their messages, sorted by name; `None` for one that is switched off.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (&'a [u8], Option<Id>)> + '_ {
        self.names.iter().copied()
    }

    /// Gives what the handshake says of an extension: nothing, that it is off, or the id of its messages.
    pub fn name(&self, name: &[u8]) -> Option<Option<Id>> {
        let at = self.names.binary_search_by_key(&name, |(name, _)| name).ok()?;
        self.names.get(at).map(|(_, id)| *id)
    }

    /// Says by which id the messages of an extension are to be sent to us, or that none are; in place of what was said.
    pub fn set_name(&mut self, name: &'a [u8], id: Option<Id>) {
        match self.names.binary_search_by_key(&name, |(name, _)| name) {
            Ok(at) => self.names[at].1 = id,
            Err(at) => self.names.insert(at, (name, id)),
        }
    }

    /// Gives the keys that have no meaning here and their values in bencode, sorted.
    pub fn others(&self) -> impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + '_ {
        self.others.iter().copied()
    }

    /// Gives the value of a key that has no meaning here, in bencode.
    pub fn other(&self, key: &[u8]) -> Option<&'a [u8]> {
        let at = self.others.binary_search_by_key(&key, |(key, _)| key).ok()?;
        self.others.get(at).map(|(_, value)| *value)
    }

    /// Adds a key that has no meaning here, in place of one that is there; says whether it may be, and the value is bencode.
    pub fn set_other(&mut self, key: &'a [u8], value: &'a [u8]) -> bool {
        if KEYS.contains(&key) || !dict::is_value(value) {
            return false;
        }
        match self.others.binary_search_by_key(&key, |(key, _)| key) {
            Ok(at) => self.others[at].1 = value,
            Err(at) => self.others.insert(at, (key, value)),
        }
        true
    }

    /// Gives the sender's program as text; what is not UTF-8 is replaced.
    pub fn client_text(&self) -> Option<Cow<'a, str>> {
        self.client.map(String::from_utf8_lossy)
    }

    /// Appends the whole message. `m` is always there.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode_extended(0, out, |out| out.extend_from_slice(&self.payload()));
    }

    /// Gives the payload alone.
    pub fn payload(&self) -> Vec<u8> {
        encode_dict(|d| {
            if let Some(prefers) = self.prefers_encryption {
                d.int("e", prefers.into());
            }
            if let Some(ip) = self.ipv4 {
                d.bytes("ipv4", ip.octets());
            }
            if let Some(ip) = self.ipv6 {
                d.bytes("ipv6", ip.octets());
            }
            d.dict("m", |m| {
                self.names.iter().for_each(|(name, id)| m.int(name, id.map_or(0, |id| id.get().into())));
            });
            if let Some(size) = self.metadata_size {
                d.int("metadata_size", size.get().into());
            }
            if let Some(port) = self.port {
                d.int("p", port.get().into());
            }
            if let Some(requests) = self.request_queue {
                d.int("reqq", requests.into());
            }
            if let Some(only) = self.upload_only {
                d.int("upload_only", only.into());
            }
            if let Some(client) = self.client {
                d.bytes("v", client);
            }
            match self.your_ip {
                Some(IpAddr::V4(ip)) => d.bytes("yourip", ip.octets()),
                Some(IpAddr::V6(ip)) => d.bytes("yourip", ip.octets()),
                None => {}
            }
            self.others.iter().for_each(|(key, raw)| dict::write_raw(d, key, raw));
        })
    }
}

fn octets<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Reason> {
    bytes.try_into().map_err(|_| Reason::WrongLength)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::bencode;
    use proptest::prelude::*;

    fn read(payload: &[u8]) -> (Handshake<'_>, Vec<(&[u8], Reason)>) {
        let mut odd = Vec::new();
        let handshake = Handshake::decode_noting(payload, &Limits::default(), |o| odd.push((o.key, o.reason))).unwrap();
        (handshake, odd)
    }

    fn id(id: u8) -> Option<Id> {
        Id::new(id)
    }

    #[test]
    fn every_key_is_read_and_written() {
        let payload: &[u8] =
            b"d1:ei1e4:ipv44:\x01\x02\x03\x044:ipv616:ABCDEFGHIJKLMNOP1:md6:ut_pexi1e11:ut_metadatai2ee\
            13:metadata_sizei31235e1:pi6881e4:reqqi250e11:upload_onlyi1e1:v3:bip6:yourip4:\x09\x08\x07\x06e";
        let (mut handshake, odd) = read(payload);
        assert_eq!(odd, []);
        assert_eq!(handshake.ipv4, Some(Ipv4Addr::new(1, 2, 3, 4)));
        assert_eq!(handshake.ipv6, Some(Ipv6Addr::from(*b"ABCDEFGHIJKLMNOP")));
        assert_eq!(handshake.your_ip, Some(IpAddr::from([9, 8, 7, 6])));
        assert_eq!(handshake.metadata_size.map(metadata::Size::get), Some(31235));
        assert_eq!((handshake.port, handshake.request_queue), (NonZeroU16::new(6881), Some(250)));
        assert_eq!((handshake.upload_only, handshake.prefers_encryption), (Some(true), Some(true)));
        assert_eq!(handshake.client, Some(&b"bip"[..]));
        assert_eq!(handshake.names().collect::<Vec<_>>(), [(&b"ut_metadata"[..], id(2)), (b"ut_pex", id(1))]);
        assert_eq!(Handshake::decode(&handshake.payload(), &Limits::default()), Ok(handshake.clone()));
        handshake.your_ip = Some(Ipv6Addr::LOCALHOST.into());
        assert_eq!(Handshake::decode(&handshake.payload(), &Limits::default()), Ok(handshake));
    }

    #[test]
    fn an_empty_handshake_says_nothing() {
        assert_eq!(read(b"de"), (Handshake::default(), vec![]));
        assert_eq!(Handshake::default().payload(), b"d1:mdee");
        // The BEP's example of switching an extension off lacks the `m`: it is a key like any other.
        let (handshake, _) = read(b"d11:LT_metadatai0ee");
        assert_eq!((handshake.names().len(), handshake.other(b"LT_metadata")), (0, Some(&b"i0e"[..])));
    }

    #[test]
    fn values_of_the_wrong_kind_are_passed_over_and_the_rest_is_kept() {
        let payload: &[u8] =
            b"d1:e1:x4:ipv4i1e4:ipv6le1:mi1e13:metadata_size1:x1:p1:x4:reqqde11:upload_only1:11:vi1e6:youripi1e\
            1:zi1ee";
        let (handshake, odd) = read(payload);
        assert_eq!(odd, KEYS.map(|key| (key, Reason::WrongKind)));
        assert_eq!(handshake.other(b"z"), Some(&b"i1e"[..]));
        assert_eq!(Handshake { others: Vec::new(), ..handshake }, Handshake::default());
    }

    #[test]
    fn addresses_of_a_wrong_length_are_passed_over() {
        for length in (0..20).filter(|length| ![4, 16].contains(length)) {
            let payload = bencode::encode_dict(|d| {
                for key in ["ipv4", "ipv6", "yourip"] {
                    d.bytes(key, vec![1; length]);
                }
            });
            let (handshake, odd) = read(&payload);
            assert_eq!(handshake, Handshake::default());
            assert_eq!(odd.iter().filter(|(_, reason)| *reason == Reason::WrongLength).count(), 3);
        }
    }

    #[test]
    fn no_size_of_metadata_is_believed_beyond_the_limit() {
        let limit = i64::from(Limits::default().metadata);
        for size in [-1, 0, limit + 1, 1 << 31, 1 << 32, (1 << 32) + 1, i64::MAX, i64::MIN] {
            let payload = bencode::encode_dict(|d| d.int("metadata_size", size));
            assert_eq!(read(&payload), (Handshake::default(), vec![(&b"metadata_size"[..], Reason::OutOfRange(size))]));
        }
        let payload = bencode::encode_dict(|d| d.int("metadata_size", limit));
        assert_eq!(read(&payload).0.metadata_size.map(|size| i64::from(size.get())), Some(limit));
    }

    #[test]
    fn numbers_out_of_range_are_passed_over_and_never_cut() {
        for int in [-1, 0, 65_536, 65_536 + 6_881, i64::MAX] {
            let payload = bencode::encode_dict(|d| d.int("p", int));
            assert_eq!(read(&payload), (Handshake::default(), vec![(&b"p"[..], Reason::OutOfRange(int))]));
        }
        for int in [-1, 1 << 32] {
            let payload = bencode::encode_dict(|d| d.int("reqq", int));
            assert_eq!(read(&payload), (Handshake::default(), vec![(&b"reqq"[..], Reason::OutOfRange(int))]));
        }
        for int in [-1, 256, 257, 512, i64::MIN] {
            let payload = bencode::encode_dict(|d| d.dict("m", |m| m.int("ut_pex", int)));
            assert_eq!(read(&payload), (Handshake::default(), vec![(&b"ut_pex"[..], Reason::OutOfRange(int))]));
        }
    }

    #[test]
    fn ids_that_are_shared_or_zero_are_kept() {
        let (handshake, odd) = read(b"d1:md1:ai7e1:bi7e1:ci0e1:di0e1:e1:xee");
        assert_eq!(handshake.name(b"a"), Some(id(7)));
        assert_eq!(handshake.name(b"b"), Some(id(7)));
        assert_eq!((handshake.name(b"c"), handshake.name(b"e")), (Some(None), None));
        let shared = Reason::SharedId(Id::new(7).unwrap());
        assert_eq!(odd, [(&b"e"[..], Reason::WrongKind), (b"b", shared)]);
    }

    #[test]
    fn names_and_unknown_keys_are_bounded() {
        let payload = bencode::encode_dict(|d| {
            d.dict("m", |m| (0..100).for_each(|i| m.int(format!("name{i:03}"), i)));
            (0..100).for_each(|i| d.int(format!("key{i:03}"), i));
        });
        let (handshake, odd) = read(&payload);
        assert_eq!((handshake.names().len(), handshake.others().len(), odd.len()), (64, 64, 72));
        let payload = bencode::encode_dict(|d| {
            d.dict("m", |m| m.int("n".repeat(65), 1));
            d.bytes("v", "v".repeat(257));
        });
        let (handshake, odd) = read(&payload);
        assert_eq!((handshake, odd.len()), (Handshake::default(), 2));
    }

    #[test]
    fn what_is_no_small_dictionary_is_refused() {
        let nested = [b"d1:x".to_vec(), b"l".repeat(20_000)].concat();
        let many = bencode::encode_dict(|d| d.list("x", |l| (0..600).for_each(|i| l.int(i))));
        for payload in [b"", &b"le"[..], b"i1e", b"d", b"1:d", &nested, &many, b"d1:pi1e1:pi2ee"] {
            assert!(matches!(Handshake::decode(payload, &Limits::default()), Err(Error::Bencode(_))));
        }
        let whole = b"d1:md6:ut_pexi1ee1:v3:bipe";
        for length in 0..whole.len() {
            assert!(Handshake::decode(&whole[..length], &Limits::default()).is_err());
        }
        assert!(Handshake::decode(b"de and more", &Limits::default()).is_ok());
    }

    #[test]
    fn nesting_in_a_message_costs_no_stack() {
        for start in ["", "d1:x", "d1:m", "d1:md6:ut_pex", "d1:md6:ut_pexi1ee1:v"] {
            for open in ["l", "d1:a"] {
                let deep = [start.as_bytes(), &open.as_bytes().repeat(20_000)].concat();
                let closed = [&deep[..], &vec![b'e'; 20_001]].concat();
                for payload in [deep, closed] {
                    let Err(Error::Bencode(error)) = Handshake::decode(&payload, &Limits::default()) else {
                        panic!("{start} {open}")
                    };
                    assert!(matches!(error, bencode::Error::TooDeep { limit: 8, .. }), "{start} {open}: {error}");
                }
            }
        }
    }

    #[test]
    fn keys_of_ones_own_must_be_ones_own() {
        let mut handshake = Handshake::default();
        assert!(handshake.set_other(b"complete_ago", b"i60e") && handshake.set_other(b"complete_ago", b"i61e"));
        assert!(
            !handshake.set_other(b"v", b"1:x") && !handshake.set_other(b"x", b"i60") && !handshake.set_other(b"x", b"")
        );
        handshake.set_name(b"b", id(2));
        handshake.set_name(b"a", id(1));
        handshake.set_name(b"b", None);
        assert_eq!(handshake.payload(), b"d12:complete_agoi61e1:md1:ai1e1:bi0eee");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            names in prop::collection::btree_map(prop::collection::vec(any::<u8>(), 0..12), any::<u8>(), 0..8),
            others in prop::collection::btree_map("[f-l]{1,9}", any::<i64>(), 0..5),
            client in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            port in any::<u16>(),
            ip in prop::option::of(any::<[u8; 16]>()),
            requests in prop::option::of(any::<u32>()),
            size in any::<i64>(),
            flags in any::<(Option<bool>, Option<bool>)>(),
        ) {
            let values: Vec<_> = others.iter().map(|(key, int)| (key.as_bytes(), format!("i{int}e"))).collect();
            let mut handshake = Handshake {
                client: client.as_deref(),
                port: NonZeroU16::new(port),
                your_ip: ip.map(IpAddr::from),
                ipv6: ip.map(Ipv6Addr::from),
                request_queue: requests,
                metadata_size: metadata::Size::new(size, 32 << 20),
                upload_only: flags.0,
                prefers_encryption: flags.1,
                ..Handshake::default()
            };
            names.iter().rev().for_each(|(name, id)| handshake.set_name(name, Id::new(*id)));
            for (key, value) in values.iter().rev().filter(|(key, _)| !KEYS.contains(key)) {
                prop_assert!(handshake.set_other(key, value.as_bytes()));
            }
            let payload = handshake.payload();
            prop_assert_eq!(Handshake::decode(&payload, &Limits::default()), Ok(handshake));
        }
    }
}
