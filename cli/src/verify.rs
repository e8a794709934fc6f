//! `bip verify`.

use crate::args::Verify;
use crate::output::{Failure, Output, counted, percent, printable, reason, task_failure};
use crate::signal::Signals;
use crate::torrent;
use bip::disk::check::{FileReport, FileState, Report};
use bip::proto::id::PieceIndex;
use bip::proto::metainfo::{File, Metainfo};
use bip::session;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;

pub(crate) fn run(args: &Verify, output: &Output) -> Result<(), Failure> {
    let torrent = torrent::read(&args.torrent)?;
    let shown = args.dir.display();
    let found = fs::metadata(&args.dir).map_err(|error| Failure::new(&shown, reason(&error)))?;
    if !found.is_dir() {
        return Err(Failure::new(&shown, "is not a folder"));
    }
    let signals = Signals::install(true)?;
    torrent::tell_warnings(output, &torrent::name(&args.torrent), &torrent);
    let mut progress = output.progress("verifying", torrent.total_length());
    let report = session::verify(&torrent, &args.dir, crate::threads(), |news| {
        progress.set(news.done, "");
        if signals.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(progress);
    let report = report.map_err(|error| task_failure(&shown.to_string(), error))?;
    let faults = Faults::sort(&torrent, &report);
    if args.json {
        output.json(&to_json(&torrent, &report, &faults))?;
    } else {
        output.raw(to_text(&torrent, &report, &faults).as_bytes())?;
    }
    if report.is_complete() {
        return Ok(());
    }
    torrent::find(&torrent, &args.dir)?;
    let pieces = report.have.pieces();
    let wrong = pieces - report.have.count();
    // Padding is complete: it is not stored.
    let files = report.files.iter().filter(|file| !file.is_complete()).count();
    Err(Failure::new(
        shown,
        format_args!(
            "{}: not complete: {wrong} of {} and {files} of {} bad or missing",
            torrent.name(),
            counted(pieces.into(), "piece"),
            counted(torrent::file_count(&torrent) as u64, "file")
        ),
    ))
}

/// The pieces that are not right.
struct Faults {
    /// All their bytes are there, and some are wrong.
    bad: Vec<u32>,
    /// Not all their bytes are there.
    missing: Vec<u32>,
}

impl Faults {
    fn sort(torrent: &Metainfo, report: &Report) -> Self {
        let layout = torrent.layout();
        let geometry = layout.geometry();
        let is_there = |piece: PieceIndex| {
            let length = u64::from(geometry.length_of(piece));
            layout.spans(geometry.piece_offset(piece), length).all(|span| {
                let file = report.files.get(span.file.as_usize());
                file.and_then(|file| file.found).is_some_and(|found| span.offset + span.length <= found)
            })
        };
        let (bad, missing): (Vec<_>, Vec<_>) = report.have.iter_missing().partition(|&piece| is_there(piece));
        let numbers = |pieces: Vec<PieceIndex>| pieces.into_iter().map(|piece| piece.0).collect();
        Self { bad: numbers(bad), missing: numbers(missing) }
    }

    /// Says whether a file is all there and none of its pieces can be blamed on it: those that are not right lack bytes of others.
    fn is_unverified(&self, file: &File, report: &FileReport, piece_length: u64) -> bool {
        let first = file.offset / piece_length;
        let end = (file.offset + file.length).div_ceil(piece_length);
        let at = self.bad.partition_point(|&piece| u64::from(piece) < first);
        report.state() == FileState::Bad && self.bad.get(at).is_none_or(|&piece| u64::from(piece) >= end)
    }
}

fn state(file: &FileReport, is_unverified: bool) -> &'static str {
    match file.state() {
        _ if is_unverified => "unverified",
        FileState::Complete => "complete",
        FileState::TooLong => "too long",
        FileState::Missing => "missing",
        FileState::TooShort => "too short",
        FileState::Bad => "bad",
        FileState::Unreadable => "unreadable",
    }
}

fn to_json(torrent: &Metainfo, report: &Report, faults: &Faults) -> Value {
    let piece_length = u64::from(torrent.geometry().piece_length());
    let files = torrent.files().iter().zip(&report.files).filter(|(file, _)| !file.is_padding);
    let files: Vec<Value> = files
        .map(|(file, report)| {
            json!({
                "path": file.path.to_string(),
                "length": file.length,
                "found": report.found,
                "state": state(report, faults.is_unverified(file, report, piece_length)),
                "pieces": report.pieces,
                "pieces_bad": report.bad,
                "error": report.error.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let [v1, v2] = torrent::json_hashes(torrent);
    json!({
        "name": torrent.name(),
        "info_hash": v1,
        "info_hash_v2": v2,
        "complete": report.is_complete(),
        "pieces": report.have.pieces(),
        "pieces_good": report.have.count(),
        "bad_pieces": faults.bad,
        "missing_pieces": faults.missing,
        "files": files,
        "error": report.error.as_ref().map(ToString::to_string),
    })
}

fn to_text(torrent: &Metainfo, report: &Report, faults: &Faults) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{text}");
    };
    let (good, pieces) = (report.have.count(), report.have.pieces());
    let percent = percent(good.into(), pieces.into());
    line(format_args!(
        "{}: {good} of {} right ({percent}%)",
        printable(&torrent.name()),
        counted(pieces.into(), "piece")
    ));
    for (what, numbers) in [("bad", &faults.bad), ("missing", &faults.missing)] {
        if !numbers.is_empty() {
            line(format_args!("{what} pieces: {}", ranges(numbers)));
        }
    }
    for (file, report) in torrent.files().iter().zip(&report.files).filter(|(file, _)| !file.is_padding) {
        let path = printable(&file.path.to_string());
        let is_unverified = faults.is_unverified(file, report, torrent.geometry().piece_length().into());
        let state = state(report, is_unverified);
        match report.state() {
            FileState::Complete => {}
            FileState::Missing => line(format_args!("{state:<10}  {path}")),
            FileState::TooLong | FileState::TooShort => {
                let found = report.found.unwrap_or_default();
                line(format_args!("{state:<10}  {path}  ({found} bytes instead of {})", report.expected));
            }
            FileState::Bad if is_unverified => {
                line(format_args!("{state:<10}  {path}  (shares pieces with files that are missing or too short)"));
            }
            FileState::Bad => {
                line(format_args!(
                    "{state:<10}  {path}  ({} of its {})",
                    report.bad,
                    counted(report.pieces.into(), "piece")
                ));
            }
            FileState::Unreadable => {
                let error = report.error.as_ref().map(ToString::to_string).unwrap_or_default();
                line(format_args!("{state:<10}  {path}  ({})", printable(&error)));
            }
        }
    }
    out
}

/// Writes numbers in order with `-` for those that follow each other.
fn ranges(numbers: &[u32]) -> String {
    let mut out = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let run = rest.iter().zip(first..=u32::MAX).take_while(|(number, expected)| *number == expected).count();
        let separator = if out.is_empty() { "" } else { ", " };
        let last = first + (run as u32 - 1);
        // Writing to a string does not fail.
        let _ = match run {
            1 => write!(out, "{separator}{first}"),
            _ => write!(out, "{separator}{first}-{last}"),
        };
        rest = rest.get(run..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[5]), "5");
        assert_eq!(ranges(&[0, 1, 2, 4, 7, 8, u32::MAX]), "0-2, 4, 7-8, 4294967295");
        assert_eq!(ranges(&[u32::MAX - 1, u32::MAX]), "4294967294-4294967295");
    }
}
