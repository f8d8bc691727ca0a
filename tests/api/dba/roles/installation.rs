//! roles.sql, run by a role that is no superuser, but owns the database and may create roles.

use customer_deletion::schema;
use rstest::rstest;
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use super::grants::{not_the_owners, privileges};
use super::{create_role, refusal};
use crate::support::TestDatabase;
use crate::support::database::{ROLES, connect};

const GROUPS: [&str; 4] = ["owner", "service", "maintenance", "support"];

/// Roles belong to the server, where those of all other tests exist already. So these have other names.
struct Groups(String);

impl Groups {
    fn new() -> Groups {
        Groups(format!("test_role_{}_", Uuid::now_v7().simple()))
    }

    fn names(&self) -> [String; 4] {
        GROUPS.map(|group| format!("{}{group}", self.0))
    }

    fn in_place_of_those_in(&self, sql: &str) -> String {
        GROUPS
            .into_iter()
            .zip(self.names())
            .fold(sql.to_owned(), |sql, (group, name)| sql.replace(&format!("customer_deletion_{group}"), &name))
    }
}

#[rstest]
#[case::that_the_file_makes(&[])]
#[case::that_are_there_already(&GROUPS)]
#[tokio::test]
async fn an_owner_of_the_database_with_createrole_can_run_roles_sql(#[case] there: &[&str]) {
    let databases = [TestDatabase::empty().await, TestDatabase::empty().await];
    let (role, url) = create_role(&databases[0], "createrole").await;
    let credentials = url.split_once('@').unwrap().0;
    let groups = Groups::new();
    let file = groups.in_place_of_those_in(ROLES);
    let [owner, ..] = groups.names();

    // The second time the roles exist in any case.
    for database in &databases {
        let own =
            format!("do $$ begin execute format('alter database %I owner to {role}', current_database()); end $$");
        database.pool.execute(AssertSqlSafe(own)).await.unwrap();
        let url = format!("{credentials}@{}", database.url.split_once('@').unwrap().1);
        schema::migrate(&url.parse().unwrap()).await.unwrap();
        let mut session = connect(&url).await;
        for group in there.iter().filter(|_| database.url == databases[0].url) {
            let create = format!("create role {}{group} nologin", groups.0);
            session.execute(AssertSqlSafe(create)).await.unwrap();
        }

        let done = sqlx::raw_sql(AssertSqlSafe(file.clone())).execute(&mut session).await;
        assert!(done.is_ok(), "{done:?}");
        let others = not_the_owners(database, &owner).await;
        assert!(others.is_empty(), "{others:?}");
        let before = privileges(database).await;
        assert_eq!(refusal(&mut session, &file).await, None);
        assert_eq!(privileges(database).await, before);
    }

    let roles = format!("{}, {role}", groups.names().join(", "));
    for database in &databases {
        let forget = format!("reassign owned by {roles} to current_user; drop owned by {roles}");
        sqlx::raw_sql(AssertSqlSafe(forget)).execute(&database.pool).await.unwrap();
    }
    databases[0].pool.execute(AssertSqlSafe(format!("drop role {roles}"))).await.unwrap();
}
