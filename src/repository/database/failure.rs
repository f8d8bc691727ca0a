//! The consequence of a database error: for the sessions of the pool, for a retry, and for the
//! answer.

use std::io::ErrorKind;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::sqlstate::{self, sqlstate};

/// The reason why work on a session failed.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the server does not take writes")]
    ReadOnly,
    /// A stored value that this build cannot use.
    #[error("{0}")]
    Invalid(String),
}

impl WorkError {
    pub fn failure(&self) -> Failure {
        match self {
            WorkError::Database(error) => Failure::of(error),
            // Another server may be the primary by now.
            WorkError::ReadOnly => Failure::ServerLost,
            WorkError::Invalid(_) => Failure::Defect,
        }
    }

    /// Whether the session may be reused. PostgreSQL, or a pooler, closes it after an error of
    /// severity FATAL or PANIC.
    pub fn leaves_session_usable(&self) -> bool {
        let ends_session = matches!(self, WorkError::Database(error) if is_fatal(error));
        !ends_session && self.failure().leaves_session_usable()
    }
}

fn is_fatal(error: &sqlx::Error) -> bool {
    let refusal = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    refusal.is_some_and(|refusal| matches!(refusal.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server is unreachable or read-only. All open sessions are connected to it.
    ServerLost,
    /// PostgreSQL has ended this session, because it or its transaction took too long.
    SessionLost,
    /// A deadlock or a serialization failure.
    Conflict,
    /// The database is down, full or too slow, or a privilege is missing.
    Unavailable,
    /// A defect of this service or of the schema.
    Defect,
    /// A defect that may have left the session in the middle of an answer.
    DefectOfSession,
}

/// The hint for a missing privilege.
pub const HOW_TO_GRANT: &str = "deploy/postgres/roles.sql grants customer_deletion_service what the service needs";

/// The SQLSTATEs of work that is retried.
pub const RETRIED: [&str; 10] =
    ["25006", "25P03", "25P04", "40001", "40P01", "57P01", "57P02", "57P03", "57P04", "57P05"];

/// Classes of SQLSTATEs: connection, authorization, unknown database, resources, operator
/// intervention, system errors.
const UNAVAILABLE: [&str; 6] = ["08", "28", "3D", "53", "57", "58"];

/// The hint for a prepared statement that a pooler has forgotten.
const HOW_TO_POOL: &str =
    "a pooler must keep prepared statements: PgBouncer 1.21 or newer, with max_prepared_statements";

impl Failure {
    pub fn of(error: &sqlx::Error) -> Failure {
        match error {
            sqlx::Error::Database(error) => Failure::of_sqlstate(&error.code().unwrap_or_default()),
            // An end of the connection in the middle of a handshake comes as a violation of the
            // protocol.
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Failure::ServerLost,
            sqlx::Error::Tls(_) => Failure::Unavailable,
            // The answer was complete, and this build cannot read it.
            sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Failure::Defect,
            _ => Failure::DefectOfSession,
        }
    }

    fn of_sqlstate(sqlstate: &str) -> Failure {
        match sqlstate {
            "25006" | "57P01" | "57P02" | "57P03" | "57P04" => Failure::ServerLost,
            // idle_in_transaction_session_timeout, transaction_timeout, idle_session_timeout
            "25P03" | "25P04" | "57P05" => Failure::SessionLost,
            "40001" | "40P01" => Failure::Conflict,
            // A missing privilege, a lock timeout, a statement that a pooler has forgotten.
            "42501" | "55P03" | "26000" => Failure::Unavailable,
            other if UNAVAILABLE.contains(&other.get(..2).unwrap_or_default()) => Failure::Unavailable,
            _ => Failure::Defect,
        }
    }

    /// Whether the work is retried, because it may succeed on another session, or a moment later.
    pub fn is_transient(self) -> bool {
        match self {
            Failure::ServerLost | Failure::SessionLost | Failure::Conflict => true,
            Failure::Unavailable | Failure::Defect | Failure::DefectOfSession => false,
        }
    }

    /// Whether this service or its schema is wrong.
    pub fn is_defect(self) -> bool {
        match self {
            Failure::Defect | Failure::DefectOfSession => true,
            Failure::ServerLost | Failure::SessionLost | Failure::Conflict | Failure::Unavailable => false,
        }
    }

    fn leaves_session_usable(self) -> bool {
        match self {
            Failure::Conflict | Failure::Unavailable | Failure::Defect => true,
            Failure::ServerLost | Failure::SessionLost | Failure::DefectOfSession => false,
        }
    }
}

/// Whether a server that cannot be connected to may accept connections a moment later.
pub fn is_not_there_yet(error: &sqlx::Error) -> bool {
    match error {
        // The server is stopped, or has not made its socket.
        sqlx::Error::Io(error) => matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound),
        // The server is starting up, or has too many connections.
        _ => sqlstate::is_one_of(error, &["57P03", "53300"]),
    }
}

/// Advice, for failures that a DBA has to fix.
pub fn hint(error: &sqlx::Error) -> Option<&'static str> {
    match sqlstate(error).as_deref() {
        Some("42501") => Some(HOW_TO_GRANT),
        Some("26000") => Some(HOW_TO_POOL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use rstest::rstest;
    use sqlx::ConnectOptions;
    use sqlx::postgres::PgConnectOptions;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// SQLSTATE, kind, tried again, 500, session kept.
    #[rstest]
    #[case::read_only_sql_transaction("25006", Failure::ServerLost, true, false, false)]
    #[case::idle_in_transaction_session_timeout("25P03", Failure::SessionLost, true, false, false)]
    #[case::transaction_timeout("25P04", Failure::SessionLost, true, false, false)]
    #[case::idle_session_timeout("57P05", Failure::SessionLost, true, false, false)]
    #[case::serialization_failure("40001", Failure::Conflict, true, false, true)]
    #[case::deadlock_detected("40P01", Failure::Conflict, true, false, true)]
    #[case::admin_shutdown("57P01", Failure::ServerLost, true, false, false)]
    #[case::crash_shutdown("57P02", Failure::ServerLost, true, false, false)]
    #[case::cannot_connect_now("57P03", Failure::ServerLost, true, false, false)]
    #[case::database_dropped("57P04", Failure::ServerLost, true, false, false)]
    #[case::query_canceled("57014", Failure::Unavailable, false, false, true)]
    #[case::lock_not_available("55P03", Failure::Unavailable, false, false, true)]
    #[case::connection_failure("08006", Failure::Unavailable, false, false, true)]
    #[case::protocol_violation("08P01", Failure::Unavailable, false, false, true)]
    #[case::invalid_password("28P01", Failure::Unavailable, false, false, true)]
    #[case::invalid_catalog_name("3D000", Failure::Unavailable, false, false, true)]
    #[case::insufficient_privilege("42501", Failure::Unavailable, false, false, true)]
    #[case::invalid_sql_statement_name("26000", Failure::Unavailable, false, false, true)]
    #[case::disk_full("53100", Failure::Unavailable, false, false, true)]
    #[case::too_many_connections("53300", Failure::Unavailable, false, false, true)]
    #[case::io_error("58030", Failure::Unavailable, false, false, true)]
    #[case::in_failed_sql_transaction("25P02", Failure::Defect, false, true, true)]
    #[case::foreign_key_violation("23503", Failure::Defect, false, true, true)]
    #[case::unique_violation("23505", Failure::Defect, false, true, true)]
    #[case::undefined_table("42P01", Failure::Defect, false, true, true)]
    #[case::internal_error("XX000", Failure::Defect, false, true, true)]
    #[case::none("", Failure::Defect, false, true, true)]
    fn a_sqlstate_says_what_to_do(
        #[case] sqlstate: &str,
        #[case] failure: Failure,
        #[case] passes: bool,
        #[case] is_defect: bool,
        #[case] usable: bool,
    ) {
        assert_eq!(Failure::of_sqlstate(sqlstate), failure);
        let found = (failure.is_transient(), failure.is_defect(), failure.leaves_session_usable());
        assert_eq!(found, (passes, is_defect, usable));
        assert_eq!(RETRIED.contains(&sqlstate), passes);
    }

    /// The error of a server that refuses a session in these words.
    async fn refusal(severity: &str, sqlstate: &str) -> sqlx::Error {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("postgres://u@{}/app?sslmode=disable", listener.local_addr().unwrap());
        let refuse = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u32().await.unwrap();
            stream.read_exact(&mut vec![0; length as usize - 4]).await.unwrap();
            let fields = format!("S{severity}\0V{severity}\0C{sqlstate}\0Mrefused\0\0");
            stream.write_u8(b'E').await.unwrap();
            stream.write_u32(fields.len() as u32 + 4).await.unwrap();
            stream.write_all(fields.as_bytes()).await.unwrap();
        };
        let options: PgConnectOptions = url.parse().unwrap();
        tokio::join!(options.connect(), refuse).0.unwrap_err()
    }

    /// A pooler ends sessions with 08P01.
    #[rstest]
    #[tokio::test]
    async fn no_session_is_kept_after_a_fatal_error(
        #[values("08P01", "40001", "42P01", "57014", "57P04")] sqlstate: &str,
        #[values("FATAL", "PANIC")] severity: &str,
    ) {
        let error = WorkError::Database(refusal(severity, sqlstate).await);
        assert!(!error.leaves_session_usable(), "{error:?}");
        let error = WorkError::Database(refusal("ERROR", sqlstate).await);
        assert_eq!(error.leaves_session_usable(), sqlstate != "57P04", "{error:?}");
    }

    #[test]
    fn a_failure_without_a_sqlstate_says_what_to_do_as_well() {
        for (error, failure) in [
            (sqlx::Error::Io(io::ErrorKind::ConnectionReset.into()), Failure::ServerLost),
            (sqlx::Error::Protocol("cut".to_owned()), Failure::ServerLost),
            (sqlx::Error::Tls("no certificate".into()), Failure::Unavailable),
            (sqlx::Error::RowNotFound, Failure::Defect),
            (sqlx::Error::WorkerCrashed, Failure::DefectOfSession),
        ] {
            assert_eq!(Failure::of(&error), failure, "{error}");
        }
        assert!(!Failure::DefectOfSession.leaves_session_usable() && Failure::DefectOfSession.is_defect());
    }

    #[test]
    fn an_error_of_this_service_is_retried_or_not_whatever_the_library_calls_it() {
        for (error, failure, passes) in [
            (WorkError::ReadOnly, Failure::ServerLost, true),
            (WorkError::Invalid("an unknown resource".to_owned()), Failure::Defect, false),
            (WorkError::Database(sqlx::Error::RowNotFound), Failure::Defect, false),
        ] {
            assert_eq!((error.failure(), error.failure().is_transient()), (failure, passes), "{error}");
        }
    }

    #[test]
    fn only_a_server_that_may_soon_be_there_is_waited_for() {
        assert!(is_not_there_yet(&sqlx::Error::Io(ErrorKind::ConnectionRefused.into())));
        assert!(is_not_there_yet(&sqlx::Error::Io(ErrorKind::NotFound.into())));
        assert!(!is_not_there_yet(&sqlx::Error::Io(ErrorKind::TimedOut.into())));
        assert!(!is_not_there_yet(&sqlx::Error::PoolClosed));
    }
}
