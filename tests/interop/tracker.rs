//! A tracker, for clients that cannot be told a peer: `tracker.py`.

use std::ffi::OsStr;
use std::process::Command;

use serde_json::Value;

use crate::namespace::TRACKER;
use crate::process::{Failure, Running};

/// The tracker.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/interop/tracker.py");

/// Its URL, which torrents name. Every test has the port to itself.
pub(crate) const URL: &str = "http://10.77.0.7:6969/announce";

/// A tracker that runs beside the test.
pub(crate) struct Tracker {
    running: Running,
    /// All that was announced, as far as it was read.
    announced: Vec<Announce>,
}

/// What a client told the tracker.
#[derive(Debug)]
struct Announce {
    /// Without the port.
    host: String,
    left: u64,
}

impl Tracker {
    /// Starts a tracker, which tells everybody of `peers` too.
    pub(crate) fn start(peers: &[&str]) -> Result<Tracker, Failure> {
        let listen = format!("{TRACKER}:6969");
        let mut args: Vec<&dyn AsRef<OsStr>> = vec![&"-u", &SCRIPT, &"--listen", &listen];
        for peer in peers {
            args.extend([&"--peer" as &dyn AsRef<OsStr>, peer]);
        }
        let mut running = Running::start("the tracker", Command::new("python3").args(args))?;
        running.wait_line("ready", |line| line.contains("\"ready\"").then_some(()))?;
        Ok(Tracker { running, announced: Vec::new() })
    }

    /// Waits until the client at `host` has announced itself, and gives the number of bytes that it lacked then.
    pub(crate) fn wait_first(&mut self, host: &str) -> Result<u64, Failure> {
        self.wait("an announce", host, |_| true)
    }

    /// Waits until the client at `host` has announced that it has everything.
    pub(crate) fn wait_complete(&mut self, host: &str) -> Result<(), Failure> {
        self.wait("that everything is there", host, |announce| announce.left == 0).map(drop)
    }

    /// The number of bytes that the first announce from `host` that is `wanted` says are missing.
    fn wait(&mut self, what: &str, host: &str, wanted: impl Fn(&Announce) -> bool) -> Result<u64, Failure> {
        let is_it = |announce: &Announce| announce.host == host && wanted(announce);
        if let Some(found) = self.announced.iter().find(|announce| is_it(announce)) {
            return Ok(found.left);
        }
        let announced = &mut self.announced;
        self.running.wait_line(&format!("{what} from {host}"), |line| {
            let event: Value = serde_json::from_str(line).ok()?;
            let (host, _) = event["address"].as_str()?.rsplit_once(':')?;
            announced.push(Announce { host: host.to_owned(), left: event["left"].as_u64()? });
            announced.last().filter(|announce| is_it(announce)).map(|announce| announce.left)
        })
    }
}
