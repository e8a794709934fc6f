//! Torrent files: those of bip read by others, those of others read by bip.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Need::{self, Libtorrent, Program};
use crate::libtorrent::{self, prepare};
use crate::process::{self, Failure};
use crate::tool::{self, Args};
use crate::tree::{CRUMBS, FILE, FOLDER, Tree};

const TREES: [&Tree; 3] = [&FILE, &FOLDER, &CRUMBS];

const LIBTORRENT: &[Need] = &[Libtorrent];
const TRANSMISSION: &[Need] = &[Libtorrent, Program("transmission-create"), Program("transmission-show")];
const MKTORRENT: &[Need] = &[Libtorrent, Program("mktorrent")];

const TRACKER: &str = "http://tracker.example:6969/announce";
const SECOND_TRACKER: &str = "udp://second.example:1337";

crate::harness::tests! {
    libtorrent_reads_what_bip_creates: LIBTORRENT,
    libtorrent_reads_every_field_that_bip_writes: LIBTORRENT,
    transmission_reads_what_bip_creates: TRANSMISSION,
    bip_reads_what_libtorrent_creates: LIBTORRENT,
    bip_reads_the_first_version_in_a_hybrid_torrent: LIBTORRENT,
    bip_reads_what_transmission_creates: TRANSMISSION,
    bip_reads_what_mktorrent_creates: MKTORRENT,
    bip_and_libtorrent_agree_on_what_is_complete: LIBTORRENT,
    bip_creates_the_same_bytes_again_without_a_date: &[],
    bip_overwrites_a_torrent_only_when_forced: &[],
    bip_creates_to_standard_output: &[],
    bip_creates_in_the_current_folder_by_default: &[],
}

/// The keys of `bip show --json` that another reader can confirm.
const KEYS: [&str; 15] = [
    "name",
    "versions",
    "info_hash",
    "info_hash_v2",
    "piece_length",
    "pieces",
    "total_length",
    "private",
    "trackers",
    "web_seeds",
    "nodes",
    "comment",
    "created_by",
    "creation_date",
    "source",
];

/// Fails unless `bip show` reads what libtorrent and the Python of `lt_peer.py` read. Gives what was read.
pub(crate) fn expect_same_reading(torrent: &Path) -> Result<Value, Failure> {
    let (ours, theirs) = (tool::show(torrent)?, libtorrent::inspect(torrent)?);
    for key in KEYS {
        if ours[key] != theirs[key] {
            return Err(format!("{}: {key} is {}, and bip shows {}", torrent.display(), theirs[key], ours[key]));
        }
    }
    for key in ["info_hash", "info_hash_v2", "pieces", "nodes"] {
        if ours[key] != theirs["libtorrent"][key] {
            return Err(format!(
                "{}: libtorrent reads {key} as {}, and bip shows {}",
                torrent.display(),
                theirs["libtorrent"][key],
                ours[key]
            ));
        }
    }
    // The files are those of both, with what both can tell of them.
    let shown: Value = ours["files"].as_array().into_iter().flatten().map(of_both).collect();
    for (who, files) in [("Python", &theirs["files"]), ("libtorrent", &theirs["libtorrent"]["files"])] {
        if *files != shown {
            return Err(format!("{}: {who} reads the files as {files}, and bip shows {shown}", torrent.display()));
        }
    }
    Ok(ours)
}

fn of_both(file: &Value) -> Value {
    json!({ "path": file["path"], "length": file["length"], "pieces_root": file["pieces_root"] })
}

pub(crate) fn expect(shown: &Value, key: &str, wanted: impl Into<Value>) -> Result<(), Failure> {
    let wanted = wanted.into();
    if shown[key] == wanted { Ok(()) } else { Err(format!("{key} is {}, not {wanted}", shown[key])) }
}

pub(crate) fn expect_no_warnings(shown: &Value) -> Result<(), Failure> {
    expect(shown, "warnings", Vec::<Value>::new())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn libtorrent_reads_what_bip_creates(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        let torrent = folder.join(format!("{}.torrent", tree.name));
        tree.write(folder)?;
        tool::create(&tree.root(folder), &torrent, tree.piece_length)?;
        let shown = expect_same_reading(&torrent)?;
        expect(&shown, "name", tree.name)?;
        expect(&shown, "total_length", tree.length())?;
        expect(&shown, "piece_length", tree.piece_length)?;
        expect_no_warnings(&shown)?;
        libtorrent::expect_complete(&torrent, folder)?;
        // The automatic piece length must suit libtorrent as well.
        let automatic = folder.join(format!("{} automatic.torrent", tree.name));
        tool::run(&[&"create", &tree.root(folder), &"-o", &automatic])?;
        expect_same_reading(&automatic)?;
        libtorrent::expect_complete(&automatic, folder)?;
    }
    Ok(())
}

