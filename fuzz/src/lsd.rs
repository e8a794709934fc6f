use bip::proto::lsd::{Announce, Group, MAX_COOKIE_LEN, MAX_DATAGRAM, MAX_LEN, encode};

/// What is read is written to a message that reads the same, within its limit.
pub fn lsd(data: &[u8]) {
    let announce = match Announce::decode(data) {
        Ok(announce) => announce,
        Err(error) => return super::check_text(&error.to_string()),
    };
    assert!(data.len() <= MAX_DATAGRAM && announce.port > 0);
    let hashes: Vec<_> = announce.info_hashes().collect();
    assert!(hashes.len() < 40 && announce.bad_lines <= MAX_DATAGRAM);
    super::check_text(&format!("{announce:?}"));

    let visible =
        |cookie: &&str| (1..=MAX_COOKIE_LEN).contains(&cookie.len()) && cookie.bytes().all(|b| b.is_ascii_graphic());
    let cookie = announce.cookie.and_then(|cookie| std::str::from_utf8(cookie).ok());
    let mut out = Vec::new();
    let result = encode(Group::V6, announce.port, cookie, hashes.iter().copied(), &mut out);
    if cookie.is_some_and(|cookie| !visible(&cookie)) {
        assert!(result.is_err() && out.is_empty());
        return;
    }
    let written = result.expect("the cookie is visible");
    assert!(out.len() <= MAX_LEN && (written == hashes.len() || written >= 20));
    let again = Announce::decode(&out).expect("what is written can be read");
    assert_eq!((again.port, again.cookie, again.bad_lines), (announce.port, cookie.map(str::as_bytes), 0));
    assert!(again.info_hashes().eq(hashes.into_iter().take(written)));
}
