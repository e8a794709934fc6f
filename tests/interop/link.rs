//! A slow link: what a peer sends goes through it at a given rate.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::process::Failure;

/// How much goes at a time.
const CHUNK: usize = 16 << 10;

/// Listens at `host`, and joins whoever comes with `peer`, whose bytes arrive at `rate` bytes a second and no faster. Gives the
/// address to come to. The link is there for as long as the test.
pub(crate) fn to(peer: &str, host: &str, rate: u64) -> Result<String, Failure> {
    let problem = |error: &dyn std::fmt::Display| format!("a link from {host} to {peer}: {error}");
    let peer: SocketAddr = peer.parse().map_err(|error| problem(&error))?;
    let listener = TcpListener::bind((host, 0)).map_err(|error| problem(&error))?;
    let address = listener.local_addr().map_err(|error| problem(&error))?;
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            let Ok(far) = TcpStream::connect(peer) else { continue };
            let (Ok(near_again), Ok(far_again)) = (near.try_clone(), far.try_clone()) else { continue };
            thread::spawn(move || carry(near, far, None));
            thread::spawn(move || carry(far_again, near_again, Some(rate)));
        }
    });
    Ok(address.to_string())
}

/// Carries bytes in one direction until either side is gone.
fn carry(mut from: TcpStream, mut to: TcpStream, rate: Option<u64>) {
    let mut chunk = [0; CHUNK];
    let mut free = Instant::now();
    while let Ok(got @ 1..) = from.read(&mut chunk) {
        if let Some(rate) = rate {
            // What was sent lately holds the link for as long as it takes at its rate.
            let now = Instant::now();
            thread::sleep(free.saturating_duration_since(now));
            free = free.max(now) + Duration::from_secs_f64(got as f64 / rate as f64);
        }
        if to.write_all(&chunk[..got]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
