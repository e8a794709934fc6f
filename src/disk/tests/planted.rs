//! Symbolic links that somebody planted below the root, and what is deleted all the same.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // what the machines did to real files is looked at with std

use super::native::Folder;
use super::*;
use crate::disk::{FileSystem, Native};
use std::fs;
use std::os::unix::fs::symlink;

fn path(parts: &[&str]) -> SafePath {
    SafePath::from_parts(parts).unwrap()
}

/// A root, and a folder beside it that must stay as it is.
struct Grounds {
    folder: Folder,
    root: PathBuf,
    outside: PathBuf,
}

impl Grounds {
    fn new() -> Self {
        let folder = Folder::new();
        let (root, outside) = (folder.0.join("root"), folder.0.join("outside"));
        fs::create_dir_all(&root).unwrap();
        for precious in ["t/sub/file", "sub/file", "file"] {
            let precious = outside.join(precious);
            fs::create_dir_all(precious.parent().unwrap()).unwrap();
            fs::write(precious, b"precious").unwrap();
        }
        fs::create_dir_all(outside.join("empty/sub")).unwrap();
        Self { folder, root, outside }
    }

    fn check(&self, what: &str) {
        for precious in ["t/sub/file", "sub/file", "file"] {
            assert_eq!(fs::read(self.outside.join(precious)).unwrap(), b"precious", "{what}: {precious}");
        }
        let count = |folder: &str| fs::read_dir(self.outside.join(folder)).unwrap().count();
        let counts = ["", "t", "t/sub", "sub", "empty", "empty/sub"].map(count);
        assert_eq!(counts, [4, 1, 1, 1, 1, 0], "{what}");
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink())
}

#[test]
fn a_link_planted_at_any_level_is_neither_followed_nor_removed() {
    for (link, target) in [
        (&["t"][..], "t"),
        (&["t"], ""),
        (&["t"], "empty"),
        (&["t", "sub"], "sub"),
        (&["t", "sub"], "empty/sub"),
        (&["t", "sub", "file"], "file"),
        (&["t", "sub", "file"], "nothing"),
        (&["t", "sub", "file"], "empty/sub"),
    ] {
        let grounds = Grounds::new();
        let at = grounds.root.join(path(link).to_path_buf());
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(grounds.outside.join(target), &at).unwrap();
        let told = format!("{link:?} to {target}");
        let refused = |result: std::io::Result<()>| {
            let error = result.unwrap_err();
            assert!(error.to_string().contains("symbolic link"), "{told}: {error}");
        };
        let file = path(&["t", "sub", "file"]);
        refused(Native.create(&grounds.root, &file, 5).map(|_| ()));
        refused(Native.remove(&grounds.root, &file));
        refused(Native.remove_folder(&grounds.root, &file));
        for folder in [path(&["t"]), path(&["t", "sub"])] {
            if link.len() <= folder.parts().count() {
                refused(Native.remove_folder(&grounds.root, &folder));
            } else {
                assert!(Native.remove_folder(&grounds.root, &folder).is_err());
            }
        }
        assert!(is_link(&at), "{told}");
        grounds.check(&told);
    }
}

