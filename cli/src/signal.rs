//! Ctrl-C and SIGTERM: a wish to end, that whoever is at work looks at.

use crate::output::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says whether the user asked the tool to end. Clones say the same.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    asked: Arc<AtomicBool>,
}

impl Signals {
    /// Starts to listen. The first signal asks for an orderly end; a second one, where `insist`, ends the tool on the spot.
    pub(crate) fn install(insist: bool) -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the first signal finds the flag unset and sets it, the second finds it set.
            let first = if insist {
                signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&asked)).map(drop)
            } else {
                Ok(())
            };
            first
                .and_then(|()| signal_hook::flag::register(signal, Arc::clone(&asked)))
                .map_err(|error| Failure::new("listening for signals", error))?;
        }
        Ok(Self { asked })
    }

    /// Says whether a signal has come.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}
