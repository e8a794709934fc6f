use super::options::Options;
use super::{ConnectionId, Error, TransactionId, action};
use crate::proto::announce::{Event, Progress};
use crate::proto::id::{InfoHash, PeerId};
use crate::proto::reader::{Reader, Truncated};
use std::fmt;
use std::net::Ipv4Addr;

/// What a connect request has in the place of a connection id.
pub const PROTOCOL: u64 = 0x417_2710_1980;

/// How many torrents a scrape can ask for in one datagram: 74 (BEP 15).
pub const MAX_SCRAPE: usize = 74;

/// What a client asks of a tracker.
///
/// ```
/// use bip::proto::udp_tracker::{Error, Request, TransactionId};
/// let mut bytes = Vec::new();
/// Request::Connect { transaction: TransactionId(5) }.encode(&mut bytes);
/// assert_eq!(bytes, [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 5]);
/// let error = Request::decode(&bytes[..12]).unwrap_err();
/// assert_eq!(error.to_string(), "connect message: expected 4 bytes at byte 12, found 0");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Asks for a connection id.
    Connect {
        /// What to know the answer by.
        transaction: TransactionId,
    },
    /// Tells of the client and asks for peers.
    Announce {
        /// The connection id that the tracker gave.
        connection: ConnectionId,
        /// What to know the answer by.
        transaction: TransactionId,
        /// What is told.
        announce: Announce<'a>,
    },
    /// Asks for figures of torrents.
    Scrape {
        /// The connection id that the tracker gave.
        connection: ConnectionId,
        /// What to know the answer by.
        transaction: TransactionId,
        /// The torrents.
        info_hashes: InfoHashes<'a>,
    },
}

impl<'a> Request<'a> {
    /// Reads a datagram that came to a tracker.
    ///
    /// # Errors
    ///
    /// It is no request, or it ends before its last field.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        let (first, action) = head(&mut r).map_err(|truncated| Error::Truncated { action: None, truncated })?;
        let cut = |truncated| Error::Truncated { action: Some(action), truncated };
        match action {
            action::CONNECT if first != PROTOCOL => Err(Error::WrongProtocol { found: first }),
            action::CONNECT => Ok(Self::Connect { transaction: TransactionId(r.u32().map_err(cut)?) }),
            action::ANNOUNCE => {
                let transaction = TransactionId(r.u32().map_err(cut)?);
                let (announce, event) = Announce::read(&mut r).map_err(cut)?;
                let event = Event::from_number(event).ok_or(Error::UnknownEvent { event })?;
                let announce = Announce { event, ..announce };
                Ok(Self::Announce { connection: ConnectionId(first), transaction, announce })
            }
            action::SCRAPE => {
                let transaction = TransactionId(r.u32().map_err(cut)?);
                let info_hashes = InfoHashes::new(r.rest());
                Ok(Self::Scrape { connection: ConnectionId(first), transaction, info_hashes })
            }
            action => Err(Error::UnknownAction { action }),
        }
    }

    /// Appends the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Connect { transaction } => encode_head(ConnectionId(PROTOCOL), action::CONNECT, transaction, out),
            Self::Announce { connection, transaction, announce } => {
                encode_head(connection, action::ANNOUNCE, transaction, out);
                announce.write(out);
            }
            Self::Scrape { connection, transaction, info_hashes } => {
                encode_head(connection, action::SCRAPE, transaction, out);
                out.extend_from_slice(info_hashes.0);
            }
        }
    }

    /// Gives what the client will know the answer by.
    pub fn transaction(&self) -> TransactionId {
        match *self {
            Self::Connect { transaction } | Self::Announce { transaction, .. } | Self::Scrape { transaction, .. } => {
                transaction
            }
        }
    }
}

