//! Deeds: changes that other services make directly in the tables.

use std::time::Instant;

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::model::{Allocation, Customer, Entity, Row, SetOn, Word};
use crate::support::TestPool;

/// One statement of another service, about one row.
#[derive(Clone, Debug)]
pub enum Deed {
    InsertCustomer(Customer),
    InsertEntity(Entity),
    Insert(Row),
    Allocate(Allocation),
    Detach(Uuid),
    /// Attaches a detached allocation again.
    Attach(Uuid),
    ReParent {
        customer: Uuid,
        parent: Uuid,
    },
    DeleteCustomer(Uuid),
    DeleteEntity {
        table: &'static str,
        id: Uuid,
    },
    MoveEntity {
        table: &'static str,
        id: Uuid,
        customer: Uuid,
    },
    Delete {
        word: Word,
        id: Uuid,
    },
    Move {
        word: Word,
        id: Uuid,
        customer: Uuid,
    },
    SetOn {
        id: Uuid,
        on: SetOn,
    },
}

pub fn table(word: Word) -> String {
    word.replace('-', "_")
}

impl Deed {
    /// Changes one row, or no row if it is not live.
    pub fn sql(&self) -> String {
        match self {
            Deed::InsertCustomer(customer) => insert_customer(customer),
            Deed::InsertEntity(entity) => {
                let Entity { id, table, customer, .. } = entity;
                format!("insert into {table} (id, customer_id, name) values ('{id}', '{customer}', 'An entity')")
            }
            Deed::Insert(row) => insert_row(row),
            Deed::Allocate(allocation) => {
                let Allocation { id, product, customer, .. } = allocation;
                format!(
                    "insert into product_allocation (id, product_id, customer_id)
                     values ('{id}', '{product}', '{customer}')"
                )
            }
            Deed::Detach(id) => {
                format!("update product_allocation set detached_at = now() where id = '{id}' and detached_at is null")
            }
            Deed::Attach(id) => format!(
                "update product_allocation set detached_at = null where id = '{id}' and detached_at is not null"
            ),
            Deed::ReParent { customer, parent } => {
                update_live("customer", *customer, &format!("parent_id = '{parent}'"))
            }
            Deed::DeleteCustomer(id) => update_live("customer", *id, "deleted_at = now()"),
            Deed::DeleteEntity { table, id } => update_live(table, *id, "deleted_at = now()"),
            Deed::MoveEntity { table, id, customer } => update_live(table, *id, &format!("customer_id = '{customer}'")),
            Deed::Delete { word, id } => update_live(&table(word), *id, "deleted_at = now()"),
            Deed::Move { word, id, customer } => update_live(&table(word), *id, &format!("customer_id = '{customer}'")),
            Deed::SetOn { id, on: (column, on) } => {
                let others = "sub_customer_id = null, subscriber_id = null, sell_plan_id = null";
                let all = others.replace(&format!("{column} = null"), &format!("{column} = '{on}'"));
                update_live("external_params", *id, &all)
            }
        }
    }
}

fn update_live(table: &str, id: Uuid, change: &str) -> String {
    format!("update {table} set {change} where id = '{id}' and deleted_at is null")
}

fn insert_customer(Customer { id, parent, .. }: &Customer) -> String {
    let parent = parent.map_or("null".to_owned(), |parent| format!("'{parent}'"));
    format!("insert into customer (id, parent_id, name) values ('{id}', {parent}, 'A customer')")
}

fn insert_row(Row { id, word, customer, set_on, name, .. }: &Row) -> String {
    let (columns, values) = match *word {
        "contact" => ("email, mobile".to_owned(), "'a@example.com', '+491510000'".to_owned()),
        "address" => ("line_1, city, country_code".to_owned(), "'1', 'Bern', 'CHE'".to_owned()),
        "zone" => ("name, country_code".to_owned(), format!("'{name}', 'DEU'")),
        "product" => ("name".to_owned(), format!("'{name}'")),
        "external-params" => {
            let (column, on) = set_on.expect("external params are set on something");
            (format!("{column}, name, value"), format!("'{on}', 'a', 'b'"))
        }
        word => panic!("a row of `{word}` has unknown columns"),
    };
    format!("insert into {} (id, customer_id, {columns}) values ('{id}', '{customer}', {values})", table(word))
}

/// The result of a deed.
pub struct CarriedOut {
    /// Whether it was committed.
    pub done: bool,
    pub about_to_commit: Instant,
}

/// Executes the deed in its own transaction, and keeps its locks for a while if `nap`. Returns an error if it fails for a
/// reason that no rule of the schema explains.
pub async fn carry_out(pool: &TestPool, deed: &Deed, nap: bool) -> Result<CarriedOut, String> {
    let failed = |error: sqlx::Error| format!("{}: {error}", deed.sql());
    let mut tx = pool.begin().await.map_err(failed)?;
    let done = match sqlx::query(AssertSqlSafe(deed.sql())).execute(&mut *tx).await {
        Ok(result) => result.rows_affected() == 1,
        Err(error) if is_a_rule(&error) => false,
        Err(error) => return Err(failed(error)),
    };
    if done && nap {
        sqlx::query("select pg_sleep(0.003 * random())").execute(&mut *tx).await.map_err(failed)?;
    }
    let about_to_commit = Instant::now();
    // If the statement failed, this rolls back.
    tx.commit().await.map_err(failed)?;
    Ok(CarriedOut { done, about_to_commit })
}

/// A foreign key, a unique name, or a cycle of customers.
fn is_a_rule(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["23503", "23505", "23514"].contains(&&*code))
}
