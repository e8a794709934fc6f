use bip::proto::bencode::{self, Document};
use bip::proto::resume::{Limits, Resume};
use bip::proto::sha1::Sha1;

/// The bytes as a file, and as the state in a file whose check is right.
///
/// What is read is written again as what is read the same; and nothing that is cut short is read.
pub fn resume(data: &[u8]) {
    let limits = Limits::default();
    check(data, &limits);
    let Ok(document) = Document::decode(data, &bencode::Limits::default()) else { return };
    let file = bencode::encode_dict(|dict| {
        dict.int("bip resume", 1);
        dict.bytes("check", Sha1::digest(data));
        dict.value("state", document.root());
    });
    check(&file, &limits);
}

fn check(bytes: &[u8], limits: &Limits) {
    let Ok(resume) = Resume::decode(bytes, limits) else { return };
    assert_eq!(resume.have.pieces(), resume.geometry.piece_count());
    for partial in &resume.partials {
        assert!(!resume.have.contains(partial.piece) && !partial.ranges.is_empty());
        let length = resume.geometry.length_of(partial.piece);
        assert!(partial.ranges.iter().all(|range| range.start < range.end && range.end <= length));
    }
    let again = resume.encode();
    assert_eq!(Resume::decode(&again, limits).as_ref(), Ok(&resume));
    assert!(Resume::decode(&again[..again.len() - 1], limits).is_err(), "read although it is cut short");
}
