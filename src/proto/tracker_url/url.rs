use super::MAX_LEN;
use super::error::Error;
use super::host::{normal_host, parse_port, split_port};
use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::str::FromStr;

/// How a tracker is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// The UDP tracker protocol.
    Udp,
}

impl Scheme {
    /// Gives the name that stands in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Udp => "udp",
        }
    }

    /// Gives the port that is meant where a URL has none: 80, and 443 for `https`.
    ///
    /// BEP 15 has no default for `udp`; 80 is what its examples and other clients use.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http | Self::Udp => 80,
            Self::Https => 443,
        }
    }
}

/// The URL of a tracker or a web seed. See the [module's page](super).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerUrl {
    text: Box<str>,
    scheme: Scheme,
    port: u16,
    // Where the parts stand in the text; all shorter than `MAX_LEN`.
    user_info: Option<(u16, u16)>,
    host: (u16, u16),
    path: (u16, u16),
}

impl TrackerUrl {
    /// Reads a URL from text.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_LEN {
            return Err(Error::TooLong { length: text.len() });
        }
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control() || c.is_whitespace()) {
            return Err(Error::BadCharacter { at });
        }
        let (scheme, rest) = text.split_once("://").ok_or(Error::NoScheme)?;
        if !is_scheme(scheme) {
            return Err(Error::NoScheme);
        }
        let known = [Scheme::Http, Scheme::Https, Scheme::Udp].into_iter();
        let scheme =
            known.into_iter().find(|s| s.name().eq_ignore_ascii_case(scheme)).ok_or(Error::UnsupportedScheme)?;

        let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        // Offsets in the text as given, for the errors: every part is a part of it.
        let offset = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
        let (user_info, host_and_port) = match authority.split_once('@') {
            Some((user_info, rest)) => (Some(user_info), rest),
            None => (None, authority),
        };
        if let Some(at) = host_and_port.find('@') {
            return Err(Error::BadUserInfo { at: offset(host_and_port) + at });
        }
        let (host, port) = split_port(host_and_port).ok_or(Error::BadHost { at: offset(host_and_port) })?;
        let host = normal_host(host).ok_or(Error::BadHost { at: offset(host_and_port) })?;
        let port = match port {
            None | Some("") => scheme.default_port(),
            Some(port) => parse_port(port).ok_or(Error::BadPort { at: offset(port) })?,
        };

        let rest = rest.split('#').next().unwrap_or_default();
        Self::assemble(scheme, user_info, &host, port, rest)
    }

    /// Puts the parts together in the form that is kept. `rest` is path and query.
    fn assemble(scheme: Scheme, user: Option<&str>, host: &str, port: u16, rest: &str) -> Result<Self, Error> {
        let mut text = String::with_capacity(rest.len() + host.len() + 16);
        text.push_str(scheme.name());
        text.push_str("://");
        let mut part = |write: &mut dyn FnMut(&mut String)| -> Range<usize> {
            let start = text.len();
            write(&mut text);
            start..text.len()
        };
        let user_info = user.map(|user| part(&mut |text| escape(user, text)));
        if user.is_some() {
            part(&mut |text| text.push('@'));
        }
        let host = part(&mut |text| text.push_str(host));
        if port != scheme.default_port() {
            part(&mut |text| text.push_str(&format!(":{port}")));
        }
        let path_length = rest.find('?').unwrap_or(rest.len());
        let (path, query) = rest.split_at(path_length);
        let path = part(&mut |text| match (path, scheme) {
            ("", Scheme::Http | Scheme::Https) => text.push('/'),
            _ => escape(path, text),
        });
        part(&mut |text| escape(query, text));
        if text.len() > MAX_LEN {
            return Err(Error::TooLong { length: text.len() });
        }
        // None is cut: the text is shorter than 2^16.
        let short = |range: Range<usize>| (range.start as u16, range.end as u16);
        Ok(Self {
            text: text.into(),
            scheme,
            port,
            user_info: user_info.map(short),
            host: short(host),
            path: short(path),
        })
    }

    fn part(&self, (start, end): (u16, u16)) -> &str {
        self.text.get(usize::from(start)..usize::from(end)).unwrap_or_default()
    }

    /// Gives the whole URL, with all that is secret in it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Gives the scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Gives what stands before the host and its `@`: a name and a password, as for HTTP's basic authentication. Secret.
    pub fn user_info(&self) -> Option<&str> {
        self.user_info.map(|range| self.part(range))
    }

    /// Gives the host: a name in lower case, or an address; an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        let host = self.part(self.host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Gives the host where it is an address.
    pub fn ip(&self) -> Option<IpAddr> {
        self.host().parse().ok()
    }

    /// Gives the port, which is the scheme's where none was given.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Gives the path, with its first `/`. May be empty for `udp`. Perhaps secret.
    pub fn path(&self) -> &str {
        self.part(self.path)
    }

    /// Gives what stands after the first `?`, if there is one. Perhaps secret.
    pub fn query(&self) -> Option<&str> {
        self.text.get(usize::from(self.path.1)..).and_then(|query| query.strip_prefix('?'))
    }

    /// Gives path and query as they stand: what an HTTP request asks for, and what BEP 41 tells a UDP tracker. Perhaps secret.
    pub fn path_and_query(&self) -> &str {
        self.text.get(usize::from(self.path.0)..).unwrap_or_default()
    }

    /// Gives the URL at which the tracker is asked for figures (BEP 48); `None` where the path does not say.
    ///
    /// The last part of the path that begins with `announce` begins with `scrape` instead. BEP 48 takes any place in the path; only
    /// the beginning of a part is taken here, as in the convention that is older, so that no passkey is changed. A UDP tracker's URL
    /// is the same for both.
    ///
    /// ```
    /// use bip::proto::tracker_url::TrackerUrl;
    /// let scrape = |url: &str| url.parse::<TrackerUrl>().unwrap().scrape().map(|url| url.as_str().to_owned());
    /// assert_eq!(scrape("http://a.example/x/announce.php?y=/z").as_deref(), Some("http://a.example/x/scrape.php?y=/z"));
    /// assert_eq!(scrape("http://a.example/tracker"), None);
    /// ```
    pub fn scrape(&self) -> Option<Self> {
        if self.scheme == Scheme::Udp {
            return Some(self.clone());
        }
        let at = self.path().rfind("/announce")? + "/".len() + usize::from(self.path.0);
        let (before, after) = (self.text.get(..at)?, self.text.get(at + "announce".len()..)?);
        // No error: it is shorter than this one, and else the same.
        Self::parse(&format!("{before}scrape{after}")).ok()
    }
}

