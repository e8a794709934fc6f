//! libtorrent, through `lt_peer.py`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::namespace::quietly;
use crate::process::{Failure, Running, in_utf8};
use crate::tool::Args;
use crate::tree::Tree;

/// What the tests say to libtorrent.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop/lt_peer.py");

/// The Python that has libtorrent, or the reason why there is none.
pub(crate) fn python() -> Result<&'static Path, Failure> {
    static FOUND: OnceLock<Result<PathBuf, Failure>> = OnceLock::new();
    FOUND.get_or_init(find_python).as_deref().map_err(Clone::clone)
}

fn find_python() -> Result<PathBuf, Failure> {
    let has_libtorrent = |python: &PathBuf| quietly(Command::new(python).args(["-c", "import libtorrent"]));
    if let Some(python) = env::var_os("BIP_LT_PYTHON").map(PathBuf::from) {
        return if has_libtorrent(&python) {
            Ok(python)
        } else {
            Err(format!("BIP_LT_PYTHON={} cannot import libtorrent", python.display()))
        };
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("interop-venv").join("bin/python");
    [venv, PathBuf::from("python3")]
        .into_iter()
        .find(has_libtorrent)
        .ok_or_else(|| "no Python has libtorrent, neither target/interop-venv nor python3".to_owned())
}

/// Says whether libtorrent is there.
pub(crate) fn probe() -> Result<(), Failure> {
    python().map(drop)
}

fn start(what: &str, args: Args<'_>) -> Result<Running, Failure> {
    Running::start(what, in_utf8(Command::new(python()?).arg("-u").arg(SCRIPT).args(args)))
}

/// Runs a command of the script that gives one answer.
fn ask(what: &str, args: Args<'_>) -> Result<Value, Failure> {
    let ended = start(what, args)?.wait()?.expect_code(0)?;
    serde_json::from_str(ended.text()?).map_err(|error| ended.complain(&format!("wrote no JSON: {error}")))
}

/// Makes a torrent with libtorrent; `more` are options of `lt_peer.py create`. Gives what libtorrent says of it.
pub(crate) fn create_any(path: &Path, out: &Path, piece_length: u64, more: Args<'_>) -> Result<Value, Failure> {
    let piece_length = piece_length.to_string();
    let args: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"create", &path, &out, &"--piece-length", &piece_length];
    ask("libtorrent's create", &[&args, more].concat())
}

/// The same of version 1, or a hybrid. Gives its info hash in hex.
pub(crate) fn create(path: &Path, out: &Path, piece_length: u64, more: Args<'_>) -> Result<String, Failure> {
    let answer = create_any(path, out, piece_length, more)?;
    answer["info_hash"].as_str().map(str::to_owned).ok_or_else(|| format!("libtorrent says {answer}"))
}

/// What libtorrent, and a few lines of Python that share nothing with it, read in a torrent.
pub(crate) fn inspect(torrent: &Path) -> Result<Value, Failure> {
    ask("libtorrent's inspect", &[&"inspect", &torrent])
}

/// Fails unless libtorrent, which hashes everything, finds the torrent complete in `folder`.
pub(crate) fn expect_complete(torrent: &Path, folder: &Path) -> Result<(), Failure> {
    let answer = ask("libtorrent's check", &[&"check", &torrent, &folder])?;
    if answer["complete"] == true { Ok(()) } else { Err(format!("libtorrent checks {}: {answer}", folder.display())) }
}

/// A seeder or a leecher that runs beside the test.
pub(crate) struct Peer {
    running: Running,
    /// `address:port` where it listens.
    pub(crate) address: String,
}

impl Peer {
    /// Starts a seeder of what is in `folder`, which dials `peers`.
    pub(crate) fn seed(torrent: &Path, folder: &Path, host: &str, peers: &[&str]) -> Result<Peer, Failure> {
        Peer::start("seed", torrent, folder, host, peers, 0)
    }

