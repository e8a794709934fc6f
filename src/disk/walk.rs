//! Lists a tree of files, to make a torrent of it.

use super::config::Config;
use super::create::{Reason, Skipped};
use super::error::{Error, Operation, shown};
use super::file_system::{Entry, Kind, Stat};
use super::glob::Glob;
use super::job::{Outcome, Work};
use super::store::Leaf;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A folder and those that it is in, to recognise one that contains itself.
#[derive(Debug)]
struct Chain {
    identity: Option<(u64, u64)>,
    above: Option<Arc<Chain>>,
}

impl Chain {
    fn contains(&self, identity: Option<(u64, u64)>) -> bool {
        let mut chain = Some(self);
        // As long as the tree is deep, which `Config::depth` bounds.
        while let Some(link) = chain {
            if identity.is_some() && link.identity == identity {
                return true;
            }
            chain = link.above.as_deref();
        }
        false
    }
}

/// A folder that is to be listed.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    parts: Vec<Vec<u8>>,
    chain: Arc<Chain>,
}

/// What a job of a walk is about.
#[derive(Debug, Clone)]
pub(crate) enum WalkTask {
    Examine,
    List(Folder),
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Found {
    /// The files, with their offsets.
    pub(crate) leaves: Vec<Leaf>,
    /// What was skipped, in the order of its path.
    pub(crate) skipped: Vec<Skipped>,
    /// How many files and folders a pattern left out.
    pub(crate) excluded: u64,
    /// Whether the root is a file itself.
    pub(crate) is_file: bool,
}

/// Goes through a tree, following links to files and to folders, but not to a folder that is above.
#[derive(Debug)]
pub(crate) struct Walk {
    root: PathBuf,
    exclude: Vec<Glob>,
    begun: bool,
    folders: VecDeque<Folder>,
    listed: usize,
    in_flight: usize,
    leaves: Vec<Leaf>,
    skipped: Vec<Skipped>,
    /// How many files and folders a pattern left out.
    excluded: u64,
    is_file: bool,
    /// Whether reads far apart cost a seek in this tree.
    seeks: bool,
}

impl Walk {
    pub(crate) fn new(root: PathBuf, exclude: Vec<Glob>) -> Self {
        Self {
            root,
            exclude,
            begun: false,
            folders: VecDeque::new(),
            listed: 0,
            in_flight: 0,
            leaves: Vec::new(),
            skipped: Vec::new(),
            excluded: 0,
            is_file: false,
            seeks: false,
        }
    }

    pub(crate) fn next(&mut self) -> Option<(Work, WalkTask)> {
        let next = if self.begun {
            let folder = self.folders.pop_front()?;
            (Work::List { path: folder.path.clone() }, WalkTask::List(folder))
        } else {
            self.begun = true;
            (Work::Examine { path: self.root.clone() }, WalkTask::Examine)
        };
        self.in_flight += 1;
        Some(next)
    }

    /// Says whether reads far apart cost a seek in this tree.
    pub(crate) fn seeks(&self) -> bool {
        self.seeks
    }

    pub(crate) fn is_over(&self) -> bool {
        self.begun && self.in_flight == 0 && self.folders.is_empty()
    }

    pub(crate) fn on_done(&mut self, config: &Config, task: WalkTask, outcome: Outcome) -> Result<(), Error> {
        self.in_flight -= 1;
        match (task, outcome) {
            (WalkTask::Examine, Outcome::Examined(found)) => {
                let (stat, seeks) = found?;
                self.seeks = seeks;
                self.on_root(stat)
            }
            (WalkTask::List(folder), Outcome::Listed(entries)) => {
                entries?.into_iter().try_for_each(|entry| self.on_entry(config, &folder, entry))
            }
            // The executor answers every job in kind.
            _ => Err(Error::Job(crate::machine::JobError::Refused)),
        }
    }

    fn on_root(&mut self, stat: Stat) -> Result<(), Error> {
        match stat.kind {
            Kind::File => {
                self.is_file = true;
                self.leaves.push(Leaf::new(Vec::new(), self.root.clone(), stat.length));
                Ok(())
            }
            Kind::Folder => {
                let chain = Arc::new(Chain { identity: stat.identity, above: None });
                self.folders.push_back(Folder { path: self.root.clone(), parts: Vec::new(), chain });
                Ok(())
            }
            Kind::Other => {
                let odd = io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a folder");
                Err(Error::io(Operation::Examining, path_text(&self.root), &odd))
            }
        }
    }

    fn on_entry(&mut self, config: &Config, folder: &Folder, entry: Entry) -> Result<(), Error> {
        let path = folder.path.join(&entry.name);
        let mut parts = folder.parts.clone();
        parts.push(entry.name.as_encoded_bytes().to_vec());
        let is_folder = entry.stat.kind == Kind::Folder;
        if self.exclude.iter().any(|glob| glob.matches(&parts, is_folder)) {
            self.excluded += 1;
            return Ok(());
        }
        match entry.stat.kind {
            Kind::File => {
                if self.leaves.len() >= config.files {
                    return Err(Error::TooLarge { what: "files", limit: config.files as u64 });
                }
                self.leaves.push(Leaf::new(parts, path, entry.stat.length));
            }
            Kind::Folder if folder.chain.contains(entry.stat.identity) => self.skip(&path, Reason::Loop),
            Kind::Folder if parts.len() > config.depth => {
                return Err(Error::TooLarge { what: "folders within each other", limit: config.depth as u64 });
            }
            Kind::Folder => {
                self.listed += 1;
                if self.listed > config.files {
                    return Err(Error::TooLarge { what: "folders", limit: config.files as u64 });
                }
                let above = Some(Arc::clone(&folder.chain));
                let chain = Arc::new(Chain { identity: entry.stat.identity, above });
                self.folders.push_back(Folder { path, parts, chain });
            }
            Kind::Other => {
                if self.skipped.len() >= config.files {
                    return Err(Error::TooLarge { what: "names that are not files", limit: config.files as u64 });
                }
                self.skip(&path, Reason::NotAFile);
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: &Path, reason: Reason) {
        self.skipped.push(Skipped { path: path_text(path), reason });
    }

    /// Gives what was found: the files in the order of the bytes of their paths or, where they are put into a tree of folders, in that
    /// of the tree.
    pub(crate) fn finish(mut self, in_tree: bool) -> Result<Found, Error> {
        if in_tree {
            self.leaves.sort_by(|a, b| a.parts.cmp(&b.parts));
        } else {
            self.leaves.sort_by_cached_key(|leaf| leaf.parts.join(&b'/'));
        }
        self.skipped.sort_by(|a, b| a.path.cmp(&b.path));
        let mut offset = 0u64;
        for leaf in &mut self.leaves {
            leaf.offset = offset;
            let limit = i64::MAX as u64;
            offset = offset.checked_add(leaf.length).ok_or(Error::TooLarge { what: "bytes", limit })?;
        }
        if offset == 0 {
            return Err(Error::NothingToShare { path: path_text(&self.root) });
        }
        let Self { leaves, skipped, excluded, is_file, .. } = self;
        Ok(Found { leaves, skipped, excluded, is_file })
    }
}

pub(crate) fn path_text(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}
