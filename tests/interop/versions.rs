//! Torrents of version 2 and hybrids (BEP 52), made by one side and loaded and checked by the other.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::{self, Peer};
use crate::namespace::{BIP, LIBTORRENT as HOST};
use crate::process::Failure;
use crate::tool;
use crate::torrents::{expect, expect_no_warnings, expect_same_reading};
use crate::tree::{BRANCHES, CRUMBS, FILE, FOLDER, Tree};

const TREES: [&Tree; 4] = [&FILE, &FOLDER, &CRUMBS, &BRANCHES];
const OPTIONS: [&str; 2] = ["--v2", "--hybrid"];

const LIBTORRENT: &[Need] = &[Libtorrent];
const PEERS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    version_2_and_hybrids_of_bip_load_and_check_in_libtorrent: LIBTORRENT,
    bip_verifies_what_libtorrent_creates_of_version_2_and_hybrids: LIBTORRENT,
    bip_and_libtorrent_make_the_same_of_version_2: LIBTORRENT,
    damage_to_version_2_is_seen_by_both: LIBTORRENT,
    libtorrent_reads_what_bip_edits_of_version_2: LIBTORRENT,
    a_hybrid_with_version_2_goes_both_ways: PEERS,
}

fn version_2_and_hybrids_of_bip_load_and_check_in_libtorrent(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        tree.write(folder)?;
        for option in OPTIONS {
            let torrent = folder.join(format!("{}{option}.torrent", tree.name));
            let piece_length = tree.piece_length.to_string();
            let root = tree.root(folder);
            let more = ["--tracker", "http://a.example/,udp://b.example:1", "--web-seed", "http://w.example/"];
            let node = ["--node", "192.0.2.1:6881"];
            tool::run(&[
                &"create",
                &root,
                &"-o",
                &torrent,
                &"--piece-length",
                &piece_length,
                &option,
                &more[0],
                &more[1],
                &more[2],
                &more[3],
                &node[0],
                &node[1],
            ])?;
            // Both info hashes, the files and their roots are the same, and every byte is hashed.
            let shown = expect_same_reading(&torrent)?;
            expect(&shown, "total_length", tree.length())?;
            expect_no_warnings(&shown)?;
            libtorrent::expect_complete(&torrent, folder)?;
            tool::run(&[&"verify", &torrent, &folder])?;
            // The piece length that is chosen suits libtorrent as well.
            tool::run(&[&"create", &root, &"-o", &torrent, &option, &"--force"])?;
            expect_same_reading(&torrent)?;
            libtorrent::expect_complete(&torrent, folder)?;
        }
    }
    Ok(())
}

fn bip_verifies_what_libtorrent_creates_of_version_2_and_hybrids(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        tree.write(folder)?;
        for option in OPTIONS {
            let torrent = folder.join(format!("{}{option}.torrent", tree.name));
            let made = libtorrent::create_any(&tree.root(folder), &torrent, tree.piece_length, &[&option])?;
            let shown = expect_same_reading(&torrent)?;
            for key in ["info_hash", "info_hash_v2"] {
                expect(&shown, key, made[key].clone())?;
            }
            expect(&shown, "total_length", tree.length())?;
            tool::run(&[&"verify", &torrent, &folder])?;
        }
    }
    Ok(())
}

fn bip_and_libtorrent_make_the_same_of_version_2(folder: &Path) -> Result<(), Failure> {
    for tree in TREES {
        tree.write(folder)?;
        let (ours, theirs) = (folder.join("ours.torrent"), folder.join("theirs.torrent"));
        let piece_length = tree.piece_length.to_string();
        tool::run(&[
            &"create",
            &tree.root(folder),
            &"-o",
            &ours,
            &"--piece-length",
            &piece_length,
            &"--v2",
            &"--force",
        ])?;
        let made = libtorrent::create_any(&tree.root(folder), &theirs, tree.piece_length, &[&"--v2"])?;
        expect(&tool::show(&ours)?, "info_hash_v2", made["info_hash_v2"].clone())?;
    }
    Ok(())
}