fn libtorrent_reads_every_field_that_bip_writes(folder: &Path) -> Result<(), Failure> {
    FOLDER.write(folder)?;
    let torrent = folder.join("every field.torrent");
    let args: Args<'_> = &[
        &"create",
        &FOLDER.root(folder),
        &"-o",
        &torrent,
        &"--piece-length",
        &"32K",
        &"--tracker",
        &TRACKER,
        &"--tracker",
        &SECOND_TRACKER,
        &"--private",
        &"--comment",
        &"Ein Kommentar – コメント",
        &"--source",
        &"a source",
    ];
    tool::run(args)?;
    let shown = expect_same_reading(&torrent)?;
    expect(&shown, "piece_length", 32 << 10)?;
    expect(&shown, "private", true)?;
    expect(&shown, "comment", "Ein Kommentar – コメント")?;
    expect(&shown, "source", "a source")?;
    let trackers: Vec<&str> = shown["trackers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tier| tier.as_array().into_iter().flatten())
        .filter_map(Value::as_str)
        .collect();
    if trackers != [TRACKER, SECOND_TRACKER] {
        return Err(format!("the trackers are {trackers:?}"));
    }
    if !shown["creation_date"].is_u64() {
        return Err("there is no creation date, and --no-date was not given".to_owned());
    }
    libtorrent::expect_complete(&torrent, folder)
}

/// The info hash that transmission-show prints.
fn transmission_hash(torrent: &Path) -> Result<String, Failure> {
    let ended = process::run("transmission-show", &[torrent])?.expect_code(0)?;
    let hash = ended.text()?.lines().find_map(|line| {
        let (label, hash) = line.trim().split_once(':')?;
        matches!(label, "Hash" | "Hash v1").then(|| hash.trim().to_owned())
    });
    hash.ok_or_else(|| ended.complain("shows no hash"))
}

fn transmission_reads_what_bip_creates(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        let torrent = folder.join(format!("{}.torrent", tree.name));
        tree.write(folder)?;
        tool::create(&tree.root(folder), &torrent, tree.piece_length)?;
        expect(&tool::show(&torrent)?, "info_hash", transmission_hash(&torrent)?)?;
    }
    Ok(())
}

/// Checks what bip makes of a torrent of `tree`, which is in `folder`, that another program made.
fn expect_read(tree: &Tree, folder: &Path, torrent: &Path) -> Result<Value, Failure> {
    let shown = expect_same_reading(torrent)?;
    expect(&shown, "name", tree.name)?;
    expect(&shown, "total_length", tree.length())?;
    expect_no_warnings(&shown)?;
    tool::run(&[&"verify", &torrent, &folder])?;
    Ok(shown)
}

fn bip_reads_what_libtorrent_creates(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        let torrent = folder.join(format!("{}.torrent", tree.name));
        tree.write(folder)?;
        let more: Args<'_> =
            &[&"--private", &"--comment", &"schön", &"--tracker", &TRACKER, &"--tracker", &SECOND_TRACKER];
        let info_hash = libtorrent::create(&tree.root(folder), &torrent, tree.piece_length, more)?;
        let shown = expect_read(tree, folder, &torrent)?;
        expect(&shown, "info_hash", info_hash)?;
        expect(&shown, "private", true)?;
        expect(&shown, "comment", "schön")?;
    }
    Ok(())
}

fn bip_reads_the_first_version_in_a_hybrid_torrent(folder: &Path) -> Result<(), Failure> {
    // The rest is with the tests of both versions.
    FILE.write(folder)?;
    let torrent = folder.join("hybrid.torrent");
    let info_hash = libtorrent::create(&FILE.root(folder), &torrent, FILE.piece_length, &[&"--hybrid"])?;
    let shown = expect_same_reading(&torrent)?;
    expect(&shown, "info_hash", info_hash)?;
    tool::run(&[&"verify", &torrent, &folder]).map(drop)
}

