//! Tables of the node and the cluster of one.

use axum::extract::State;
use jiff::Timestamp;
use serde_json::Value;

use super::super::node::{NODE, address, color};
use super::super::nodes;
use super::super::{Answer, Api};
use super::indices::host;
use super::{Asked, Column, column, hidden};

const HEALTH: [Column; 14] = [
    column("epoch", "t,time", "seconds since 1970"),
    column("timestamp", "ts,hms,hhmmss", "time of day in UTC"),
    column("cluster", "cl", "name of the cluster"),
    column("status", "st", "health status"),
    column("node.total", "nt,nodeTotal", "nodes"),
    column("node.data", "nd,nodeData", "nodes that keep data"),
    column("shards", "t,sh,shards.total,shardsTotal", "shards"),
    column("pri", "p,shards.primary,shardsPrimary", "primary shards"),
    column("relo", "r,shards.relocating,shardsRelocating", "shards that move"),
    column("init", "i,shards.initializing,shardsInitializing", "shards that start"),
    column("unassign", "u,shards.unassigned,shardsUnassigned", "shards that are nowhere"),
    column("pending_tasks", "pt,pendingTasks", "changes that wait"),
    column("max_task_wait_time", "mtwt,maxTaskWaitTime", "how long the oldest of them waits"),
    column("active_shards_percent", "asp,activeShardsPercent", "shards that are searched"),
];

pub(super) async fn health(State(api): State<Api>, asked: Asked) -> Answer {
    let now = Timestamp::now();
    let shards = api.store.indices().len().to_string();
    let (epoch, time) = (now.as_second().to_string(), now.strftime("%H:%M:%S").to_string());
    let color = color(api.board.is_ready());
    let row = [&epoch, &time, "logmill", color, "1", "1", &shards, &shards, "0", "0", "0", "0", "-", "100.0%"];
    asked.show(&HEALTH, vec![row.map(str::to_owned).to_vec()])
}

const NODES: [Column; 17] = [
    column("ip", "i", "its address"),
    column("heap.percent", "hp,heapPercent", "share of the heap in use: there is none here"),
    column("ram.percent", "rp,ramPercent", "share of the machine's memory in use"),
    column("cpu", "", "share of the machine's time in use: see load"),
    column("load_1m", "l", "load average of the last minute"),
    column("load_5m", "l", "load average of the last five minutes"),
    column("load_15m", "l", "load average of the last fifteen minutes"),
    column("node.role", "r,role,nodeRole", "data (d), ingest (i), master (m)"),
    column("master", "m", "the elected master has a *"),
    column("name", "n", "its name"),
    hidden("id", "nodeId", "its id"),
    hidden("pid", "p", "its process"),
    hidden("port", "po", "its port"),
    hidden("version", "v", "version of the API that it speaks"),
    hidden("disk.total", "dt,diskTotal", "bytes of its file system"),
    hidden("disk.avail", "d,da,disk,diskAvail", "bytes free in it"),
    hidden("disk.used_percent", "dup,diskUsedPercent", "share of it in use"),
];

pub(super) async fn nodes(State(api): State<Api>, mut asked: Asked) -> Answer {
    asked.params.ignore(&["full_id", "include_unloaded_segments"]);
    let address = address(&api);
    let port = address.rsplit_once(':').map_or("", |(_, port)| port).to_owned();
    let (load, memory, disk) = (nodes::load(), nodes::os_totals(), Disk::of(&api));
    let ram = memory.pointer("/mem/used_percent").map(Value::to_string).unwrap_or_default();
    let [one, five, fifteen] = load.map(|load| format!("{load:.2}"));
    let (pid, total, available) =
        (std::process::id().to_string(), asked.size(disk.total)?, asked.size(disk.available)?);
    let percent = disk.used_percent();
    let version = api.identity.version();
    let row = [
        host(&address),
        "-",
        &ram,
        "-",
        &one,
        &five,
        &fifteen,
        "dim",
        "*",
        NODE,
        NODE,
        &pid,
        &port,
        version,
        &total,
        &available,
        &percent,
    ];
    asked.show(&NODES, vec![row.map(str::to_owned).to_vec()])
}

/// The file system that the store is on.
struct Disk {
    total: u64,
    available: u64,
}

impl Disk {
    fn of(api: &Api) -> Self {
        let told = nodes::disk(api);
        let number = |key: &str| told.get(key).and_then(Value::as_u64).unwrap_or(0);
        Self { total: number("total_in_bytes"), available: number("available_in_bytes") }
    }

    const fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }

    fn used_percent(&self) -> String {
        (self.used() * 100).checked_div(self.total).unwrap_or(0).to_string()
    }
}

const MASTER: [Column; 4] = [
    column("id", "", "id of the master"),
    column("host", "h", "its host"),
    column("ip", "", "its address"),
    column("node", "n", "its name"),
];

pub(super) async fn master(State(api): State<Api>, asked: Asked) -> Answer {
    let address = address(&api);
    let row = [NODE, host(&address), host(&address), NODE].map(str::to_owned).to_vec();
    asked.show(&MASTER, vec![row])
}

const ALLOCATION: [Column; 9] = [
    column("shards", "s", "shards on the node"),
    column("disk.indices", "di,diskIndices", "bytes of their documents"),
    column("disk.used", "du,diskUsed", "bytes in use in the file system"),
    column("disk.avail", "da,diskAvail", "bytes free in it"),
    column("disk.total", "dt,diskTotal", "bytes of it"),
    column("disk.percent", "dp,diskPercent", "share of it in use"),
    column("host", "h", "host of the node"),
    column("ip", "", "address of the node"),
    column("node", "n", "name of the node"),
];

pub(super) async fn allocation(State(api): State<Api>, asked: Asked) -> Answer {
    let (summaries, disk, address) = (api.store.indices(), Disk::of(&api), address(&api));
    let shards = summaries.len().to_string();
    let documents = asked.size(summaries.iter().map(|summary| summary.bytes).sum())?;
    let (used, available, total) = (asked.size(disk.used())?, asked.size(disk.available)?, asked.size(disk.total)?);
    let percent = disk.used_percent();
    let row = [&shards, &documents, &used, &available, &total, percent.as_str(), host(&address), host(&address), NODE];
    asked.show(&ALLOCATION, vec![row.map(str::to_owned).to_vec()])
}

const PLUGINS: [Column; 4] = [
    column("name", "n", "name of the node"),
    column("component", "c", "name of the plugin"),
    column("version", "v", "version of the plugin"),
    hidden("description", "d", "what it does"),
];

/// There are none, and none can be put in.
pub(super) async fn plugins(asked: Asked) -> Answer {
    asked.show(&PLUGINS, Vec::new())
}

const PENDING_TASKS: [Column; 4] = [
    column("insertOrder", "o", "its place"),
    column("timeInQueue", "t", "how long it waits"),
    column("priority", "p", "how urgent it is"),
    column("source", "s", "what it does"),
];

/// What changes the cluster is done before it is answered.
pub(super) async fn pending_tasks(asked: Asked) -> Answer {
    asked.show(&PENDING_TASKS, Vec::new())
}
