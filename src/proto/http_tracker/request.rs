use super::error::{RequestError, UrlError};
use super::found::Found;
use super::query::{escape, write_base};
use crate::proto::announce::{Event, Progress};
use crate::proto::id::{InfoHash, PeerId};
use crate::proto::tracker_url::TrackerUrl;
use std::borrow::Cow;
use std::fmt::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How long a query may be when it is read, in bytes: 8192.
pub const MAX_QUERY: usize = 8192;

/// What a client can do of the encryption of connections, told to the tracker so that it can choose peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Crypto {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// It can encrypt (`supportcrypto=1`).
    Supported,
    /// It wants peers that can encrypt (`requirecrypto=1`).
    Required,
}

/// What a client tells of itself, as the query of a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct AnnounceRequest<'a> {
    /// The torrent; of a v2 torrent the first 20 bytes.
    pub info_hash: InfoHash,
    /// The client's name for itself.
    pub peer_id: PeerId,
    /// The port at which it can be reached; 0 where it cannot.
    pub port: u16,
    /// How far it is.
    pub progress: Progress,
    /// Why it announces.
    pub event: Event,
    /// How many peers it wants, at most 2^31 - 1; `None` leaves it to the tracker.
    pub num_want: Option<u32>,
    /// What the client is known by when its address changes: the same for all that it announces of a torrent in one run.
    /// Customarily 8 hexadecimal digits. Secret between client and tracker.
    pub key: Option<Cow<'a, [u8]>>,
    /// The tracker id of an earlier answer.
    pub tracker_id: Option<Cow<'a, [u8]>>,
    /// Whether peers are wanted in compact form (BEP 23); `None` leaves it to the tracker, which should choose the compact form.
    pub compact: Option<bool>,
    /// Whether dictionaries of peers need no peer ids.
    pub no_peer_id: bool,
    /// What is said about encryption.
    pub crypto: Crypto,
    /// Where the client wants to be reached other than at the address it sends from (BEP 3). Nobody can check it: few trackers heed it.
    pub ip: Option<IpAddr>,
    /// The client's IPv4 address, beside that from which it sends. BEP 7 discourages it: it cannot be checked either.
    pub ipv4: Option<Ipv4Addr>,
    /// The client's IPv6 address, beside that from which it sends. BEP 7 discourages it: it cannot be checked either.
    pub ipv6: Option<Ipv6Addr>,
}

impl<'a> AnnounceRequest<'a> {
    /// Makes a request for peers in compact form, all else being 0 or left out.
    pub fn new(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self { compact: Some(true), ..Self::bare(info_hash, peer_id, port) }
    }

    pub(super) fn bare(info_hash: InfoHash, peer_id: PeerId, port: u16) -> Self {
        Self {
            info_hash,
            peer_id,
            port,
            progress: Progress::default(),
            event: Event::None,
            num_want: None,
            key: None,
            tracker_id: None,
            compact: None,
            no_peer_id: false,
            crypto: Crypto::Unsaid,
            ip: None,
            ipv4: None,
            ipv6: None,
        }
    }

    /// Appends the URL to ask: the tracker's, what is in its own query included, and this request.
    ///
    /// # Errors
    ///
    /// The URL is not one of HTTP, or its own query has a key of announces. Nothing is appended then.
    pub fn write_url(&self, url: &TrackerUrl, out: &mut String) -> Result<(), UrlError> {
        write_base(url, out)?;
        self.write_query(out);
        Ok(())
    }

    /// Appends the query: keys and values, without a `?` or `&` before them.
    pub fn write_query(&self, out: &mut String) {
        let Progress { uploaded, downloaded, left } = self.progress;
        out.push_str("info_hash=");
        escape(&self.info_hash.0, out);
        out.push_str("&peer_id=");
        escape(&self.peer_id.0, out);
        let mut number = |key: &str, number: u64| {
            // Writing to a string does not fail.
            let _ = write!(out, "&{key}={number}");
        };
        number("port", self.port.into());
        for (key, amount) in [("uploaded", uploaded), ("downloaded", downloaded), ("left", left)] {
            number(key, amount.min(Progress::UNKNOWN));
        }
        if let Some(wanted) = self.num_want {
            number("numwant", wanted.min(i32::MAX as u32).into());
        }
        if let Some(compact) = self.compact {
            number("compact", compact.into());
        }
        if self.no_peer_id {
            number("no_peer_id", 1);
        }
        match self.crypto {
            Crypto::Unsaid => {}
            Crypto::Supported => number("supportcrypto", 1),
            Crypto::Required => number("requirecrypto", 1),
        }
        let mut text = |key: &str, value: &[u8]| {
            let _ = write!(out, "&{key}=");
            escape(value, out);
        };
        if self.event != Event::None {
            text("event", self.event.name().as_bytes());
        }
        if let Some(key) = &self.key {
            text("key", key);
        }
        if let Some(id) = &self.tracker_id {
            text("trackerid", id);
        }
        if let Some(ip) = self.ip {
            text("ip", ip.to_string().as_bytes());
        }
        if let Some(ip) = self.ipv4 {
            text("ipv4", ip.to_string().as_bytes());
        }
        if let Some(ip) = self.ipv6 {
            text("ipv6", ip.to_string().as_bytes());
        }
    }

