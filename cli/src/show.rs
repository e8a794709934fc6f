//! `bip show`.

use crate::args::Show;
use crate::magnet::{self, Link};
use crate::output::{Failure, Output, bytes, printable};
use crate::torrent;
use bip::proto::id::FileIndex;
use bip::proto::metainfo::{File, Layout, Metainfo, Version};
use serde_json::{Value, json};
use std::fmt::Write as _;

pub(crate) fn run(args: &Show, output: &Output) -> Result<(), Failure> {
    if let Some(link) = magnet::read(&args.torrent) {
        let link = link?;
        return if args.json { output.json(&link_to_json(&link)) } else { output.raw(link_to_text(&link).as_bytes()) };
    }
    let torrent = torrent::read(&args.torrent)?;
    if args.json { output.json(&to_json(&torrent)) } else { output.raw(to_text(&torrent).as_bytes()) }
}

fn to_json(torrent: &Metainfo) -> Value {
    let layout = torrent.layout();
    let files: Vec<Value> =
        listed(&layout).map(|(number, index, file)| file_to_json(&layout, number, index, file)).collect();
    let warnings: Vec<String> = torrent.warnings().iter().map(ToString::to_string).collect();
    let nodes: Vec<String> = torrent.nodes().iter().map(node).collect();
    let similar: Vec<String> = torrent.similar().iter().map(ToString::to_string).collect();
    let [v1, v2] = torrent::json_hashes(torrent);
    json!({
        "name": torrent.name(),
        "versions": versions(torrent.version()),
        "info_hash": v1,
        "info_hash_v2": v2,
        "piece_length": torrent.geometry().piece_length(),
        "pieces": torrent.geometry().piece_count(),
        "total_length": layout.content_length(),
        "private": torrent.is_private(),
        "files": files,
        "trackers": torrent.trackers(),
        "web_seeds": torrent.web_seeds(),
        "nodes": nodes,
        "similar": similar,
        "collections": torrent.collections(),
        "comment": torrent.comment(),
        "created_by": torrent.created_by(),
        "creation_date": torrent.creation_date(),
        "encoding": torrent.encoding(),
        "source": torrent.source(),
        "warnings": warnings,
    })
}

/// Goes over the files with their numbers from 1 on, which are those that `bip get --files` takes. Padding has numbers too, and is
/// not shown: it is never stored.
fn listed(layout: &Layout) -> impl Iterator<Item = (u32, FileIndex, &File)> {
    let numbered = (0..).zip(layout.files()).filter(|(_, file)| !file.is_padding);
    numbered.map(|(index, file)| (index + 1, FileIndex(index), file))
}

fn file_to_json(layout: &Layout, number: u32, index: FileIndex, file: &File) -> Value {
    json!({
        "number": number,
        "path": file.path.to_string(),
        "length": file.length,
        "executable": file.is_executable(),
        "hidden": file.is_hidden(),
        "link_target": layout.link_target(index).map(|target| target.to_string()),
        "pieces_root": layout.pieces_root(index).map(|root| hex(root)),
        "sha1": layout.sha1(index).map(|hash| hex(&hash)),
        "md5": layout.md5(index).map(|hash| hex(&hash)),
    })
}

fn versions(version: Version) -> Vec<u8> {
    let versions = [(1, version.has_v1()), (2, version.has_v2())];
    versions.into_iter().filter(|(_, is_there)| *is_there).map(|(number, _)| number).collect()
}

fn node((host, port): &(String, u16)) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn link_to_json(link: &Link) -> Value {
    let Link { magnet, warnings } = link;
    // Each is tried after those before it, as tiers of one are in a torrent.
    let trackers: Vec<[&String; 1]> = magnet.trackers.iter().map(|url| [url]).collect();
    let peers: Vec<String> = magnet.peers.iter().map(ToString::to_string).collect();
    let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    json!({
        "magnet": magnet.to_string(),
        "name": magnet.name,
        "info_hash": magnet.topic.v1().map(|hash| hash.to_string()),
        "info_hash_v2": magnet.topic.v2().map(|hash| hash.to_string()),
        "total_length": magnet.length,
        "files_wanted": link.files_wanted(),
        "trackers": trackers,
        "web_seeds": magnet.web_seeds,
        "peers": peers,
        "exact_sources": magnet.exact_sources,
        "acceptable_sources": magnet.acceptable_sources,
        "keywords": magnet.keywords,
        "manifest": magnet.manifest,
        "warnings": warnings,
    })
}

