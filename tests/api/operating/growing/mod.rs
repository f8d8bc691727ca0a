//! Several replicas of the service, and a pooler in front of PostgreSQL.

mod pooler;
mod replicas;
