//! What the tool says, and where: results on stdout; progress, logs and errors on stderr.

use bip::disk;
use bip::session::TaskError;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often progress is told where stderr is no terminal.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// How often is told, at most, how something is that has no end, where stderr is no terminal.
const LIVE_INTERVAL: Duration = Duration::from_secs(60);

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to tell: what it is about, and why it did not work.
    Told {
        /// A file, an address, a step.
        what: String,
        /// The reason.
        why: String,
    },
    /// A command line that asks for what cannot be, which shows only once its files are read.
    Usage {
        /// The option or argument.
        what: String,
        /// The reason.
        why: String,
    },
    /// It was told already.
    Known,
    /// Whoever read our results stopped reading.
    ClosedPipe,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Failure {
    /// Makes a failure that is told as `bip: what: why`.
    pub(crate) fn new(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Failure::Told { what: what.to_string(), why: why.to_string() }
    }

    /// Makes a failure of how the tool was called.
    pub(crate) fn usage(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Failure::Usage { what: what.to_string(), why: why.to_string() }
    }

    /// Adds something to the reason.
    pub(crate) fn and(self, more: impl fmt::Display) -> Self {
        match self {
            Failure::Told { what, why } => Failure::Told { what, why: format!("{why}; {more}") },
            other => other,
        }
    }

    /// Gives its text, without the name of the tool.
    pub(crate) fn text(&self) -> String {
        match self {
            Failure::Told { what, why } | Failure::Usage { what, why } => format!("{what}: {why}"),
            Failure::Known => "told already".to_owned(),
            Failure::ClosedPipe => "nobody reads stdout".to_owned(),
            Failure::Interrupted => "interrupted".to_owned(),
        }
    }

    /// Tells it, and gives the code to exit with.
    pub(crate) fn tell(&self) -> ExitCode {
        match self {
            Failure::Told { what, why } => {
                complain(what, why);
                ExitCode::from(1)
            }
            Failure::Usage { what, why } => {
                complain(what, why);
                ExitCode::from(2)
            }
            Failure::Known => ExitCode::from(1),
            // As the shell reports a program that SIGPIPE ended.
            Failure::ClosedPipe => ExitCode::from(141),
            Failure::Interrupted => ExitCode::from(130),
        }
    }
}

/// Writes a line to stderr. Where nobody reads that either, there is nothing left to do.
fn complain(what: &str, why: &str) {
    let _ = writeln!(io::stderr(), "bip: {}: {}", printable(what), printable(why));
}

/// Tells what clap has to say, which is help on stdout or wrong usage on stderr, and gives the code to exit with.
pub(crate) fn tell_usage(error: &clap::Error) -> Result<u8, Failure> {
    if error.use_stderr() {
        let text = error.to_string();
        // As all that is told; where it is the help, it has no such start.
        let text = text.strip_prefix("error: ").map_or(text.clone(), |text| format!("bip: {text}"));
        let _ = io::stderr().write_all(text.as_bytes());
        return Ok(u8::try_from(error.exit_code()).unwrap_or(2));
    }
    written(error.print().and_then(|()| io::stdout().flush())).map(|()| 0)
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::new("stdout", reason(&error)),
    })
}

/// Gives the text of a system's error without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Makes a failure of what the disk tells: about its file, where it is about one, else about `what`.
pub(crate) fn disk_failure(what: &str, error: &disk::Error) -> Failure {
    match error {
        disk::Error::Io { operation, file, text, .. } => Failure::new(file, format_args!("{operation}: {text}")),
        disk::Error::NothingToShare { path } => Failure::new(path, "holds no bytes to share"),
        other => Failure::new(what, other),
    }
}

/// As [`disk_failure`], of a torrent's files, which the disk names from `dir` on.
pub(crate) fn files_failure(what: &str, dir: &Path, error: &disk::Error) -> Failure {
    match error {
        disk::Error::Io { operation, file, text, .. } => {
            Failure::new(dir.join(file).display(), format_args!("{operation}: {text}"))
        }
        other => disk_failure(what, other),
    }
}

/// Makes a failure of what became of a task.
pub(crate) fn task_failure(what: &str, error: TaskError) -> Failure {
    match error {
        TaskError::Disk(error) => disk_failure(what, &error),
        TaskError::Cancelled => Failure::Interrupted,
        other => Failure::new(what, other),
    }
}

/// Says whether a character could move a terminal's cursor or turn the writing around.
fn is_unsafe(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns
}

