//! What the system says of this process.

/// CPU seconds, user and system, of a process or thread.
pub(super) fn cpu_time(stat: &str) -> f64 {
    let line = std::fs::read_to_string(stat).unwrap_or_default();
    // The name may hold spaces; what follows its closing bracket is plain.
    let fields: Vec<&str> = line.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
    // A hundred ticks a second on every Linux that matters.
    (ticks(11) + ticks(12)) / 100.0
}

/// CPU seconds of each thread, by its name.
pub(super) fn threads() -> Vec<(String, f64)> {
    let mut found = std::collections::BTreeMap::<String, f64>::new();
    for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let name = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        *found.entry(name.trim().to_owned()).or_default() += cpu_time(&entry.path().join("stat").to_string_lossy());
    }
    found.into_iter().collect()
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rss {
    pub(super) total: u64,
    /// Without mapped files, which the system takes back when it needs room.
    pub(super) anonymous: u64,
}

impl Rss {
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let of = |key: &str| {
            let line = status.lines().find(|line| line.starts_with(key));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() << 10
        };
        Self { total: of("VmRSS:"), anonymous: of("RssAnon:") }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { total: self.total.max(other.total), anonymous: self.anonymous.max(other.anonymous) }
    }
}
