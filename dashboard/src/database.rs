//! The dashboard's own database: one SQLite file. Only this crate knows it, and only through [`Database::call`],
//! which keeps its blocking away from the threads that serve requests.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

/// The tables, one step a version: step `n` brings a file from version `n` to `n + 1`. Steps are never edited
/// once released; a new one is added.
const MIGRATIONS: [&str; 1] = [include_str!("database/1.sql")];

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file can't be opened or prepared.
    #[error("can't open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// A newer program has written the file.
    #[error("{} has format {found}, and this program knows formats up to {known}: use the newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// A statement failed.
    #[error("the dashboard's database: {0}")]
    Statement(#[from] rusqlite::Error),
    /// A stored value can't be understood.
    #[error("the dashboard's database holds a {what} that can't be read: {reason}")]
    Value {
        /// What it is.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// The work was cut off by the end of the program.
    #[error("the program is stopping")]
    Stopping,
}

/// The database. Cloning shares it.
#[derive(Clone, Debug)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

impl Database {
    /// Opens the file, making or upgrading it.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let open = |source| DatabaseError::Open { path: path.to_owned(), source };
        restrict(path).map_err(|error| open(rusqlite::Error::ToSqlConversionFailure(Box::new(error))))?;
        let mut connection = Connection::open(path).map_err(open)?;
        // WAL with full syncs: what was committed survives a loss of power, readers don't wait.
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;",
            )
            .map_err(open)?;
        migrate(&mut connection, path)?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` in one transaction on a thread that may block; what it returns is committed first.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock();
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answer = work(&transaction)?;
            transaction.commit()?;
            Ok(answer)
        });
        done.await.map_err(|_| DatabaseError::Stopping)?
    }

    /// As [`call`](Self::call) for what only reads.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let connection = self.0.clone();
        tokio::task::spawn_blocking(move || work(&connection.lock())).await.map_err(|_| DatabaseError::Stopping)?
    }
}

/// The file holds password hashes and webhook secrets: nobody else on the machine may read it.
fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    use std::os::unix::fs::PermissionsExt as _;
    let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), DatabaseError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = MIGRATIONS.len() as i64;
    if found > known {
        return Err(DatabaseError::Newer { path: path.to_owned(), found, known });
    }
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// Milliseconds since 1970, as times are stored.
pub(crate) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A stored time as RFC 3339.
pub(crate) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_made_reopened_and_kept_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dashboard.db");
        let first = Database::open(&path).unwrap();
        first
            .call(|db| Ok(db.execute("INSERT INTO settings (key, value) VALUES ('a', x'01')", []).map(drop)?))
            .await
            .unwrap();
        drop(first);
        let again = Database::open(&path).unwrap();
        let kept: Vec<u8> = again
            .read(|db| Ok(db.query_row("SELECT value FROM settings WHERE key = 'a'", [], |row| row.get(0))?))
            .await
            .unwrap();
        assert_eq!(kept, [1]);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_failed_transaction_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::open(&folder.path().join("d.db")).unwrap();
        let failed = db
            .call(|db| {
                db.execute("INSERT INTO settings (key, value) VALUES ('a', x'01')", [])?;
                db.execute("INSERT INTO settings (key, value) VALUES ('a', x'02')", [])?;
                Ok(())
            })
            .await;
        assert!(failed.is_err());
        let count: i64 =
            db.read(|db| Ok(db.query_row("SELECT count(*) FROM settings", [], |row| row.get(0))?)).await.unwrap();
        assert_eq!(count, 0);
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.db");
        drop(Database::open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let refused = Database::open(&path);
        assert!(matches!(refused, Err(DatabaseError::Newer { found: 99, .. })), "{refused:?}");
    }
}
