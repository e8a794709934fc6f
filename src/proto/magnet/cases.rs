//! Links as they are found, and worse.

use super::*;
use proptest::prelude::*;

const V1_TEXT: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";
const V2_TEXT: &str = "caf1e1c30e81cb361b9ee167c4aa64228a7fa4fa9f6105232b28ad099f3a302e";

/// Reads a link; gives it and what was odd, and sees that its canonical form says the same.
#[track_caller]
fn read(link: impl AsRef<[u8]>) -> (Magnet, Vec<Warning>) {
    let mut warnings = Vec::new();
    let magnet = Magnet::parse(link, &Limits::default(), |warning| warnings.push(warning)).unwrap();
    assert_eq!(magnet.to_string().parse().as_ref(), Ok(&magnet), "{magnet}");
    (magnet, warnings)
}

/// Reads a link of a v1 torrent with these fields after its hash.
#[track_caller]
fn with(fields: &str) -> (Magnet, Vec<Warning>) {
    read(format!("magnet:?xt=urn:btih:{V1_TEXT}&{fields}"))
}

#[track_caller]
fn fails(link: impl AsRef<[u8]>) -> Error {
    let link = link.as_ref();
    let outcome = Magnet::parse(link, &Limits::default(), |_| {});
    outcome.expect_err(&link.escape_ascii().to_string())
}

fn v1(link: &str) -> String {
    read(link).0.topic.v1().unwrap().to_string()
}

#[test]
fn info_hashes_of_both_kinds_are_read() {
    assert_eq!(v1(&format!("magnet:?xt=urn:btih:{V1_TEXT}")), V1_TEXT);
    assert_eq!(v1(&format!("magnet:?xt=urn:btih:{}", V1_TEXT.to_uppercase())), V1_TEXT);
    let abab = "6162616261626162616261626162616261626162";
    assert_eq!(v1("magnet:?xt=urn:btih:MFRGCYTBMJQWEYLCMFRGCYTBMJQWEYLC"), abab);
    assert_eq!(v1("magnet:?xt=urn:btih:mfrgcytbmjqweylcmfrgcytbmjqweylc"), abab);
    let topic = read(format!("magnet:?xt=urn:btmh:1220{V2_TEXT}")).0.topic;
    assert_eq!((topic.v1(), topic.v2()), (None, V2_TEXT.parse().ok()));
    let topic = read(format!("magnet:?xt=urn:btmh:1220{V2_TEXT}&xt=urn:btih:{V1_TEXT}")).0.topic;
    assert_eq!(topic, Topic::Hybrid(V1_TEXT.parse().unwrap(), V2_TEXT.parse().unwrap()));
    // Of a hash of other networks nothing is said.
    let other = format!(
        "magnet:?xt=urn:ed2k:a0a9277894123b27945224fbac8366c9&xt=urn:tree:tiger:7N5OAMRNGMSSEUE3&xt=urn:btih:{V1_TEXT}"
    );
    assert_eq!(read(&other).1, []);
    assert_eq!(v1(&other), V1_TEXT);
}

#[test]
fn escapes_cases_numbers_and_what_copying_does_change_nothing() {
    for link in [
        format!("magnet:?xt=urn%3Abtih%3A{V1_TEXT}"),
        format!("magnet:?xt=urn:btih:{}%64", &V1_TEXT[..39]),
        format!("MAGNET:?XT=URN:BTIH:{V1_TEXT}"),
        format!("Magnet:?xt.1=urn:btih:{V1_TEXT}"),
        format!("magnet:?xt.007=urn:btih:{V1_TEXT}"),
        format!(" \t\r\nmagnet:?xt=urn:btih:{V1_TEXT}\n"),
        format!("magnet:?&&dn&x=y&xt=urn:btih:{V1_TEXT}&"),
        format!("magnet:?dn=a&amp;xt=urn:btih:{V1_TEXT}&amp;tr=b"),
        format!("magnet:?xt=urn:btih:{V1_TEXT}&xt=urn:btih:{V1_TEXT}"),
    ] {
        assert_eq!(v1(&link), V1_TEXT, "{link}");
        assert_eq!(read(&link).1, [], "{link}");
    }
}

