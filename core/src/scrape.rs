//! Metrics that are made when they are asked for: of things that come and go (topics, groups), so that what is gone
//! is not told for ever.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Series of one collector in one answer: as many lines are some 2 MB, which Prometheus still takes gladly.
const SERIES_MAX: usize = 20_000;

/// Something that has series to tell.
pub trait Collect: Send + Sync {
    /// Adds what there is now.
    fn collect(&self, series: &mut Series);
}

static COLLECTORS: Mutex<Vec<Weak<dyn Collect>>> = Mutex::new(Vec::new());

/// Asks `collector` at every scrape, for as long as it lives.
pub fn collect_on_scrape(collector: &Arc<dyn Collect>) {
    let mut collectors = COLLECTORS.lock().unwrap_or_else(PoisonError::into_inner);
    collectors.retain(|known| known.strong_count() > 0);
    collectors.push(Arc::downgrade(collector));
}

/// What all collectors that live have to tell, in the text exposition format.
pub(crate) fn render(out: &mut String) {
    let collectors: Vec<_> = {
        let collectors = COLLECTORS.lock().unwrap_or_else(PoisonError::into_inner);
        collectors.iter().filter_map(Weak::upgrade).collect()
    };
    // Several of one kind (tests that start many) share their families.
    let mut series = Series::default();
    for collector in collectors {
        series.left = SERIES_MAX;
        collector.collect(&mut series);
    }
    series.write(out);
}

/// How a family is described to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A total that only grows.
    Counter,
    /// A present value.
    Gauge,
    /// Counts up to bounds.
    Histogram,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Series in the making, by families.
#[derive(Debug, Default)]
pub struct Series {
    families: BTreeMap<&'static str, (Kind, String)>,
    left: usize,
    left_out: usize,
}

impl Series {
    /// Adds one series of the family `name`; beyond the bound it is left out and counted.
    pub fn add(&mut self, kind: Kind, name: &'static str, labels: &[(&str, &str)], value: f64) {
        self.line(kind, name, "", labels, value);
    }

    /// Adds a histogram: counts up to each bound, not cumulated, the last of them beyond all bounds; and the sum.
    pub fn add_histogram(
        &mut self,
        name: &'static str,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut total = 0;
        let bounds = bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(counts) {
            total += count;
            let mut labels = labels.to_vec();
            labels.push(("le", &bound));
            self.line(Kind::Histogram, name, "_bucket", &labels, total as f64);
        }
        self.line(Kind::Histogram, name, "_sum", labels, sum);
        self.line(Kind::Histogram, name, "_count", labels, total as f64);
    }

    fn line(&mut self, kind: Kind, name: &'static str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        if self.left == 0 {
            self.left_out += 1;
            return;
        }
        self.left -= 1;
        let (_, text) = self.families.entry(name).or_insert_with(|| (kind, String::new()));
        text.push_str(name);
        text.push_str(suffix);
        for (index, (label, value)) in labels.iter().enumerate() {
            text.push(if index == 0 { '{' } else { ',' });
            text.push_str(label);
            text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        // Writing into text does not fail.
        let _ = writeln!(text, " {value}");
    }

    fn write(mut self, out: &mut String) {
        if self.left_out > 0 {
            self.left = 1;
            self.add(Kind::Gauge, "logmill_series_left_out", &[], self.left_out as f64);
        }
        for (name, (kind, text)) in self.families {
            let _ = writeln!(out, "# TYPE {name} {}", kind.name());
            out.push_str(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_stand_together_and_labels_are_escaped() {
        let mut series = Series { left: 10, ..Series::default() };
        series.add(Kind::Gauge, "b", &[("group", "a\"\\\nb")], 1.5);
        series.add(Kind::Counter, "a_total", &[], 2.0);
        series.add(Kind::Gauge, "b", &[("group", "c"), ("topic", "d")], -1.0);
        let mut out = String::new();
        series.write(&mut out);
        assert_eq!(
            out,
            "# TYPE a_total counter\na_total 2\n# TYPE b gauge\nb{group=\"a\\\"\\\\\\nb\"} 1.5\nb{group=\"c\",topic=\"d\"} -1\n"
        );
    }

    #[test]
    fn histograms_cumulate() {
        let mut series = Series { left: 10, ..Series::default() };
        series.add_histogram("h", &[("api", "x")], &[0.1, 1.0], &[1, 2, 3], 9.5);
        let mut out = String::new();
        series.write(&mut out);
        assert!(out.contains("h_bucket{api=\"x\",le=\"0.1\"} 1\nh_bucket{api=\"x\",le=\"1\"} 3\n"));
        assert!(out.contains("h_bucket{api=\"x\",le=\"+Inf\"} 6\nh_sum{api=\"x\"} 9.5\nh_count{api=\"x\"} 6\n"));
    }

    #[test]
    fn there_is_an_end_and_it_is_said() {
        let mut series = Series { left: 1, ..Series::default() };
        series.add(Kind::Gauge, "a", &[], 1.0);
        series.add(Kind::Gauge, "b", &[], 1.0);
        let mut out = String::new();
        series.write(&mut out);
        assert!(out.contains("logmill_series_left_out 1") && !out.contains("\nb "), "{out}");
    }

    #[test]
    fn who_is_gone_is_not_asked() {
        struct One;
        impl Collect for One {
            fn collect(&self, series: &mut Series) {
                series.add(Kind::Gauge, "test_of_scrape", &[], 7.0);
            }
        }
        let one: Arc<dyn Collect> = Arc::new(One);
        collect_on_scrape(&one);
        let text = || {
            let mut out = String::new();
            render(&mut out);
            out
        };
        assert!(text().contains("test_of_scrape 7"));
        drop(one);
        assert!(!text().contains("test_of_scrape"));
    }
}
