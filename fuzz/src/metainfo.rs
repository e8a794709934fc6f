use super::check_text;
use bip::proto::bencode;
use bip::proto::id::PieceIndex;
use bip::proto::metainfo::{Builder, Limits, Metainfo, Names};
use bip::proto::sha1::Sha1;
use std::collections::BTreeSet;
use std::path::Component;

/// The first byte chooses what is done with names, and whether the rest is a torrent file, a bare `info`, or the names of files
/// of which a torrent is made here (a line each, `|` between the parts, the torrent's own name first), so that the fuzzer need
/// not keep lengths and hashes right to try names.
///
/// What is accepted: its paths stay in the folder they are joined to and never clash; its files, pieces and hashes fit each
/// other; the info hash is that of bytes of the input; the bare `info` gives the same torrent; and a torrent built anew from
/// what was read reads the same.
pub fn metainfo(data: &[u8]) {
    let Some((choice, mut bytes)) = data.split_first() else { return };
    let made = if choice & 4 == 0 { Vec::new() } else { of_names(bytes) };
    if !made.is_empty() {
        bytes = &made;
    }
    let names = if choice % 2 == 0 { Names::Host } else { Names::Portable };
    let limits = Limits { names, path_depth: 20, ..Limits::default() };
    let is_file = choice & 6 != 2;
    let read = if is_file { Metainfo::parse(bytes, &limits) } else { Metainfo::parse_info(bytes, &limits) };
    let torrent = match read {
        Ok(torrent) => torrent,
        Err(error) => return check_text(&error.to_string()),
    };
    torrent.warnings().iter().for_each(|warning| check_text(&warning.to_string()));

    let info = torrent.info_bytes();
    assert!(follows(bytes, b"", info), "the info is not of the input");
    assert_eq!(torrent.info_hash().0, Sha1::digest(info));
    let alone = Metainfo::parse_info(info, &limits).expect("the info can be read alone");
    assert_eq!(alone.info_hash(), torrent.info_hash());
    assert_eq!(alone.layout(), torrent.layout());

    check_layout(&torrent, bytes);
    check_paths(&torrent, names);
    if names == Names::default() {
        rebuild(&torrent);
    }
}

/// Encodes a torrent of files of one byte each.
fn of_names(lines: &[u8]) -> Vec<u8> {
    let mut lines = lines.split(|b| *b == b'\n');
    let name = lines.next().unwrap_or_default();
    bencode::encode_dict(|root| {
        root.dict("info", |info| {
            let mut total = 0;
            info.list("files", |files| {
                for line in lines {
                    files.dict(|file| {
                        file.int("length", 1);
                        file.list("path", |path| line.split(|b| *b == b'|').for_each(|part| path.bytes(part)));
                    });
                    total += 1;
                }
            });
            info.bytes("name", name);
            info.int("piece length", 16 * 1024);
            info.bytes("pieces", vec![1; 20 * usize::div_ceil(total, 16 * 1024)]);
        });
    })
}

/// Says whether the bytes are found anywhere right after the mark. Few places are compared whole: the fuzzer watches comparisons
/// and is slow where there are many.
fn follows(bytes: &[u8], mark: &[u8], wanted: &[u8]) -> bool {
    (0..bytes.len()).any(|at| {
        let near = |offset: usize, byte: Option<&u8>| byte.is_none() || bytes.get(at + offset) == byte;
        near(0, mark.first())
            && near(mark.len(), wanted.first())
            && bytes.get(at + mark.len()..).is_some_and(|rest| rest.starts_with(wanted))
    })
}

fn check_layout(torrent: &Metainfo, bytes: &[u8]) {
    let (layout, geometry) = (torrent.layout(), torrent.geometry());
    let mut end = 0;
    for file in layout.files() {
        assert_eq!(file.offset, end, "a gap between files");
        end += file.length;
    }
    assert!(end > 0 && end == torrent.total_length() && end == geometry.total_length());

    let hashes = layout.piece_hashes();
    assert_eq!(hashes.len(), geometry.piece_count() as usize);
    let joined: Vec<u8> = layout.piece_hashes().flatten().copied().collect();
    assert!(follows(bytes, b":", &joined), "the hashes are not of the input");
    for (piece, hash) in (0..).map(PieceIndex).zip(hashes) {
        assert_eq!(layout.piece_hash(piece), Some(hash));
        let (offset, length) = (geometry.piece_offset(piece), u64::from(geometry.length_of(piece)));
        let mut at = offset;
        for span in layout.spans(offset, length) {
            let file = layout.file(span.file).expect("a span is of a file");
            assert_eq!(file.offset + span.offset, at, "a gap within a piece");
            assert!(span.length > 0 && span.offset + span.length <= file.length);
            at += span.length;
        }
        assert_eq!(at, offset + length, "a piece is not all in files");
    }
    assert_eq!(layout.piece_hash(PieceIndex(geometry.piece_count())), None);
    assert_eq!(layout.spans(end, 1).count(), 0);
}

