//! Ctrl-C and SIGTERM: a wish to end, that whoever is at work looks at. SIGHUP: a wish to read again what may have changed.

use crate::output::Failure;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the wish is looked at where a signal cannot end a wait.
#[cfg(not(unix))]
const TICK: Duration = Duration::from_millis(50);

/// Says whether the user asked the tool to end. Clones say the same.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    asked: Arc<AtomicBool>,
    hung_up: Arc<AtomicBool>,
    /// A byte comes here with each signal.
    #[cfg(unix)]
    bell: Arc<std::os::unix::net::UnixStream>,
    /// And goes in here.
    #[cfg(unix)]
    ring: Arc<std::os::unix::net::UnixStream>,
}

impl Signals {
    /// Starts to listen. The first signal asks for an orderly end; a second one, where `insist`, ends the tool on the spot.
    pub(crate) fn install(insist: bool) -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        let failed = |error| Failure::new("listening for signals", error);
        #[cfg(unix)]
        let (bell, ring) = std::os::unix::net::UnixStream::pair().map_err(failed)?;
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // In this order: the first signal finds the flag unset and sets it, the second finds it set.
            let first = if insist {
                signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&asked)).map(drop)
            } else {
                Ok(())
            };
            first.and_then(|()| signal_hook::flag::register(signal, Arc::clone(&asked))).map_err(failed)?;
            // After the flag, so that whoever is woken sees it.
            #[cfg(unix)]
            ring.try_clone().and_then(|ring| signal_hook::low_level::pipe::register(signal, ring)).map_err(failed)?;
        }
        Ok(Self {
            asked,
            hung_up: Arc::new(AtomicBool::new(false)),
            #[cfg(unix)]
            bell: Arc::new(bell),
            #[cfg(unix)]
            ring: Arc::new(ring),
        })
    }

    /// Notices SIGHUP from now on, which otherwise ends the tool; on systems that have none, nothing happens.
    pub(crate) fn notice_hangups(&mut self) -> Result<(), Failure> {
        #[cfg(unix)]
        {
            use signal_hook::consts::SIGHUP;
            let failed = |error| Failure::new("listening for signals", error);
            signal_hook::flag::register(SIGHUP, Arc::clone(&self.hung_up)).map_err(failed)?;
            let ring = self.ring.try_clone().map_err(failed)?;
            signal_hook::low_level::pipe::register(SIGHUP, ring).map_err(failed)?;
        }
        Ok(())
    }

    /// Says whether SIGHUP has come since the last call.
    pub(crate) fn take_hangup(&self) -> bool {
        self.hung_up.swap(false, Ordering::Relaxed)
    }

    /// Says whether a signal has come.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Waits for that long, or until a signal comes; says whether one has.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        #[cfg(unix)]
        if !self.is_asked() && !timeout.is_zero() {
            use std::io::Read as _;
            // Whatever ends the read, what counts is the flag.
            let waited =
                self.bell.set_read_timeout(Some(timeout)).and_then(|()| (&*self.bell).read(&mut [0]).map(drop));
            drop(waited);
        }
        #[cfg(not(unix))]
        {
            let end = std::time::Instant::now() + timeout;
            while !self.is_asked() && std::time::Instant::now() < end {
                std::thread::sleep(TICK.min(timeout));
            }
        }
        self.is_asked()
    }
}
