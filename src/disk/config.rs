//! The disk's limits.

use std::time::Duration;

/// How many bytes one job reads, writes or hashes at most.
pub(crate) const JOB_BYTES: u32 = 1 << 20;

/// The disk's limits. Every collection that it keeps is bounded by one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Jobs given to the host and not yet done, over all torrents. Several per job thread keep the threads busy; each
    /// holds at most 1 MiB. 0 counts as 1. Default 64.
    pub jobs: usize,
    /// Of these, jobs that check what is on disk or hash a tree. To be set to the host's number of job threads: fewer leave
    /// threads idle; more only add to how far apart the places are that are read at the same time. Pieces are taken in
    /// order, and a torrent on a disk that has to seek ([`FileSystem::seeks`](super::FileSystem::seeks)) has at most one of these
    /// jobs under way. 0 counts as 1. Default 8.
    pub check_jobs: usize,
    /// Commands taken and not yet answered; beyond that they are answered with [`Error::Busy`](super::Error::Busy).
    /// Default 65,536.
    pub commands: usize,
    /// Bytes of blocks waiting to be written, per torrent; beyond that blocks are answered with
    /// [`Error::Busy`](super::Error::Busy). Default 64 MiB.
    pub write_bytes: usize,
    /// Bytes of blocks that may be held back, over all torrents that hold some in equal shares, so that a piece is written and hashed with few jobs: until it is there, or 256 KiB
    /// that follow what is written already. Once there are as many, what was held longest is written as it is. They are
    /// lost when the process is killed, and count as blocks that wait, of which at most half of
    /// [`write_bytes`](Self::write_bytes) are held. 0 holds nothing. Default 8 MiB.
    pub hold_bytes: usize,
    /// How long blocks are held back at least when no more come; they go before twice as long. Default 1 s.
    pub hold_time: Duration,
    /// Ranges of bytes that are remembered as written, over all incomplete pieces of a torrent. Default 1,000,000.
    pub ranges: usize,
    /// Pieces of one torrent that are remembered because they had a wrong hash; the oldest is forgotten first, and its blocks are not
    /// hashed again once it is good. Default 1,024.
    pub bad_pieces: usize,
    /// Torrents open at once. Default 65,536.
    pub torrents: usize,
    /// Jobs of one torrent under way while others are open. Fewer than the host has job threads leave a thread for the others when a device
    /// hangs, so [`for_job_threads`](Self::for_job_threads) takes one from them. A torrent that is alone takes them all. 0 counts as 1.
    /// Default 16.
    pub torrent_jobs: usize,
    /// The least time between two saves of a torrent's resume data while it changes. It is saved besides after a
    /// [`Command::Sync`](super::Command::Sync) and before the torrent is gone. Default 60 s.
    pub save_interval: Duration,
    /// Files of which a piece is verified before resume data is believed; of more files, as many drawn at random. Default 1,000.
    pub sample_files: usize,
    /// Pieces that are verified besides, drawn at random from all. Default 16.
    pub sample_pieces: usize,
    /// Reads that fail one after the other before a torrent is told to be unreadable. 0 counts as 1. Default 8.
    pub read_failures: u32,
    /// Files that [`Create`](super::Create) takes into a torrent. Default 250,000.
    pub files: usize,
    /// Folders within folders that [`Create`](super::Create) follows. Default 98, the most that a torrent may have (100 parts in a path).
    pub depth: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            jobs: 64,
            check_jobs: 8,
            commands: 65_536,
            write_bytes: 64 << 20,
            hold_bytes: 8 << 20,
            hold_time: Duration::from_secs(1),
            ranges: 1_000_000,
            bad_pieces: 1024,
            torrents: 65_536,
            torrent_jobs: 16,
            save_interval: Duration::from_secs(60),
            sample_files: 1_000,
            sample_pieces: 16,
            read_failures: 8,
            files: 250_000,
            depth: 98,
        }
    }
}

impl Config {
    /// Raises [`check_jobs`](Self::check_jobs) so that a host with that many job threads hashes on all of them: two jobs for each,
    /// so that none waits for the next, and no more than [`jobs`](Self::jobs) allows. Lowers [`torrent_jobs`](Self::torrent_jobs) so
    /// that one thread is left over, where there is more than one.
    pub fn for_job_threads(mut self, threads: usize) -> Self {
        self.check_jobs = self.check_jobs.max(threads.saturating_mul(2)).min(self.jobs);
        self.torrent_jobs = self.torrent_jobs.min(threads.saturating_sub(1).max(1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_thread_has_something_to_hash_within_the_limit_of_jobs() {
        let default = Config::default();
        assert_eq!(default.clone().for_job_threads(0), Config { torrent_jobs: 1, ..default.clone() });
        assert_eq!(default.clone().for_job_threads(5).torrent_jobs, 4);
        assert_eq!(default.clone().for_job_threads(16).check_jobs, 32);
        assert_eq!(default.clone().for_job_threads(usize::MAX).check_jobs, default.jobs);
    }
}
