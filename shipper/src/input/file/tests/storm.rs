//! Random writing, rotating, killing; then every line once.

use super::*;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// One log with its rotated files, `.1` the youngest.
struct Log {
    name: String,
    rotated: usize,
    copytruncate: bool,
    gzip: bool,
    half: bool,
}

struct Storm {
    machine: Machine,
    random: Random,
    next: usize,
    written: Vec<String>,
}

impl Storm {
    /// Some steps of the shipper and of the bus between any two actions of the writer.
    fn meanwhile(&mut self) {
        for _ in 0..self.random.below(5) {
            match self.random.below(20) {
                0 => {
                    let stored = self.random.below(4);
                    for _ in 0..stored {
                        self.machine.bus.0.lock().store(false);
                    }
                    self.machine.restart();
                }
                1 => self.machine.kill(),
                2 => self.refuse(),
                3..6 => {
                    let full = self.random.below(2) == 0;
                    self.machine.bus.0.lock().full = full;
                }
                _ => {
                    if self.machine.tail.is_none() && self.random.below(3) == 0 {
                        self.machine.start();
                    }
                    let ms = self.random.below(400);
                    self.machine.step(ms);
                    for _ in 0..self.random.below(8) {
                        self.machine.bus.0.lock().store(true);
                    }
                }
            }
        }
    }

    fn refuse(&mut self) {
        let mut memory = self.machine.bus.0.lock();
        if let Some(first) = memory.queue.pop_front() {
            memory.queue.clear();
            memory.answers.push(Answer { number: first.number, source: first.source, refused: Some("no".into()) });
        }
    }

    fn line(&mut self) -> String {
        self.next += 1;
        let filler = "abcdefgh ".repeat(self.random.below(30) as usize);
        let line = format!("{:07} {filler}", self.next);
        self.written.push(line.clone());
        line
    }

    fn append(&mut self, log: &mut Log) {
        let mut text = String::new();
        if log.half {
            text.push_str(" the rest\n");
            if let Some(line) = self.written.iter_mut().rev().find(|line| line.ends_with("half of")) {
                line.push_str(" the rest");
            }
            log.half = false;
        }
        for _ in 0..self.random.below(30) {
            text += &(self.line() + "\n");
        }
        if self.random.below(6) == 0 {
            self.next += 1;
            let line = format!("{:07} half of", self.next);
            text += &line;
            // Only one log has a half line at a time, so that its rest is found by its end.
            self.written.push(line);
            log.half = true;
        }
        self.machine.write(&log.name, text);
    }

    fn end_half(&mut self, log: &mut Log) {
        if log.half {
            self.machine.write(&log.name, " the rest\n");
            if let Some(line) = self.written.iter_mut().rev().find(|line| line.ends_with("half of")) {
                line.push_str(" the rest");
            }
            log.half = false;
        }
    }

    fn rotate(&mut self, log: &mut Log) {
        self.end_half(log);
        if !self.machine.path(&log.name).exists() {
            return;
        }
        for number in (1..=log.rotated).rev() {
            for end in ["", ".gz"] {
                let (from, to) = (format!("{}.{number}{end}", log.name), format!("{}.{}{end}", log.name, number + 1));
                if self.machine.path(&from).exists() {
                    self.machine.rename(&from, &to);
                    self.meanwhile();
                    if log.gzip && end.is_empty() {
                        self.compress(&to);
                    }
                }
            }
        }
        log.rotated += 1;
        let first = format!("{}.1", log.name);
        if log.copytruncate {
            self.copy(&log.name, &first);
            self.machine.truncate(&log.name);
        } else {
            self.machine.rename(&log.name, &first);
            self.meanwhile();
            self.machine.write(&log.name, "");
        }
    }

    fn copy(&mut self, from: &str, to: &str) {
        let bytes = std::fs::read(self.machine.path(from)).unwrap();
        self.machine.write(to, "");
        let pieces = 1 + self.random.below(3) as usize;
        for piece in bytes.chunks((bytes.len() / pieces).max(1)) {
            self.meanwhile();
            self.machine.write(to, piece);
        }
        self.meanwhile();
    }

    fn compress(&mut self, name: &str) {
        let bytes = self.machine.gzip(name);
        let packed = format!("{name}.gz");
        let pieces = 1 + self.random.below(3) as usize;
        for piece in bytes.chunks((bytes.len() / pieces).max(1)) {
            self.machine.write(&packed, piece);
            self.meanwhile();
        }
        self.machine.remove(name);
        self.meanwhile();
    }
}

fn storm(seed: u64) {
    let mut random = Random(seed);
    let mut machine = Machine::new("*.log*");
    machine.open_max = if random.below(3) == 0 { 4 } else { 64 };
    machine.restart();
    let mut logs: Vec<_> = (0..1 + random.below(3))
        .map(|number| Log {
            name: format!("app{number}.log"),
            rotated: 0,
            copytruncate: random.below(2) == 0,
            gzip: random.below(2) == 0,
            half: false,
        })
        .collect();
    let mut storm = Storm { machine, random, next: 0, written: Vec::new() };
    for _ in 0..30 + storm.random.below(60) {
        let index = storm.random.below(logs.len() as u64) as usize;
        for other in logs.iter_mut() {
            storm.end_half(other);
        }
        let log = &mut logs[index];
        if storm.random.below(5) == 0 {
            storm.rotate(log);
        } else {
            storm.append(log);
        }
        storm.meanwhile();
    }
    for log in &mut logs {
        storm.end_half(log);
    }
    storm.machine.bus.0.lock().full = false;
    if storm.machine.tail.is_none() {
        storm.machine.start();
    }
    storm.machine.run(60);
    storm.machine.restart();
    storm.machine.run(20);
    check(seed, &storm);
}

fn check(seed: u64, storm: &Storm) {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for message in storm.machine.messages() {
        *found.entry(message).or_default() += 1;
    }
    let lost: Vec<_> = storm.written.iter().filter(|line| !found.contains_key(*line)).collect();
    let doubled: Vec<_> = found.iter().filter(|(_, times)| **times > 1).collect();
    let strange: Vec<_> = found.keys().filter(|line| !storm.written.contains(line)).collect();
    assert!(
        lost.is_empty() && doubled.is_empty() && strange.is_empty(),
        "seed {seed}: of {} lines {} lost, {} doubled, {} strange; first lost {:?}, doubled {:?}, strange {:?}",
        storm.written.len(),
        lost.len(),
        doubled.len(),
        strange.len(),
        lost.first(),
        doubled.first(),
        strange.first(),
    );
}

#[test]
fn every_line_once() {
    let seeds = std::env::var("STORM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let first: u64 = std::env::var("STORM_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for seed in first..first + seeds {
        storm(seed);
    }
}
