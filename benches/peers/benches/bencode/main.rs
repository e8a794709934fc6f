//! Bencode: what a client reads of a torrent and of three DHT messages, and the same written, by six crates.
//!
//! Each reads by the fastest way that it offers without giving up its checks, borrows what it can, and gives the same summary, which is
//! asserted before anything is timed. Nobody has to build a list that nobody wants: the serde crates fold lists as they come. `bip` reads
//! by its bencode cursor, and `bip krpc` (of messages) by what its DHT takes them by. Time is that of the thread on a processor.

mod clock;
mod decode;
mod encode;
mod input;

use clock::CpuTime;
use criterion::Criterion;
use std::hint::black_box;
use std::time::Duration;

fn decoding(criterion: &mut Criterion<CpuTime>) {
    let torrent = input::torrent();
    let mut group = criterion.benchmark_group("decode torrent");
    let expected = decode::TORRENT[0].1(&torrent);
    assert_eq!(expected.files, 20_000);
    for (name, read) in decode::TORRENT {
        assert_eq!(read(&torrent), expected, "{name}");
        group.bench_function(*name, |b| b.iter(|| read(black_box(&torrent))));
    }
    group.finish();
    for (message, source) in input::messages() {
        let mut group = criterion.benchmark_group(format!("decode {message}"));
        let expected = decode::MESSAGE[0].1(&source);
        for (name, read) in decode::MESSAGE {
            assert_eq!(read(&source), expected, "{name}");
            group.bench_function(*name, |b| b.iter(|| read(black_box(&source))));
        }
        group.finish();
    }
}

fn encoding(criterion: &mut Criterion<CpuTime>) {
    let mut out = Vec::new();
    let torrent = input::torrent();
    let model = encode::Torrent::new();
    let tree = encode::lava(&torrent);
    let mut group = criterion.benchmark_group("encode torrent");
    for (name, write) in encode::TORRENT {
        out.clear();
        write(&model, &tree, &mut out);
        assert!(out == torrent, "{name}");
        group.bench_function(*name, |b| {
            b.iter(|| {
                out.clear();
                write(black_box(&model), &tree, &mut out);
                out.len()
            });
        });
    }
    group.finish();
    for (message, source) in input::messages() {
        let model = encode::Message::new(&source);
        let tree = encode::lava(&source);
        let mut group = criterion.benchmark_group(format!("encode {message}"));
        for (name, write) in encode::MESSAGE {
            out.clear();
            write(&model, &tree, &mut out);
            assert!(out == source, "{name}");
            group.bench_function(*name, |b| {
                b.iter(|| {
                    out.clear();
                    write(black_box(&model), &tree, &mut out);
                    out.len()
                });
            });
        }
        group.finish();
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .configure_from_args();
    decoding(&mut criterion);
    encoding(&mut criterion);
    criterion.final_summary();
}