#[test]
fn a_wrong_info_hash_is_refused_and_says_where() {
    let digits = |count: usize| "c".repeat(count);
    let long = |length| Error::HashLength { at: 11, length, expected: "40 hexadecimal or 32 base32 digits" };
    for (xt, expected) in [
        ("urn:btih:".to_owned(), long(0)),
        ("urn:btih:abababab".to_owned(), long(8)),
        (format!("urn:btih:{}", digits(31)), long(31)),
        (format!("urn:btih:{}", digits(38)), long(38)),
        (format!("urn:btih:{}", digits(39)), long(39)),
        (format!("urn:btih:{}", digits(41)), long(41)),
        ("urn:btih: abababababababababab".to_owned(), long(21)),
        (format!("urn:btih:{V1_TEXT}%0A"), long(41)),
        (format!("urn:btih:{}\u{e9}", digits(39)), long(41)),
        (format!("urn:btih:{}\u{e9}", digits(38)), Error::HashDigit { at: 11, digit: 38 }),
        (format!("urn:btih:+{}", digits(39)), Error::HashDigit { at: 11, digit: 0 }),
        (format!("urn:btih:{}8", "A".repeat(31)), Error::HashDigit { at: 11, digit: 31 }),
        (format!("urn:btih:{}=", "A".repeat(31)), Error::HashDigit { at: 11, digit: 31 }),
        ("urn%%3A".to_owned(), Error::Escape { at: 11 }),
        (format!("urn:btih:{V1_TEXT}%"), Error::Escape { at: 11 }),
        (format!("urn:btmh:1221{V2_TEXT}"), Error::Multihash { at: 11 }),
        (format!("urn:btmh:1114{V1_TEXT}"), Error::Multihash { at: 11 }),
        ("urn:btmh:122".to_owned(), Error::Multihash { at: 11 }),
        (
            format!("urn:btmh:1220{}", &V2_TEXT[1..]),
            Error::HashLength { at: 11, length: 67, expected: "68 hexadecimal digits" },
        ),
        (format!("urn:btmh:1220g{}", &V2_TEXT[1..]), Error::HashDigit { at: 11, digit: 4 }),
    ] {
        assert_eq!(fails(format!("magnet:?xt={xt}")), expected, "{xt}");
        // A good one beside it does not make it better.
        assert!(Magnet::parse(format!("magnet:?xt={xt}&xt=urn:btih:{V1_TEXT}"), &Limits::default(), |_| {}).is_err());
    }
    let error = fails(format!("  magnet:?dn=x&xt=urn:btih:{}", digits(39)));
    assert_eq!(
        error.to_string(),
        "an info hash of 39 characters instead of 40 hexadecimal or 32 base32 digits at byte 18"
    );
}

#[test]
fn a_link_without_an_info_hash_or_of_another_kind_is_refused() {
    for link in [
        "magnet:?",
        "magnet:?dn=foo&dht=127.0.0.1:43",
        "magnet:?xt=blah&dn=foo",
        "magnet:?xt",
        "magnet:?xt=",
        "magnet:?tr=",
    ] {
        assert_eq!(fails(link), Error::NoInfoHash, "{link}");
    }
    for link in ["", "magnet", "magnet:", "magnet:xt=urn:btih:", "http://a/?xt=", "urn:btih:", V1_TEXT, "magnét:?"] {
        assert_eq!(fails(link), Error::NotMagnet, "{link}");
    }
    assert_eq!(fails(b"magnet:?ws=udp%3A%2F%2Ftracker.openjnt.com%\xf7A80"), Error::NoInfoHash);
}

#[test]
fn of_two_info_hashes_of_a_kind_the_first_counts_and_it_is_told() {
    let other = "ab".repeat(20);
    let (magnet, warnings) = with(&format!("xt=urn:btih:{other}&xt.2=urn:btih:{other}"));
    assert_eq!(magnet.topic.v1(), V1_TEXT.parse().ok());
    assert_eq!(warnings, [Warning::SecondHash { at: 64 }, Warning::SecondHash { at: 119 }]);
}

