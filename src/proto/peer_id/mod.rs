//! Peer ids: ours, and what others' say about their client (BEP 20).
//!
//! Ours is in the style that began with Azureus: `-bp0100-`, where `bp` is us and `0100` version 0.1.0, then 12 random bytes.
//!
//! Of others, [`PeerId::client`] gives a name and a version. Both are guesses: there is no registry, clients count their versions
//! in their own ways, and anybody may claim anything. Nothing should depend on them but what people are shown.
//!
//! ```text
//!  -qB4620-............   Azureus style: two characters of client, four of version
//!  M7-10-5--...........   Mainline style: a letter, a version between dashes
//!  T03I--..............   Shadow's style: a letter, a version of up to five characters, dashes
//!  A2-1-36-0-..........   and clients with a style of their own
//! ```
//!
//! What is given is always fit to be shown: printable characters, a name of at most 32 and a version of at most 16.
//!
//! ```
//! use bip::proto::id::PeerId;
//! assert_eq!(PeerId(*b"-TR4050-kfoc5aqy3l7z").client().to_string(), "Transmission 4.0.5");
//! assert_eq!(PeerId(*b"-??1234-\x1b[2J\0\0\0\0\0\0\0\0").client().to_string(), "unknown client ?? 1.2.3.4");
//! assert_eq!(PeerId([0xff; 20]).client().to_string(), "unknown client");
//! ```

mod table;

use super::id::PeerId;
use std::borrow::Cow;
use std::fmt;
use table::{AZUREUS, OWN_STYLE, Style, in_style};

/// The two characters that stand for us.
const CODE: [u8; 2] = *b"bp";

/// The beginning of every peer id of ours.
pub const PREFIX: [u8; 8] =
    prefix([env!("CARGO_PKG_VERSION_MAJOR"), env!("CARGO_PKG_VERSION_MINOR"), env!("CARGO_PKG_VERSION_PATCH"), "0"]);

const fn prefix(version: [&str; 4]) -> [u8; 8] {
    let mut out = [b'-', CODE[0], CODE[1], 0, 0, 0, 0, b'-'];
    let mut part = 0;
    while part < version.len() {
        out[3 + part] = digit(version[part]);
        part += 1;
    }
    out
}

/// Gives a part of a version as one character: 0 to 9, then A to Z for 10 to 35, which is also what stands for more.
const fn digit(number: &str) -> u8 {
    let digits = number.as_bytes();
    let mut value = 0;
    let mut at = 0;
    while at < digits.len() && value < 36 {
        value = value * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    match value {
        0..=9 => b'0' + value as u8,
        10..=35 => b'A' + (value as u8 - 10),
        _ => b'Z',
    }
}

impl PeerId {
    /// Makes a peer id of ours (BEP 20): [`PREFIX`] and 12 random bytes.
    pub fn from_random(random: [u8; 12]) -> Self {
        let mut id = [0; 20];
        id[..8].copy_from_slice(&PREFIX);
        id[8..].copy_from_slice(&random);
        Self(id)
    }

    /// Says which client the id claims to be of (BEP 20).
    pub fn client(&self) -> Client {
        // Clients of a style of their own first: some look like one of the common ones.
        [own_style, azureus, mainline, shadow].iter().find_map(|style| style(&self.0)).unwrap_or_default()
    }
}

/// A client by its peer id. Shown as its name and version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Client {
    /// Its name; where the id has a code that we do not know, `unknown client` and the code.
    pub name: Cow<'static, str>,
    /// Its version, as far as we know how the client writes it; empty if there is none.
    pub version: String,
}

impl Client {
    fn new(name: &'static str, version: impl Into<String>) -> Self {
        Self { name: name.into(), version: version.into() }
    }
}

impl Default for Client {
    /// Gives what is said of an id that says nothing.
    fn default() -> Self {
        Self::new("unknown client", "")
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if self.version.is_empty() { Ok(()) } else { write!(f, " {}", self.version) }
    }
}

