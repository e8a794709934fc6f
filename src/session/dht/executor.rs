//! The node's work that blocks: names and its file.

use crate::dht::{Done, Job};
use crate::disk::{Native, keep};
use crate::machine::Executor;
use crate::reactor::resolve;
use std::path::PathBuf;

/// Does a node's jobs.
pub(super) struct DhtExecutor {
    /// Where the state is kept.
    pub(super) state: Option<PathBuf>,
}

impl Executor<Job, Done> for DhtExecutor {
    fn run(&self, job: Job) -> Done {
        match job {
            Job::Resolve { name, port } => match resolve::resolve(&format!("{name}:{port}")) {
                Ok(addresses) => Done::Resolved(addresses),
                Err(error) => {
                    log::info!(target: "bip::dht", "{error}");
                    Done::Resolved(Vec::new())
                }
            },
            Job::Save { state } => {
                let kept = match &self.state {
                    Some(path) => keep(&Native, path, &state)
                        .map_err(|error| log::warn!(target: "bip::dht", "saving the state: {error}"))
                        .is_ok(),
                    None => false,
                };
                Done::Saved(kept)
            }
        }
    }
}
