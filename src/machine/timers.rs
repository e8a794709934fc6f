//! Timers by name.

use super::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// A set of named timers. Setting one that runs moves it. Names due at the same instant come in their own order.
#[derive(Debug, Clone)]
pub struct Timers<K> {
    by_time: BTreeSet<(Instant, K)>,
    by_name: BTreeMap<K, Instant>,
}

impl<K: Ord + Copy> Timers<K> {
    /// Makes an empty set.
    pub fn new() -> Self {
        Self { by_time: BTreeSet::new(), by_name: BTreeMap::new() }
    }

    /// Sets a timer, moving it if it runs already.
    pub fn set(&mut self, name: K, at: Instant) {
        if let Some(old) = self.by_name.insert(name, at) {
            self.by_time.remove(&(old, name));
        }
        self.by_time.insert((at, name));
    }

    /// Sets a timer unless it runs already for an earlier time.
    pub fn set_by(&mut self, name: K, at: Instant) {
        if self.by_name.get(&name).is_none_or(|old| *old > at) {
            self.set(name, at);
        }
    }

    /// Stops a timer; says whether it ran.
    pub fn cancel(&mut self, name: K) -> bool {
        match self.by_name.remove(&name) {
            Some(at) => self.by_time.remove(&(at, name)),
            None => false,
        }
    }

    /// Gives the time of the next timer.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the next timer that is due.
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        let (at, name) = *self.by_time.first()?;
        if at > now {
            return None;
        }
        self.by_time.remove(&(at, name));
        self.by_name.remove(&name);
        Some(name)
    }

    /// Gives the number of running timers.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Says whether none runs.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

impl<K: Ord + Copy> Default for Timers<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_in_order_and_once() {
        let at = Instant::from_micros;
        let mut timers = Timers::new();
        timers.set('b', at(20));
        timers.set('a', at(20));
        timers.set('c', at(10));
        timers.set('c', at(30));
        timers.set_by('c', at(40));
        timers.set('d', at(5));
        assert!(timers.cancel('d') && !timers.cancel('d'));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.pop(at(19)), None);
        assert_eq!((timers.pop(at(25)), timers.pop(at(25)), timers.pop(at(25))), (Some('a'), Some('b'), None));
        assert_eq!(timers.pop(Instant::NEVER), Some('c'));
        assert!(timers.is_empty() && timers.next().is_none());
    }
}
