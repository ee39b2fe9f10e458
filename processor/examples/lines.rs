//! Runs a pipeline (the built-in one without an argument) on the lines of standard input; events go to standard output.

use std::io::{BufRead as _, Write as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args().nth(1).map(std::path::PathBuf::from);
    let mut trial = logmill_processor::Trial::load(file.as_deref())?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().split(b'\n') {
        for output in trial.run(&line?) {
            write!(out, "{} {} ", output.topic, output.index)?;
            out.write_all(&output.value)?;
            out.write_all(b"\n")?;
        }
    }
    Ok(())
}
