//! The namespaces in which peers meet: each test has a network, mounts and processes of its own.
//!
//! The network is an `lo` with a few private addresses, so that nothing reaches the machine's network, no port is taken, and tests
//! run side by side. When the test ends, so does every process that it left behind.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::process::{self, Failure};

/// The private addresses on `lo`. Not 127/8, which some clients refuse as peers.
pub(crate) const BIP: &str = "10.77.0.1";
/// See [`BIP`].
pub(crate) const LIBTORRENT: &str = "10.77.0.2";
/// See [`BIP`].
pub(crate) const THIRD: &str = "10.77.0.3";
/// See [`BIP`].
pub(crate) const HOSTILE: &str = "10.77.0.4";
/// See [`BIP`].
pub(crate) const TRANSMISSION: &str = "10.77.0.5";
/// See [`BIP`].
pub(crate) const ARIA2: &str = "10.77.0.6";
/// See [`BIP`].
pub(crate) const TRACKER: &str = "10.77.0.7";

/// See [`BIP`].
pub(crate) const SECOND_BIP: &str = "10.77.0.8";

/// What every test has of its own. Its first process ends the others with itself.
const SHARE: [&str; 5] = ["--net", "--mount", "--pid", "--fork", "--kill-child"];

/// Ways to make the namespaces: as root, and as a user where the kernel lets users.
const WAYS: [&[&str]; 2] = [&[], &["--map-root-user"]];

/// A way to make namespaces that works here.
#[derive(Clone, Copy)]
pub(crate) struct Namespaces {
    way: &'static [&'static str],
}

impl Namespaces {
    /// Finds a way, or says why there is none.
    pub(crate) fn find() -> Result<Namespaces, Failure> {
        for program in ["unshare", "ip"] {
            if !is_installed(program) {
                return Err(format!("`{program}` is not installed"));
            }
        }
        let works = |way: &&[&str]| quietly(Command::new("unshare").args(SHARE).args(*way).arg("true"));
        match WAYS.into_iter().find(works) {
            Some(way) => Ok(Namespaces { way }),
            None => Err(format!("`unshare {}` is not permitted here", SHARE.join(" "))),
        }
    }

    /// A command that runs `program` in namespaces of its own.
    pub(crate) fn command(self, program: &Path) -> Command {
        let mut command = Command::new("unshare");
        command.args(SHARE).args(self.way).arg(program);
        command
    }
}

/// Brings up `lo` with its private addresses: the first thing to do inside.
pub(crate) fn furnish() -> Result<(), Failure> {
    process::run("ip", &["link", "set", "lo", "up"])?.expect_code(0)?;
    for address in [BIP, LIBTORRENT, THIRD, HOSTILE, TRANSMISSION, ARIA2, TRACKER, SECOND_BIP] {
        process::run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"])?.expect_code(0)?;
    }
    Ok(())
}

/// Adds IPv6 addresses to `lo`, for a test that needs some.
pub(crate) fn add(hosts: &[&str]) -> Result<(), Failure> {
    for host in hosts {
        process::run("ip", &["address", "add", &format!("{host}/128"), "dev", "lo", "nodad"])?.expect_code(0)?;
    }
    Ok(())
}

/// Whether a program is found on the path.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether a command succeeds.
pub(crate) fn quietly(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}
