//! Parses the parts of a request.

pub mod body;
pub mod id;
pub mod id_list;
pub mod idempotency_key;
mod limits;
pub mod media_type;
pub mod prefer;
pub mod query;
pub mod target_ids;

pub use self::limits::CallLimits;
