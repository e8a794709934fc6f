//! The `bip` command-line tool: the library's public interface on a command line.

mod announce;
mod args;
mod batch;
mod create;
mod demo;
mod destination;
mod dht;
mod edit;
mod files;
mod magnet;
mod names;
mod output;
mod peers;
mod show;
mod signal;
mod size;
mod torrent;
mod tracker;
mod transfer;
mod urls;
mod verify;
mod wanted;

use args::{Cli, Command};
use clap::Parser as _;
use output::{Failure, Output};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            return output::tell_usage(&error).map_or_else(|failure| failure.tell(), ExitCode::from);
        }
    };
    let json = match &cli.command {
        Command::Show(args) => args.json,
        Command::Verify(args) => args.json,
        Command::Get(args) => args.json,
        Command::Announce(args) => args.json,
        Command::Scrape(args) => args.json,
        Command::Dht(args) => args.is_json(),
        Command::Tracker(args) => args.json,
        Command::Demo(_) | Command::Create(_) | Command::Edit(_) | Command::Seed(_) => false,
    };
    let output = Output::new(cli.quiet, json);
    output.start_log(cli.verbose);
    match run(&cli.command, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn run(command: &Command, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Demo(args) => demo::run(args, output),
        Command::Create(args) => create::run(args, output),
        Command::Edit(args) => edit::run(args, output),
        Command::Show(args) => show::run(args, output),
        Command::Verify(args) => verify::run(args, output),
        Command::Get(args) => batch::get(args, output),
        Command::Seed(args) => batch::seed(args, output),
        Command::Announce(args) => announce::announce(args, output),
        Command::Scrape(args) => announce::scrape(args, output),
        Command::Dht(args) => dht::run(args, output),
        Command::Tracker(args) => tracker::run(args, output),
    }
}

/// Gives how many threads hash.
pub(crate) fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |threads| threads.get())
}
