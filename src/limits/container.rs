//! The memory that the container allows, by its control groups.

use std::fs;
use std::path::Path;

/// Control groups of version 1 report this value or a larger one if there is no limit.
const UNLIMITED: u64 = 1 << 60;

/// The limit in bytes. `None` if there is none.
pub fn memory() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    memory_of(&own, Path::new("/sys/fs/cgroup"))
}

/// `own` is the content of `/proc/self/cgroup`. A group has the limits of every group above it as
/// well.
fn memory_of(own: &str, root: &Path) -> Option<u64> {
    own.lines().filter_map(|line| limit_of(line, root)).min()
}

fn limit_of(line: &str, root: &Path) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let (root, file) = if controllers.is_empty() {
        (root.to_owned(), "memory.max")
    } else if controllers.split(',').any(|controller| controller == "memory") {
        (root.join("memory"), "memory.limit_in_bytes")
    } else {
        return None;
    };
    // In a container the path may be that of the host, of which only the root can be seen.
    let groups = Path::new(path.trim_start_matches('/')).ancestors();
    let limits = groups.filter_map(|group| fs::read_to_string(root.join(group).join(file)).ok());
    limits.filter_map(|limit| limit.trim().parse().ok()).filter(|limit| *limit < UNLIMITED).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory_with(own: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("cgroup-{}", uuid::Uuid::now_v7()));
        for (path, content) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let limit = memory_of(own, &root);
        fs::remove_dir_all(&root).unwrap();
        limit
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let files = [("a/b/memory.max", "max\n"), ("a/memory.max", "268435456\n"), ("memory.max", "536870912\n")];
        assert_eq!(memory_with("0::/a/b\n", &files), Some(268_435_456));
        assert_eq!(memory_with("0::/\n", &files), Some(536_870_912));
        assert_eq!(memory_with("0::/a/b\n", &files[..1]), None);
    }

    #[test]
    fn version_1_is_read_also_where_the_path_is_the_hosts() {
        let own = "5:cpu,cpuacct:/\n4:memory:/docker/x\n0::/\n";
        let unlimited = ("memory/memory.limit_in_bytes", "9223372036854771712");
        assert_eq!(memory_with(own, &[unlimited]), None);
        assert_eq!(memory_with(own, &[("memory/memory.limit_in_bytes", "134217728")]), Some(134_217_728));
        let own_group = ("memory/docker/x/memory.limit_in_bytes", "134217728");
        assert_eq!(memory_with(own, &[unlimited, own_group]), Some(134_217_728));
    }
}
