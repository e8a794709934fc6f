use bip::proto::tracker_url::{Error, MAX_HOST_LEN, MAX_LEN, Scheme, TrackerUrl};

/// What is taken is one line of visible ASCII that reads as itself and is made of its parts; what is shown has no query, no
/// password and no path but the public parts; where to scrape differs in the path alone.
pub fn tracker_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let url = match TrackerUrl::parse(text) {
        Ok(url) => url,
        Err(error) => {
            if let Error::BadCharacter { at }
            | Error::BadHost { at }
            | Error::BadUserInfo { at }
            | Error::BadPort { at } = error
            {
                assert!(text.get(at..).is_some(), "{error} in {text:?}");
            }
            return super::check_text(&error.to_string());
        }
    };
    let kept = url.as_str();
    assert!(kept.len() <= MAX_LEN && kept.bytes().all(|b| b.is_ascii_graphic()), "{kept:?}");
    assert_eq!(TrackerUrl::parse(kept).as_ref(), Ok(&url));
    assert!(!url.host().is_empty() && url.host().len() <= MAX_HOST_LEN && url.port() > 0);
    assert!(url.ip().is_some() || !url.host().contains(':'));

    let host = if url.host().contains(':') { format!("[{}]", url.host()) } else { url.host().to_owned() };
    let port = if url.port() == url.scheme().default_port() { String::new() } else { format!(":{}", url.port()) };
    let user = url.user_info().map(|user| format!("{user}@")).unwrap_or_default();
    let scheme = url.scheme().name();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    assert_eq!(url.path_and_query(), format!("{}{query}", url.path()));
    assert!(url.path().is_empty() || url.path().starts_with('/'));
    assert_eq!(kept, format!("{scheme}://{user}{host}{port}{}", url.path_and_query()));

    let shown = url.to_string();
    let hidden_user = if url.user_info().is_some() { "…@" } else { "" };
    let rest =
        shown.strip_prefix(&format!("{scheme}://{hidden_user}{host}{port}")).expect("it is shown where the tracker is");
    for part in rest.trim_end_matches("?…").split('/') {
        assert!(
            matches!(part, "" | "…")
                || part.contains("announce")
                || part.contains("scrape")
                || part.contains("tracker")
        );
        assert!(part.len() <= 12);
    }

    match url.scrape() {
        None => assert_ne!(url.scheme(), Scheme::Udp),
        Some(scrape) => {
            assert_eq!((scrape.host(), scrape.port(), scrape.query()), (url.host(), url.port(), url.query()));
            assert_eq!((scrape.scheme(), scrape.user_info()), (url.scheme(), url.user_info()));
        }
    }
}
