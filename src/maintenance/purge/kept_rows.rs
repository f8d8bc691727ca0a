//! Rows that the database refuses to delete, because another service's foreign key or trigger
//! protects them.

use sqlx::postgres::PgDatabaseError;

use crate::sqlstate;

/// How many rows are named. The others are counted.
const NAMED: usize = 100;

#[derive(Debug, Default)]
pub struct KeptRows {
    named: Vec<String>,
    count: u64,
}

impl KeptRows {
    pub fn add(&mut self, row: &str, error: &sqlx::Error) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{row}: {}", reason(error)));
        }
    }

    /// A headline and a line for each row, or `None` if no row was kept.
    pub fn written(&self) -> Option<String> {
        let rows = match self.count {
            0 => return None,
            1 => "1 row stays".to_owned(),
            count => format!("{count} rows stay"),
        };
        let lines: String = self.named.iter().map(|line| format!("\n  {line}")).collect();
        let more = match self.count - self.named.len() as u64 {
            0 => String::new(),
            more => format!("\n  and {more} more"),
        };
        Some(format!("{rows}, because foreign keys or triggers of other services refuse:{lines}{more}"))
    }
}

/// Whether a statement about fewer rows may succeed. A trigger of another service may fail with
/// almost any SQLSTATE.
pub fn may_be_about_a_row(error: &sqlx::Error) -> bool {
    sqlstate::sqlstate(error).is_some_and(|state| may_be_of_a_trigger(&state))
}

fn may_be_of_a_trigger(state: &str) -> bool {
    // Connections, states and conflicts of transactions, missing resources, shutdowns, errors of
    // the machine, and damaged data and indexes.
    const OTHERS: [&str; 8] = ["08", "25", "40", "53", "57", "58", "XX001", "XX002"];
    !OTHERS.iter().any(|other| state.starts_with(other))
}

/// Whether an error proves that a row was refused, and that the transaction is rolled back.
pub fn is_about_a_row(error: &sqlx::Error) -> bool {
    // Data exceptions, triggered changes of data, integrity constraints, errors raised by
    // functions.
    const CLASSES: [&str; 6] = ["09", "22", "23", "27", "38", "P0"];
    sqlstate::is_in_class(error, &CLASSES)
}

fn reason(error: &sqlx::Error) -> String {
    let Some(error) = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) else {
        return error.to_string();
    };
    match (error.code(), error.table(), error.constraint()) {
        ("23503", Some(table), Some(constraint)) => {
            let schema = error.schema().unwrap_or_default();
            format!("{schema}.{table} refers to it (constraint {constraint})")
        }
        (state, ..) => format!("{} (SQLSTATE {state})", error.message()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::raised("P0001", true)]
    #[case::a_code_of_a_service("ZZ001", true)]
    #[case::a_defect_of_a_trigger("XX000", true)]
    #[case::damaged_data("XX001", false)]
    #[case::a_damaged_index("XX002", false)]
    #[case::a_shutdown("57P01", false)]
    #[case::a_full_disk("53100", false)]
    fn a_trigger_may_fail_with_any_sqlstate_but_those_of_the_server(#[case] state: &str, #[case] may_be: bool) {
        assert_eq!(may_be_of_a_trigger(state), may_be);
    }
}
