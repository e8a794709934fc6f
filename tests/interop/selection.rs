//! Some files of a torrent, and pieces in their order.

use std::path::Path;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::{Peer, Prepared};
use crate::link;
use crate::namespace::{LIBTORRENT, THIRD};
use crate::process::{FAREWELL, Failure};
use crate::tool;
use crate::tree::{BRANCHES as TREE, Pieces};

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    a_get_of_some_files_makes_no_others: NEEDS,
    a_get_in_order_leaves_no_gap: NEEDS,
}

/// The files that are wanted, by the numbers of the tool: of the first piece, of a piece shared by several, and the last.
const WANTED: &str = "1,4,10";

/// How many pieces may lack before one that is there, when a download in order is interrupted: those in hand at the time.
const IN_HAND: usize = 4;

/// The numbers in [`WANTED`].
fn is_wanted(number: u64) -> bool {
    WANTED.split(',').any(|wanted| wanted == number.to_string())
}

fn get(made: &Prepared, more: tool::Args<'_>) -> Result<u64, Failure> {
    let seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let args: tool::Args<'_> = &[&"get", &made.torrent, &"-d", &made.copy, &"--peer", &seeder.address];
    tool::run(&[args, more].concat())?;
    seeder.stop()
}

fn a_get_of_some_files_makes_no_others(folder: &Path) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let sent = get(&made, &[&"--files", &WANTED])?;
    let shown = tool::show(&made.torrent)?;
    let (mut start, mut needed) = (0, std::collections::BTreeSet::new());
    for (number, file) in (1..).zip(shown["files"].as_array().into_iter().flatten()) {
        let path = file["path"].as_str().unwrap_or_default();
        let length = file["length"].as_u64().unwrap_or_default();
        let copy = made.copy.join(path);
        if is_wanted(number) {
            let read = |path: &Path| std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
            if read(&made.original.join(path))? != read(&copy)? {
                return Err(format!("{path} is wrong"));
            }
            needed.extend(start / TREE.piece_length..(start + length).div_ceil(TREE.piece_length));
        } else if copy.exists() {
            return Err(format!("{path} is there, which nobody wanted"));
        }
        start += length;
    }
    let most: u64 = needed.iter().map(|&piece| TREE.length_of(piece)).sum();
    if sent > most {
        return Err(format!("it took {sent} bytes, and the files have pieces of {most}"));
    }
    // The rest, and nothing twice but the pieces that two files share.
    let rest = get(&made, &[])?;
    TREE.expect_equal(&made.original, &made.copy)?;
    let most = TREE.length() - most + 6 * TREE.piece_length;
    if rest <= most { Ok(()) } else { Err(format!("the rest took {rest} bytes, more than {most}")) }
}

fn a_get_in_order_leaves_no_gap(folder: &Path) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let mut seeder = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let slow = link::to(&seeder.address, THIRD, 4 << 20)?;
    let leecher = tool::start(&[&"get", &made.torrent, &"-d", &made.copy, &"--sequential", &"--peer", &slow])?;
    seeder.wait_sent(TREE.length() / 2)?;
    leecher.signal("INT")?;
    leecher.wait_for(FAREWELL)?.expect_code(130)?;
    let right = Pieces::of(&TREE, &made.original)?.right_in(&TREE, &made.copy)?;
    let Some(&last) = right.last() else { return Err("no piece is there".to_owned()) };
    let missing: Vec<u64> = (0..last).filter(|piece| !right.contains(piece)).collect();
    if missing.len() > IN_HAND {
        return Err(format!("piece {last} is there, and these before it are not: {missing:?}"));
    }
    get(&made, &[&"--sequential"])?;
    TREE.expect_equal(&made.original, &made.copy)
}