fn bip_reads_what_transmission_creates(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        let torrent = folder.join(format!("{}.torrent", tree.name));
        tree.write(folder)?;
        let root = tree.root(folder);
        let args: [&dyn AsRef<OsStr>; 8] =
            [&"--private", &"--comment", &"schön", &"--tracker", &TRACKER, &"--outfile", &torrent, &root];
        process::run("transmission-create", &args)?.expect_code(0)?;
        let shown = expect_read(tree, folder, &torrent)?;
        expect(&shown, "info_hash", transmission_hash(&torrent)?)?;
        expect(&shown, "private", true)?;
        expect(&shown, "comment", "schön")?;
    }
    Ok(())
}

fn bip_reads_what_mktorrent_creates(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        let torrent = folder.join(format!("{}.torrent", tree.name));
        tree.write(folder)?;
        let root = tree.root(folder);
        // Pieces of 2^15 bytes.
        let args: [&dyn AsRef<OsStr>; 12] =
            [&"-a", &TRACKER, &"-a", &SECOND_TRACKER, &"-l", &"15", &"-c", &"schön", &"-p", &"-o", &torrent, &root];
        process::run("mktorrent", &args)?.expect_code(0)?;
        let shown = expect_read(tree, folder, &torrent)?;
        expect(&shown, "piece_length", 32 << 10)?;
        expect(&shown, "private", true)?;
        expect(&shown, "comment", "schön")?;
    }
    Ok(())
}

fn bip_and_libtorrent_agree_on_what_is_complete(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&FOLDER, folder)?;
    tool::run(&[&"verify", &made.torrent, &made.original])?;
    libtorrent::expect_complete(&made.torrent, &made.original)?;
    let victim = FOLDER.root(&made.original).join("zz/most of it.bin");
    let mut bytes = read(&victim)?;
    bytes[1_500_000] ^= 1;
    fs::write(&victim, bytes).map_err(|error| format!("{}: {error}", victim.display()))?;
    if libtorrent::expect_complete(&made.torrent, &made.original).is_ok() {
        return Err("libtorrent does not see the damage".to_owned());
    }
    tool::start(&[&"verify", &made.torrent, &made.original])?.wait()?.expect_code(1).map(drop)
}

fn bip_creates_the_same_bytes_again_without_a_date(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        tree.write(folder)?;
        let [one, other] = ["one", "other"].map(|name| folder.join(format!("{} {name}.torrent", tree.name)));
        for out in [&one, &other] {
            tool::run(&[&"create", &tree.root(folder), &"-o", out, &"--no-date"])?;
        }
        if read(&one)? != read(&other)? {
            return Err(format!("two torrents of {:?} differ", tree.name));
        }
        expect(&tool::show(&one)?, "creation_date", Value::Null)?;
    }
    Ok(())
}

fn bip_overwrites_a_torrent_only_when_forced(folder: &Path) -> Result<(), Failure> {
    FILE.write(folder)?;
    let (root, out) = (FILE.root(folder), folder.join("out.torrent"));
    let before = b"what was there before".to_vec();
    fs::write(&out, &before).map_err(|error| format!("{}: {error}", out.display()))?;
    tool::fails(&[&"create", &root, &"-o", &out])?;
    if read(&out)? != before {
        return Err("the refused create changed the file".to_owned());
    }
    tool::run(&[&"create", &root, &"-o", &out, &"--force"])?;
    expect(&tool::show(&out)?, "name", FILE.name)
}

fn bip_creates_to_standard_output(folder: &Path) -> Result<(), Failure> {
    CRUMBS.write(folder)?;
    let (root, out) = (CRUMBS.root(folder), folder.join("out.torrent"));
    tool::run(&[&"create", &root, &"-o", &out, &"--no-date"])?;
    let printed = tool::run(&[&"create", &root, &"-o", &"-", &"--no-date"])?.stdout;
    if printed == read(&out)? { Ok(()) } else { Err("stdout and the file differ".to_owned()) }
}

fn bip_creates_in_the_current_folder_by_default(folder: &Path) -> Result<(), Failure> {
    let (data, here) = (folder.join("data"), folder.join("here"));
    FOLDER.write(&data)?;
    fs::create_dir(&here).map_err(|error| format!("{}: {error}", here.display()))?;
    tool::start_in(&here, &[&"create", &FOLDER.root(&data)])?.wait()?.expect_code(0)?;
    expect(&tool::show(&here.join(format!("{}.torrent", FOLDER.name)))?, "name", FOLDER.name)
}
