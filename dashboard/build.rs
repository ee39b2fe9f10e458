//! Builds the browser front end (`npm ci`, `npm run build` in `web/`) when its sources changed, and lays the
//! result, gzipped beside the plain files, where the program embeds it from.
//!
//! `LOGMILL_SKIP_WEB=1` embeds a labelled placeholder page instead: for quick builds of tests.

#![allow(clippy::print_stdout, reason = "that is how a build script talks to cargo")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};

/// What the front end is built from, within `web/`. Whatever is not there does not count.
const SOURCES: [&str; 9] = [
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "tsconfig.json",
    "tsconfig.node.json",
];
/// Files of these kinds shrink; fonts and pictures are compressed already.
const COMPRESSIBLE: [&str; 8] = ["html", "js", "css", "svg", "json", "txt", "map", "webmanifest"];

fn main() {
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
        std::process::exit(1);
    }
}

fn build() -> Result<(), String> {
    let variable = |name: &str| std::env::var_os(name).ok_or_else(|| format!("cargo did not set {name}"));
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("web");
    let assets = PathBuf::from(variable("OUT_DIR")?).join("assets");
    println!("cargo::rerun-if-env-changed=LOGMILL_SKIP_WEB");
    for source in SOURCES.iter().map(|name| web.join(name)).filter(|path| path.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    if assets.exists() {
        fs::remove_dir_all(&assets).map_err(failed(&assets))?;
    }
    fs::create_dir_all(&assets).map_err(failed(&assets))?;
    let skip = std::env::var_os("LOGMILL_SKIP_WEB").is_some_and(|value| !value.is_empty() && value != "0");
    if skip || !web.join("package.json").exists() {
        return placeholder(&assets);
    }
    let dist = web.join("dist");
    build_front_end(&web, &dist)?;
    embed(&dist, &assets)
}

fn placeholder(assets: &Path) -> Result<(), String> {
    let page = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Logmill (no front end)</title>\n\
        <p>This program was built without its browser front end (LOGMILL_SKIP_WEB). The API under /api works.</p>\n";
    let path = assets.join("index.html");
    fs::write(&path, page).map_err(failed(&path))
}

/// Runs npm where `dist` was not built from these very sources.
fn build_front_end(web: &Path, dist: &Path) -> Result<(), String> {
    // Two cargo builds of one tree (other target folders) must not run npm over each other.
    let folder = File::open(web).map_err(failed(web))?;
    folder.lock().map_err(failed(web))?;
    let wanted = digest(web, &SOURCES)?;
    let stamp = dist.join(".built-from");
    if fs::read_to_string(&stamp).is_ok_and(|built| built == wanted) {
        return Ok(());
    }
    if Command::new("npm").arg("--version").output().is_err() {
        if dist.join("index.html").exists() {
            println!("cargo::warning=npm is not installed: embedding {} as it is, which may be old", dist.display());
            return Ok(());
        }
        return Err("the browser front end can't be built: npm is not installed.\n\
            Install Node.js 20 or newer with npm (Debian: apt install nodejs npm) and build again,\n\
            or set LOGMILL_SKIP_WEB=1 to build without the browser pages."
            .to_owned());
    }
    let locked = digest(web, &["package.json", "package-lock.json"])?;
    let installed = web.join("node_modules/.installed-from");
    if !fs::read_to_string(&installed).is_ok_and(|from| from == locked) {
        npm(web, &["ci", "--no-audit", "--no-fund"])?;
        fs::write(&installed, &locked).map_err(failed(&installed))?;
    }
    npm(web, &["run", "build"])?;
    if !dist.join("index.html").exists() {
        return Err(format!("`npm run build` made no {}", dist.join("index.html").display()));
    }
    fs::write(&stamp, wanted).map_err(failed(&stamp))
}

fn npm(web: &Path, words: &[&str]) -> Result<(), String> {
    let output = Command::new("npm")
        .args(words)
        .current_dir(web)
        .output()
        .map_err(|error| format!("can't run npm {}: {error}", words.join(" ")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    let tail = last.get(last.len().saturating_sub(30)..).unwrap_or_default().join("\n");
    Err(format!("`npm {}` failed in {} ({}):\n{tail}", words.join(" "), web.display(), output.status))
}

/// Copies what is to be served, each file that shrinks with a `.gz` beside it.
fn embed(from: &Path, to: &Path) -> Result<(), String> {
    for path in files_under(from)? {
        let relative = path.strip_prefix(from).map_err(|error| error.to_string())?;
        if relative.to_string_lossy().starts_with('.') {
            continue;
        }
        let target = to.join(relative);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(failed(parent))?;
        }
        let bytes = fs::read(&path).map_err(failed(&path))?;
        fs::write(&target, &bytes).map_err(failed(&target))?;
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if COMPRESSIBLE.contains(&extension) {
            let packed = gzip(&bytes).map_err(failed(&path))?;
            if packed.len() < bytes.len() {
                let target = PathBuf::from(format!("{}.gz", target.display()));
                fs::write(&target, packed).map_err(failed(&target))?;
            }
        }
    }
    Ok(())
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A digest over names and contents, so that neither times nor checkouts matter.
fn digest(web: &Path, names: &[&str]) -> Result<String, String> {
    let mut hash = Sha256::new();
    for name in names {
        for path in files_under(&web.join(name))? {
            let relative = path.strip_prefix(web).map_err(|error| error.to_string())?.to_string_lossy();
            let bytes = fs::read(&path).map_err(failed(&path))?;
            hash.update(format!("{relative}\0{}\0", bytes.len()));
            hash.update(bytes);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Every file at or below `path`, sorted; none when it is not there.
fn files_under(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(failed(path))? {
        found.extend(files_under(&entry.map_err(failed(path))?.path())?);
    }
    found.sort();
    Ok(found)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> String {
    let path = path.display().to_string();
    move |error| format!("{path}: {error}")
}
