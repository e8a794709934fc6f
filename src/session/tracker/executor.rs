//! The client's work that blocks: names and HTTP.

use crate::machine::Executor;
use crate::reactor::resolve;
use crate::tracker::client::{Done, Job};
use std::net::SocketAddr;

/// Does a client's jobs.
#[derive(Debug)]
pub(in crate::session) struct TrackerExecutor;

fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    resolve::resolve(&format!("{name}:{port}")).map_err(|error| error.to_string())
}

impl Executor<Job, Done> for TrackerExecutor {
    fn run(&self, job: Job) -> Done {
        match job {
            // The port is of no interest: each tracker has its own.
            Job::Resolve { name } => Done::Resolved(look_up(&name, 80)),
            #[cfg(feature = "http")]
            Job::Fetch(fetch) => Done::Fetched(crate::tracker::client::http::fetch(&fetch, &look_up)),
            // The client refuses the URL before it comes to this.
            #[cfg(not(feature = "http"))]
            Job::Fetch(_) => Done::Fetched(Err(crate::tracker::client::Error::NoJobs)),
        }
    }
}
