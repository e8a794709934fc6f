//! The network namespace in which peers meet.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::process::{self, Failure};

/// Says to a run that it is inside its namespace already.
const INSIDE: &str = "BIP_INTEROP_INSIDE";

/// The private addresses on `lo`. Not 127/8, which some clients refuse as peers.
pub(crate) const BIP: &str = "10.77.0.1";
/// See [`BIP`].
pub(crate) const LIBTORRENT: &str = "10.77.0.2";
/// See [`BIP`].
pub(crate) const THIRD: &str = "10.77.0.3";
/// See [`BIP`].
pub(crate) const HOSTILE: &str = "10.77.0.4";

/// Ways to make a namespace: as root, and as a user where the kernel lets users.
const WAYS: [&[&str]; 2] = [&["--net"], &["--net", "--map-root-user"]];

/// Moves the run into a namespace of its own. Comes back inside it, or outside with the reason why there is none.
pub(crate) fn enter() -> Result<(), Failure> {
    if env::var_os(INSIDE).is_some() {
        return furnish();
    }
    for program in ["unshare", "ip"] {
        if !is_installed(program) {
            return Err(format!("`{program}` is not installed"));
        }
    }
    let Some(way) = WAYS.iter().find(|way| quietly(Command::new("unshare").args(**way).arg("true"))) else {
        return Err("`unshare --net` is not permitted here".to_owned());
    };
    let this = env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    let error = Command::new("unshare").args(*way).arg(this).args(env::args_os().skip(1)).env(INSIDE, "1").exec();
    Err(format!("unshare: {error}"))
}

/// Brings up `lo` with its private addresses.
fn furnish() -> Result<(), Failure> {
    process::run("ip", &["link", "set", "lo", "up"])?.expect_code(0)?;
    for address in [BIP, LIBTORRENT, THIRD, HOSTILE] {
        process::run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"])?.expect_code(0)?;
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