impl FromStr for TrackerUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for TrackerUrl {
    /// Shows where the tracker is, and nothing of the URL that may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme.name())?;
        if self.user_info.is_some() {
            f.write_str("…@")?;
        }
        f.write_str(self.part(self.host))?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        let mut hidden = false;
        for part in self.path().split('/').skip(1) {
            if is_public(part) {
                write!(f, "/{part}")?;
                hidden = false;
            } else if !hidden {
                f.write_str("/…")?;
                hidden = true;
            }
        }
        if self.query().is_some_and(|query| !query.is_empty()) {
            f.write_str("?…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TrackerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackerUrl({self})")
    }
}

/// Parts of a path that every tracker has, and so no secrets.
fn is_public(part: &str) -> bool {
    matches!(part, "" | "announce" | "announce.php" | "scrape" | "scrape.php" | "tracker" | "tracker.php")
}

fn is_scheme(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Appends a part with what may not stand in a request escaped, and nothing else changed.
fn escape(part: &str, out: &mut String) {
    for character in part.chars() {
        if character.is_ascii() && !matches!(character, '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}') {
            out.push(character);
        } else {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn url(text: &str) -> TrackerUrl {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn error(text: &str) -> Error {
        TrackerUrl::parse(text).map(|url| url.as_str().to_owned()).unwrap_err()
    }

    #[test]
    fn a_url_is_taken_apart() {
        let url = url("https://me:pw@tracker.example:2710/a/announce?x=1&y=?#f?/");
        assert_eq!((url.scheme(), url.user_info()), (Scheme::Https, Some("me:pw")));
        assert_eq!((url.host(), url.ip(), url.port()), ("tracker.example", None, 2710));
        assert_eq!((url.path(), url.query()), ("/a/announce", Some("x=1&y=?")));
        assert_eq!(url.path_and_query(), "/a/announce?x=1&y=?");
        assert_eq!(url.as_str(), "https://me:pw@tracker.example:2710/a/announce?x=1&y=?");
    }

    #[test]
    fn what_is_missing_has_its_default() {
        for (text, port, rest) in [
            ("http://a", 80, "/"),
            ("http://a:/", 80, "/"),
            ("https://a?b", 443, "/?b"),
            ("http://a#b", 80, "/"),
            ("udp://a", 80, ""),
            ("udp://a:6969", 6969, ""),
            ("udp://a:6969?x", 6969, "?x"),
        ] {
            let url = url(text);
            assert_eq!((url.port(), url.path_and_query()), (port, rest), "{text}");
        }
        assert_eq!(url("http://a/?").query(), Some(""));
        assert_eq!(url("http://a/").query(), None);
    }

    #[test]
    fn one_tracker_has_one_form() {
        for (text, kept) in [
            ("HTTP://A.Example:80", "http://a.example/"),
            ("uDp://A:80/Announce", "udp://a/Announce"),
            ("https://[2001:DB8:0::1]:443/", "https://[2001:db8::1]/"),
            ("http://a/{é}|\"<x>", "http://a/%7B%C3%A9%7D%7C%22%3Cx%3E"),
            ("http://a/%zz%41+~'", "http://a/%zz%41+~'"),
        ] {
            assert_eq!(url(text).as_str(), kept);
            assert_eq!(url(kept), url(text));
        }
    }

    #[test]
    fn addresses_of_both_families_are_hosts() {
        assert_eq!(url("udp://127.0.0.1:80/").ip(), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(url("udp://[::1]:6969").ip(), Some("::1".parse().unwrap()));
        assert_eq!((url("udp://[::1]:6969").host(), url("udp://[::1]:6969").port()), ("::1", 6969));
    }

    #[test]
    fn a_host_that_a_resolver_may_take_for_another_is_refused() {
        for host in [
            "",
            "0x7f.1",
            "0X7F000001",
            "2130706433",
            "127.1",
            "0177.0.0.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "a..b",
            ".a",
            ".",
            "a%41",
            "[::1",
            "::1",
            "[::1]x",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "é.example",
            "a\\b",
            "a,b",
            "[]",
            "1.2.3.4..",
        ] {
            assert_eq!(error(&format!("http://{host}/")), Error::BadHost { at: 7 }, "{host}");
        }
        assert_eq!(url("http://a.example./").host(), "a.example.");
        assert_eq!(url("http://my_tracker.1a/").host(), "my_tracker.1a");
        let label = "a".repeat(63);
        assert!(TrackerUrl::parse(&format!("http://{label}.{label}.{label}.{}/", &label[..61])).is_ok());
        assert!(TrackerUrl::parse(&format!("http://{label}.{label}.{label}.{}/", &label[..62])).is_err());
    }

    #[test]
    fn a_host_behind_a_second_at_is_refused() {
        assert_eq!(error("http://good.example@evil.example@b/"), Error::BadUserInfo { at: 32 });
        assert_eq!(url("http://good.example@evil.example/").host(), "evil.example");
        // A slash ends the host, whatever comes behind it.
        assert_eq!(url("http://good.example/@evil.example/").host(), "good.example");
    }

    #[test]
    fn control_characters_and_spaces_are_refused_where_they_stand() {
        for (text, at) in [
            ("http://a/b c", 10),
            (" http://a", 0),
            ("http://a/\r\nHost: b", 9),
            ("http://a/\0", 9),
            ("http://a\t/", 8),
            ("http://a/\u{85}", 9),
            ("http://a/\u{2028}", 9),
        ] {
            assert_eq!(error(text), Error::BadCharacter { at }, "{text:?}");
        }
    }

    #[test]
    fn other_schemes_and_other_texts_are_refused() {
        for text in ["", "a", "http:/a", "http:a", "://a", "1a://b", "//a/announce", "tr?x://a", "http"] {
            assert_eq!(error(text), Error::NoScheme, "{text}");
        }
        for text in ["wss://a/", "ftp://a/", "file:///etc/passwd", "udp4://a"] {
            assert_eq!(error(text), Error::UnsupportedScheme, "{text}");
        }
    }

    #[test]
    fn a_port_is_a_number_from_1_to_65535() {
        for port in ["0", "65536", "-1", "+80", "8o", "99999999999", "80:80", "００８０"] {
            assert_eq!(error(&format!("udp://a:{port}/")), Error::BadPort { at: 8 }, "{port}");
        }
        assert_eq!(url("udp://a:00080").as_str(), "udp://a");
        assert_eq!(url("udp://a:65535").port(), 65535);
    }

    #[test]
    fn the_longest_url_is_taken_and_one_byte_more_is_not() {
        let long = format!("http://a/{}", "x".repeat(MAX_LEN - 9));
        assert_eq!(url(&long).as_str(), long);
        assert_eq!(error(&format!("{long}x")), Error::TooLong { length: MAX_LEN + 1 });
        // Escaping makes it longer; then that counts.
        assert!(matches!(error(&format!("http://a/{}", "|".repeat(2000))), Error::TooLong { length: 6009 }));
        let edge = format!("udp://a/{}", "|".repeat(1362));
        assert!(url(&edge).as_str().len() <= MAX_LEN && TrackerUrl::parse(url(&edge).as_str()).is_ok());
    }

    #[test]
    fn scrape_stands_where_announce_stood_at_the_beginning_of_a_part() {
        for (announce, scrape) in [
            ("/announce", Some("/scrape")),
            ("/x/announce", Some("/x/scrape")),
            ("/announce.php", Some("/scrape.php")),
            ("/announce?x=announce", Some("/scrape?x=announce")),
            ("/announce?x=2/4", Some("/scrape?x=2/4")),
            ("/announce/passkey", Some("/scrape/passkey")),
            ("/announce/announce", Some("/announce/scrape")),
            ("/a", None),
            ("/?/announce", None),
            ("/x%064announce", None),
            ("/Announce", None),
        ] {
            let url = url(&format!("http://announce.example{announce}"));
            let found = url.scrape();
            assert_eq!(found.as_ref().map(|url| url.path_and_query()), scrape, "{announce}");
            assert!(found.is_none_or(|found| found.host() == url.host()));
        }
        assert_eq!(url("udp://a:1/x").scrape(), Some(url("udp://a:1/x")));
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (text, shown) in [
            ("http://a.example/announce", "http://a.example/announce"),
            ("http://a.example/5ec7e7/announce", "http://a.example/…/announce"),
            ("http://a.example/5ec7e7/5ec7e7/x", "http://a.example/…"),
            ("http://a.example:81/announce.php?passkey=5ec7e7", "http://a.example:81/announce.php?…"),
            ("https://user:5ec7e7@a.example/", "https://…@a.example/"),
            ("udp://[::1]:6969/5ec7e7", "udp://[::1]:6969/…"),
            ("udp://a.example:6969", "udp://a.example:6969"),
        ] {
            let url = url(text);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("TrackerUrl({shown})"));
        }
        // Nor by an error.
        let text = error("http://user:5ec7e7@5ec7e7:port5ec7e7/").to_string();
        assert_eq!(text, "expected a port from 1 to 65535 at byte 26 of a URL");
    }

    proptest! {
        #[test]
        fn what_is_kept_is_read_as_the_same(text in "(http|udp|HTTPS)://([a-z:]{0,3}@)?[a-zA-Z0-9.-]{1,9}(:[0-9]{0,5})?[/?][!-~é¡]{0,40}") {
            if let Ok(url) = TrackerUrl::parse(&text) {
                prop_assert_eq!(TrackerUrl::parse(url.as_str()), Ok(url));
            }
        }

        #[test]
        fn any_text_is_a_url_or_an_error(text in "\\PC{0,40}") {
            if let Err(error) = TrackerUrl::parse(&text) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
