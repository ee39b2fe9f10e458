//! Running statistics of numbers.

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stats {
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) sum_of_squares: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) kind: ValueKind,
    /// What rounding took from the sum, and from the sum of squares (Kahan).
    carry: f64,
    carry_of_squares: f64,
}

/// What numbers stand for, as far as writing them goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ValueKind {
    #[default]
    Number,
    Boolean,
    /// Milliseconds since 1970.
    Date,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            count: 0,
            sum: 0.0,
            sum_of_squares: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            kind: ValueKind::Number,
            carry: 0.0,
            carry_of_squares: 0.0,
        }
    }
}

impl Stats {
    #[inline]
    pub(super) fn add(&mut self, value: f64) {
        self.count += 1;
        add(&mut self.sum, &mut self.carry, value);
        add(&mut self.sum_of_squares, &mut self.carry_of_squares, value * value);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.count += other.count;
        add(&mut self.sum, &mut self.carry, other.sum);
        add(&mut self.sum_of_squares, &mut self.carry_of_squares, other.sum_of_squares);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if self.kind == ValueKind::Number {
            self.kind = other.kind;
        }
    }

    pub(super) fn avg(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// Squared distances from the mean; rounding must not make them negative.
    fn squares(&self) -> f64 {
        (self.sum_of_squares - self.sum * self.avg()).max(0.0)
    }

    pub(super) fn variance_population(&self) -> f64 {
        self.squares() / self.count as f64
    }

    /// No number when there is only one value.
    pub(super) fn variance_sampling(&self) -> f64 {
        if self.count < 2 { f64::NAN } else { self.squares() / (self.count - 1) as f64 }
    }
}

fn add(sum: &mut f64, carry: &mut f64, value: f64) {
    let corrected = value - *carry;
    let new = *sum + corrected;
    *carry = (new - *sum) - corrected;
    *sum = new;
}