/// Writes JSON fit for a terminal: what [`printable`] escapes is escaped here too, as JSON does it, so its meaning is the same.
fn json_text(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if is_unsafe(c) {
            // They occur in strings only, and all have four digits. Writing to a string does not fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Makes text from outside fit for a terminal: what could move the cursor or turn the writing around is escaped.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            // Writing to a string does not fail.
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Gives a number of things, in the singular where there is one.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// Gives a number of bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// Gives a rate in bytes per second for people.
pub(crate) fn rate(bytes_per_second: u64) -> String {
    format!("{}/s", indicatif::HumanBytes(bytes_per_second))
}

/// Gives a time for people, in full seconds.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, ..) => format!("{days}d{hours:02}h"),
    }
}

/// Gives how much of a whole is there, rounded down, so that only the whole is 100 %.
pub(crate) fn percent(part: u64, whole: u64) -> u64 {
    if whole == 0 { 100 } else { (u128::from(part.min(whole)) * 100 / u128::from(whole)) as u64 }
}

/// Where the tool's words go. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    quiet: bool,
    json: bool,
    bars: Option<MultiProgress>,
}

impl Output {
    /// Makes the output: `quiet` has only results and errors, `json` has only JSON on stdout and no progress.
    pub(crate) fn new(quiet: bool, json: bool) -> Self {
        let bars = (!quiet && !json && io::stderr().is_terminal())
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { quiet, json, bars }
    }

    /// Starts the log, on stderr.
    pub(crate) fn start_log(&self, verbose: u8) {
        let level = match (self.quiet, verbose) {
            (true, _) => log::LevelFilter::Error,
            (_, 0) => log::LevelFilter::Warn,
            (_, 1) => log::LevelFilter::Info,
            (_, 2) => log::LevelFilter::Debug,
            _ => log::LevelFilter::Trace,
        };
        let started = env_logger::Builder::new()
            // What others have to say in detail is of no interest.
            .filter_level(level.min(log::LevelFilter::Warn))
            .filter_module("bip", level)
            .target(env_logger::Target::Pipe(Box::new(LogPipe(self.clone()))))
            .format(|to, record| {
                let area = record.target();
                let area = area.strip_prefix("bip::").unwrap_or(area);
                writeln!(to, "bip: {area}: {}", printable(&record.args().to_string()))
            })
            .try_init();
        debug_assert!(started.is_ok(), "the log is started once");
    }

    /// Says whether stdout is for programs.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Writes to a stream of the tool's without the bars getting in the way.
    fn around_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// Writes a line of results to stdout, at once.
    pub(crate) fn line(&self, line: impl fmt::Display) -> Result<(), Failure> {
        self.raw(format!("{line}\n").as_bytes())
    }

    /// Writes a JSON value to stdout, on a line of its own.
    pub(crate) fn json(&self, value: &serde_json::Value) -> Result<(), Failure> {
        self.line(json_text(value))
    }

    /// Writes bytes to stdout, at once.
    pub(crate) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        written(self.around_bars(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        }))
    }

    /// Writes a remark to stderr, unless told to be quiet.
    pub(crate) fn note(&self, what: impl fmt::Display, why: impl fmt::Display) {
        if !self.quiet {
            self.around_bars(|| complain(&what.to_string(), &why.to_string()));
        }
    }

    /// Tells why a part of the work failed, while the rest goes on.
    pub(crate) fn fail(&self, failure: &Failure) {
        self.around_bars(|| {
            // The code is that of the whole, in the end.
            let _ = failure.tell();
        });
    }

    /// Starts to show how far something has come, in bytes.
    pub(crate) fn progress(&self, what: &str, total: u64) -> Progress {
        self.show(String::new(), what, total)
    }

    /// The same for one of several things that are told apart by their names.
    pub(crate) fn progress_of(&self, name: &str, what: &str, total: u64) -> Progress {
        self.show(name.to_owned(), what, total)
    }

    /// Starts to show how something is that has no end.
    pub(crate) fn live(&self) -> Live {
        let bar = self.bars.as_ref().map(|bars| {
            let style = ProgressStyle::with_template("{wide_msg}").expect("the template is right");
            bars.add(ProgressBar::no_length().with_style(style))
        });
        let plain = (bar.is_none() && !self.quiet && !self.json).then(|| self.clone());
        Live { bar, plain, told: None, pause: Duration::ZERO }
    }

    fn show(&self, name: String, what: &str, total: u64) -> Progress {
        let bar = self.bars.as_ref().map(|bars| {
            let (template, prefix) = if name.is_empty() {
                let template = "{prefix:>11} {percent:>3}% {bar:20} {bytes:>10} of {total_bytes}{wide_msg}";
                (template, what.to_owned())
            } else {
                // There is less room, and what counts is how they fare.
                ("{prefix:20!} {percent:>3}% {bar:10}{wide_msg}", printable(&short(&name, 20)))
            };
            let style = ProgressStyle::with_template(template).expect("the template is right");
            bars.add(ProgressBar::new(total).with_style(style.progress_chars("━╸─")).with_prefix(prefix))
        });
        let plain = (bar.is_none() && !self.quiet && !self.json).then(|| self.clone());
        Progress { name, what: what.to_owned(), total, bar, plain, told: Instant::now(), last: (0, String::new()) }
    }
}

