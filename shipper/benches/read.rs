//! How fast the shipper reads and encodes: `cargo bench -p logmill-shipper --features bench`.
//!
//! One file of access-log lines, then a hundred; no bus, no compression.

#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use std::io::Write;

fn main() {
    for (files, lines) in [(1, 2_000_000), (100, 20_000)] {
        let folder = tempfile::tempdir().unwrap();
        for file in 0..files {
            let out = std::fs::File::create(folder.path().join(format!("{file}.log"))).unwrap();
            let mut out = std::io::BufWriter::new(out);
            for line in 0..lines {
                writeln!(
                    out,
                    "203.0.113.{} - - [22/Nov/2026:14:21:58 +0000] \"GET /products/{file}?rid={line:010} HTTP/1.1\" 200 {} \
                     \"https://shop.example.com/\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                    line % 250,
                    line % 50_000,
                )
                .unwrap();
            }
        }
        for round in 0..3 {
            let data = folder.path().join(format!("data{round}"));
            let pattern = format!("{}/*.log", folder.path().display());
            let reading = logmill_shipper::bench::read(&pattern, &data).unwrap();
            let seconds = reading.took.as_secs_f64();
            println!(
                "{files} file(s): {:.0} MB/s, {:.0} events/s ({} events in {seconds:.2} s)",
                reading.bytes as f64 / seconds / 1e6,
                reading.events as f64 / seconds,
                reading.events,
            );
        }
    }
}