    /// Starts a seeder that sends at most `limit` bytes a second.
    pub(crate) fn seed_slowly(torrent: &Path, folder: &Path, host: &str, limit: u64) -> Result<Peer, Failure> {
        Peer::start("seed", torrent, folder, host, &[], limit)
    }

    /// Starts a seeder that tells the torrent's tracker of itself.
    pub(crate) fn seed_announced(torrent: &Path, folder: &Path, host: &str) -> Result<Peer, Failure> {
        Peer::start_with("seed", torrent, folder, host, &[&"--announce"])
    }

    /// Starts a leecher into `folder`, which dials `peers`.
    pub(crate) fn leech(torrent: &Path, folder: &Path, host: &str, peers: &[&str]) -> Result<Peer, Failure> {
        Peer::start("leech", torrent, folder, host, peers, 0)
    }

    /// Starts a leecher into `folder` that asks the torrent's tracker for peers.
    pub(crate) fn leech_announced(torrent: &Path, folder: &Path, host: &str) -> Result<Peer, Failure> {
        Peer::start_with("leech", torrent, folder, host, &[&"--announce"])
    }

    fn start(
        role: &str,
        torrent: &Path,
        folder: &Path,
        host: &str,
        peers: &[&str],
        limit: u64,
    ) -> Result<Peer, Failure> {
        let limit = limit.to_string();
        let mut more: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--upload-limit", &limit];
        for peer in peers {
            more.extend([&"--peer" as &dyn AsRef<std::ffi::OsStr>, peer]);
        }
        Peer::start_with(role, torrent, folder, host, &more)
    }

    fn start_with(role: &str, torrent: &Path, folder: &Path, host: &str, more: Args<'_>) -> Result<Peer, Failure> {
        let listen = format!("{host}:0");
        let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&role, &torrent, &folder, &"--listen", &listen];
        args.extend(more);
        let running = start(&format!("libtorrent's {role}"), &args)?;
        let mut peer = Peer { running, address: String::new() };
        let port = peer.wait_event("ready", |event| event["port"].as_u64())?;
        peer.address = format!("{host}:{port}");
        Ok(peer)
    }

    /// The first event of a kind that `wanted` makes something of.
    fn wait_event<T>(&mut self, kind: &str, wanted: impl Fn(&Value) -> Option<T>) -> Result<T, Failure> {
        self.running.wait_line(kind, |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            if event["event"] == kind { wanted(&event) } else { None }
        })
    }

    /// Waits until a leecher has everything, on disk.
    pub(crate) fn wait_done(&mut self) -> Result<(), Failure> {
        self.wait_event("done", |_| Some(()))
    }

    /// Waits until it has sent that many bytes of the torrent's contents.
    pub(crate) fn wait_sent(&mut self, bytes: u64) -> Result<(), Failure> {
        self.wait_event("progress", |event| (event["up"].as_u64()? >= bytes).then_some(()))
    }

    /// Ends it, and gives the number of bytes of the torrent's contents that it sent.
    pub(crate) fn stop(mut self) -> Result<u64, Failure> {
        self.running.signal("TERM")?;
        let sent = self.wait_event("end", |event| event["up"].as_u64())?;
        self.running.wait()?.expect_code(0)?;
        Ok(sent)
    }
}

/// Writes `tree` into `folder`/original and makes its torrent with libtorrent.
pub(crate) fn prepare(tree: &Tree, folder: &Path) -> Result<Prepared, Failure> {
    let (original, torrent) = (folder.join("original"), folder.join("made by libtorrent.torrent"));
    tree.write(&original)?;
    let info_hash = create(&tree.root(&original), &torrent, tree.piece_length, &[])?;
    Ok(Prepared { original, torrent, info_hash, copy: folder.join("copy") })
}

/// A tree on disk and its torrent.
pub(crate) struct Prepared {
    /// The folder that holds the tree.
    pub(crate) original: PathBuf,
    pub(crate) torrent: PathBuf,
    pub(crate) info_hash: String,
    /// A folder to download to, not made yet.
    pub(crate) copy: PathBuf,
}