#[test]
fn names_are_text() {
    for (value, expected) in [
        ("Ubuntu+11.04+%28Final%29", "Ubuntu 11.04 (Final)"),
        ("100%", "100%"),
        ("a%%20b", "a% b"),
        ("%ff%C3%A9", "\u{fffd}é"),
        ("größe", "größe"),
        ("a=b", "a=b"),
        ("%00%1b[2J%0A", "\0\u{1b}[2J\n"),
        ("one&dn=two", "one"),
        ("&dn=two", "two"),
    ] {
        assert_eq!(with(&format!("dn={value}")).0.name.as_deref(), Some(expected), "{value}");
    }
    assert_eq!(with("dn=").0.name, None);
    let raw = [format!("magnet:?xt=urn:btih:{V1_TEXT}&dn=a").as_bytes(), b"\xf0\x9f"].concat();
    assert_eq!(read(raw).0.name.as_deref(), Some("a\u{fffd}"));
    assert_eq!(with("kt=martin+luther+king").0.keywords.as_deref(), Some("martin luther king"));
}

#[test]
fn trackers_keep_their_order_and_are_there_once() {
    let (magnet, warnings) = with(
        "tr.0=udp://1&tr.9=http://2&tr=http%3A%2F%2F3%3Fa%3Db%26c&TR=http://2&tr=&tr.a=udp://4&tr.=udp://5&tr=http://1/a+b",
    );
    assert_eq!(magnet.trackers, ["udp://1", "http://2", "http://3?a=b&c", "http://1/a+b"]);
    assert_eq!(warnings, []);
}

#[test]
fn addresses_that_cannot_be_read_are_left_out_and_told() {
    let link = [
        &b"magnet:?tr=udp%3A%2F%2Ftracker.openjnt.com%\xf7A80&tr=udp://a%&tr=%ff&tr=a%0d%0aHost:b&tr=a%20b&tr=http://good&xt=urn:btih:"[..],
        V1_TEXT.as_bytes(),
    ];
    let (magnet, warnings) = read(link.concat());
    assert_eq!(magnet.trackers, ["http://good"]);
    let at: Vec<_> = [11, 51, 63, 70, 87].map(|at| Warning::Ignored { key: "tr", at }).to_vec();
    assert_eq!(warnings, at);

    let (magnet, warnings) =
        with("ws=http://foo.com/bar&ws=http://bar.com/foo&as=http://a&xs=http://b&xs=%&mt=http://c&mt=http://d");
    assert_eq!(magnet.web_seeds, ["http://foo.com/bar", "http://bar.com/foo"]);
    assert_eq!(
        (magnet.acceptable_sources, magnet.exact_sources),
        (vec!["http://a".to_owned()], vec!["http://b".to_owned()])
    );
    assert_eq!(magnet.manifest.as_deref(), Some("http://c"));
    assert!(matches!(warnings[..], [Warning::Ignored { key: "xs", .. }]));
}

#[test]
fn peers_are_addresses_and_names_with_ports() {
    let fields = "x.pe=127.0.0.1:43&x.pe=<invalid1>&x.pe=<invalid2>:100&x.pe=[::1]:45&x.pe.1=%5B::1%5d%3A45&X.PE=Host.example:7&x.pe=h:0";
    let (magnet, warnings) = with(fields);
    let peers: Vec<String> = magnet.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["127.0.0.1:43", "[::1]:45", "host.example:7"]);
    assert_eq!(warnings.len(), 3);
}

#[test]
fn selected_files_are_read_as_ranges() {
    for (fields, expected, odd) in [
        ("so=0,2,4,6-8", Some("0,2,4,6-8"), 0),
        ("so=0,2-4,3-5&dht=10.0.0.1:1337", Some("0,2-5"), 0),
        ("so=2-4&dht=10.0.0.1:1337&so=1", Some("1-4"), 0),
        ("so=7-4,100000000&so=10", Some("10,100000000"), 1),
        ("so=-4&so=1", Some("1"), 1),
        ("so=3-&so=1", Some("1"), 1),
        ("so=a&so=1", Some("1"), 1),
        ("so=&so=", None, 0),
        ("so=&so=,,1", Some("1"), 0),
        ("so=\"1,2\"", None, 1),
        ("so=0%2C2%2d3", Some("0,2-3"), 0),
        ("so=1%", None, 1),
        ("so=0-18446744073709551615", Some("0-4294967295"), 0),
        ("so=18446744073709551615", None, 1),
    ] {
        let (magnet, warnings) = with(fields);
        assert_eq!(magnet.select_only.map(|ranges| ranges.to_string()).as_deref(), expected, "{fields}");
        assert_eq!(warnings.len(), odd, "{fields}: {warnings:?}");
    }
}

