//! Modules of a folder must not import each other in a circle, so that a reader can learn them one
//! by one. A folder counts as one module. Its `mod.rs` and its own modules may import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Sources = BTreeMap<Vec<String>, String>;
type Imports = BTreeSet<(String, String)>;

#[test]
fn no_module_imports_itself_through_others() {
    let mut sources = Sources::new();
    read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut sources);
    let mut folders: BTreeMap<&[String], Imports> = BTreeMap::new();
    for (module, code) in &sources {
        for imported in paths(code).iter().map(|path| resolve(module, path, &sources)) {
            let shared = module.iter().zip(&imported).take_while(|(left, right)| left == right).count();
            if let (Some(from), Some(to)) = (module.get(shared), imported.get(shared)) {
                folders.entry(&module[..shared]).or_default().insert((from.clone(), to.clone()));
            }
        }
    }
    for (folder, mut imports) in folders {
        // A module that imports nothing is in no circle.
        while let Some(end) = imports.iter().find(|(_, to)| !imports.iter().any(|(from, _)| from == to)).cloned() {
            imports.remove(&end);
        }
        assert_eq!(imports, Imports::new(), "circles in {folder:?}, with the imports that lead to them");
    }
}

fn read_folder(folder: &Path, module: &[String], sources: &mut Sources) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut module = module.to_vec();
        module.extend((!["mod", "lib", "main"].contains(&name)).then(|| name.to_owned()));
        if path.is_dir() {
            read_folder(&path, &module, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().lines();
            let code: Vec<_> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
            sources.entry(module).or_default().push_str(&code.join("\n"));
        }
    }
}

/// Every path that begins with `crate` or `super`. A path with braces is several.
fn paths(code: &str) -> Vec<String> {
    let starts = code.match_indices("crate::").chain(code.match_indices("super::")).map(|(start, _)| start);
    let starts = starts.filter(|start| !code[..*start].ends_with("::"));
    let paths = starts.map(|start| code[start..].split([';', '(', '<', ')', '}']).next().unwrap());
    let several = |path: &str| {
        let (before, inside) = path.split_once('{').unwrap_or((path, ""));
        inside.split(',').map(|part| format!("{before}{}", part.trim())).collect::<Vec<_>>()
    };
    paths.flat_map(several).collect()
}

/// The innermost module that a path names.
fn resolve(module: &[String], path: &str, sources: &Sources) -> Vec<String> {
    let mut found = module.to_vec();
    for name in path.split("::") {
        match name {
            "crate" => found.clear(),
            "super" => drop(found.pop()),
            _ if sources.contains_key(&[&found[..], &[name.to_owned()]].concat()) => found.push(name.to_owned()),
            _ => break,
        }
    }
    found
}
