//! The contract between machines and their hosts.
