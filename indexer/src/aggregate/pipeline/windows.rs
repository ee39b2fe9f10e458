//! `MovingFunctions`: functions of the numbers in a window, for scripts.

/// How many arguments a function of `MovingFunctions` has, the window included.
pub(super) fn arity(function: &str) -> Option<usize> {
    Some(match function {
        "max" | "min" | "sum" | "unweightedAvg" | "linearWeightedAvg" => 1,
        "stdDev" | "ewma" => 2,
        "holt" => 3,
        _ => return None,
    })
}

/// Applies one, as Elasticsearch documents it. No number in, no number out, but for a sum.
pub(super) fn apply(function: &str, values: &[f64], arguments: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    let argument = |place: usize| arguments.get(place).copied().unwrap_or(f64::NAN);
    if function == "sum" {
        return known.iter().sum::<f64>() + 0.0;
    }
    if known.is_empty() {
        return f64::NAN;
    }
    let count = known.len() as f64;
    match function {
        "max" => known.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        "min" => known.iter().copied().fold(f64::INFINITY, f64::min),
        "unweightedAvg" => known.iter().sum::<f64>() / count,
        "stdDev" => (known.iter().map(|value| (value - argument(0)).powi(2)).sum::<f64>() / count).sqrt(),
        "linearWeightedAvg" => {
            let weighted: f64 = known.iter().zip(1..).map(|(value, weight)| value * f64::from(weight)).sum();
            // Elasticsearch's sum of weights begins with one.
            weighted / (1.0 + count * (count + 1.0) / 2.0)
        }
        "ewma" => exponential(&known, argument(0)),
        "holt" => holt(&known, argument(0), argument(1)),
        _ => f64::NAN,
    }
}

fn exponential(values: &[f64], alpha: f64) -> f64 {
    let mut values = values.iter().copied();
    let first = values.next().unwrap_or(f64::NAN);
    values.fold(first, |average, value| value * alpha + average * (1.0 - alpha))
}

/// Level and trend, each smoothed; what is answered is the level.
fn holt(values: &[f64], alpha: f64, beta: f64) -> f64 {
    let mut values = values.iter().copied();
    let (mut level, mut trend) = (values.next().unwrap_or(f64::NAN), 0.0);
    for value in values {
        let last = level;
        level = alpha * value + (1.0 - alpha) * (last + trend);
        trend = beta * (level - last) + (1.0 - beta) * trend;
    }
    level
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn functions_as_documented() {
        let values = [1.0, f64::NAN, 2.0, 6.0];
        for (function, arguments, expected) in [
            ("max", &[][..], 6.0),
            ("min", &[], 1.0),
            ("sum", &[], 9.0),
            ("unweightedAvg", &[], 3.0),
            ("stdDev", &[3.0], (14.0_f64 / 3.0).sqrt()),
            ("linearWeightedAvg", &[], 23.0 / 7.0),
            ("ewma", &[0.5], 3.75),
            // Levels 1, 1.5, 3.875; trends 0, 0.25, 1.3125.
            ("holt", &[0.5, 0.5], 3.875),
        ] {
            assert_eq!(apply(function, &values, arguments), expected, "{function}");
        }
        assert_eq!(apply("sum", &[], &[]), 0.0);
        assert!(apply("max", &[], &[]).is_nan());
    }
}
