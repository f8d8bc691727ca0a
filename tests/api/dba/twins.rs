//! Statements that are alike for each resource are copies. They differ in the names of the resource, and in the lines of
//! `twins.diff`. Variants of a statement differ only in those lines. A line that is changed in one copy and not in the others
//! fails here.
//!
//! `TWINS=write cargo test --test api -- twins` writes `twins.diff` again. Its change then shows in review.

use std::fs;
use std::iter::successors;
use std::path::{Path, PathBuf};

use customer_deletion::resource::Resource;

use crate::support::resources::{contract, table, word};

const HEAD: &str = "\
# The lines in which a statement differs from its model, after the names of the resource are replaced.
# The first line of each part, after two spaces, is the line before the difference.
# To accept a difference: TWINS=write cargo test --test api -- twins
";

#[derive(Clone, Copy)]
struct Kind {
    folder: &'static str,
    /// The parts of the file name before and after the name of the table.
    name: (&'static str, &'static str),
    is_for: fn(Resource) -> bool,
}

const KINDS: [Kind; 5] = [
    Kind { folder: "repository", name: ("delete_", ""), is_for: |_| true },
    Kind { folder: "repository", name: ("inspect_", ""), is_for: |_| true },
    Kind { folder: "repository", name: ("share_", ""), is_for: |resource| contract(resource).shares },
    Kind { folder: "maintenance", name: ("lock_deleted_", ""), is_for: |resource| contract(resource).can_be_restored },
    Kind { folder: "maintenance", name: ("erase_", ""), is_for: |_| true },
];

/// Statements that read the same columns in another way: the folder, the statement, and its model.
const VARIANTS: [[&str; 3]; 3] = [
    ["repository", "list_operations_of_customer", "list_operations"],
    ["repository", "list_operations_of_target", "list_operations_of_customer"],
    ["maintenance", "show_operation", "search_operations"],
];

impl Kind {
    fn file(self, resource: Resource) -> String {
        format!("{}{}{}", self.name.0, contract(resource).plural, self.name.1)
    }

    /// The lines of the statement, with `{rows}`, `{row}`, `{word}` and `{reference}` instead of the names of the resource and
    /// of the table that refers to it.
    fn lines(self, resource: Resource) -> Vec<String> {
        let text = statement(self.folder, &self.file(resource));
        let plural = contract(resource).plural;
        let reference = contract(resource).reference.map(|reference| reference.table.to_owned());
        let names = reference.map(|table| (table, "{reference}".to_owned())).into_iter().chain([
            (self.file(resource), format!("{}{{rows}}{}", self.name.0, self.name.1)),
            (format!("'{}'", resource.word()), "'{word}'".to_owned()),
            (plural.to_owned(), if plural == table(resource) { "{row}" } else { "{rows}" }.to_owned()),
            (table(resource).to_owned(), "{row}".to_owned()),
        ]);
        let text = names.fold(text, |text, (name, placeholder)| text.replace(&name, &placeholder));
        text.lines().map(str::to_owned).collect()
    }
}