#[test]
fn a_torrent_with_planted_links_is_deleted_around_them_and_the_first_is_named() {
    let sample = Sample::new(&[100, 100, 100], 64);
    let grounds = Grounds::new();
    let folder = grounds.root.join("t");
    fs::create_dir_all(&folder).unwrap();
    let mut disk =
        Driver::new(Disk::new(at_once(), &mut Rng::new(1)), Executor::with_open_files(Box::new(Native), 3), 1);
    let Command::Add { torrent, layout, writable, .. } = sample.add() else { unreachable!() };
    let skipped = vec![false, true, false];
    let resume = Some(ResumeFile { path: grounds.folder.0.join("state/t.resume"), info_hash: InfoHash([7; 20]) });
    let root = grounds.root.clone();
    disk.ask(Command::Add { torrent, layout, root, writable, skipped, resume });
    // The third piece lies in the skipped file alone.
    for piece in [0, 1, 3, 4] {
        sample.spans(piece, 64).iter().for_each(|s| disk.send(sample.write(*s)));
    }
    assert_eq!(good(&disk.run()), 4);
    disk.ask(Command::Sync { torrent: T });
    let parts = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let parts = parts.filter(|path| path.extension().is_some_and(|e| e == "parts")).collect::<Vec<_>>();
    // In the place of the parts file, of a file and of the resume data there are links now.
    for path in [&parts[0], &folder.join("2"), &grounds.folder.0.join("state/t.resume")] {
        fs::remove_file(path).unwrap();
        symlink(grounds.outside.join("file"), path).unwrap();
    }
    let events = disk.ask(Command::Remove { torrent: T, files: Files::Delete });
    let Some(Event::Deleted { deletion, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!((deletion.files, deletion.folders, deletion.failed), (1, 0, 3));
    let error = deletion.error.as_ref().unwrap().to_string();
    assert!(error.ends_with("state/t.resume: a symbolic link is in the way"), "{error}");
    assert!(is_link(&parts[0]) && is_link(&folder.join("2")) && !folder.join("0").exists());
    grounds.check("deleted");
}

#[test]
fn what_is_no_regular_file_and_no_empty_folder_stays() {
    let grounds = Grounds::new();
    let root = &grounds.root;
    fs::create_dir_all(root.join("t/folder/full")).unwrap();
    fs::write(root.join("t/file"), b"").unwrap();
    let _listener = std::os::unix::net::UnixListener::bind(root.join("t/socket")).unwrap();
    let kind = |result: std::io::Result<()>| result.unwrap_err().kind();
    use std::io::ErrorKind::{DirectoryNotEmpty, InvalidInput, NotADirectory, NotFound};
    assert_eq!(kind(Native.remove(root, &path(&["t", "folder"]))), InvalidInput);
    assert_eq!(kind(Native.remove(root, &path(&["t", "socket"]))), InvalidInput);
    assert_eq!(kind(Native.remove(root, &path(&["t", "none"]))), NotFound);
    assert_eq!(kind(Native.remove(root, &path(&["none", "none"]))), NotFound);
    assert_eq!(kind(Native.remove(root, &path(&["t", "file", "none"]))), NotADirectory);
    assert_eq!(kind(Native.remove(&root.join("nowhere"), &path(&["t"]))), NotFound);
    assert_eq!(kind(Native.remove_folder(root, &path(&["t", "folder"]))), DirectoryNotEmpty);
    assert_eq!(kind(Native.remove_folder(root, &path(&["t", "file"]))), NotADirectory);
    assert_eq!(kind(Native.remove_folder(root, &path(&["t", "none"]))), NotFound);
    Native.remove_folder(root, &path(&["t", "folder", "full"])).unwrap();
    Native.remove_folder(root, &path(&["t", "folder"])).unwrap();
    Native.remove(root, &path(&["t", "file"])).unwrap();
    assert_eq!(fs::read_dir(root.join("t")).unwrap().count(), 1);
    assert_eq!(kind(Native.discard(&root.join("t"))), InvalidInput);
}

/// Somebody swaps a folder for a link and back as fast as it goes.
#[cfg(all(target_os = "linux", feature = "vectored-io"))]
#[test]
fn who_swaps_a_folder_for_a_link_meanwhile_has_nothing_written_or_removed_elsewhere() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let grounds = Grounds::new();
    let root = &grounds.root;
    fs::create_dir_all(root.join("t/sub")).unwrap();
    symlink(grounds.outside.join("sub"), root.join("t/link")).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let at = |name: &str| root.join("t").join(name);
            while !over.load(Ordering::Relaxed) {
                // The folder away and the link in its place; then all back.
                let _ = fs::rename(at("sub"), at("away"));
                let _ = fs::rename(at("link"), at("sub"));
                let _ = fs::rename(at("sub"), at("link"));
                let _ = fs::rename(at("away"), at("sub"));
            }
        });
        let mut done = [0; 4];
        for n in 0..20_000u32 {
            let sub = path(&["t", "sub", "file"]);
            match n % 4 {
                0 => done[0] += u32::from(Native.create(root, &sub, 3).is_ok()),
                1 => done[1] += u32::from(Native.remove(root, &sub).is_ok()),
                2 => done[2] += u32::from(Native.create(root, &path(&["t", "sub", "new"]), 3).is_ok()),
                _ => done[3] += u32::from(Native.remove(root, &path(&["t", "sub", "new"])).is_ok()),
            }
        }
        over.store(true, Ordering::Relaxed);
        assert!(done.iter().all(|done| *done > 0), "{done:?}");
    });
    grounds.check("swapped");
}
