//! The owner of the tables must not serve behind a pooler either.

use super::{GIVEN, ROLE, pooled};
use crate::dba::roles::power::end_of_service;
use crate::support::database::ROLES;

#[tokio::test]
async fn behind_pgbouncer_too_the_service_refuses_to_start_as_the_owner() {
    let Some(pooled) = pooled().await else { return };
    pooled.give_session_settings().await;
    sqlx::raw_sql(ROLES).execute(&pooled.pool).await.unwrap();
    let grant = format!("grant customer_deletion_owner to {ROLE}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(grant)).execute(&pooled.pool).await.unwrap();

    let (code, message) = end_of_service(&pooled.pooled_url, &[GIVEN]);

    assert_eq!(code, Some(1), "{message}");
    for part in ["CUSTOMER_DELETION__DATABASE__ALLOW_OWNER", ROLE, "owner of the tables"] {
        assert!(message.contains(part), "{message}");
    }
}
