//! What a reactor may use and how much it does in one turn.

use std::time::Duration;

/// The limits of a [`Reactor`](super::Reactor). Every field has a default that suits a desktop machine; values out of their
/// range are brought into it.
///
/// ```
/// use bip::reactor::Config;
///
/// // Everything in the caller's thread: no job threads.
/// let config = Config { job_threads: 0, max_connections: 200, ..Config::default() };
/// assert_eq!(config.datagrams_per_turn, 64);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The size in bytes of the one buffer that all sockets are read into. At least 64 KiB, so that any datagram
    /// fits; one that should be longer is dropped, not cut. Default 1 MiB.
    pub receive_buffer: usize,
    /// How many datagrams are read from one socket in a turn, at least 1, so that a flood does not starve the rest. Default 64.
    pub datagrams_per_turn: usize,
    /// How many bytes of datagrams that nobody has read yet the system is asked to hold for each socket; it may hold less, and counts
    /// its own overhead in them. With 0 the system chooses. Default 1 MiB, so that a burst of small datagrams survives a long turn.
    pub datagram_receive_buffer: usize,
    /// The same for datagrams that have not left. Default 0: the system chooses.
    pub datagram_send_buffer: usize,
    /// How many bytes are read from, and written to, one connection in a turn, at least 4 KiB. Default 1 MiB.
    pub bytes_per_connection_per_turn: usize,
    /// How many bytes are read from all connections together in a turn, at least one connection's share. Default 16 MiB.
    pub bytes_per_turn: usize,
    /// How many connections one listener accepts in a turn, at least 1. Default 64.
    pub accepts_per_turn: usize,
    /// How many commands and results of jobs together one machine is given in a turn, at least 1. Default 1,024.
    pub commands_per_turn: usize,
    /// How many jobs all machines without job threads run in a turn, at least 1. Default 1.
    pub inline_jobs_per_turn: usize,
    /// How many threads [`Host::host`](crate::machine::Host::host) has at most for each machine that has an executor, the first from the start and others
    /// as soon as there are jobs for them, which are started by whoever turns the reactor; with 0 its jobs
    /// run in between, on the reactor's own thread. Default 2.
    pub job_threads: usize,
    /// How many jobs wait in the queue between a machine and its job threads, at least 1; more wait in the reactor, which
    /// the machine itself must bound. Default 256.
    pub job_queue: usize,
    /// How many connections, dials under way included, this reactor holds: at most 2²⁴. More are accepted and dropped at
    /// once, and dials fail with [`ResourceBusy`](std::io::ErrorKind::ResourceBusy). Default 4,096.
    pub max_connections: usize,
    /// The length in bytes of a connection's write queue at or below which the machine is told that there is room. Default 128 KiB.
    pub low_watermark: usize,
    /// How many bytes one system call writes at most, at least 4 KiB. Default 256 KiB.
    pub write_batch: usize,
    /// How many bytes of a connection the system takes beyond what it can send at once (`TCP_NOTSENT_LOWAT`, Linux only); 0 leaves that to
    /// the system, which takes megabytes. What a slow peer has not made room for is then neither read nor copied yet, and can
    /// still be taken back. Default 128 KiB.
    pub unsent_bytes: u32,
    /// How many connections wait to be accepted, as far as the system allows. Default 128.
    pub backlog: u32,
    /// How long a closed connection may take to write what was queued and to see the other side's end. Default 2 s.
    pub flush_timeout: Duration,
    /// How long a listener rests after an error other than that of a single connection. Default 1 s.
    pub accept_pause: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            receive_buffer: 1 << 20,
            datagrams_per_turn: 64,
            datagram_receive_buffer: 1 << 20,
            datagram_send_buffer: 0,
            bytes_per_connection_per_turn: 1 << 20,
            bytes_per_turn: 16 << 20,
            accepts_per_turn: 64,
            commands_per_turn: 1024,
            inline_jobs_per_turn: 1,
            job_threads: 2,
            job_queue: 256,
            max_connections: 4096,
            low_watermark: 128 << 10,
            write_batch: 256 << 10,
            unsent_bytes: 128 << 10,
            backlog: 128,
            flush_timeout: Duration::from_secs(2),
            accept_pause: Duration::from_secs(1),
        }
    }
}

impl Config {
    /// Brings every field into its range.
    pub(super) fn checked(mut self) -> Self {
        self.receive_buffer = self.receive_buffer.max(64 << 10);
        self.datagrams_per_turn = self.datagrams_per_turn.max(1);
        self.bytes_per_connection_per_turn = self.bytes_per_connection_per_turn.max(4 << 10);
        self.bytes_per_turn = self.bytes_per_turn.max(self.bytes_per_connection_per_turn);
        self.accepts_per_turn = self.accepts_per_turn.max(1);
        self.commands_per_turn = self.commands_per_turn.max(1);
        self.inline_jobs_per_turn = self.inline_jobs_per_turn.max(1);
        self.job_queue = self.job_queue.max(1);
        self.max_connections = self.max_connections.min(1 << super::token::SLOT_BITS);
        self.write_batch = self.write_batch.max(4 << 10);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_of_zeros_still_makes_progress() {
        let zero = Config {
            receive_buffer: 0,
            datagrams_per_turn: 0,
            bytes_per_connection_per_turn: 0,
            bytes_per_turn: 0,
            accepts_per_turn: 0,
            commands_per_turn: 0,
            inline_jobs_per_turn: 0,
            job_queue: 0,
            max_connections: usize::MAX,
            write_batch: 0,
            ..Config::default()
        };
        let checked = zero.checked();
        assert!(checked.receive_buffer >= 65_536 && checked.max_connections == 1 << 24);
        assert!(checked.datagrams_per_turn > 0 && checked.accepts_per_turn > 0 && checked.commands_per_turn > 0);
        assert!(checked.bytes_per_connection_per_turn > 0 && checked.bytes_per_turn > 0 && checked.write_batch > 0);
        assert!(checked.inline_jobs_per_turn > 0 && checked.job_queue > 0);
        assert_eq!(Config::default().checked(), Config::default());
    }
}
