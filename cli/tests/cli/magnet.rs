//! Magnet links: shown, and refused.

use crate::tool::*;
use serde_json::json;

const V1: &str = "631a31dd0a46257d5078c0dee4e66e26f73e42ac";
const V2: &str = "d8dd32ac93357c368556af3ac1d95c9d76bd0dff6fa9833ecdac3d53134efabb";

#[test]
fn show_tells_everything_that_a_link_says() {
    let folder = Folder::new();
    let link = format!(
        "magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}&dn=A+film&xl=1536&tr=udp://a:1&tr=http%3A%2F%2Fb%2Fannounce&ws=http://w/\
         &x.pe=[2001:db8::7]:6881&x.pe=seedbox.example:51413&so=0,2-4&xs=http://x/t.torrent&kt=film&x.pe=nowhere"
    );
    let shown = &lines(folder.bip(&["show", &link, "--json"]))[0];
    let canonical = format!(
        "magnet:?xt=urn:btih:{V1}&xt=urn:btmh:1220{V2}&dn=A%20film&xl=1536&tr=udp%3A%2F%2Fa%3A1&tr=http%3A%2F%2Fb%2Fannounce\
         &ws=http%3A%2F%2Fw%2F&x.pe=[2001:db8::7]:6881&x.pe=seedbox.example:51413&so=0,2-4&xs=http%3A%2F%2Fx%2Ft.torrent&kt=film"
    );
    assert_eq!(
        *shown,
        json!({
            "magnet": canonical, "name": "A film", "info_hash": V1, "info_hash_v2": V2, "total_length": 1536,
            "files_wanted": "1,3-5", "trackers": [["udp://a:1"], ["http://b/announce"]], "web_seeds": ["http://w/"],
            "peers": ["[2001:db8::7]:6881", "seedbox.example:51413"], "exact_sources": ["http://x/t.torrent"],
            "acceptable_sources": [], "keywords": "film", "manifest": null,
            "warnings": [format!("x.pe at byte {} cannot be read and was left out", link.len() - 7)],
        })
    );
    let text = succeeds(folder.bip(&["show", &link]));
    for line in [
        "name          A film",
        &format!("info hash     {V1}"),
        &format!("info hash v2  {V2}"),
        "total length  1.50 KiB (1536 bytes)",
        "files wanted  1,3-5",
        "tracker 2     http://b/announce",
        "peer          seedbox.example:51413",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // What was written in one form is that form.
    assert_eq!(lines(folder.bip(&["show", &canonical, "--json"]))[0]["magnet"], canonical);
    assert_eq!(folder.files().len(), 0);
}

#[test]
fn a_link_cannot_confuse_a_terminal_or_want_more_files_than_there_are_numbers() {
    let folder = Folder::new();
    let link = format!("MAGNET:?xt=urn:btih:{V1}&dn=%1b[2J%e2%80%aex&so=0-18446744073709551615");
    let shown = succeeds(folder.bip(&["show", &link]));
    assert!(!shown.contains(['\u{1b}', '\u{202e}']) && shown.contains("[2J"), "{shown:?}");
    assert!(shown.contains("files wanted  1-4294967296\n"), "{shown}");
    let shown = folder.bip(&["show", &link, "--json"]);
    assert!(!text(&shown.stdout).contains(['\u{1b}', '\u{202e}']));
    assert_eq!(lines(shown)[0]["name"], "\u{1b}[2J\u{202e}x");
}

#[test]
fn a_bad_link_is_one_clear_line() {
    let folder = Folder::new();
    for (link, what) in [
        ("magnet:?dn=x".to_owned(), "no info hash"),
        ("magnet:".to_owned(), "does not begin with magnet:?"),
        (
            format!("magnet:?xt=urn:btih:{}", &V1[1..]),
            "39 characters instead of 40 hexadecimal or 32 base32 digits at byte 11",
        ),
        (format!("magnet:?xt=urn:btih:{V1}{}", "&tr=udp://x".repeat(10_000)), "more than 65536"),
    ] {
        let line = fails(folder.bip(&["show", &link]));
        assert!(line.starts_with("bip: magnet link: ") && line.contains(what), "{line}");
    }
}

#[test]
fn an_info_hash_alone_is_a_link_unless_it_names_a_file() {
    let folder = Folder::new();
    assert_eq!(
        lines(folder.bip(&["show", &V1.to_uppercase(), "--json"]))[0]["magnet"],
        format!("magnet:?xt=urn:btih:{V1}")
    );
    assert_eq!(lines(folder.bip(&["show", V2, "--json"]))[0]["info_hash_v2"], V2);
    assert!(fails(folder.bip(&["show", &V1[1..]])).contains("o such file"));
    folder.write(V1, SMALL);
    assert_eq!(lines(folder.bip(&["show", V1, "--json"]))[0]["name"], "hello");
}