fn link_to_text(link: &Link) -> String {
    let mut out = String::new();
    let mut field = |key: &str, value: &dyn std::fmt::Display| write_field(&mut out, key, value);
    let Link { magnet, warnings } = link;
    if let Some(name) = &magnet.name {
        field("name", name);
    }
    if let Some(hash) = magnet.topic.v1() {
        field("info hash", &hash);
    }
    if let Some(hash) = magnet.topic.v2() {
        field("info hash v2", &hash);
    }
    if let Some(length) = magnet.length {
        field("total length", &format_args!("{} ({length} bytes)", bytes(length)));
    }
    if let Some(files) = link.files_wanted() {
        field("files wanted", &files);
    }
    for (number, url) in magnet.trackers.iter().enumerate() {
        field(&format!("tracker {}", number + 1), url);
    }
    let urls =
        [("web seed", &magnet.web_seeds), ("source", &magnet.exact_sources), ("source", &magnet.acceptable_sources)];
    for (key, urls) in urls {
        urls.iter().for_each(|url| field(key, url));
    }
    magnet.peers.iter().for_each(|peer| field("peer", peer));
    for (key, text) in [("keywords", &magnet.keywords), ("manifest", &magnet.manifest)] {
        if let Some(text) = text {
            field(key, text);
        }
    }
    warnings.iter().for_each(|warning| field("warning", warning));
    out
}

fn write_field(out: &mut String, key: &str, value: &dyn std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{key:<14}{}", printable(&value.to_string()));
}

fn to_text(torrent: &Metainfo) -> String {
    let mut out = String::new();
    let mut field = |key: &str, value: &dyn std::fmt::Display| write_field(&mut out, key, value);
    let layout = torrent.layout();
    let geometry = layout.geometry();
    field("name", &torrent.name());
    if torrent.version() != Version::V1 {
        field("version", &if torrent.version() == Version::V2 { "2" } else { "1 and 2" });
    }
    torrent::hashes(torrent).iter().for_each(|(key, hash)| field(key, hash));
    let length = u64::from(geometry.piece_length());
    field("pieces", &format_args!("{} of {}", geometry.piece_count(), bytes(length)));
    let length = layout.content_length();
    field("total length", &format_args!("{} ({length} bytes)", bytes(length)));
    if torrent.version().has_v1() && torrent.total_length() > length {
        field("padding", &format_args!("{} bytes", torrent.total_length() - length));
    }
    field("private", &if torrent.is_private() { "yes" } else { "no" });
    for (number, tier) in torrent.trackers().iter().enumerate() {
        for url in tier {
            field(&format!("tracker {}", number + 1), url);
        }
    }
    torrent.web_seeds().iter().for_each(|url| field("web seed", url));
    torrent.nodes().iter().for_each(|place| field("node", &node(place)));
    torrent.similar().iter().for_each(|hash| field("similar", hash));
    torrent.collections().iter().for_each(|name| field("collection", name));
    let texts = [
        ("comment", torrent.comment()),
        ("created by", torrent.created_by()),
        ("encoding", torrent.encoding()),
        ("source", torrent.source()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            field(key, &text);
        }
    }
    if let Some(seconds) = torrent.creation_date() {
        field("creation date", &date(seconds));
    }
    for warning in torrent.warnings() {
        field("warning", warning);
    }
    field("files", &torrent::file_count(torrent));
    let digits = layout.files().len().to_string().len();
    for (number, index, file) in listed(&layout) {
        let path = printable(&file.path.to_string());
        let _ = write!(out, "{number:>digits$}  {:>14}  {path}", file.length);
        if let Some(target) = layout.link_target(index) {
            let _ = write!(out, " -> {}", printable(&target.to_string()));
        }
        let marks = [("executable", file.is_executable()), ("hidden", file.is_hidden())];
        for (mark, _) in marks.iter().filter(|(_, is)| *is) {
            let _ = write!(out, "  ({mark})");
        }
        out.push('\n');
    }
    out
}

/// Writes a time in seconds from 1970 as a date and time of day in UTC; one that no calendar has as the number it is.
fn date(seconds: i64) -> String {
    let days = seconds.div_euclid(86_400);
    if !(-719_162..2_932_897).contains(&days) {
        return seconds.to_string();
    }
    // From a day count to a date by eras of 400 years that begin in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_700_000_000, "2023-11-14 22:13:20 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (253_402_300_800, "253402300800"),
            (i64::MIN, "-9223372036854775808"),
            (i64::MAX, "9223372036854775807"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}
