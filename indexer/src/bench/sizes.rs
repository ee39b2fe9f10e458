//! What the store takes on disk, by kind of file and by index.

use std::collections::BTreeMap;
use std::path::Path;

use super::events::Workload;
use crate::store::Store;

pub(super) fn print(name: &str, folder: &Path, store: &Store, workload: &Workload) {
    let mut kinds = BTreeMap::<String, u64>::new();
    for split in std::fs::read_dir(folder.join("splits")).into_iter().flatten().flatten() {
        for file in std::fs::read_dir(split.path()).into_iter().flatten().flatten() {
            let path = file.path();
            let kind = path.extension().map_or_else(String::new, |kind| kind.to_string_lossy().into_owned());
            *kinds.entry(kind).or_default() += file.metadata().map_or(0, |facts| facts.len());
        }
    }
    let total: u64 = kinds.values().sum();
    let of = |bytes: u64| bytes as f64 / workload.bytes as f64;
    let listed: Vec<String> = kinds.iter().map(|(kind, bytes)| format!("{kind} {:.3}", of(*bytes))).collect();
    println!("{name}: {:.3} of the JSON ({})", of(total), listed.join(", "));
    for index in store.indices() {
        let raw = workload.by_index.get(index.name.as_ref()).copied().unwrap_or_default();
        println!("  {}: {:.3} of {} MB", index.name, index.bytes as f64 / raw.max(1) as f64, raw / 1_000_000);
    }
}