fn statement(folder: &str, name: &str) -> String {
    let path = root().join(format!("src/{folder}/sql/{name}.sql"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The resource from which the statements were copied. Contacts have no model.
fn model(resource: Resource) -> Option<Resource> {
    match resource {
        Resource::Contact => None,
        Resource::Address | Resource::Zone => Some(Resource::Contact),
        Resource::ExternalParams | Resource::Product => Some(Resource::Zone),
    }
}

#[test]
fn twins_differ_in_names_and_in_listed_lines_only() {
    let path: PathBuf = root().join("tests/api/dba/twins.diff");
    let found = differences();
    if std::env::var("TWINS").is_ok_and(|wish| wish == "write") {
        fs::write(&path, &found).unwrap();
    }
    let listed = fs::read_to_string(&path).unwrap();
    let unlisted = parts(&found).filter(|part| !parts(&listed).any(|listed| listed == *part)).collect::<String>();
    let missing = parts(&listed).filter(|part| !parts(&found).any(|found| found == *part)).collect::<String>();
    assert!(
        unlisted.is_empty() && missing.is_empty(),
        "not in twins.diff:\n{unlisted}\nonly in twins.diff:\n{missing}"
    );
    assert_eq!(found, listed);
}

#[test]
fn a_statement_with_a_branch_for_contacts_has_one_for_every_resource() {
    let mut found = 0;
    for path in fs::read_dir(root().join("src/maintenance/sql")).unwrap().map(|entry| entry.unwrap().path()) {
        let text = fs::read_to_string(&path).unwrap();
        if !text.contains("'contact'") {
            continue;
        }
        found += 1;
        for word in Resource::ALL.map(word) {
            assert!(text.contains(&format!("'{word}'")), "{}: no branch for {word}", path.display());
        }
    }
    assert!(found > 5, "{found} statements with branches");
}

#[test]
fn branches_for_the_resources_differ_in_names_only() {
    for (name, between) in [("expired_rows", "\n  union all\n"), ("rows_of_customer", "\n  union\n")] {
        let text = statement("maintenance", name);
        let branches = text.split_once("from (\n").unwrap().1.split_once("\n) as ").unwrap().0;
        let branch = |resource| {
            let quoted = format!("'{}'", word(resource));
            // The first branch for external params is the one like the others.
            let branch = branches.split(between).find(|branch| branch.contains(&quoted)).unwrap();
            branch.replace(&quoted, "'{word}'").replace(table(resource), "{row}")
        };
        for resource in Resource::ALL {
            assert_eq!(branch(resource), branch(Resource::Contact), "{name}");
        }
    }
}

/// The rows of a customer besides its resources: in the name of a file, in a sentence, and as a table.
const BELONGINGS: [[&str; 3]; 3] = [
    ["allocations", "allocations", "product_allocation"],
    ["sell_plans", "sell plans", "sell_plan"],
    ["subscribers", "subscribers", "subscriber"],
];

#[test]
fn statements_about_the_belongings_of_a_customer_differ_in_names_only() {
    let text = |[file, words, table]: [&str; 3]| {
        let text = statement("maintenance", &format!("erase_{file}_of_customer"));
        text.replace(file, "{rows}").replace(words, "{rows}").replace(table, "{row}")
    };
    for erasures in BELONGINGS.map(text).windows(2) {
        assert_eq!(erasures[0], erasures[1]);
    }
}

#[test]
fn every_statement_that_erases_belongings_is_one_of_these() {
    let names = fs::read_dir(root().join("src/maintenance/sql")).unwrap().map(|entry| entry.unwrap().file_name());
    let names = names
        .filter_map(|name| Some(name.to_str()?.strip_prefix("erase_")?.strip_suffix("_of_customer.sql")?.to_owned()));
    let mut found: Vec<String> = names.collect();
    found.sort();
    assert_eq!(found, BELONGINGS.map(|[file, ..]| file));
}

/// One part for each pair of statements.
fn parts(differences: &str) -> impl Iterator<Item = &str> {
    differences.split_inclusive("\n\n")
}

fn differences() -> String {
    let mut text = HEAD.to_owned();
    for kind in KINDS {
        for resource in Resource::ALL.into_iter().filter(|resource| (kind.is_for)(*resource)) {
            // A model may lack the statement, as a product cannot be restored. Then its own model has it.
            let mut models = successors(model(resource), |resource| model(*resource));
            let Some(model) = models.find(|model| (kind.is_for)(*model)) else { continue };
            text += &format!("\n{}.sql and {}.sql\n", kind.file(resource), kind.file(model));
            text += &difference(&kind.lines(model), &kind.lines(resource));
        }
    }
    for [folder, variant, model] in VARIANTS {
        let lines = |name| statement(folder, name).lines().map(str::to_owned).collect::<Vec<_>>();
        text += &format!("\n{variant}.sql and {model}.sql\n{}", difference(&lines(model), &lines(variant)));
    }
    text
}

/// The lines that only one of the two has, each group after the line before it. The others are a longest common subsequence.
fn difference(model: &[String], twin: &[String]) -> String {
    let mut common = vec![vec![0; twin.len() + 1]; model.len() + 1];
    for i in (0..model.len()).rev() {
        for j in (0..twin.len()).rev() {
            common[i][j] = match model[i] == twin[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text, mut before) = (0, 0, String::new(), Some("(the beginning)"));
    while i < model.len() || j < twin.len() {
        if i < model.len() && j < twin.len() && model[i] == twin[j] {
            before = Some(&model[i]);
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let lost = j == twin.len() || (i < model.len() && common[i + 1][j] >= common[i][j + 1]);
        let (sign, line) = if lost { ("-", &model[i]) } else { ("+", &twin[j]) };
        text += &before.take().map(|line| format!("  {line}\n")).unwrap_or_default();
        text += &format!("{sign} {line}\n");
        (i, j) = if lost { (i + 1, j) } else { (i, j + 1) };
    }
    text
}
