//! Trackers, web seeds and nodes on the command line.

use std::net::SocketAddr;

/// Trackers that are as good as each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tier(pub(crate) Vec<String>);

impl Tier {
    /// Reads one or more URLs with commas between them. A comma that no URL follows is part of a URL.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut urls: Vec<String> = Vec::new();
        for part in text.split(',') {
            let begins = part.split_once("://").is_some_and(|(scheme, _)| {
                scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                    && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            });
            match urls.last_mut() {
                Some(url) if !begins => {
                    url.push(',');
                    url.push_str(part);
                }
                _ => urls.push(part.to_owned()),
            }
        }
        for url in &urls {
            checked(url, &["http", "https", "udp", "ws", "wss"], "tracker")?;
        }
        Ok(Self(urls))
    }
}

/// Puts tiers together, such that each tracker is there once: where it comes first.
pub(crate) fn tiers(tiers: &[Tier]) -> Vec<Vec<String>> {
    let mut out: Vec<Vec<String>> = Vec::new();
    for Tier(urls) in tiers {
        let mut tier: Vec<String> = Vec::new();
        for url in urls {
            if !tier.contains(url) && !out.iter().flatten().any(|known| known == url) {
                tier.push(url.clone());
            }
        }
        if !tier.is_empty() {
            out.push(tier);
        }
    }
    out
}

/// Reads the URL of a web seed.
pub(crate) fn web_seed(text: &str) -> Result<String, String> {
    checked(text, &["http", "https", "ftp"], "web seed").map(|()| text.to_owned())
}

fn checked(text: &str, schemes: &[&str], what: &str) -> Result<(), String> {
    let (scheme, rest) = text.split_once("://").ok_or("no URL: it has no scheme, such as http://")?;
    if !schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        let (last, others) = schemes.split_last().unwrap_or((&"", &[]));
        return Err(format!("'{scheme}' is no scheme of a {what}: use {} or {last}", others.join(", ")));
    }
    // The host comes after a name and password, and before a port: an IPv6 address is in brackets.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let place = authority.rsplit('@').next().unwrap_or_default();
    if place.is_empty() || place.starts_with(':') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("no URL: it has no host, or has spaces in it".to_owned());
    }
    Ok(())
}

/// Reads HOST:PORT. The form alone is checked: names are looked up later.
pub(crate) fn place(text: &str) -> Result<String, String> {
    node(text).map(|_| text.to_owned())
}

/// Reads HOST:PORT into its parts, an IPv6 address without its brackets.
pub(crate) fn node(text: &str) -> Result<(String, u16), String> {
    let (host, port) = text.rsplit_once(':').ok_or("no port: write HOST:PORT")?;
    if host.is_empty() {
        return Err("no host: write HOST:PORT".to_owned());
    }
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err(format!("'{port}' is no port: it must be from 1 to 65535")),
    };
    if !host.contains(':') {
        return Ok((host.to_owned(), port));
    }
    let address = text.parse::<SocketAddr>().map_err(|_| "write an IPv6 address as [ADDRESS]:PORT")?;
    Ok((address.ip().to_string(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(urls: &[&str]) -> Tier {
        Tier(urls.iter().map(|url| (*url).to_owned()).collect())
    }

    #[test]
    fn trackers_are_urls() {
        for good in ["http://t.example/announce", "UDP://t.example:80", "wss://t.example", "http://[::1]:80/a?b=:80"] {
            assert_eq!(Tier::parse(good), Ok(tier(&[good])));
        }
        for bad in
            ["", "t.example", "http://", "http://:80", "http:///x", "udp://u@:1", "ftp://x", "http://a b", "http://a\n"]
        {
            assert!(Tier::parse(bad).is_err(), "{bad}");
            assert!(Tier::parse(&format!("http://a/,{bad}")).is_err() || !bad.contains("://"), "{bad}");
        }
    }

    #[test]
    fn a_tier_is_urls_with_commas_between_them() {
        let parsed = |text| Tier::parse(text).unwrap();
        assert_eq!(parsed("http://a/,udp://b:1"), tier(&["http://a/", "udp://b:1"]));
        assert_eq!(parsed("http://a/x,y?z=1,2,udp://b:1"), tier(&["http://a/x,y?z=1,2", "udp://b:1"]));
        assert_eq!(parsed("http://a/?u=x,/://"), tier(&["http://a/?u=x,/://"]));
        let all = [tier(&["a", "b", "a"]), tier(&["b"]), tier(&["c", "a"])];
        assert_eq!(tiers(&all), [vec!["a", "b"], vec!["c"]]);
    }

    #[test]
    fn web_seeds_are_urls_of_files() {
        assert!(web_seed("https://a/b c".replace(' ', "%20").as_str()).is_ok() && web_seed("ftp://a").is_ok());
        assert!(web_seed("udp://a:1").unwrap_err().contains("http, https or ftp"));
        assert!(web_seed("http://a/b c").is_err());
    }

    #[test]
    fn peers_and_nodes_are_a_host_and_a_port() {
        for good in ["127.0.0.1:1", "[::1]:6881", "seed.example:65535", "localhost:80"] {
            assert_eq!(place(good).as_deref(), Ok(good));
        }
        for bad in ["", ":1", "host", "host:", "host:0", "host:65536", "::1:6881", "[::1]", "[x]:y", "a:b:1"] {
            assert!(place(bad).is_err(), "{bad}");
        }
        assert_eq!(node("[2001:db8::1]:7"), Ok(("2001:db8::1".to_owned(), 7)));
        assert_eq!(node("a.example:7"), Ok(("a.example".to_owned(), 7)));
    }
}
