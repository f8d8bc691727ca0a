//! More than one of it: replicas of the service, a pooler in front of PostgreSQL, statements that a sharded one can take.

mod pooler;
mod replicas;
mod sharding;
