//! Big swarms.
