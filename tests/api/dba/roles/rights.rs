//! The rights of a role, and statements that need any other right.

use sqlx::Row;

use crate::support::TestDatabase;

/// Tables with some of their columns. `*` means all of them.
pub type Columns = &'static [(&'static str, &'static [&'static str])];

/// The rights of a role to the columns and the rows of the schema.
pub struct Rights {
    pub select: Columns,
    pub update: Columns,
    pub insert: Columns,
    /// The tables whose rows it may delete.
    pub delete: &'static [&'static str],
}

fn is_listed(list: Columns, table: &str, column: &str) -> bool {
    list.iter().any(|(name, columns)| *name == table && (columns.contains(&column) || *columns == ["*"]))
}

fn is_view(relation: &str) -> bool {
    relation.starts_with("live_") || relation == "deletion_history"
}

impl Rights {
    /// Statements that read and write every column to which it has no right.
    pub fn beyond(&self, columns: &[(String, String)]) -> Vec<String> {
        let mut statements = Vec::new();
        for (table, column) in columns {
            if !is_listed(self.select, table, column) {
                statements.push(format!("select {column} from {table}"));
            }
            // The history joins tables, and no role can write it.
            if table == "deletion_history" {
                continue;
            }
            if !is_listed(self.update, table, column) {
                statements.push(format!("update {table} set {column} = default"));
            }
            if !is_listed(self.insert, table, column) {
                statements.push(format!("insert into {table} ({column}) values (default)"));
            }
        }
        statements
    }

    /// Statements that remove and alter every table and view, without the rows that it may delete.
    pub fn alterations(&self, columns: &[(String, String)]) -> Vec<String> {
        let mut relations: Vec<&str> = columns.iter().map(|(relation, _)| relation.as_str()).collect();
        relations.dedup();
        let mut statements = Vec::new();
        for relation in relations {
            let kind = if is_view(relation) { "view" } else { "table" };
            statements.push(format!("drop {kind} {relation}"));
            statements.push(format!("alter {kind} {relation} owner to current_user"));
            statements.push(format!("comment on {kind} {relation} is 'mine'"));
            if kind == "table" {
                statements.push(format!("truncate {relation}"));
                statements.push(format!("alter table {relation} disable trigger all"));
                statements.push(format!("create index on {relation} ((1))"));
            }
            if kind == "table" && !self.delete.contains(&relation) {
                statements.push(format!("delete from {relation}"));
                statements.push(format!("do $$ begin lock table {relation} in row exclusive mode; end $$"));
            }
        }
        statements
    }
}

/// Every table and view of the schema with all its columns.
pub async fn columns(database: &TestDatabase) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "select pg_class.relname, pg_attribute.attname
         from pg_class
         join pg_attribute on pg_attribute.attrelid = pg_class.oid
         where pg_class.relnamespace = 'public'::regnamespace
           and pg_class.relkind in ('r', 'v')
           and pg_attribute.attnum > 0
           and not pg_attribute.attisdropped",
    );
    let rows = rows.fetch_all(&database.pool).await.unwrap();
    assert!(rows.len() > 100);
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}