/// Gives a text of at most so many characters, without its middle where it is longer.
fn short(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let end = most / 2;
    let start = text.chars().take(most - end - 1);
    start.chain(std::iter::once('…')).chain(text.chars().skip(count - end)).collect()
}

/// How far something has come: a bar on a terminal, else a line now and then. It goes away when dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Whose progress it is; empty where there is only one.
    name: String,
    what: String,
    total: u64,
    bar: Option<ProgressBar>,
    plain: Option<Output>,
    told: Instant,
    /// What was told last, where it is told in lines.
    last: (u64, String),
}

impl Progress {
    /// Turns to something else.
    pub(crate) fn turn(&mut self, what: &str, total: u64) {
        self.what = what.to_owned();
        self.total = total;
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            if self.name.is_empty() {
                bar.set_prefix(what.to_owned());
            }
        }
    }

    /// Shows how many bytes are done, and a remark.
    pub(crate) fn set(&mut self, done: u64, remark: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            let what = if self.name.is_empty() { "" } else { self.what.as_str() };
            let comma = if what.is_empty() || remark.is_empty() { "" } else { ", " };
            bar.set_message(format!("  {what}{comma}{remark}"));
        }
        if let Some(output) = &self.plain {
            let news = (done, remark.to_owned());
            if self.told.elapsed() >= PLAIN_INTERVAL && self.last != news {
                self.told = Instant::now();
                self.last = news;
                let done = format!("{}% ({} of {})", percent(done, self.total), bytes(done), bytes(self.total));
                let remark = if remark.is_empty() { String::new() } else { format!(", {remark}") };
                if self.name.is_empty() {
                    output.note(&self.what, format_args!("{done}{remark}"));
                } else {
                    output.note(&self.name, format_args!("{}: {done}{remark}", self.what));
                }
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How something is that has no end: a line that changes on a terminal, else a line now and then, ever more seldom. It goes away when dropped.
#[derive(Debug)]
pub(crate) struct Live {
    bar: Option<ProgressBar>,
    plain: Option<Output>,
    /// When it was told last, where it is told in lines.
    told: Option<Instant>,
    /// How long after that it is told again.
    pause: Duration,
}

impl Live {
    /// Shows how it is.
    pub(crate) fn set(&mut self, what: &str, how: impl Fn() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_message(how());
        }
        if let Some(output) = &self.plain {
            if self.told.is_none_or(|told| told.elapsed() >= self.pause) {
                output.note(what, how());
                self.told = Some(Instant::now());
                self.pause = (self.pause * 2).clamp(Duration::from_secs(1), LIVE_INTERVAL);
            }
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Takes the log to stderr around the bars.
struct LogPipe(Output);

impl io::Write for LogPipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.around_bars(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor_or_turn_the_writing_around() {
        assert_eq!(printable("a\x1b[2J\nb\u{9b}c"), "a\\u{1b}[2J\\u{a}b\\u{9b}c");
        assert_eq!(printable("gpj\u{202e}exe.txt"), "gpj\\u{202e}exe.txt");
        assert_eq!(printable("größe 大.txt"), "größe 大.txt");
    }

    #[test]
    fn json_cannot_either_and_says_the_same() {
        let value = serde_json::json!({ "a\u{9b}\u{7f}": "gpj\u{202e}exe\n\"größe" });
        let text = json_text(&value);
        assert_eq!(text, "{\"a\\u009b\\u007f\":\"gpj\\u202eexe\\n\\\"größe\"}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).ok(), Some(value));
    }

    #[test]
    fn a_long_name_keeps_its_ends() {
        assert_eq!((short("größe", 5), short("größer", 5)), ("größe".to_owned(), "gr…er".to_owned()));
        assert_eq!(short("a-long-name-1.bin", 10), "a-lo…1.bin");
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (61, "1m01s"), (3_660, "1h01m"), (90_000, "1d01h")] {
            assert_eq!(time(Duration::from_secs(seconds)), text);
        }
        assert_eq!(time(Duration::MAX), "213503982334601d07h");
    }

    #[test]
    fn only_the_whole_is_a_hundred_percent() {
        assert_eq!((percent(0, 3), percent(2, 3), percent(3, 3)), (0, 66, 100));
        assert_eq!((percent(u64::MAX - 1, u64::MAX), percent(u64::MAX, u64::MAX)), (99, 100));
    }

    #[test]
    fn the_systems_words_come_without_its_number() {
        let text = reason(&io::Error::from_raw_os_error(2));
        assert!(!text.is_empty() && !text.contains("os error"), "{text}");
    }
}