fn check_paths(torrent: &Metainfo, names: Names) {
    // As a host that does not tell cases apart sees them.
    let seen = |path: &str| if names == Names::Portable { path.to_lowercase() } else { path.to_owned() };
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for file in torrent.files() {
        let parts: Vec<_> = file.path.parts().collect();
        assert_eq!(parts.first(), Some(&torrent.layout().name_bytes()), "not in the torrent's folder");
        for part in &parts {
            assert!(!part.is_empty() && part.len() <= 255 && !matches!(*part, b"." | b".."));
            assert!(!part.iter().any(|b| matches!(b, b'/' | 0)));
            if names == Names::Portable {
                let text = std::str::from_utf8(part).expect("portable names are text");
                assert!(!text.contains(['\\', ':', '*', '?', '"', '<', '>', '|']) && !text.contains(char::is_control));
                assert!(!text.ends_with(['.', ' ']) && part.len() <= 240);
            }
        }
        let path = file.path.to_path_buf();
        assert!(path.components().all(|component| matches!(component, Component::Normal(_))), "{path:?} leads out");
        assert_eq!(path.components().count(), parts.len());
        // By bytes, so that two names that are shown alike are not taken for one.
        let escaped = |path: &[u8]| match std::str::from_utf8(path) {
            Ok(text) => seen(text),
            Err(_) => path.escape_ascii().to_string(),
        };
        assert!(files.insert(escaped(file.path.as_bytes())), "{path:?} twice");
        let parents = std::iter::successors(file.path.parent(), |folder| folder.parent());
        folders.extend(parents.map(|folder| escaped(folder.as_bytes())));
    }
    assert_eq!(files.intersection(&folders).next(), None, "a file stands where a folder must be");
}

/// Describes what was read to the builder; what it builds reads the same.
fn rebuild(torrent: &Metainfo) {
    let layout = torrent.layout();
    let mut builder = if layout.is_multi_file() {
        let file = |builder: Builder, path: &bip::proto::metainfo::SafePath, length| {
            builder.file(path.parts().skip(1).collect::<Vec<_>>(), length)
        };
        let files = layout.files().iter();
        files.fold(Builder::multi_file(layout.name_bytes()), |builder, f| file(builder, &f.path, f.length))
    } else {
        Builder::single_file(layout.name_bytes(), torrent.total_length())
    };
    builder = builder
        .piece_length(torrent.geometry().piece_length())
        .piece_hashes(layout.piece_hashes().copied())
        .private(torrent.is_private());
    for tier in torrent.trackers() {
        builder = builder.tracker_tier(tier);
    }
    let bytes = builder.build().expect("what was read can be built");
    assert_eq!(builder.build().as_ref(), Ok(&bytes), "the same description gave other bytes");
    let again = Metainfo::parse(&bytes, &Limits::default()).expect("what was built can be read");
    assert_eq!(again.warnings().iter().filter(|warning| !is_about_encoding(warning)).count(), 0);
    assert_eq!(again.geometry(), torrent.geometry());
    let files = |torrent: &Metainfo| {
        torrent.files().iter().map(|file| (file.path.clone(), file.length, file.offset)).collect::<Vec<_>>()
    };
    assert_eq!(files(&again), files(torrent));
    assert!(again.layout().piece_hashes().eq(layout.piece_hashes()));
    assert_eq!(again.is_private(), torrent.is_private());
    assert_eq!(again.trackers(), torrent.trackers());
}

fn is_about_encoding(warning: &bip::proto::metainfo::Warning) -> bool {
    matches!(warning, bip::proto::metainfo::Warning::NotUtf8 { .. })
}
