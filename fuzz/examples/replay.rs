//! Gives files to a target, on any toolchain: bytes that were captured, or that a program of one's own wrote.
//!
//! ```sh
//! cargo run --manifest-path fuzz/Cargo.toml --example replay -- krpc CAPTURED…
//! ```

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let name = arguments.next().unwrap_or_default();
    let Some((name, target)) = bip_fuzz::TARGETS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<_> = bip_fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("usage: replay TARGET FILE-OR-FOLDER...\nTARGET is one of {}", names.join(", "));
        return ExitCode::from(2);
    };
    let mut files = 0;
    for path in arguments.map(PathBuf::from) {
        if let Err(error) = replay(&path, *target, &mut files) {
            eprintln!("{}: {error}", path.display());
            return ExitCode::FAILURE;
        }
    }
    if files == 0 {
        eprintln!("no file to replay");
        return ExitCode::FAILURE;
    }
    println!("{name}: {files} files passed");
    ExitCode::SUCCESS
}

/// Gives a file, or the files of a folder, to a target. Which file it was is said before, for a target that fails panics.
fn replay(path: &Path, target: fn(&[u8]), files: &mut usize) -> io::Result<()> {
    if fs::metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                replay(&entry.path(), target, files)?;
            }
        }
        return Ok(());
    }
    let bytes = fs::read(path)?;
    eprintln!("{}: {} bytes", path.display(), bytes.len());
    target(&bytes);
    *files += 1;
    Ok(())
}
