//! Torrent files (BEP 3, BEP 12, BEP 52): parsing, building, editing, and names that are safe to store.
//!
//! [`Metainfo::parse`] reads versions 1 and 2 and hybrids, [`Builder`] writes them, and [`Edit`] changes what a torrent file says
//! around its `info`. None touches a file: walking folders and hashing are the disk's. Version 2 needs the feature `v2`: without
//! it a torrent of version 2 alone is refused, and a hybrid is read as version 1.
//!
//! What the bytes and names of a torrent look like on disk is its [`Layout`], which is shared by all who need it.
//!
//! ```
//! use bip::proto::metainfo::{Builder, Limits, Metainfo};
//! use bip::proto::sha1::Sha1;
//!
//! let bytes = Builder::single_file("hello.txt", 5)
//!     .piece_hashes([Sha1::digest(b"hello")])
//!     .tracker_tier(["http://tracker.example/announce"])
//!     .build()?;
//! let torrent = Metainfo::parse(&bytes, &Limits::default())?;
//! assert_eq!(torrent.info_hash().to_string(), "0eb2d544ef0c9ae3c0fbba90a71cd742a44aa81d");
//! assert_eq!(torrent.files()[0].path.to_string(), "hello.txt");
//! assert_eq!(torrent.layout().geometry().total_length(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Names
//!
//! A name from a torrent is never trusted and never a reason to refuse the torrent. What could leave the torrent's folder or
//! cannot be stored is repaired, each repair is a [`Warning`], and the name as given is kept. [`Names`] says how much is
//! repaired. Two files never share a path: of files with the same path all but the first are renamed (`name.1.ext`), and so is
//! a file that stands where another's folder must be.
//!
//! # Version 2
//!
//! A torrent of version 2 has each file that is not empty start with a piece. Its [`Layout`] shows this as padding between the files,
//! which the torrent does not list, so that pieces are numbered and placed as in a hybrid of the same files.
//! [`Layout::piece_check`] gives what a piece is verified with, whatever the version.
//!
//! In a hybrid both descriptions have to be of the same files in the same order; otherwise it is refused, and [`Disagreement`]
//! says where they differ. A torrent file has the piece layers of all files that need one, and they have the right roots.
//!
//! Deviation from BEP 52: a file tree of one file is a single-file torrent only where the file has the torrent's name; otherwise the
//! file is in a folder of that name, as in a hybrid.

mod builder;
mod detail;
mod duplicates;
mod edit;
mod entry;
mod error;
mod fields;
mod files;
mod flags;
#[cfg(feature = "v2")]
mod layers;
mod layout;
mod limits;
mod outer;
mod path;
mod piece_hash;
mod piece_length;
mod places;
mod plain;
mod safe_path;
#[cfg(test)]
mod tests;
mod torrent;
#[cfg(feature = "v2")]
mod tree;
mod warning;

pub use builder::Builder;
pub use edit::Edit;
pub use entry::Entry;
pub use error::{BuildError, Disagreement, Error, LayerError};
pub use layout::{File, FileSpan, Layout, Version};
pub use limits::Limits;
pub use path::{Names, PathError};
pub use piece_hash::{PieceHash, PieceRoot};
pub use piece_length::{PieceLength, piece_length_for};
pub use safe_path::SafePath;
pub use torrent::Metainfo;
pub use warning::Warning;