/// `-XX1234-`, and clients that leave the last dash out.
fn azureus(id: &[u8; 20]) -> Option<Client> {
    let [b'-', first, second, version @ .., _, _, _, _, _, _, _, _, _, _, _, _, _] = id else { return None };
    let [a, b, c, d] = *version;
    let code = [*first, *second];
    let known = AZUREUS.iter().find(|(known, ..)| **known == code);
    // Three digits and a dash: µTorrent before it had four, and some others.
    let characters = match [a, b, c, d] {
        all if all.iter().all(u8::is_ascii_alphanumeric) => all,
        [.., b'-'] if [a, b, c].iter().all(u8::is_ascii_alphanumeric) => [a, b, c, b'0'],
        // A code that is known says as much without a version.
        _ => return known.map(|(_, name, _)| Client::new(name, "")),
    };
    match known {
        Some((_, name, style)) => Some(Client::new(name, in_style(*style, characters))),
        None if id[7] == b'-' && code.iter().all(u8::is_ascii_graphic) => Some(Client {
            name: format!("unknown client {}{}", char::from(code[0]), char::from(code[1])).into(),
            version: in_style(Style::Parts, characters),
        }),
        None => None,
    }
}

/// `M7-10-5--`.
fn mainline(id: &[u8; 20]) -> Option<Client> {
    let (letter, rest) = id.split_first()?;
    let name = match letter {
        b'M' => "BitTorrent",
        b'Q' => "Queen Bee",
        _ => return None,
    };
    let version = dashed(rest)?;
    Some(Client::new(name, version))
}

/// Reads numbers that each end with a dash, two or three: `7-10-5--`, `1-36-0-`.
fn dashed(bytes: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    let mut fields = bytes.split(|byte| *byte == b'-').peekable();
    while let Some(field) = fields.next() {
        // What no dash follows is random.
        let number = (1..=3).contains(&field.len()) && field.iter().all(u8::is_ascii_digit);
        if !number || fields.peek().is_none() || parts.len() == 3 {
            break;
        }
        parts.push(printable(field));
    }
    (parts.len() >= 2).then(|| parts.join("."))
}

/// `T03I--`: the first of up to five characters are parts, those from `.` and `-` on are not looked at.
fn shadow(id: &[u8; 20]) -> Option<Client> {
    let (letter, rest) = id.split_first()?;
    let name = match letter {
        b'A' => "ABC",
        b'O' => "Osprey Permaseed",
        b'Q' => "BTQueue",
        b'R' => "Tribler",
        b'S' => "Shadow's client",
        b'T' => "BitTornado",
        b'U' => "UPnP NAT Bit Torrent",
        _ => return None,
    };
    let version = rest.split(|byte| *byte == b'-').next().unwrap_or_default();
    // Dashes fill it up to five, and after it there are some more.
    let dashes = rest.get(version.len()..)?.iter().take_while(|byte| **byte == b'-').count();
    if version.len() > 5 || dashes < 2 || !version.iter().all(u8::is_ascii_alphanumeric) {
        return None;
    }
    let part = |byte: &u8| match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'Z' => byte - b'A' + 10,
        _ => byte.wrapping_sub(b'a').wrapping_add(36),
    };
    let parts: Vec<String> = version.iter().map(|byte| part(byte).to_string()).collect();
    Some(Client::new(name, parts.join(".")))
}

/// Clients that do as no other does.
fn own_style(id: &[u8; 20]) -> Option<Client> {
    let from = |at: usize| id.get(at..).unwrap_or_default();
    let after = |start: &[u8]| id.strip_prefix(start);
    if let Some(version) = after(b"A2-").and_then(dashed) {
        return Some(Client::new("aria2", version));
    }
    if let Some([a, b, c, d, ..]) = after(b"TIX").filter(|rest| rest.iter().take(4).all(u8::is_ascii_digit)) {
        return Some(Client::new("Tixati", in_style(Style::Hundredths, [*a, *b, *c, *d])));
    }
    if let Some([a, b, c, debug @ (b'd' | b'-'), ..]) = after(b"XBT") {
        let version = in_style(Style::Parts, [*a, *b, *c, b'0']);
        let number = [a, b, c].iter().all(|byte| byte.is_ascii_digit());
        let debug = if *debug == b'd' { "-debug" } else { "" };
        return number.then(|| Client::new("XBT Client", version + debug));
    }
    if let Some(rest) = after(b"-ML") {
        let version = rest.split(|byte| *byte == b'-').next().filter(|v| v.len() <= 8).unwrap_or_default();
        return Some(Client::new("MLdonkey", printable(version)));
    }
    if let Some([a, b, c, b'-', ..]) = after(b"-BOW") {
        return Some(Client::new("Bits on Wheels", printable(&[*a, *b, *c])));
    }
    if let Some([major, minor, rest @ ..]) = after(b"exbc").or_else(|| after(b"FUTB")) {
        let name = if rest.starts_with(b"LORD") { "BitLord" } else { "BitComet" };
        return Some(Client::new(name, format!("{major}.{minor:02}")));
    }
    if let Some(build) = after(b"OP").and_then(|rest| rest.get(..4)).filter(|d| d.iter().all(u8::is_ascii_digit)) {
        return Some(Client::new("Opera", format!("build {}", printable(build))));
    }
    if let [major, minor, b'R', b'S', ..] = id {
        if *major < 10 && *minor < 100 {
            return Some(Client::new("Rufus", format!("{major}.{minor:02}")));
        }
    }
    if let [0, major @ 2..=3, b'B', b'S', ..] = id {
        return Some(Client::new("BitSpirit", format!("{major}.x")));
    }
    if let Some(rest) = after(b"AP") {
        let version = rest.split(|byte| *byte == b'-').next().unwrap_or_default();
        let is_version = (3..=10).contains(&version.len()) && version.starts_with(b"0.");
        if is_version {
            return Some(Client::new("AllPeers", printable(version)));
        }
    }
    let named = OWN_STYLE.iter().find(|(at, start, _)| from(*at).starts_with(start));
    named.map(|(_, _, name)| Client::new(name, ""))
}

