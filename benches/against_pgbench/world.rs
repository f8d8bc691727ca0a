//! The customers and contacts that are loaded, and which of them a run uses up.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

use customer_deletion::schema::MIGRATOR;

use crate::AnyError;

/// Contacts of an ordinary customer, for calls of up to as many ids.
pub const FEW: u64 = 20;

/// Contacts of a customer for calls of more ids.
pub const MANY: u64 = 1000;

/// Leaves for each requester, at least: enough requesters that calls in flight are of different ones.
const LEAVES_A_REQUESTER: u64 = 8;

/// Among so many live contacts there is one that was deleted before: about three of them on each page.
const LIVE_FOR_EACH_DELETED: u64 = 16;

const SQL: &str = include_str!("world.sql");

/// The size of the world. `world.sql` tells how it is built.
pub struct World {
    pub customers: u64,
    pub contacts: u64,
    pub depth: u64,
    pub requesters: u64,
    pub leaves_with_few: u64,
    pub leaves: u64,
}

impl World {
    /// Half of the contacts belong to customers with few, half to customers with many.
    pub fn new(contacts: u64, customers: u64, depth: u64) -> Result<World, AnyError> {
        let leaves_with_few = contacts / 2 / FEW;
        let leaves_with_many = contacts / 2 / MANY;
        let leaves = leaves_with_few + leaves_with_many;
        let above = customers.saturating_sub(leaves) / (depth - 1);
        let requesters = above.min(leaves / LEAVES_A_REQUESTER);
        if leaves_with_many < 2 || requesters < 2 {
            return Err(format!(
                "{contacts} contacts of {customers} customers on {depth} levels are too few of the one or the other"
            )
            .into());
        }
        let contacts = leaves_with_few * FEW + leaves_with_many * MANY;
        Ok(World { customers, contacts, depth, requesters, leaves_with_few, leaves })
    }

    /// Tells it from other worlds.
    pub fn name(&self) -> String {
        format!("world_{}_{}_{}", self.customers, self.contacts, self.depth)
    }

    /// The database that it is kept in. Another schema, or other contents, make another name.
    pub fn database(&self) -> String {
        let mut contents = DefaultHasher::new();
        SQL.hash(&mut contents);
        MIGRATOR.iter().for_each(|migration| migration.checksum.hash(&mut contents));
        format!("{}_{:08x}", self.name(), contents.finish() as u32)
    }

    /// What loads it into a migrated database.
    pub fn sql(&self) -> String {
        [
            ("{customers}", self.customers),
            ("{contacts}", self.contacts),
            ("{deleted}", self.deleted()),
            ("{ancestors}", self.ancestors()),
            ("{requesters}", self.requesters),
            ("{leaves_with_few}", self.leaves_with_few),
            ("{leaves}", self.leaves),
            ("{few}", FEW),
            ("{many}", MANY),
        ]
        .iter()
        .fold(SQL.to_owned(), |sql, (word, number)| sql.replace(word, &number.to_string()))
    }

    /// Each requester with the root of its chain, as a statement.
    pub fn roots_sql(&self) -> String {
        format!(
            "select bench.requester_id(number)::text, bench.customer_id(number)::text from generate_series(0::bigint, {}) number",
            self.requesters - 1
        )
    }

    /// Contacts that are deleted before anything is measured.
    pub fn deleted(&self) -> u64 {
        self.contacts / LIVE_FOR_EACH_DELETED
    }

    /// What deletes them in a copy.
    ///
    /// The first deletion on a page finds room; every later one tidies up after those before. The turns find pages of the
    /// second kind, as they are in a table that is in use, and the first turn no other ones than the last.
    pub fn age_sql(&self) -> String {
        let last = self.contacts + self.deleted() - 1;
        format!(
            "update contact
             set deleted_at = now()
             from generate_series({}::bigint, {last}) as number
             where contact.id = bench.contact_id(number)",
            self.contacts
        )
    }

    fn ancestors(&self) -> u64 {
        self.requesters * (self.depth - 1)
    }

    /// The most calls with so many ids that the world has rows for.
    pub fn most_calls(&self, ids_per_call: u64) -> u64 {
        self.leaves_for(ids_per_call) * calls_a_leaf(ids_per_call)
    }

    fn leaves_for(&self, ids_per_call: u64) -> u64 {
        if ids_per_call <= FEW { self.leaves_with_few } else { self.leaves - self.leaves_with_few }
    }
}

impl fmt::Display for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} contacts, {} levels", self.contacts, self.depth)
    }
}

fn calls_a_leaf(ids_per_call: u64) -> u64 {
    if ids_per_call <= FEW { FEW / ids_per_call } else { MANY / ids_per_call }
}

/// The calls of one run: contacts that no other run touches.
#[derive(Clone, Copy)]
pub struct Slice {
    first_leaf: u64,
    leaves: u64,
    pub ids_per_call: u64,
    pub calls: u64,
}

impl Slice {
    /// The calls as rows of SQL: number, requester_id, customer_id, ids.
    pub fn sql(&self) -> String {
        format!("bench.calls({}, {}, {}, {})", self.first_leaf, self.leaves, self.ids_per_call, self.calls)
    }
}

/// Hands out the rows of a fresh world, each once.
pub struct Stock {
    next_with_few: u64,
    next_with_many: u64,
    leaves_with_few: u64,
    leaves: u64,
}

impl Stock {
    pub fn of(world: &World) -> Stock {
        Stock {
            next_with_few: 0,
            next_with_many: world.leaves_with_few,
            leaves_with_few: world.leaves_with_few,
            leaves: world.leaves,
        }
    }

    /// None when there are not enough rows left.
    pub fn take(&mut self, ids_per_call: u64, calls: u64) -> Option<Slice> {
        let few = ids_per_call <= FEW;
        let (next, end) =
            if few { (&mut self.next_with_few, self.leaves_with_few) } else { (&mut self.next_with_many, self.leaves) };
        let leaves = calls.div_ceil(calls_a_leaf(ids_per_call));
        if leaves > end - *next {
            return None;
        }
        let slice = Slice { first_leaf: *next, leaves, ids_per_call, calls };
        *next += leaves;
        Some(slice)
    }
}
