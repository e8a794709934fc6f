//! Commands and their terminal events.

use std::collections::BTreeMap;

/// What a command waits for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ask {
    /// What it is about: a terminal event ends a command about the same.
    pub(crate) about: String,
    /// What it asks.
    pub(crate) kind: String,
}

/// What a terminal event ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    /// What it is about.
    pub(crate) about: String,
    /// The kind of command that it ends; `None` where the event does not say, as a refusal.
    pub(crate) kind: Option<String>,
}

/// Commands without a terminal event, by what they are about.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    pub(super) about: BTreeMap<String, Waiting>,
    pub(super) answered: usize,
}

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// How many of each kind.
    kinds: BTreeMap<String, usize>,
    /// How many of these have ended in an event that does not name the kind.
    refused: usize,
}

impl Waiting {
    fn count(&self) -> usize {
        self.kinds.values().sum()
    }
}

impl Unanswered {
    pub(super) fn on_ask(&mut self, ask: Ask) {
        *self.about.entry(ask.about).or_default().kinds.entry(ask.kind).or_default() += 1;
    }

    pub(super) fn on_end(&mut self, end: &End) {
        let waiting = self.about.entry(end.about.clone()).or_default();
        match &end.kind {
            None => waiting.refused += 1,
            Some(kind) => {
                let count = waiting.kinds.entry(kind.clone()).or_default();
                assert!(*count > 0, "nobody waits for a terminal event: {end:?}");
                *count -= 1;
                waiting.kinds.retain(|_, count| *count > 0);
            }
        }
        // A refusal may end any of the kinds, but there must be one left for each.
        assert!(waiting.refused <= waiting.count(), "nobody waits for a terminal event: {end:?}");
        self.answered += 1;
        self.about.retain(|_, waiting| waiting.refused < waiting.count());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.about.is_empty()
    }
}