/// Appends a request for the figures of torrents: of the first [`MAX_SCRAPE`]. Says how many those are.
///
/// ```
/// use bip::proto::id::InfoHash;
/// use bip::proto::udp_tracker::{ConnectionId, TransactionId, encode_scrape_request};
/// let mut bytes = Vec::new();
/// let all = [InfoHash([1; 20]); 100];
/// assert_eq!(encode_scrape_request(ConnectionId(1), TransactionId(2), all, &mut bytes), 74);
/// assert_eq!(bytes.len(), 16 + 74 * 20);
/// ```
pub fn encode_scrape_request(
    connection: ConnectionId,
    transaction: TransactionId,
    info_hashes: impl IntoIterator<Item = InfoHash>,
    out: &mut Vec<u8>,
) -> usize {
    encode_head(connection, action::SCRAPE, transaction, out);
    let hashes = info_hashes.into_iter().take(MAX_SCRAPE);
    hashes.map(|hash| out.extend_from_slice(&hash.0)).count()
}

fn head(r: &mut Reader<'_>) -> Result<(u64, u32), Truncated> {
    Ok((r.u64()?, r.u32()?))
}

fn encode_head(connection: ConnectionId, action: u32, transaction: TransactionId, out: &mut Vec<u8>) {
    out.extend_from_slice(&connection.0.to_be_bytes());
    out.extend_from_slice(&action.to_be_bytes());
    out.extend_from_slice(&transaction.0.to_be_bytes());
}

/// What a client tells of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announce<'a> {
    /// The torrent; of a v2 torrent the first 20 bytes.
    pub info_hash: InfoHash,
    /// The client's name for itself.
    pub peer_id: PeerId,
    /// How far it is.
    pub progress: Progress,
    /// Why it announces.
    pub event: Event,
    /// Where it wants to be reached other than at the address it sends from. Nobody can check it, so few trackers heed it; always
    /// `None` over IPv6 (BEP 15), and so is 0.0.0.0.
    pub address: Option<Ipv4Addr>,
    /// What the client is known by when its address changes: the same for all that it announces of a torrent in one run.
    pub key: u32,
    /// How many peers it wants, at most 2^31 - 1 (more is written as that); `None`, written as -1, leaves it to the tracker.
    pub num_want: Option<u32>,
    /// The port at which it can be reached; 0 where it cannot.
    pub port: u16,
    /// What follows, in the way of BEP 41.
    pub options: Options<'a>,
}

impl<'a> Announce<'a> {
    /// Makes an announce of a torrent and a peer, all else being 0 or none.
    pub fn new(info_hash: InfoHash, peer_id: PeerId) -> Self {
        Self {
            info_hash,
            peer_id,
            progress: Progress::default(),
            event: Event::None,
            address: None,
            key: 0,
            num_want: None,
            port: 0,
            options: Options::NONE,
        }
    }

    /// Reads all fields, and gives the event as its number.
    fn read(r: &mut Reader<'a>) -> Result<(Self, u32), Truncated> {
        let (info_hash, peer_id) = (InfoHash(r.array()?), PeerId(r.array()?));
        let signed = |value: u64, negative: u64| if value > Progress::UNKNOWN { negative } else { value };
        let downloaded = signed(r.u64()?, 0);
        let left = signed(r.u64()?, Progress::UNKNOWN);
        let uploaded = signed(r.u64()?, 0);
        let event = r.u32()?;
        let address = Ipv4Addr::from(r.array()?);
        let key = r.u32()?;
        let num_want = Some(r.u32()?).filter(|wanted| *wanted <= i32::MAX as u32);
        let announce = Self {
            info_hash,
            peer_id,
            progress: Progress { uploaded, downloaded, left },
            event: Event::None,
            address: Some(address).filter(|address| !address.is_unspecified()),
            key,
            num_want,
            port: r.u16()?,
            options: Options::new(r.rest()),
        };
        Ok((announce, event))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let Progress { uploaded, downloaded, left } = self.progress;
        out.extend_from_slice(&self.info_hash.0);
        out.extend_from_slice(&self.peer_id.0);
        for amount in [downloaded, left, uploaded] {
            out.extend_from_slice(&amount.min(Progress::UNKNOWN).to_be_bytes());
        }
        out.extend_from_slice(&self.event.number().to_be_bytes());
        out.extend_from_slice(&self.address.unwrap_or(Ipv4Addr::UNSPECIFIED).octets());
        out.extend_from_slice(&self.key.to_be_bytes());
        let num_want = self.num_want.map_or(u32::MAX, |wanted| wanted.min(i32::MAX as u32));
        out.extend_from_slice(&num_want.to_be_bytes());
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(self.options.as_bytes());
    }
}

