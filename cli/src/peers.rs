//! Peers that are named on the command line.

use crate::output::{Failure, Output, reason};
use crate::signal::Signals;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How often signals and the time are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Looks up the peers that are given by name, without making a signal wait for it. Those that cannot be found are told; that it
/// is all of them is a failure unless the tool `may_wait` for others.
pub(crate) fn resolve(
    peers: &[String],
    may_wait: bool,
    signals: &Signals,
    until: Option<Instant>,
    output: &Output,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut out = Vec::new();
    // The last one that was not found: it is a remark or the failure, which is known at the end.
    let mut lost: Option<(String, String)> = None;
    let tell = |lost: Option<(String, String)>| {
        if let Some((name, why)) = lost {
            output.note(name, why);
        }
    };
    let (send, receive) = mpsc::channel();
    let names = peers.to_vec();
    // The thread is left behind when a signal or the time ends the wait: the tool ends then.
    std::thread::spawn(move || {
        for name in names {
            let found = match name.parse::<SocketAddr>() {
                Ok(address) => Ok(vec![address]),
                Err(_) => name.to_socket_addrs().map(Vec::from_iter),
            };
            if send.send((name, found)).is_err() {
                return;
            }
        }
    });
    loop {
        if signals.is_asked() {
            return Err(Failure::Interrupted);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(Failure::new("looking up the peers", "not done in time"));
        }
        match receive.recv_timeout(TICK) {
            Ok((name, Ok(found))) if found.is_empty() => {
                tell(lost.replace((name, "the name has no address".to_owned())));
            }
            Ok((_, Ok(found))) => {
                for address in found {
                    if !out.contains(&address) {
                        out.push(address);
                    }
                }
            }
            Ok((name, Err(error))) => tell(lost.replace((name, reason(&error)))),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                return match lost {
                    Some((name, why)) if out.is_empty() && !may_wait => Err(Failure::new(name, why)),
                    lost => {
                        tell(lost);
                        Ok(out)
                    }
                };
            }
        }
    }
}
