use std::fmt;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions, PutOptions,
    PutPayload, PutResult,
};

use super::*;
use crate::store::manifest::{SplitFile, SplitMeta};

/// What goes wrong, and when.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Nothing is answered but errors.
    pub(crate) away: AtomicBool,
    /// The so-many-th call from now on fails; 0: none does.
    pub(crate) fail_at: AtomicU64,
    pub(crate) delay_ms: AtomicU64,
    /// Reads so far.
    pub(crate) reads: AtomicU64,
    pub(crate) calls: AtomicU64,
}

impl Faults {
    async fn pass(&self) -> object_store::Result<()> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let delay = self.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let due = self.fail_at.load(Ordering::Relaxed) > 0 && self.fail_at.fetch_sub(1, Ordering::Relaxed) == 1;
        if due || self.away.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic { store: "faulty", source: "told to fail".into() });
        }
        Ok(())
    }
}

/// A folder whose calls fail when they are told to.
#[derive(Debug)]
struct Faulty {
    inner: LocalFileSystem,
    faults: Arc<Faults>,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Key, payload: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.faults.pass().await?;
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Key,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Key, options: GetOptions) -> object_store::Result<GetResult> {
        self.faults.pass().await?;
        self.faults.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        names: BoxStream<'static, object_store::Result<Key>>,
    ) -> BoxStream<'static, object_store::Result<Key>> {
        let (faults, inner) = (self.faults.clone(), self.inner.clone());
        names
            .then(move |name| {
                let (faults, inner) = (faults.clone(), inner.clone());
                async move {
                    faults.pass().await?;
                    let name = name?;
                    inner.delete(&name).await?;
                    Ok(name)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Key>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (faults, listed) = (self.faults.clone(), self.inner.list(prefix));
        futures::stream::once(async move { faults.pass().await })
            .map_ok(move |()| ())
            .chain(futures::stream::empty())
            .filter_map(|passed| std::future::ready(passed.err().map(Err)))
            .chain(listed)
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Key>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Key, to: &Key, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A folder as an object store that fails when it is told to.
pub(crate) fn faulty(folder: &Path) -> (Objects, Arc<Faults>) {
    std::fs::create_dir_all(folder).unwrap();
    let inner = LocalFileSystem::new_with_prefix(folder).unwrap().with_automatic_cleanup(true);
    let faults: Arc<Faults> = Arc::default();
    let store = Faulty { inner, faults: faults.clone() };
    (Objects::over(Arc::new(store), "pre/fix", "faulty:".to_owned()).unwrap(), faults)
}

pub(crate) fn split(folder: &Path, sizes: &[usize]) -> SplitMeta {
    std::fs::create_dir_all(folder).unwrap();
    let mut files = Vec::new();
    for (number, size) in sizes.iter().enumerate() {
        let bytes: Vec<u8> = (0..*size).map(|place| (place * 31 + number) as u8).collect();
        let name = format!("file-{number}.x");
        std::fs::write(folder.join(&name), &bytes).unwrap();
        files.push(SplitFile { name, bytes: *size as u64, crc32c: crc32c::crc32c(&bytes) });
    }
    SplitMeta {
        id: 1,
        docs: 1,
        bytes: 1,
        oldest_ns: 0,
        newest_ns: 0,
        files,
        deleted: vec![],
        deleted_since_ms: None,
        gone: vec![],
        sealed: true,
        arrived_ms: 0,
        cold: None,
    }
}

#[test]
fn a_split_comes_back_as_it_went_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, faults) = faulty(&folder.path().join("objects"));
    let piece = PIECE_BYTES as usize;
    let meta = split(&folder.path().join("split"), &[0, 1, piece, piece + 1]);
    let yes = &|| true;
    let calls = |work: &dyn Fn() -> Result<u64, ObjectError>| {
        let before = faults.calls.load(Ordering::Relaxed);
        work().unwrap();
        faults.calls.load(Ordering::Relaxed) - before
    };
    let upload = || upload_split(&objects, "s/1", &folder.path().join("split"), &meta, yes);
    let made = calls(&upload);
    assert_eq!(made, 10, "five pieces are written and read back");
    assert!(holds_split(&objects, "s/1", &meta).unwrap());
    assert!(!holds_split(&objects, "s/2", &meta).unwrap());
    let to = folder.path().join("back");
    let fetch = || fetch_split(&objects, "s/1", &meta, &to, yes);
    let reads = calls(&fetch);
    for file in &meta.files {
        assert_eq!(crate::store::manifest::checksum(&to.join(&file.name)).unwrap(), (file.crc32c, file.bytes));
    }
    for at in 1..=made {
        faults.fail_at.store(at, Ordering::Relaxed);
        assert!(matches!(upload(), Err(ObjectError::Away { .. })), "{at}");
    }
    upload().unwrap();
    std::fs::remove_dir_all(&to).unwrap();
    for at in 1..=reads {
        faults.fail_at.store(at, Ordering::Relaxed);
        assert!(matches!(fetch(), Err(ObjectError::Away { .. })) && !to.exists(), "{at}");
    }
    // A changed byte on the way in, and there.
    let path = folder.path().join("split/file-1.x");
    std::fs::write(&path, b"?").unwrap();
    assert!(matches!(upload(), Err(ObjectError::Damaged(_))));
    assert!(matches!(fetch(), Err(ObjectError::Damaged(_))));
    assert!(!to.exists() && !folder.path().join("back.tmp").exists());
    delete_split(&objects, "s/1").unwrap();
    assert_eq!(objects.list("s").unwrap(), []);
    assert!(matches!(fetch(), Err(ObjectError::Missing(_))));
}

#[test]
fn whoever_waits_can_go_and_a_dead_store_is_not_asked_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, faults) = faulty(folder.path());
    objects.put("a", Bytes::from_static(b"0123456789"), &|| true).unwrap();
    assert_eq!(objects.read("a", 2..5, &|| true).unwrap(), "234");
    faults.delay_ms.store(60_000, Ordering::Relaxed);
    let began = Instant::now();
    assert!(matches!(objects.read("a", 0..1, &|| false), Err(ObjectError::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(5));
    faults.delay_ms.store(0, Ordering::Relaxed);
    faults.away.store(true, Ordering::Relaxed);
    assert!(matches!(objects.read("a", 0..1, &|| true), Err(ObjectError::Away { .. })));
    let calls = faults.calls.load(Ordering::Relaxed);
    for _ in 0..50 {
        assert!(matches!(objects.read("a", 0..1, &|| true), Err(ObjectError::Away { .. })));
    }
    assert_eq!(faults.calls.load(Ordering::Relaxed), calls);
}

#[test]
fn whoever_went_before_an_answer_has_not_found_a_dead_store_alive() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, faults) = faulty(folder.path());
    let long_ago = Instant::now().checked_sub(AWAY_FOR).unwrap();
    *objects.away_since() = Some((long_ago, "dead".to_owned()));
    faults.delay_ms.store(60_000, Ordering::Relaxed);
    assert!(matches!(objects.read("a", 0..1, &|| false), Err(ObjectError::Cancelled)));
    assert_eq!(*objects.away_since(), Some((long_ago, "dead".to_owned())));
    faults.delay_ms.store(0, Ordering::Relaxed);
    assert!(matches!(objects.read("a", 0..1, &|| true), Err(ObjectError::Missing(_))));
    assert_eq!(*objects.away_since(), None, "who says that there is nothing is there");
}

#[test]
fn many_steps_may_take_longer_than_one() {
    let folder = tempfile::tempdir().unwrap();
    let (objects, _) = faulty(folder.path());
    let run = |alive: Arc<AtomicBool>, shown: Arc<AtomicBool>| {
        objects.wait_alive("a", Duration::from_millis(600), &|| true, &alive, async move {
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                shown.store(true, Ordering::Release);
            }
            Ok(())
        })
    };
    let alive: Arc<AtomicBool> = Arc::default();
    assert!(run(alive.clone(), alive).is_ok());
    assert!(matches!(run(Arc::default(), Arc::default()), Err(ObjectError::Away { .. })));
}

#[test]
fn names_of_buckets_are_checked_and_hosts_carry_them() {
    for (url, fine) in [("s3://logs", true), ("s3://Logs", false), ("s3://a", false), ("gs://logs", false)] {
        assert_eq!(Objects::at_url(url, &S3::default()).is_ok(), fine, "{url}");
    }
}