    /// Reads the query of a URL, without its `?`. Nothing is allocated but for escapes in keys, numbers and ids other than the two.
    ///
    /// # Errors
    ///
    /// See [`RequestError`].
    pub fn parse(query: &'a [u8]) -> Result<Self, RequestError> {
        Found::read(query)?.finish()
    }
}

impl fmt::Debug for AnnounceRequest<'_> {
    /// The key is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnnounceRequest")
            .field("info_hash", &self.info_hash)
            .field("peer_id", &self.peer_id)
            .field("port", &self.port)
            .field("progress", &self.progress)
            .field("event", &self.event)
            .field("num_want", &self.num_want)
            .field("compact", &self.compact)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const QUERY: &str = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&left=5";

    fn parse(query: &str) -> AnnounceRequest<'_> {
        AnnounceRequest::parse(query.as_bytes()).unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    fn error(query: &str) -> RequestError {
        AnnounceRequest::parse(query.as_bytes()).unwrap_err()
    }

    fn url(request: &AnnounceRequest<'_>, url: &str) -> Result<String, UrlError> {
        let mut out = String::new();
        request.write_url(&url.parse().unwrap(), &mut out).map(|()| out)
    }

    fn example() -> AnnounceRequest<'static> {
        AnnounceRequest::new(InfoHash([b'a'; 20]), PeerId([b'b'; 20]), 6881)
    }

    #[test]
    fn a_request_is_read_with_what_it_must_have_alone() {
        let request = parse(QUERY);
        assert_eq!(
            request,
            AnnounceRequest { compact: None, progress: Progress { left: 5, ..Progress::default() }, ..example() }
        );
        assert_eq!((request.event, request.num_want), (Event::None, None));
    }

    #[test]
    fn the_example_of_bep_23_is_read() {
        let query = "peer_id=aaaaaaaaaaaaaaaaaaaa&info_hash=aaaaaaaaaaaaaaaaaaaa&port=6881&left=0&downloaded=100&uploaded=0&compact=1";
        let request = parse(query);
        assert_eq!((request.compact, request.progress.downloaded, request.progress.is_seed()), (Some(true), 100, true));
    }

    #[test]
    fn everything_that_can_be_said_is_written_and_read_back() {
        let request = AnnounceRequest {
            progress: Progress { uploaded: 1, downloaded: 2, left: 3 },
            event: Event::Completed,
            num_want: Some(50),
            key: Some(Cow::Borrowed(b"00c0ffee")),
            tracker_id: Some(Cow::Borrowed(b"id &=\xff")),
            compact: Some(false),
            no_peer_id: true,
            crypto: Crypto::Required,
            ip: Some("2001:db8::1".parse().unwrap()),
            ipv4: Some("1.2.3.4".parse().unwrap()),
            ipv6: Some("::1".parse().unwrap()),
            ..example()
        };
        let expected = "info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb&port=6881&uploaded=1&downloaded=2&left=3\
            &numwant=50&compact=0&no_peer_id=1&requirecrypto=1&event=completed&key=00c0ffee&trackerid=id%20%26%3D%FF\
            &ip=2001%3Adb8%3A%3A1&ipv4=1.2.3.4&ipv6=%3A%3A1";
        let mut query = String::new();
        request.write_query(&mut query);
        assert_eq!(query, expected);
        assert_eq!(parse(&query), request);
    }

    #[test]
    fn the_query_of_the_url_is_kept_before_ours() {
        let request = example();
        for (given, start) in [
            ("http://a/announce", "http://a/announce?info_hash=aaa"),
            ("http://a", "http://a/?info_hash=aaa"),
            ("http://a/x?", "http://a/x?info_hash=aaa"),
            ("https://a:1/x?k=v", "https://a:1/x?k=v&info_hash=aaa"),
            ("http://a/x?k=v&", "http://a/x?k=v&info_hash=aaa"),
            ("http://a/x?passkey#f", "http://a/x?passkey&info_hash=aaa"),
        ] {
            let found = url(&request, given).unwrap();
            assert!(found.starts_with(start), "{found}");
            assert!(parse(found.split_once('?').unwrap().1) == request);
        }
    }

    #[test]
    fn a_url_that_would_speak_for_us_is_not_asked() {
        assert_eq!(url(&example(), "http://a/?x=1&info_hash=zzz"), Err(UrlError::ReservedKey { key: "info_hash" }));
        assert_eq!(url(&example(), "http://a/?peer%5Fid=1"), Err(UrlError::ReservedKey { key: "peer_id" }));
        assert_eq!(url(&example(), "http://a/?left"), Err(UrlError::ReservedKey { key: "left" }));
        assert!(url(&example(), "http://a/?passkey=1&authkey=2&leftover=3").is_ok());
        assert_eq!(url(&example(), "udp://a:1/"), Err(UrlError::NotHttp));
    }

    #[test]
    fn what_is_missing_is_named() {
        for key in ["info_hash", "peer_id", "port", "left"] {
            let query: Vec<_> = QUERY.split('&').filter(|pair| !pair.starts_with(key)).collect();
            assert_eq!(error(&query.join("&")), RequestError::Missing { key });
        }
        assert_eq!(error("").to_string(), "info_hash: missing");
    }

    #[test]
    fn an_id_of_another_length_is_refused() {
        for (id, length) in
            [("", 0), ("aaaaaaaaaaaaaaaaaaa", 19), ("aaaaaaaaaaaaaaaaaaaa%41", 21), (&"a".repeat(40), 40)]
        {
            let query = QUERY.replace("aaaaaaaaaaaaaaaaaaaa", id);
            assert_eq!(error(&query), RequestError::WrongLength { key: "info_hash", at: 10, length });
            let query = QUERY.replace("bbbbbbbbbbbbbbbbbbbb", id);
            assert_eq!(error(&query), RequestError::WrongLength { key: "peer_id", at: 39, length });
        }
        let escaped = QUERY.replace("aaaaaaaaaaaaaaaaaaaa", "%00%ff%25+aaaaaaaaaaaaaaaa");
        assert_eq!(parse(&escaped).info_hash.0, *b"\0\xff%+aaaaaaaaaaaaaaaa");
    }

    #[test]
    fn an_info_hash_given_twice_is_refused_and_of_other_keys_the_first_counts() {
        for again in ["info_hash=aaaaaaaaaaaaaaaaaaaa", "peer_id=bbbbbbbbbbbbbbbbbbbb", "port=1"] {
            let (key, value) = again.split_once('=').unwrap();
            let found = error(&format!("{QUERY}&{again}"));
            let at = QUERY.len() + 1 + again.len() - value.len();
            assert!(matches!(found, RequestError::Repeated { key: k, at: a } if k == key && a == at), "{found}");
        }
        assert_eq!(parse(&format!("{QUERY}&left=0&left=x&ipv6=::1&ipv6=::2")).progress.left, 5);
    }

    #[test]
    fn unknown_keys_are_ignored_with_what_they_hold() {
        let request = parse(QUERY);
        for more in ["&x=%zz", "&%zz=1", "&", "&=", "&corrupt=-1&redundant=0", "&info_hash2=1", "&Port=7"] {
            assert_eq!(parse(&format!("{QUERY}{more}")), request, "{more}");
        }
    }

    #[test]
    fn an_escape_that_is_broken_is_an_error_where_it_stands() {
        let query = QUERY.replace("bbbbbbbbbbbbbbbbbbbb", "bbbbbbbbbbbbbbbbbbb%b");
        assert_eq!(error(&query).to_string(), "peer_id: a percent sign without two digits at byte 58");
        assert_eq!(error(&format!("{QUERY}&key=%")), RequestError::BadEscape { key: "key", at: QUERY.len() + 5 });
    }

    #[test]
    fn ports_are_of_16_bits_and_0_is_for_the_tracker_to_judge() {
        for port in ["-1", "65536", "", "x", "99999999999999999999"] {
            let query = QUERY.replace("6881", port);
            assert_eq!(error(&query), RequestError::BadNumber { key: "port", at: 65 }, "{port}");
        }
        assert_eq!(parse(&QUERY.replace("6881", "0")).port, 0);
        assert_eq!(parse(&QUERY.replace("6881", "65535")).port, 65535);
    }

    #[test]
    fn amounts_beyond_all_reason_are_bounded() {
        for (left, expected) in [("-1", Progress::UNKNOWN), ("18446744073709551615", Progress::UNKNOWN), ("0", 0)] {
            assert_eq!(parse(&QUERY.replace("left=5", &format!("left={left}"))).progress.left, expected);
        }
        let query = format!("{QUERY}&uploaded=-7&downloaded=99999999999999999999");
        let request = parse(&query);
        assert_eq!((request.progress.uploaded, request.progress.downloaded), (0, Progress::UNKNOWN));
        for (wanted, expected) in [
            ("0", Some(0)),
            ("200", Some(200)),
            ("-1", None),
            ("-9999999999999999999999", None),
            ("", None),
            ("99999999999999999999", Some(i32::MAX as u32)),
        ] {
            assert_eq!(parse(&format!("{QUERY}&numwant={wanted}")).num_want, expected, "{wanted}");
        }
        assert_eq!(
            error(&format!("{QUERY}&numwant=all")),
            RequestError::BadNumber { key: "numwant", at: QUERY.len() + 9 }
        );
    }

    #[test]
    fn events_have_their_names_and_others_are_refused() {
        for event in [Event::None, Event::Completed, Event::Started, Event::Stopped, Event::Paused] {
            let mut query = String::new();
            AnnounceRequest { event, ..example() }.write_query(&mut query);
            assert_eq!(query.contains("event="), event != Event::None);
            assert_eq!(parse(&query).event, event);
        }
        assert_eq!(parse(&format!("{QUERY}&event=empty")).event, Event::None);
        assert_eq!(parse(&format!("{QUERY}&event=")).event, Event::None);
        assert_eq!(error(&format!("{QUERY}&event=resumed")), RequestError::UnknownEvent { at: QUERY.len() + 7 });
    }

    #[test]
    fn an_address_that_is_none_says_nothing() {
        let query = format!("{QUERY}&ip=peer.example&ipv4=::1&ipv6=1.2.3.4");
        let request = parse(&query);
        assert_eq!((request.ip, request.ipv4, request.ipv6), (None, None, None));
        let query = format!("{QUERY}&ipv4=1.2.3.4:5&ipv6=%5B2001:db8::1%5D:6881");
        let request = parse(&query);
        assert_eq!((request.ipv4, request.ipv6), ("1.2.3.4".parse().ok(), "2001:db8::1".parse().ok()));
    }

    #[test]
    fn a_query_over_the_limit_is_refused() {
        let long = format!("{QUERY}&x={}", "y".repeat(MAX_QUERY - QUERY.len() - 3));
        assert_eq!(parse(&long), parse(QUERY));
        assert_eq!(error(&format!("{long}y")), RequestError::TooLong { length: MAX_QUERY + 1 });
    }

    #[test]
    fn a_query_cut_anywhere_is_a_request_or_an_error() {
        let mut query = String::new();
        AnnounceRequest { info_hash: InfoHash([0xff; 20]), ..example() }.write_query(&mut query);
        let end = query.find("left=0").unwrap() + "left=0".len();
        for length in 0..query.len() {
            assert_eq!(AnnounceRequest::parse(&query.as_bytes()[..length]).is_ok(), length >= end, "at {length}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let request = AnnounceRequest { key: Some(Cow::Borrowed(b"5ec7e7")), ..example() };
        assert!(!format!("{request:?}").contains("5ec7e7"));
    }

    proptest! {
        #[test]
        fn any_request_is_read_back(
            ids in any::<([u8; 20], [u8; 20], u16)>(),
            amounts in any::<(u64, u64, u64)>(),
            event in 0_u32..5,
            num_want in prop::option::of(0..=i32::MAX as u32),
            texts in any::<(Option<Vec<u8>>, Option<Vec<u8>>)>(),
            flags in any::<(Option<bool>, bool)>(),
            addresses in any::<(Option<IpAddr>, Option<Ipv4Addr>, Option<Ipv6Addr>)>(),
        ) {
            let request = AnnounceRequest {
                progress: Progress { uploaded: amounts.0 >> 1, downloaded: amounts.1 >> 1, left: amounts.2 >> 1 },
                event: Event::from_number(event).unwrap(),
                num_want,
                key: texts.0.map(Cow::Owned),
                tracker_id: texts.1.map(Cow::Owned),
                compact: flags.0,
                no_peer_id: flags.1,
                crypto: if flags.1 { Crypto::Supported } else { Crypto::Unsaid },
                ip: addresses.0,
                ipv4: addresses.1,
                ipv6: addresses.2,
                ..AnnounceRequest::new(InfoHash(ids.0), PeerId(ids.1), ids.2)
            };
            let mut query = String::new();
            request.write_query(&mut query);
            let read = AnnounceRequest::parse(query.as_bytes());
            prop_assert_eq!(read, Ok(request));
        }
    }
}
