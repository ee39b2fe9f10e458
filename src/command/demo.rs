//! `logmill demo`: the whole chain on a realistic workload, kept apart from real data.

use std::process::ExitCode;

use logmill_core::Shutdown;
use serde_json::json;

use crate::cli::Demo;
use crate::config::{Config, DataDir};

/// Runs the demo until it is asked to stop.
pub(crate) async fn run(mut config: Config, options: &Demo) -> anyhow::Result<ExitCode> {
    let data = config.data.0.join("demo");
    let logs = std::path::absolute(data.join("logs"))?;
    config.data = DataDir(data);
    config.dashboard.demo = true;
    let files = |name: &str| vec![format!("{}/{name}/*.log*", logs.display())];
    if config.shipper.inputs.is_empty() {
        // A trace belongs to the line before it that begins with a date.
        let traces = json!({ "pattern": r"^\d{4}-\d{2}-\d{2} ", "negate": true, "match": "after" });
        config.shipper.inputs = serde_json::from_value(json!([
            { "type": "filestream", "id": "nginx", "paths": files("nginx"), "fields": { "service": { "name": "nginx" } }, "fields_under_root": true },
            { "type": "filestream", "id": "shop", "paths": files("shop"), "multiline": traces, "fields": { "service": { "name": "shop" } }, "fields_under_root": true },
            { "type": "filestream", "id": "payments", "paths": files("payments") },
            { "type": "filestream", "id": "syslog", "paths": files("syslog") },
            { "type": "filestream", "id": "gateway", "paths": files("gateway") },
        ]))?;
    }
    let workload = logmill_generate::Config { out: logs, rate: options.rate, ..config.generate.clone() };
    let writing = Shutdown::new();
    let generator = tokio::spawn(logmill_generate::Service::build(workload).run(writing.clone()));
    let outcome = super::up::run_chain(&config).await;
    writing.trigger();
    generator.await??;
    outcome
}
