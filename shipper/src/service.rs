//! The stage: a reader on a thread of its own, everything that waits for the network around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use logmill_bus_client::{Admin, Connection};
use logmill_core::retry::Backoff;
use logmill_core::{Shutdown, Stage, StatusBoard, topics};

use crate::checkpoint::{Checkpoint, CheckpointError, Found};
use crate::config::{Config, Input};
use crate::input::file::discover::{Pattern, Wanted};
use crate::input::file::watch::Watch;
use crate::input::file::{FileInput, Moment, Settings, Tail, file_input, regexes};
use crate::output::BusOutput;

/// Without news every open file is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// News come in crowds: so long they are collected, which is also how long a line waits for others at most.
const GATHER: Duration = Duration::from_millis(5);
/// Without notifications, new files are looked for so often.
const BLIND_SCAN: Duration = Duration::from_secs(1);
/// The board is brought up to date so often.
const BOARD_EVERY: Duration = Duration::from_secs(1);
/// A shutdown waits so long for acknowledgements; what has none by then is sent again after the start.
const DRAIN: Duration = Duration::from_secs(3);
/// The bus is asked so long for the topic before it counts as away.
const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The shipper could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The checkpoint can't be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The machine gives no thread.
    #[error("can't start a thread: {0}")]
    Thread(std::io::Error),
}

/// The shipper ended badly.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The reader is gone.
    #[error("the reader stopped: {0}")]
    Reader(String),
}

/// The stage.
pub struct Service {
    config: Config,
    bus: Connection,
    board: Arc<StatusBoard>,
    checkpoint: (Checkpoint, Found),
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Service")
    }
}

impl Service {
    /// Opens the checkpoint. A bus that is away is no error: files are their own buffer.
    ///
    /// # Errors
    /// When the checkpoint is damaged, or in use by another shipper.
    #[expect(clippy::unused_async, reason = "all stages are built alike")]
    pub async fn build(config: Config, bus: Connection, stage: Stage) -> Result<Self, BuildError> {
        let checkpoint = Checkpoint::open(&stage.data_dir.join("checkpoint"))?;
        Ok(Self { config, bus, board: stage.board, checkpoint })
    }

    /// Reads and sends until asked to stop, then waits a moment for what is under way.
    ///
    /// # Errors
    /// When the reader's thread ends early.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { config, bus, board, checkpoint } = self;
        let connected = Arc::new(AtomicBool::new(false));
        let connecting = connect(bus.clone(), config.topic.clone(), board.clone(), connected.clone());
        let connecting = tokio::spawn(connecting);
        let (wake, woken) = sync_channel(1);
        let giving_up = Shutdown::new();
        let queue = usize::try_from(config.queue_size.0).unwrap_or(usize::MAX);
        let output = BusOutput::new(
            &bus,
            &config.topic,
            config.compression,
            queue,
            wake.clone(),
            giving_up.clone(),
            board.clone(),
        );
        let host = config.host.clone().unwrap_or_else(logmill_core::stage::host_name);
        let inputs = config.inputs.iter().map(|Input::Filestream(files)| {
            let patterns = files.paths.iter().filter_map(|path| Pattern::new(path).ok()).collect();
            let (include, exclude) = (regexes(&files.include_files), regexes(&files.exclude_files));
            file_input(files, &host, Wanted { patterns, include, exclude })
        });
        let reader = Reader {
            inputs: inputs.collect(),
            settings: settings(&config),
            board: board.clone(),
            connected,
            shutdown: shutdown.clone(),
            woken,
            wake: wake.clone(),
        };
        let (ended, end) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("shipper".to_owned()).spawn(move || {
            reader.run(output, checkpoint);
            let _ = ended.send(());
        });
        let thread = thread.map_err(|error| RunError::Reader(error.to_string()))?;
        let mut end = end;
        let ended_early = tokio::select! {
            () = shutdown.wait() => false,
            _ = &mut end => true,
        };
        let _ = wake.try_send(());
        if !ended_early {
            // The drain is over by then unless the reader is stuck in a full queue.
            if tokio::time::timeout(DRAIN + Duration::from_secs(1), &mut end).await.is_err() {
                giving_up.trigger();
                let _ = end.await;
            }
        }
        connecting.abort();
        board.set_ready(false);
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(())) if !ended_early => Ok(()),
            Ok(Ok(())) => Err(RunError::Reader("it ended by itself".to_owned())),
            _ => Err(RunError::Reader("it panicked".to_owned())),
        }
    }
}

fn settings(config: &Config) -> Settings {
    let scan = config.inputs.iter().map(|Input::Filestream(files)| files.scan_frequency.0).min();
    let scan = scan.unwrap_or(Duration::from_secs(10));
    Settings {
        scan_ms: u64::try_from(scan.as_millis()).unwrap_or(u64::MAX),
        open_max: config.max_open_files,
        forget_after_s: config.forget_after.0.as_secs(),
    }
}

/// Has the topic made, and says on the board whether the bus is there.
async fn connect(bus: Connection, topic: String, board: Arc<StatusBoard>, connected: Arc<AtomicBool>) {
    let mut backoff = Backoff::default();
    loop {
        let made = match Admin::new(&bus, ADMIN_TIMEOUT) {
            Ok(admin) => admin.ensure_topics(&[(topic.as_str(), topics::DEFAULT_PARTITIONS)]).await,
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => {
                board.set_problem("bus", None);
                connected.store(true, Ordering::Release);
                return;
            }
            Err(error) => {
                board.set_problem("bus", Some(error.to_string()));
                tracing::debug!(%error, "the bus is away");
            }
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

/// What the reader's thread is made of.
struct Reader {
    inputs: Vec<FileInput>,
    settings: Settings,
    board: Arc<StatusBoard>,
    /// The bus was there once, and has the topic.
    connected: Arc<AtomicBool>,
    shutdown: Shutdown,
    woken: Receiver<()>,
    wake: SyncSender<()>,
}

impl Reader {
    fn run(self, output: BusOutput, checkpoint: (Checkpoint, Found)) {
        let begin = Instant::now();
        let moment = || Moment {
            ms: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall: jiff::Timestamp::now(),
        };
        let mut watch = Watch::new(self.wake);
        let mut tail = Tail::new(self.inputs, self.settings, output, checkpoint, self.board.clone(), &moment());
        let (mut scans, mut sighted) = (0, true);
        let (mut board_due, mut blind_due) = (begin, begin + BLIND_SCAN);
        while !self.shutdown.requested() {
            let now = moment();
            let news = watch.news();
            for path in &news.paths {
                tail.hint(path, &now);
            }
            if news.scan || !sighted && Instant::now() >= blind_due {
                blind_due = Instant::now() + BLIND_SCAN;
                tail.scan_soon(&now);
            }
            let busy = tail.step(&now);
            if tail.scans() != scans {
                scans = tail.scans();
                sighted = watch.follow(tail.folders());
            }
            if !self.board.is_ready() && self.connected.load(Ordering::Acquire) {
                self.board.set_ready(true);
            }
            if Instant::now() >= board_due {
                board_due = Instant::now() + BOARD_EVERY;
                tail.report_status(&now);
            }
            if busy {
                continue;
            }
            match self.woken.recv_timeout(LOOK_EVERY) {
                Ok(()) => std::thread::sleep(GATHER),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let until = Instant::now() + DRAIN;
        while !tail.settled() && Instant::now() < until {
            tail.take_answers(&moment());
            std::thread::sleep(GATHER);
        }
        tail.finish(&moment());
        tail.report_status(&moment());
    }
}
