//! Finds the files that an input's patterns match. A folder that can't be read is reported, never taken for empty.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use regex::bytes::Regex;

use super::identity::{FileKey, Stamp};

/// `**` goes so deep, as Filebeat's does.
const DEPTH_MAX: usize = 8;
/// Compressed in ways that are not read; their lines were, before they were compressed.
const UNREAD_ENDINGS: [&str; 5] = ["zst", "xz", "bz2", "zip", "lz4"];

/// One pattern, cut at its slashes so that only folders that can match are looked into.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Name(String),
    Glob(GlobMatcher),
    AnyDepth,
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self, globset::Error> {
        let part = |text: &str| match text {
            "**" => Ok(Part::AnyDepth),
            _ if text.contains(['*', '?', '[', '{', '\\']) => {
                let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build()?;
                Ok(Part::Glob(glob.compile_matcher()))
            }
            _ => Ok(Part::Name(text.to_owned())),
        };
        // Alternatives may hold slashes (`{a/b,c}`): such a pattern can't be cut, and globset refuses the halves.
        let parts = text.split('/').filter(|text| !text.is_empty()).map(part).collect::<Result<_, _>>()?;
        Ok(Self { parts })
    }
}

/// Which files an input reads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) include: Vec<Regex>,
    pub(crate) exclude: Vec<Regex>,
}

/// A file that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) key: FileKey,
    pub(crate) stamp: Stamp,
}

/// What a look through the patterns brought.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) files: Vec<Found>,
    /// The folders that were looked into: a new file would appear in one of them.
    pub(crate) folders: HashSet<PathBuf>,
    /// What could not be looked at. Absent files are not known to be gone then.
    pub(crate) errors: Vec<(PathBuf, io::Error)>,
    keys: HashSet<FileKey>,
}

impl Wanted {
    /// Looks through all patterns and adds what is new to `scan`.
    pub(crate) fn scan(&self, scan: &mut Scan) {
        for pattern in &self.patterns {
            self.walk(PathBuf::from("/"), &pattern.parts, DEPTH_MAX, scan);
        }
    }

    fn walk(&self, at: PathBuf, parts: &[Part], depth: usize, scan: &mut Scan) {
        let Some((part, rest)) = parts.split_first() else { return self.file(at, scan) };
        match part {
            Part::Name(name) => {
                let next = at.join(name);
                if rest.is_empty() {
                    // The file may not be there yet.
                    scan.folders.insert(at);
                } else if !next.is_dir() {
                    scan.folders.extend(at.is_dir().then_some(at));
                    return;
                }
                self.walk(next, rest, depth, scan);
            }
            Part::Glob(glob) => {
                for (path, name) in list(&at, scan) {
                    if glob.is_match(&name) && (rest.is_empty() || path.is_dir()) {
                        self.walk(path, rest, depth, scan);
                    }
                }
            }
            Part::AnyDepth => {
                if rest.is_empty() {
                    for (path, _) in list(&at, scan) {
                        if path.is_file() {
                            self.file(path, scan);
                        }
                    }
                } else {
                    self.walk(at.clone(), rest, depth, scan);
                }
                if depth > 0 {
                    for (path, _) in list(&at, scan) {
                        // Links to folders could lead back up; the depth bounds them, and files are met once.
                        if path.is_dir() && !path.is_symlink() {
                            self.walk(path, parts, depth - 1, scan);
                        }
                    }
                }
            }
        }
    }

    fn file(&self, path: PathBuf, scan: &mut Scan) {
        let name = path.as_os_str().as_encoded_bytes();
        let included = self.include.is_empty() || self.include.iter().any(|pattern| pattern.is_match(name));
        let unread = path.extension().is_some_and(|end| UNREAD_ENDINGS.iter().any(|unread| end == *unread));
        if !included || unread || self.exclude.iter().any(|pattern| pattern.is_match(name)) {
            return;
        }
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.ino() != 0 => {
                let key = FileKey::of(&meta);
                // Several links, or several inputs: the first one reads it.
                if scan.keys.insert(key) {
                    scan.files.push(Found { path, key, stamp: Stamp::of(&meta) });
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => scan.errors.push((path, error)),
        }
    }
}

fn list(folder: &Path, scan: &mut Scan) -> Vec<(PathBuf, std::ffi::OsString)> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            let absent = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            if !absent {
                scan.errors.push((folder.to_owned(), error));
            }
            return Vec::new();
        }
    };
    scan.folders.insert(folder.to_owned());
    let mut names = Vec::new();
    for entry in entries {
        match entry {
            Ok(entry) => names.push((entry.path(), entry.file_name())),
            Err(error) => scan.errors.push((folder.to_owned(), error)),
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(folder: &Path, patterns: &[&str], exclude: &[&str]) -> Vec<String> {
        let patterns = patterns.iter().map(|text| Pattern::new(&format!("{}/{text}", folder.display())).unwrap());
        let exclude = exclude.iter().map(|text| Regex::new(text).unwrap()).collect();
        let mut scan = Scan::default();
        Wanted { patterns: patterns.collect(), include: Vec::new(), exclude }.scan(&mut scan);
        assert!(scan.errors.is_empty(), "{:?}", scan.errors);
        let name = |file: &Found| file.path.strip_prefix(folder).unwrap().display().to_string();
        let mut names: Vec<_> = scan.files.iter().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn patterns_match_as_people_expect() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a.log", "a.log.1", "a.log.2.gz", "b.txt", "x/a.log", "x/y/a.log", "x/y/z/c.log", "a.log.3.xz"] {
            std::fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
            std::fs::write(root.join(name), "x").unwrap();
        }
        assert_eq!(found(root, &["*.log*"], &[]), ["a.log", "a.log.1", "a.log.2.gz"]);
        assert_eq!(found(root, &["*.log*"], &[r"\.gz$"]), ["a.log", "a.log.1"]);
        assert_eq!(found(root, &["**/*.log"], &[]), ["a.log", "x/a.log", "x/y/a.log", "x/y/z/c.log"]);
        assert_eq!(
            found(root, &["*/a.log", "a.{log,txt}", "none/*.log", "x/[a-z]/a.log"], &[]),
            ["a.log", "x/a.log", "x/y/a.log"]
        );
        assert_eq!(found(root, &["x/y/**"], &[]), ["x/y/a.log", "x/y/z/c.log"]);
        assert_eq!(found(root, &["b.txt", "b.txt", "*.txt"], &[]), ["b.txt"]);
    }

    #[test]
    fn links_are_followed_once_and_circles_end() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("pods")).unwrap();
        std::fs::write(root.join("pods/real.log"), "x").unwrap();
        std::os::unix::fs::symlink(root.join("pods/real.log"), root.join("link.log")).unwrap();
        std::os::unix::fs::symlink(root.join("loop.log"), root.join("loop.log")).unwrap();
        std::os::unix::fs::symlink(root, root.join("pods/up")).unwrap();
        let patterns = vec![Pattern::new(&format!("{}/**/*.log", root.display())).unwrap()];
        let mut scan = Scan::default();
        Wanted { patterns, ..Wanted::default() }.scan(&mut scan);
        assert_eq!(scan.files.len(), 1);
        assert_eq!(scan.errors.len(), 1, "the link to itself");
    }
}
