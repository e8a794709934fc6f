use super::check_text;
use bip::proto::bencode;
use bip::proto::id::{FileIndex, PieceIndex};
use bip::proto::metainfo::{Builder, Edit, Entry, File, Limits, Metainfo, Names, Version};
use bip::proto::sha1::Sha1;
use bip::proto::sha256::Sha256;
use std::collections::BTreeSet;
use std::path::Component;

/// The first byte chooses what is done with names, and whether the rest is a torrent file, a bare `info`, or the names of files
/// of which a torrent is made here (a line each, `|` between the parts, the torrent's own name first), so that the fuzzer need
/// not keep lengths and hashes right to try names. Two more bits make that one of version 2, or a hybrid.
///
/// What is accepted: its paths stay in the folder they are joined to and never clash; its files, pieces and hashes fit each
/// other; the info hashes are those of bytes of the input; the bare `info` gives the same torrent, with its piece layers; an edit
/// changes nothing but what it says; and a torrent built anew from what was read reads the same.
pub fn metainfo(data: &[u8]) {
    let Some((choice, mut bytes)) = data.split_first() else { return };
    let made = match choice & 28 {
        4 => of_names(bytes),
        12 | 28 => of_tree(bytes, choice & 16 != 0),
        _ => Vec::new(),
    };
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
    match torrent.version() {
        Version::V2 => assert_eq!(Some(torrent.info_hash()), torrent.info_hash_v2().map(|hash| hash.truncated())),
        _ => assert_eq!(torrent.info_hash().0, Sha1::digest(info)),
    }
    assert_eq!(torrent.info_hash_v2().is_some(), torrent.version().has_v2());
    if let Some(hash) = torrent.info_hash_v2() {
        assert_eq!(hash.0, Sha256::digest(info));
    }
    let alone = Metainfo::parse_info(info, &limits).expect("the info can be read alone");
    assert_eq!((alone.info_hash(), alone.info_hash_v2()), (torrent.info_hash(), torrent.info_hash_v2()));
    // A bare `info` has no piece layers, and a file has them all.
    let layout = torrent.layout();
    let whole = alone.with_piece_layers(layout.piece_layers()).expect("what fitted fits again");
    assert_eq!(whole.layout(), layout);
    assert!(!is_file || layout.is_verifiable());
    if is_file {
        edit(bytes, &torrent, &limits);
    }

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

/// Encodes a torrent of version 2, or a hybrid, of files that need no piece layer: a line is a path of a file of 100 bytes, or of
/// a symbolic link to another path after a `>`.
fn of_tree(lines: &[u8], is_hybrid: bool) -> Vec<u8> {
    let mut lines = lines.split(|b| *b == b'\n');
    let name = lines.next().unwrap_or_default();
    let mut builder = Builder::multi_file(name).version(if is_hybrid { Version::Hybrid } else { Version::V2 });
    for line in lines {
        let mut paths = line.splitn(2, |b| *b == b'>');
        let path = paths.next().unwrap_or_default().split(|b| *b == b'|');
        builder = builder.entry(match paths.next() {
            Some(target) => Entry::link(path, target.split(|b| *b == b'|')),
            None => Entry::new(path, 100),
        });
    }
    let Ok(geometry) = builder.geometry() else { return Vec::new() };
    let pieces = geometry.piece_count() as usize;
    builder.piece_hashes(vec![[1; 20]; pieces]).piece_roots(vec![[2; 32]; pieces]).build().unwrap_or_default()
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

/// An edit keeps what is in `info`, and all that it does not say.
fn edit(bytes: &[u8], torrent: &Metainfo, limits: &Limits) {
    let same = Edit::of(bytes, limits).expect("what is a torrent can be edited");
    let parse = |edit: &Edit<'_>| Metainfo::parse(&edit.build(), limits).expect("what was edited can be read");
    let again = parse(&same);
    assert_eq!((again.info_bytes(), again.layout()), (torrent.info_bytes(), torrent.layout()));
    assert_eq!((again.trackers(), again.comment()), (torrent.trackers(), torrent.comment()));
    let edited = parse(&same.clone().comment(Some("edited")).trackers([["u:1"], ["u:2"]]).web_seeds(["w"]));
    assert_eq!((edited.info_bytes(), edited.layout()), (torrent.info_bytes(), torrent.layout()));
    assert_eq!((edited.comment(), edited.trackers().len()), (Some("edited"), 2));
    assert_eq!((edited.nodes(), edited.created_by()), (torrent.nodes(), torrent.created_by()));
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
    let version = layout.version();
    assert_eq!(hashes.len(), if version.has_v1() { geometry.piece_count() as usize } else { 0 });
    for piece in (0..geometry.piece_count()).map(PieceIndex) {
        let check = layout.piece_check(piece).expect("every piece has something to be verified with");
        assert_eq!(check.v1(), layout.piece_hash(piece));
        assert_eq!(layout.piece_tree(piece).is_some(), version.has_v2());
        if let Some(root) = check.v2() {
            assert!(root.length > 0 && root.length <= geometry.piece_length() && root.leaves.is_power_of_two());
            assert!(root.leaves * 16 * 1024 >= root.length.into() && follows(bytes, b"", root.root));
        }
    }
    assert_eq!(layout.piece_check(PieceIndex(geometry.piece_count())), None);
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
    let layout = torrent.layout();
    let all: BTreeSet<Vec<u8>> = layout.files().iter().map(|file| file.path.to_bytes()).collect();
    for (number, file) in (0..).zip(layout.files()) {
        let target = layout.link_target(FileIndex(number));
        assert_eq!(target.is_some(), file.is_symlink());
        if let Some(target) = target.map(|target| target.to_bytes()) {
            let below = [&target[..], b"/"].concat();
            assert!(
                all.contains(&target) || all.range(below.clone()..).next().is_some_and(|path| path.starts_with(&below))
            );
        }
    }
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
        assert!(files.insert(escaped(&file.path.to_bytes())), "{path:?} twice");
        let parents = std::iter::successors(file.path.parent(), |folder| folder.parent());
        folders.extend(parents.map(|folder| escaped(&folder.to_bytes())));
    }
    assert_eq!(files.intersection(&folders).next(), None, "a file stands where a folder must be");
}

/// Describes what was read to the builder; what it builds reads the same.
fn rebuild(torrent: &Metainfo) {
    let layout = torrent.layout();
    let version = layout.version();
    // The padding of version 2 comes by itself; that of version 1 is as good as any file.
    let files: Vec<(u32, &File)> =
        (0..).zip(layout.files()).filter(|(_, file)| !version.has_v2() || !file.is_padding).collect();
    let parts = |file: &File| file.path.parts().skip(1).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let entry = |(number, file): &(u32, &File)| match layout.link_target(FileIndex(*number)) {
        Some(target) => Entry::link(parts(file), target.parts().skip(1)),
        None => Entry::new(parts(file), file.length),
    };
    if version.has_v2() {
        // The order that keys must have, and no padding at the end; nor a folder that would be read as its one file.
        let ordered = files.iter().map(|(_, file)| parts(file)).is_sorted();
        let end = files.iter().map(|(_, file)| file.offset + file.length).max().unwrap_or(0);
        let is_odd = version == Version::V2 && files.len() == 1 && parts(files[0].1) == [layout.name_bytes()];
        if !ordered || end != layout.geometry().total_length() || is_odd || !layout.is_verifiable() {
            return;
        }
    }
    let mut builder = if layout.is_multi_file() {
        files.iter().fold(Builder::multi_file(layout.name_bytes()), |builder, file| builder.entry(entry(file)))
    } else {
        Builder::single_file(layout.name_bytes(), torrent.total_length())
    };
    let checks = (0..layout.geometry().piece_count()).filter_map(|piece| layout.piece_check(PieceIndex(piece)));
    let roots: Vec<[u8; 32]> = checks.filter_map(|check| check.v2().map(|root| *root.root)).collect();
    if version == Version::Hybrid && roots.len() < layout.geometry().piece_count() as usize {
        // A bare `info` without its layers.
        return;
    }
    builder = builder
        .version(version)
        .piece_length(torrent.geometry().piece_length())
        .piece_hashes(layout.piece_hashes().copied())
        .piece_roots(roots)
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
    if !version.has_v2() {
        assert_eq!(files(&again), files(torrent));
    }
    let roots = |torrent: &Metainfo| {
        let layout = torrent.layout();
        let real = (0..).zip(layout.files()).filter(|(_, file)| !file.is_padding || !version.has_v2());
        let of = |(number, file): (u32, &File)| {
            let target = layout.link_target(FileIndex(number));
            (file.path.clone(), file.length, layout.pieces_root(FileIndex(number)).copied(), target)
        };
        real.map(of).collect::<Vec<_>>()
    };
    assert_eq!(roots(&again), roots(torrent));
    assert!(again.layout().piece_hashes().eq(layout.piece_hashes()));
    assert_eq!(again.is_private(), torrent.is_private());
    assert_eq!(again.trackers(), torrent.trackers());
}

fn is_about_encoding(warning: &bip::proto::metainfo::Warning) -> bool {
    matches!(warning, bip::proto::metainfo::Warning::NotUtf8 { .. })
}