/// Gives bytes as text, with `?` for what cannot be shown.
fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii_graphic() { char::from(*byte) } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(id: &[u8]) -> String {
        let mut whole = [b'x'; 20];
        whole.iter_mut().zip(id).for_each(|(to, byte)| *to = *byte);
        PeerId(whole).client().to_string()
    }

    #[test]
    fn ours_says_who_we_are_and_which_version() {
        let id = PeerId::from_random([7; 12]);
        assert_eq!(id.0[8..], [7; 12]);
        assert_eq!((&id.0[..3], id.0[7]), (&b"-bp"[..], b'-'));
        assert_eq!(id.client().name, "bip");
        assert_eq!(id.client().version, env!("CARGO_PKG_VERSION"));
        assert_eq!(prefix(["1", "10", "35", "0"]), *b"-bp1AZ0-");
        assert_eq!(prefix(["0", "36", "4000", "0"]), *b"-bp0ZZ0-");
    }

    #[test]
    fn ids_of_the_azureus_style_are_named() {
        for (id, expected) in [
            ("-qB4620-Fm4kq7!dY2sE", "qBittorrent 4.6.2"),
            ("-qB5A30-Fm4kq7!dY2sE", "qBittorrent 5.10.3"),
            ("-LT1230-j6cH!xu0vqFZ", "libtorrent 1.2.3"),
            ("-LT20A0-j6cH!xu0vqFZ", "libtorrent 2.0.10"),
            ("-lt0D60-\x01\x02\x03", "libTorrent (rTorrent) 0.13.6"),
            ("-TR2940-8vd6hrmp04an", "Transmission 2.94"),
            ("-TR3000-8vd6hrmp04an", "Transmission 3.00"),
            ("-TR072Z-zihst5yvg22f", "Transmission 0.72-dev"),
            ("-TR0072-8vd6hrmp04an", "Transmission 0.72"),
            ("-TR0006-01234567890!", "Transmission 0.6"),
            ("-TR4050-8vd6hrmp04an", "Transmission 4.0.5"),
            ("-TR410B-8vd6hrmp04an", "Transmission 4.1.0-beta"),
            ("-DE13F0-4kq7!dY2sEFm", "Deluge 1.3.15"),
            ("-DE211s-4kq7!dY2sEFm", "Deluge 2.1.1"),
            ("-UT355S-\u{90}\u{b2}", "µTorrent 3.5.5"),
            ("-UT170B-\u{90}", "µTorrent 1.7.0-beta"),
            ("-UT170--abc", "µTorrent 1.7.0"),
            ("-BT7A5S-abc", "BitTorrent 7.10.5"),
            ("-BC0170-abc", "BitComet 1.70"),
            ("-BC0059-abc", "BitComet 0.59"),
            ("-WW0102-abc", "WebTorrent 1.2"),
            ("-WW1011-abc", "WebTorrent 10.11"),
            ("-AZ5770-abc", "Vuze 5.7.7.0"),
            ("-BI2300-abc", "BiglyBT 2.3.0.0"),
            ("-KT5210-abc", "KTorrent 5.2.1"),
            ("-XL0012-abc", "Xunlei 0.0.1.2"),
            ("-SD0100-abc", "Xunlei 0.1.0"),
            ("-rQ8010-abc", "rqbit 8.0.1"),
            ("-GT0003-abc", "anacrolix/torrent 0.0.0.3"),
            ("-FG0180xabc", "FlashGet 1.80"),
            ("-zz1234-abc", "unknown client zz 1.2.3.4"),
        ] {
            assert_eq!(client(id.as_bytes()), expected, "{id:?}");
        }
    }

    #[test]
    fn ids_of_other_styles_are_named() {
        for (id, expected) in [
            (&b"M7-10-5--random"[..], "BitTorrent 7.10.5"),
            (b"M4-3-6--random", "BitTorrent 4.3.6"),
            (b"M4-20-8-random", "BitTorrent 4.20.8"),
            (b"Q1-10-0-random", "Queen Bee 1.10.0"),
            (b"A2-1-36-0-random", "aria2 1.36.0"),
            (b"T03I-----6tYolxhVUFS", "BitTornado 0.3.18"),
            (b"T03I--008gY6iB6Aq27C", "BitTornado 0.3.18"),
            (b"S58B-----random", "Shadow's client 5.8.11"),
            (b"R37---003uApHy851-Pq", "Tribler 3.7"),
            (b"A310--001v5Gysr4NxNK", "ABC 3.1.0"),
            (b"TIX0284-i6i6f0i5d5b7", "Tixati 2.84"),
            (b"XBT054d-random", "XBT Client 0.5.4-debug"),
            (b"OP7685f2c1495b1680bf", "Opera build 7685"),
            (b"-ML2.7.2-kgjjfkd", "MLdonkey 2.7.2"),
            (b"-BOWA0C-EPICNZOGQPHP", "Bits on Wheels A0C"),
            (b"exbc\x00\x38zDc", "BitComet 0.56"),
            (b"exbc\x01\x02LORD", "BitLord 1.02"),
            (b"AZ2500BTrandom", "BitTyrant"),
            (b"346------random", "TorrenTopia"),
            (b"\x00\x03BS\x07", "BitSpirit 3.x"),
            (b"AP0.70rc30->>", "AllPeers 0.70rc30"),
            (b"-G3Anonymous", "G3 Torrent"),
            (b"QVOD0054", "QVOD"),
            (b"\x00ERSAnonymous", "Rufus 0.69"),
        ] {
            assert_eq!(client(id), expected, "{:?}", id.escape_ascii().to_string());
        }
    }

    #[test]
    fn junk_is_nobodys_and_claims_without_a_version_are_believed_no_further() {
        for id in [[0; 20], [0xff; 20], *b"aaaaaaaaaaaaaaaaaaaa", *b"--------------------", *b"Test1234567890123456"] {
            assert_eq!(PeerId(id).client(), Client::default());
        }
        assert_eq!(client(b"-qB\x1b[2J-"), "qBittorrent");
        assert_eq!(client(b"-ML\x1b[2J\x07-x"), "MLdonkey ?[2J?");
        assert_eq!(client(b"-\x1b[1234-"), "unknown client");
        assert_eq!(client(b"-zz1234x"), "unknown client");
        assert_eq!(client(b"M7-"), "unknown client");
        assert_eq!(client(b"M12345-1-1-"), "unknown client");
    }

    fn check(id: [u8; 20]) -> Result<(), TestCaseError> {
        let client = PeerId(id).client();
        prop_assert!(!client.to_string().contains(char::is_control), "{:?}", client);
        prop_assert!(
            !client.name.is_empty() && client.name.chars().count() <= 32 && client.version.len() <= 16,
            "{:?}",
            client
        );
        Ok(())
    }

    const PREFIXES: &[&[u8]] = &[b"A2-", b"TIX", b"XBT", b"-ML", b"-BOW", b"exbc", b"OP", b"AP", b"M", b"T"];

    proptest! {
        #[test]
        fn any_id_can_be_shown(id in any::<[u8; 20]>()) {
            check(id)?;
        }

        #[test]
        fn any_id_that_begins_as_a_known_one_can_be_shown(
            start in prop_oneof![
                prop::sample::select(OWN_STYLE).prop_map(|(_, start, _)| start.to_vec()),
                prop::sample::select(AZUREUS).prop_map(|(code, ..)| [b"-", &code[..]].concat()),
                prop::sample::select(PREFIXES)
                    .prop_map(<[u8]>::to_vec),
            ],
            rest in prop::collection::vec(prop_oneof![any::<u8>(), b'0'..=b'9', Just(b'-'), Just(b'.')], 20),
        ) {
            let mut id = [0; 20];
            id.iter_mut().zip(start.iter().chain(&rest)).for_each(|(to, byte)| *to = *byte);
            check(id)?;
        }
    }
}
