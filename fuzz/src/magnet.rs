use bip::proto::magnet::{FileRanges, Limits, Magnet};

/// The first byte chooses the limits and whether the rest is a whole link or what follows an info hash.
///
/// What is read says the same in its canonical form, without a warning; limits hold; what is said of a link can be shown; and
/// the files that are wanted are those of the ranges.
pub fn magnet(data: &[u8]) {
    let Some((choice, rest)) = data.split_first() else { return };
    let start: &[u8] =
        if choice & 1 == 0 { b"" } else { b"magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&" };
    let link = [start, rest].concat();
    let tight = Limits { length: 4096, trackers: 2, sources: 1, peers: 2, ranges: 3 };
    let limits = if choice & 2 == 0 { Limits::default() } else { tight };
    let mut warnings = 0;
    let read = Magnet::parse(&link, &limits, |warning| {
        warnings += 1;
        check_text(&warning.to_string());
    });
    assert!(warnings <= link.len(), "more warnings than bytes");
    let magnet = match read {
        Ok(magnet) => magnet,
        Err(error) => return check_text(&error.to_string()),
    };
    assert!(link.trim_ascii().len() <= limits.length);
    assert!(magnet.trackers.len() <= limits.trackers && magnet.peers.len() <= limits.peers);
    for list in [&magnet.web_seeds, &magnet.acceptable_sources, &magnet.exact_sources] {
        assert!(list.len() <= limits.sources);
    }
    for address in magnet.trackers.iter().chain(&magnet.web_seeds) {
        assert!(!address.is_empty() && !address.contains(char::is_control));
    }
    if let Some(ranges) = &magnet.select_only {
        check_ranges(ranges, limits.ranges);
    }

    let text = magnet.to_string();
    check_text(&text);
    assert!(text.is_ascii());
    // It may be longer than the link it came from: three bytes for one, and U+FFFD for what is not text.
    let again = Magnet::parse(&text, &Limits { length: usize::MAX, ..limits }, |warning| panic!("{warning} in {text}"));
    assert_eq!(again.as_ref(), Ok(&magnet));
}

fn check_ranges(ranges: &FileRanges, limit: usize) {
    assert!(!ranges.is_empty() && ranges.ranges().len() <= limit);
    let mut end = None;
    for range in ranges.ranges() {
        assert!(!range.is_empty());
        assert!(end.is_none_or(|end: u32| end.checked_add(1).is_some_and(|next| next < *range.start())), "no gap");
        end = Some(*range.end());
    }
    let within: Vec<_> = ranges.within(50).collect();
    assert!(within.iter().all(|file| file.0 < 50 && ranges.contains(*file)));
    assert_eq!(within.len(), (0..50).filter(|file| ranges.ranges().any(|range| range.contains(file))).count());
}

fn check_text(text: &str) {
    assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
}
