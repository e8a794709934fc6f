//! Replays the corpus of every target: what the fuzzer once found stays found, on any toolchain.

use std::collections::BTreeSet;
use std::path::Path;
use std::{fs, io};

fn replay(name: &str, mut body: impl FnMut(&[u8])) -> io::Result<usize> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        // Shown only where the body panics.
        println!("{}", path.display());
        body(&bytes);
        files += 1;
    }
    Ok(files)
}

#[test]
fn every_file_of_the_corpus_passes() {
    for (name, body) in bip_fuzz::TARGETS {
        let files = replay(name, *body).unwrap_or_else(|error| panic!("corpus/{name}: {error}"));
        assert!(files > 0, "corpus/{name} is empty");
    }
}

#[test]
fn every_folder_and_every_binary_belongs_to_a_target() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected: Vec<_> = bip_fuzz::TARGETS.iter().map(|(name, _)| name.to_string()).collect();
    expected.sort();
    for folder in ["corpus", "fuzz_targets"] {
        let entries = fs::read_dir(root.join(folder)).expect("the folder is there");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("the folder can be read").path())
            .map(|path| path.file_stem().expect("an entry has a name").to_string_lossy().into_owned())
            .collect();
        names.sort();
        assert_eq!(names, expected, "in {folder}");
    }
}

/// Gives the names of an enum's variants, as its source declares them.
fn variants(source: &str, name: &str) -> BTreeSet<String> {
    let (_, rest) = source.split_once(&format!("pub enum {name} {{\n")).expect("the source declares the enum");
    let (body, _) = rest.split_once("\n}").expect("the enum ends");
    let indented = body.lines().filter_map(|line| line.strip_prefix("    "));
    let starts = indented.filter(|line| line.starts_with(|c: char| c.is_ascii_alphabetic()));
    starts.map(|line| line.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
}

#[test]
fn the_corpus_reaches_every_command_and_every_event_of_the_machines() {
    let (swarm, node) = (include_str!("../../src/peer/command.rs"), include_str!("../../src/dht/command.rs"));
    let tracker = include_str!("../../src/tracker/server/command.rs");
    let of = |source| &variants(source, "Command") | &variants(source, "Event");
    assert!(["Ban", "PeerBanned"].iter().all(|name| of(swarm).contains(*name)), "{:?}", of(swarm));
    assert!(["AddNode", "PeersDone"].iter().all(|name| of(node).contains(*name)), "{:?}", of(node));
    type Reaches = fn(&[u8]) -> BTreeSet<String>;
    let targets: [(&str, &str, Reaches); 4] = [
        ("connection", swarm, bip_fuzz::connection_reaches),
        ("swarm", swarm, bip_fuzz::swarm_reaches),
        ("dht_node", node, bip_fuzz::dht_node_reaches),
        ("tracker_server", tracker, bip_fuzz::tracker_server_reaches),
    ];
    for (name, source, reaches) in targets {
        let (all, mut reached) = (of(source), BTreeSet::new());
        replay(name, |bytes| reached.extend(reaches(bytes))).expect("the corpus can be read");
        let missing: Vec<_> = all.difference(&reached).collect();
        assert!(missing.is_empty(), "corpus/{name} does not reach {missing:?}");
    }
}