/// The torrents of a scrape request, one after the other.
///
/// There may be more than [`MAX_SCRAPE`], as many as the datagram holds: how many to answer is the tracker's choice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct InfoHashes<'a>(&'a [u8]);

impl<'a> InfoHashes<'a> {
    /// Takes the bytes of info hashes; one that is cut at the end is left out.
    pub fn new(bytes: &'a [u8]) -> Self {
        let whole = bytes.len() - bytes.len() % InfoHash::LEN;
        Self(bytes.get(..whole).unwrap_or_default())
    }

    /// Gives how many there are.
    pub fn len(self) -> usize {
        self.0.len() / InfoHash::LEN
    }

    /// Says whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Goes over them.
    pub fn iter(self) -> impl Iterator<Item = InfoHash> + Clone + use<'a> {
        self.0.chunks_exact(InfoHash::LEN).filter_map(|hash| hash.try_into().ok().map(InfoHash))
    }
}

impl fmt::Debug for InfoHashes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CONNECTION: ConnectionId = ConnectionId(0x0102_0304_0506_0708);
    const TRANSACTION: TransactionId = TransactionId(0x0a0b_0c0d);

    fn example() -> Announce<'static> {
        Announce {
            progress: Progress { uploaded: 3, downloaded: 1, left: 2 },
            event: Event::Started,
            address: Some(Ipv4Addr::new(1, 2, 3, 4)),
            key: 0x55aa_55aa,
            num_want: Some(30),
            port: 6881,
            options: Options::new(b"\x02\x01/"),
            ..Announce::new(InfoHash([0xaa; 20]), PeerId([0xbb; 20]))
        }
    }

    fn bytes_of(announce: Announce<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Request::Announce { connection: CONNECTION, transaction: TRANSACTION, announce }.encode(&mut out);
        out
    }

    fn read(bytes: &[u8]) -> Announce<'_> {
        match Request::decode(bytes).unwrap() {
            Request::Announce { connection: CONNECTION, transaction: TRANSACTION, announce } => announce,
            other => panic!("{other:?}"),
        }
    }

    /// The example with one field's bytes replaced.
    fn with(at: usize, field: &[u8]) -> Vec<u8> {
        let mut bytes = bytes_of(example());
        bytes[at..at + field.len()].copy_from_slice(field);
        bytes
    }

    #[test]
    fn a_connect_request_is_the_protocol_the_action_and_the_transaction() {
        let bytes = b"\0\0\x04\x17\x27\x10\x19\x80\0\0\0\0\x0a\x0b\x0c\x0d";
        let request = Request::Connect { transaction: TRANSACTION };
        let mut out = b"kept".to_vec();
        request.encode(&mut out);
        assert_eq!(out[4..], bytes[..]);
        assert_eq!(Request::decode(bytes), Ok(request));
        assert_eq!(Request::decode(&[&bytes[..], b"more"].concat()), Ok(request));
        let mut other = *bytes;
        other[7] = 0x81;
        assert_eq!(Request::decode(&other), Err(Error::WrongProtocol { found: PROTOCOL + 1 }));
    }

    #[test]
    fn an_announce_has_its_fields_where_bep_15_puts_them() {
        let bytes = bytes_of(example());
        assert_eq!(bytes.len(), 98 + 3);
        for (at, field) in [
            (0, &CONNECTION.0.to_be_bytes()[..]),
            (8, &[0, 0, 0, 1]),
            (12, &TRANSACTION.0.to_be_bytes()),
            (16, &[0xaa; 20]),
            (36, &[0xbb; 20]),
            (56, &1_u64.to_be_bytes()),
            (64, &2_u64.to_be_bytes()),
            (72, &3_u64.to_be_bytes()),
            (80, &[0, 0, 0, 2]),
            (84, &[1, 2, 3, 4]),
            (88, &[0x55, 0xaa, 0x55, 0xaa]),
            (92, &[0, 0, 0, 30]),
            (96, &[0x1a, 0xe1]),
            (98, b"\x02\x01/"),
        ] {
            assert_eq!(&bytes[at..at + field.len()], field, "at {at}");
        }
        assert_eq!(read(&bytes), example());
    }

    #[test]
    fn an_announce_without_options_has_none() {
        assert_eq!(read(&bytes_of(example())[..98]), Announce { options: Options::NONE, ..example() });
    }

    #[test]
    fn a_broken_option_leaves_the_announce_as_it_is() {
        let announce = Announce { options: Options::new(b"\x02\x09/"), ..example() };
        let bytes = bytes_of(announce);
        assert_eq!(read(&bytes), announce);
        assert!(announce.options.url_data().is_err());
    }

    #[test]
    fn each_event_has_its_number_and_an_unknown_one_is_refused() {
        let events = [Event::None, Event::Completed, Event::Started, Event::Stopped, Event::Paused];
        for (number, event) in (0..).zip(events) {
            let bytes = bytes_of(Announce { event, ..example() });
            assert_eq!(bytes[80..84], u32::to_be_bytes(number));
            assert_eq!(read(&bytes).event, event);
        }
        for event in [5, 1337, u32::MAX] {
            assert_eq!(Request::decode(&with(80, &event.to_be_bytes())), Err(Error::UnknownEvent { event }));
        }
    }

    #[test]
    fn an_address_of_zeros_is_none() {
        assert_eq!(read(&with(84, &[0; 4])).address, None);
        assert_eq!(bytes_of(Announce { address: None, ..example() })[84..88], [0; 4]);
        assert_eq!(read(&with(84, &[127, 0, 0, 1])).address, Some(Ipv4Addr::LOCALHOST));
    }

    #[test]
    fn peers_wanted_are_a_number_or_left_to_the_tracker() {
        for (number, expected) in [
            (0_u32, Some(0)),
            (50, Some(50)),
            (i32::MAX as u32, Some(i32::MAX as u32)),
            // -1 is the default; nothing else is meant by other negative numbers.
            (u32::MAX, None),
            (1 << 31, None),
        ] {
            assert_eq!(read(&with(92, &number.to_be_bytes())).num_want, expected, "{number}");
        }
        assert_eq!(bytes_of(Announce { num_want: None, ..example() })[92..96], [0xff; 4]);
        let huge = bytes_of(Announce { num_want: Some(u32::MAX), ..example() });
        assert_eq!(read(&huge).num_want, Some(i32::MAX as u32));
    }

    #[test]
    fn negative_amounts_are_nothing_moved_and_an_unknown_amount_left() {
        for negative in [u64::MAX, 1 << 63] {
            let mut bytes = with(56, &negative.to_be_bytes());
            bytes[64..72].copy_from_slice(&negative.to_be_bytes());
            bytes[72..80].copy_from_slice(&negative.to_be_bytes());
            let progress = read(&bytes).progress;
            assert_eq!(progress, Progress { uploaded: 0, downloaded: 0, left: Progress::UNKNOWN });
            assert!(!progress.is_seed());
        }
        let most = Progress { uploaded: u64::MAX, downloaded: u64::MAX, left: u64::MAX };
        let bytes = bytes_of(Announce { progress: most, ..example() });
        assert_eq!(read(&bytes).progress.uploaded, Progress::UNKNOWN, "never written as a negative number");
    }

    #[test]
    fn a_scrape_asks_for_no_torrent_for_one_and_for_many() {
        for count in [0, 1, 2, 74] {
            let hashes: Vec<_> = (0..count).map(|i| InfoHash([i; 20])).collect();
            let mut bytes = Vec::new();
            let written = encode_scrape_request(CONNECTION, TRANSACTION, hashes.iter().copied(), &mut bytes);
            assert_eq!((written, bytes.len()), (hashes.len(), 16 + 20 * hashes.len()));
            assert_eq!(bytes[8..12], [0, 0, 0, 2]);
            let request = Request::decode(&bytes).unwrap();
            let Request::Scrape { connection: CONNECTION, transaction: TRANSACTION, info_hashes } = request else {
                panic!("{request:?}")
            };
            assert_eq!(info_hashes.iter().collect::<Vec<_>>(), hashes);
            assert_eq!((info_hashes.len(), info_hashes.is_empty()), (hashes.len(), count == 0));
            let mut again = Vec::new();
            request.encode(&mut again);
            assert_eq!(again, bytes);
        }
    }

    #[test]
    fn an_info_hash_that_is_cut_is_left_out_of_its_scrape() {
        let mut bytes = Vec::new();
        encode_scrape_request(CONNECTION, TRANSACTION, [InfoHash([1; 20]); 2], &mut bytes);
        for length in 16..bytes.len() {
            let Ok(Request::Scrape { info_hashes, .. }) = Request::decode(&bytes[..length]) else {
                panic!("at {length}")
            };
            assert_eq!(info_hashes.len(), (length - 16) / 20);
        }
    }

    #[test]
    fn a_request_cut_within_a_field_says_which_and_where() {
        let announce = bytes_of(example());
        for length in 0..98 {
            let error = Request::decode(&announce[..length]).unwrap_err();
            let Error::Truncated { action, truncated } = error else { panic!("{error}") };
            assert_eq!(action, (length >= 12).then_some(action::ANNOUNCE), "at {length}");
            assert!(truncated.at <= length && truncated.at + truncated.wanted > length);
            assert_eq!(truncated.left, length - truncated.at);
        }
        let error = Request::decode(&announce[..97]).unwrap_err();
        assert_eq!(error.to_string(), "announce message: expected 2 bytes at byte 96, found 1");
        let mut connect = Vec::new();
        Request::Connect { transaction: TRANSACTION }.encode(&mut connect);
        for length in 0..16 {
            assert!(matches!(Request::decode(&connect[..length]), Err(Error::Truncated { .. })), "at {length}");
        }
    }

    #[test]
    fn the_ipv6_announce_of_an_old_draft_and_other_actions_are_refused() {
        for action in [3, 4, 255, u32::MAX] {
            let bytes = with(8, &action.to_be_bytes());
            assert_eq!(Request::decode(&bytes), Err(Error::UnknownAction { action }));
        }
    }

    proptest! {
        #[test]
        fn any_announce_is_read_back(
            ids in any::<([u8; 20], [u8; 20])>(),
            amounts in any::<(u64, u64, u64)>(),
            event in 0_u32..5,
            rest in any::<(u32, u32, Option<u32>, u16)>(),
            options in prop::collection::vec(any::<u8>(), 0..600),
        ) {
            let announce = Announce {
                info_hash: InfoHash(ids.0),
                peer_id: PeerId(ids.1),
                progress: Progress { uploaded: amounts.0 >> 1, downloaded: amounts.1 >> 1, left: amounts.2 >> 1 },
                event: Event::from_number(event).unwrap(),
                address: Some(Ipv4Addr::from(rest.0)).filter(|ip| !ip.is_unspecified()),
                key: rest.1,
                num_want: rest.2.map(|wanted| wanted >> 1),
                port: rest.3,
                options: Options::new(&options),
            };
            let bytes = bytes_of(announce);
            prop_assert_eq!(read(&bytes), announce);
        }

        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), action in 0_u8..5) {
            let mut bytes = bytes;
            if let Some(head) = bytes.get_mut(8..12) {
                head.copy_from_slice(&[0, 0, 0, action]);
            }
            if let Ok(request) = Request::decode(&bytes) {
                let mut again = Vec::new();
                request.encode(&mut again);
                prop_assert_eq!(Request::decode(&again), Ok(request));
            }
        }
    }
}