fn damage_to_version_2_is_seen_by_both(folder: &Path) -> Result<(), Failure> {
    FOLDER.write(folder)?;
    let victim = FOLDER.root(folder).join("zz/most of it.bin");
    let original = fs::read(&victim).map_err(|error| format!("{}: {error}", victim.display()))?;
    for option in OPTIONS {
        let torrent = folder.join(format!("{option}.torrent"));
        let piece_length = FOLDER.piece_length.to_string();
        tool::run(&[&"create", &FOLDER.root(folder), &"-o", &torrent, &"--piece-length", &piece_length, &option])?;
        let mut bytes = original.clone();
        bytes[1_500_000] ^= 1;
        let write = |bytes: &[u8]| fs::write(&victim, bytes).map_err(|error| format!("{}: {error}", victim.display()));
        write(&bytes)?;
        if libtorrent::expect_complete(&torrent, folder).is_ok() {
            return Err("libtorrent does not see the damage".to_owned());
        }
        let ended = tool::start(&[&"verify", &torrent, &folder, &"--json"])?.wait()?.expect_code(1)?;
        let report: Value = serde_json::from_str(ended.text()?).map_err(|error| format!("no JSON: {error}"))?;
        let bad: Vec<&Value> =
            report["files"].as_array().into_iter().flatten().filter(|file| file["state"] != "complete").collect();
        match &bad[..] {
            [file] if file["pieces_bad"] == 1 && file["path"] == format!("{}/zz/most of it.bin", FOLDER.name) => {}
            other => return Err(format!("bip finds {other:?} instead of one piece of one file")),
        }
        write(&original)?;
        tool::run(&[&"verify", &torrent, &folder])?;
    }
    Ok(())
}

fn libtorrent_reads_what_bip_edits_of_version_2(folder: &Path) -> Result<(), Failure> {
    FOLDER.write(folder)?;
    for option in OPTIONS {
        let (torrent, edited) =
            (folder.join(format!("{option}.torrent")), folder.join(format!("{option} edited.torrent")));
        let made = libtorrent::create_any(&FOLDER.root(folder), &torrent, FOLDER.piece_length, &[&option])?;
        tool::run(&[
            &"edit",
            &torrent,
            &"-o",
            &edited,
            &"--tracker",
            &"udp://new.example:1",
            &"--comment",
            &"neu – 新",
            &"--web-seed",
            &"http://w.example/",
        ])?;
        let shown = expect_same_reading(&edited)?;
        for key in ["info_hash", "info_hash_v2"] {
            expect(&shown, key, made[key].clone())?;
        }
        expect(&shown, "comment", "neu – 新")?;
        libtorrent::expect_complete(&edited, folder)?;
    }
    Ok(())
}

fn a_hybrid_with_version_2_goes_both_ways(folder: &Path) -> Result<(), Failure> {
    for tree in [&FOLDER, &CRUMBS] {
        let (original, torrent) = (folder.join("original"), folder.join(format!("{}.torrent", tree.name)));
        tree.write(&original)?;
        let piece_length = tree.piece_length.to_string();
        let root = tree.root(&original);
        tool::run(&[&"create", &root, &"-o", &torrent, &"--piece-length", &piece_length, &"--hybrid"])?;

        let seeder = Peer::seed(&torrent, &original, HOST, &[])?;
        let got = folder.join("got by bip");
        tool::run(&[&"get", &torrent, &"-d", &got, &"--peer", &seeder.address])?;
        tree.expect_equal(&original, &got)?;
        drop(seeder);

        let mut seeder = tool::start(&[&"seed", &torrent, &original, &"--listen", &format!("{BIP}:0")])?;
        let address = tool::listening(&mut seeder)?;
        let got = folder.join("got by libtorrent");
        let mut leecher = Peer::leech(&torrent, &got, HOST, &[&address])?;
        leecher.wait_done()?;
        tree.expect_equal(&original, &got)?;
        seeder.stop()?.expect_code(0)?;
    }
    Ok(())
}