#[test]
fn a_length_is_a_number() {
    for (value, expected) in
        [("10826029", Some(10_826_029)), ("18446744073709551615", Some(u64::MAX)), ("%31", Some(1))]
    {
        assert_eq!(with(&format!("xl={value}")).0.length, expected);
    }
    for value in ["18446744073709551616", "-1", "+1", "", "1 MB", "%"] {
        let (magnet, warnings) = with(&format!("xl={value}"));
        assert_eq!((magnet.length, warnings), (None, vec![Warning::Ignored { key: "xl", at: 64 }]), "{value}");
    }
}

#[test]
fn links_of_other_programs_are_read_whole() {
    let (magnet, warnings) = read(
        "magnet:?xt=urn:ed2k:354B15E68FB8F36D7CD88FF94116CDC1&xt=urn:tree:tiger:7N5OAMRNGMSSEUE3ORHOKWN4WWIQ5X4EBOOTLJY\
         &xt=urn:btih:QHQXPYWMACKDWKP47RRVIV7VOURXFE5Q&xl=10826029&dn=mediawiki-1.15.1.tar.gz\
         &tr=udp%3A%2F%2Ftracker.example4.com%3A80%2Fannounce&as=http%3A%2F%2Fdownload.wikimedia.org%2Fmediawiki%2F1.15%2Fmediawiki-1.15.1.tar.gz\
         &xs=http%3A%2F%2Fcache.example.org%2FXRX2PEFXOOEJFRVUCX6HMZMKS5TWG4K5&xs=dchub://example.org",
    );
    assert_eq!(magnet.topic.v1().unwrap().to_string(), "81e177e2cc00943b29fcfc635457f575237293b0");
    assert_eq!((magnet.length, magnet.name.as_deref()), (Some(10_826_029), Some("mediawiki-1.15.1.tar.gz")));
    assert_eq!(magnet.trackers, ["udp://tracker.example4.com:80/announce"]);
    assert_eq!(magnet.exact_sources[1], "dchub://example.org");
    assert_eq!(warnings, []);
}

#[test]
fn a_link_is_written_in_one_form() {
    let (magnet, _) =
        with("so=1&x.pe=[::1]:45&tr=http://a/&dn=a+b&xl=5&mt=http://m&kt=k&xs=x:y&as=z:%26&ws=http://w/é");
    let expected = format!(
        "magnet:?xt=urn:btih:{V1_TEXT}&dn=a%20b&xl=5&tr=http%3A%2F%2Fa%2F&ws=http%3A%2F%2Fw%2F%C3%A9&x.pe=[::1]:45&so=1\
         &as=z%3A%26&xs=x%3Ay&kt=k&mt=http%3A%2F%2Fm"
    );
    assert_eq!(magnet.to_string(), expected);
}

#[test]
fn every_list_has_a_limit_and_what_is_over_it_is_told_once() {
    let many =
        |key: &str, value: &dyn Fn(u32) -> String| (0..5).map(|n| format!("&{key}={}", value(n))).collect::<String>();
    let url = |n: u32| format!("http://{n}");
    let link = format!(
        "magnet:?xt=urn:btih:{V1_TEXT}{}{}{}{}{}{}&so=20,22,24",
        many("tr", &url),
        many("ws", &url),
        many("as", &url),
        many("xs", &url),
        many("x.pe", &|n| format!("h:{}", n + 1)),
        many("so", &|n| (2 * n).to_string()),
    );
    let limits = Limits { length: link.len(), trackers: 4, sources: 3, peers: 2, ranges: 1 };
    let mut warnings = Vec::new();
    let magnet = Magnet::parse(&link, &limits, |warning| warnings.push(warning)).unwrap();
    let lists = [&magnet.trackers, &magnet.web_seeds, &magnet.acceptable_sources, &magnet.exact_sources].map(Vec::len);
    assert_eq!((lists, magnet.peers.len(), magnet.select_only.unwrap().ranges().len()), ([4, 3, 3, 3], 2, 1));
    let expected = [("tr", 4), ("ws", 3), ("as", 3), ("xs", 3), ("x.pe", 2), ("so", 1)];
    assert_eq!(warnings, expected.map(|(key, limit)| Warning::TooMany { key, limit }));

    let short = Limits { length: link.len() - 1, ..limits };
    let error = Magnet::parse(format!(" {link}\n"), &short, |_| {}).unwrap_err();
    assert_eq!(error, Error::TooLong { length: link.len(), limit: link.len() - 1 });
}

