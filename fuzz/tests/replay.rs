//! Replays the corpus of every target: what the fuzzer once found stays found, on any toolchain.

use std::path::Path;
use std::{fs, io};

fn replay(name: &str, body: fn(&[u8])) -> io::Result<usize> {
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
