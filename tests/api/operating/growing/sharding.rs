//! A PostgreSQL that is sharded by customer sends a statement to one shard when it says, wherever it reads or writes a table of a
//! customer, which customer that is.

use std::fs;

use customer_deletion::resource::Resource;

use crate::support::resources::table;

/// Those that would be spread over the shards by `customer_id`. The customers themselves would be on each of them.
fn tables() -> Vec<&'static str> {
    [&Resource::ALL.map(table)[..], &["product_allocation", "subscriber", "sell_plan", "operation"]].concat()
}

/// Where a statement does not say so, in the order of the files: docs/dba.md tells what is keyed anew or split there.
const EXCEPTIONS: [(&str, &str); 11] = [
    // Whose turn it is in the queue concerns all customers.
    ("claim_operation.sql", "operation"),
    ("claim_operation.sql", "operation"),
    // An allocation belongs to the customer that has the product, and not to the one whose product it is.
    ("delete_products.sql", "product_allocation"),
    // The status of a call is looked for by requester.
    ("find_operation.sql", "operation"),
    // A list is a requester's, whatever its calls were about.
    ("list_operations.sql", "operation"),
    ("list_operations.sql", "operation"),
    ("list_operations.sql", "operation"),
    ("list_operations.sql", "operation"),
    ("list_operations.sql", "operation"),
    // An answer under a key is looked for by requester.
    ("replay_operation.sql", "operation"),
    ("replay_operation.sql", "operation"),
];

/// The second look after a refusal asks whether anybody has the row, and a shared statement is about several customers: a
/// service on a sharded PostgreSQL does not share.
fn is_about_several(file: &str) -> bool {
    file.starts_with("inspect_") || file.starts_with("share_")
}

fn without_comments(sql: &str) -> String {
    sql.lines().map(|line| line.split("--").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The innermost parentheses around a place, or everything, without what stands in parentheses inside.
fn block_around(sql: &str, place: usize) -> String {
    let mut depth = 0;
    let opens = |(_, character): &(usize, char)| {
        depth += match character {
            ')' => 1,
            '(' => -1,
            _ => 0,
        };
        depth < 0
    };
    let start = sql[..place].char_indices().rev().find(opens).map_or(0, |(position, _)| position + 1);
    let mut depth = 0;
    let closes = |(_, character): &(usize, char)| {
        depth += match character {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth < 0
    };
    let end = sql[place..].char_indices().find(closes).map_or(sql.len(), |(position, _)| place + position);
    sql[start..end].to_owned()
}

/// The tables that are read, locked or written, with the block in which they are.
fn uses(sql: &str) -> Vec<(&'static str, String)> {
    let verbs = ["from ", "join ", "update "];
    let words = tables().into_iter().flat_map(|table| verbs.map(move |verb| (table, format!("{verb}{table}"))));
    let places = words.flat_map(|(table, words)| {
        let found: Vec<usize> = sql.match_indices(&words).map(|(place, _)| place).collect();
        let ends = move |place: &usize| {
            sql[place + words.len()..].chars().next().is_none_or(|next| !next.is_alphanumeric() && next != '_')
        };
        found.into_iter().filter(ends).map(move |place| (table, block_around(sql, place))).collect::<Vec<_>>()
    });
    places.collect()
}

fn says_which_customer(table: &str, block: &str) -> bool {
    ["$1", "$2", "$3"].iter().any(|parameter| block.contains(&format!("{table}.customer_id = {parameter}")))
}

#[test]
fn every_statement_says_which_customer_it_is_about_wherever_it_touches_a_table_of_one() {
    let folders = ["repository", "queue"].map(|room| format!("{}/src/{room}/sql", env!("CARGO_MANIFEST_DIR")));
    let mut silent = Vec::new();
    let mut seen = 0;
    for file in folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap()) {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let sql = without_comments(&fs::read_to_string(file.path()).unwrap());
        for (table, block) in uses(&sql).into_iter().filter(|_| !is_about_several(&name)) {
            seen += 1;
            if !says_which_customer(table, &block) {
                silent.push((name.clone(), table));
            }
        }
    }
    assert!(seen >= 15, "{seen} uses of a table: the files are not read as they are written");
    silent.sort();
    let silent: Vec<(&str, &str)> = silent.iter().map(|(name, table)| (name.as_str(), *table)).collect();
    assert_eq!(silent, EXCEPTIONS);
}