#[test]
fn a_million_trackers_cost_no_more_than_their_bytes() {
    let mut link = format!("magnet:?xt=urn:btih:{V1_TEXT}");
    (0..1_000_000).for_each(|n| {
        link.push_str("&tr=udp://");
        link.push_str(&n.to_string());
    });
    assert_eq!(fails(&link), Error::TooLong { length: link.len(), limit: 65_536 });
    // Where somebody allows it, what is kept is bounded all the same.
    let mut warnings = 0;
    let limits = Limits { length: usize::MAX, ..Limits::default() };
    let magnet = Magnet::parse(&link, &limits, |_| warnings += 1).unwrap();
    assert_eq!((magnet.trackers.len(), warnings), (128, 1));
    // The same one again and again, and ranges without end.
    let again = format!("magnet:?xt=urn:btih:{V1_TEXT}{}&so={}", "&tr=a".repeat(1_000_000), "0-9,".repeat(1_000_000));
    let magnet = Magnet::parse(&again, &limits, |_| {}).unwrap();
    assert_eq!((magnet.trackers.len(), magnet.select_only.unwrap().to_string()), (1, "0-9".to_owned()));
}

fn address() -> impl Strategy<Value = String> {
    "[!-~é]{1,20}"
}

proptest! {
    #[test]
    fn a_link_says_again_what_was_put_in(
        (v1, v2) in (any::<[u8; 20]>(), any::<Option<[u8; 32]>>()),
        (name, keywords) in (prop::option::of(".{1,20}"), prop::option::of(".{1,20}")),
        length in any::<Option<u64>>(),
        (trackers, web_seeds) in (prop::collection::btree_set(address(), 0..4), prop::collection::btree_set(address(), 0..4)),
        (acceptable, exact) in (prop::collection::btree_set(address(), 0..3), prop::collection::btree_set(address(), 0..3)),
        peers in prop::collection::btree_set((any::<[u8; 16]>(), any::<bool>(), 1..=u16::MAX), 0..4),
        ranges in prop::collection::vec(any::<(u32, u32)>(), 0..5),
        manifest in prop::option::of(address()),
    ) {
        let v1 = InfoHash(v1);
        let topic = v2.map_or(Topic::V1(v1), |v2| Topic::Hybrid(v1, InfoHashV2(v2)));
        let mut magnet = Magnet::new(topic);
        (magnet.name, magnet.keywords, magnet.length, magnet.manifest) = (name, keywords, length, manifest);
        magnet.trackers = trackers.into_iter().rev().collect();
        magnet.web_seeds = web_seeds.into_iter().collect();
        magnet.acceptable_sources = acceptable.into_iter().collect();
        magnet.exact_sources = exact.into_iter().collect();
        let peers = peers.into_iter().map(|(ip, is_v6, port)| match is_v6 {
            true => std::net::SocketAddr::new(std::net::IpAddr::from(ip).to_canonical(), port),
            false => std::net::SocketAddr::from(([ip[0], ip[1], ip[2], ip[3]], port)),
        });
        let peers: std::collections::BTreeSet<_> = peers.filter_map(|peer| PeerAddress::parse(&peer.to_string())).collect();
        magnet.peers = peers.into_iter().collect();
        let ranges = FileRanges::new(ranges.into_iter().map(|(a, b)| a.min(b)..=a.max(b)));
        magnet.select_only = (!ranges.is_empty()).then_some(ranges);
        let mut warnings = 0;
        prop_assert_eq!(Magnet::parse(magnet.to_string(), &Limits::default(), |_| warnings += 1), Ok(magnet));
        prop_assert_eq!(warnings, 0);
    }

    #[test]
    fn no_bytes_are_a_panic(junk in prop::collection::vec(any::<u8>(), 0..80)) {
        let link = [format!("magnet:?xt=urn:btih:{V1_TEXT}&").as_bytes(), &junk].concat();
        if let Ok(magnet) = Magnet::parse(&link, &Limits::default(), |_| {}) {
            prop_assert_eq!(magnet.to_string().parse(), Ok(magnet));
        }
    }
}
