//! What a swarm is judged by.

use super::ledger::{Member, Role};
use super::play::Scenario;
use std::fmt;

#[derive(Debug, Clone)]
pub(super) struct Figures {
    bound: f64,
    bytes: u64,
    /// Of each leecher that gives what it can: its uplink's rate and how long it took, in seconds.
    contributors: Vec<(u64, f64)>,
    free_riders: Vec<f64>,
    received: u64,
    redundant: u64,
    wanted: u64,
    reread: u64,
    pub(super) liars: usize,
    /// How many members took a wrong block of a liar's, and how many then banned it.
    pub(super) wronged: usize,
    pub(super) bans: usize,
}

impl Figures {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            bound: scenario.bound(),
            bytes: scenario.bytes(),
            contributors: Vec::new(),
            free_riders: Vec::new(),
            received: 0,
            redundant: 0,
            wanted: 0,
            reread: 0,
            liars: 0,
            wronged: 0,
            bans: 0,
        }
    }

    pub(super) fn count(&mut self, member: &Member) {
        self.received += member.received;
        self.redundant += member.redundant;
        self.reread += member.store.reread;
        self.liars += usize::from(member.role == Role::Liar);
        self.wronged += member.wronged_by.len();
        self.bans += member.banned.len();
    }

    pub(super) fn finished(&mut self, role: Role, up: u64, taken: f64) {
        self.wanted += self.bytes;
        if role == Role::FreeRider {
            self.free_riders.push(taken);
        } else {
            self.contributors.push((up, taken));
        }
    }

    fn times(&self) -> Vec<f64> {
        let mut times: Vec<f64> = self.contributors.iter().map(|(_, taken)| *taken).collect();
        times.sort_by(f64::total_cmp);
        times
    }

    /// Gives the mean time of those who contribute, over the least in which all can be done.
    pub(super) fn mean(&self) -> f64 {
        mean(&self.times()) / self.bound
    }

    pub(super) fn percentile(&self, part: f64) -> f64 {
        let times = self.times();
        times[((times.len() - 1) as f64 * part).round() as usize] / self.bound
    }

    /// Gives the bytes of blocks that were there already, in percent of all that came.
    pub(super) fn redundant(&self) -> f64 {
        100.0 * self.redundant as f64 / self.received as f64
    }

    /// Gives what came and was of no use in percent of all that came: of bad pieces, and of blocks that were cut off.
    pub(super) fn wasted(&self) -> f64 {
        100.0 * (self.received - self.wanted - self.redundant) as f64 / self.received as f64
    }

    /// Gives the bytes that a store reads back to hash them, in percent of all that came.
    pub(super) fn reread(&self) -> f64 {
        100.0 * self.reread as f64 / self.received as f64
    }

    /// Gives Jain's index of what each got for what it can give: 1 where all got the same for the same.
    pub(super) fn fairness(&self) -> f64 {
        let shares: Vec<f64> = self.contributors.iter().map(|(up, taken)| 1.0 / taken / *up as f64).collect();
        let (sum, squares) = (shares.iter().sum::<f64>(), shares.iter().map(|x| x * x).sum::<f64>());
        sum * sum / (shares.len() as f64 * squares)
    }

    /// Gives the mean time of free riders over that of those who contribute.
    pub(super) fn free_riders(&self) -> Option<f64> {
        (!self.free_riders.is_empty()).then(|| mean(&self.free_riders) / mean(&self.times()))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The columns of the golden table.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>8.0} {:>6.3} {:>6.3} {:>6.3}",
            self.bound,
            self.mean(),
            self.percentile(0.95),
            self.percentile(1.0)
        )?;
        write!(f, " {:>9.3} {:>7.3} {:>6.1} {:>6.3}", self.redundant(), self.wasted(), self.reread(), self.fairness())?;
        match self.free_riders() {
            Some(ratio) => write!(f, " {ratio:>6.3}")?,
            None => write!(f, " {:>6}", "-")?,
        }
        match self.liars {
            0 => write!(f, " {:>9}", "-"),
            _ => write!(f, " {:>9}", format!("{}/{}", self.bans, self.wronged)),
        }
    }
}
