//! The customers and contacts that are loaded, and the parts of them that runs use.

use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;

use customer_deletion::schema::MIGRATOR;

use crate::AnyError;
use crate::tables::Tables;

/// Contacts of an ordinary customer, for calls of up to as many ids.
pub const FEW: u64 = 20;

/// Contacts of a customer for calls of more ids.
pub const MANY: u64 = 1000;

/// The fewest leaves of a requester. It leaves enough requesters for the calls in flight to be of different ones.
const LEAVES_A_REQUESTER: u64 = 8;

/// One in so many of the leaves with few contacts is a sub-customer of the large requester.
const LEAVES_FOR_EACH_OF_LARGE: u64 = 5;

/// Live contacts for each one that was deleted before. Each page has about three of the deleted ones.
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

    /// Unique among worlds.
    pub fn name(&self) -> String {
        format!("world_{}_{}_{}", self.customers, self.contacts, self.depth)
    }

    /// The name of its database. It changes with the schema and the contents.
    pub fn database(&self, tables: &Tables) -> String {
        let mut contents = DefaultHasher::new();
        self.sql(tables).hash(&mut contents);
        match tables.create {
            Some(sql) => sql.hash(&mut contents),
            None => MIGRATOR.iter().for_each(|migration| migration.checksum.hash(&mut contents)),
        }
        format!("{}_{:08x}", self.name(), contents.finish() as u32)
    }

    /// Loads it into a database that has the tables.
    pub fn sql(&self, tables: &Tables) -> String {
        let sql = SQL.replace("{history}", tables.history).replace("{phone}", tables.phone);
        [
            ("{first_large}", self.first_large()),
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
        .fold(sql, |sql, (word, number)| sql.replace(word, &number.to_string()))
    }

    /// Contacts that are deleted before anything is measured.
    pub fn deleted(&self) -> u64 {
        self.contacts / LIVE_FOR_EACH_DELETED
    }

    /// Deletes these contacts in a copy.
    ///
    /// The first deletion on a page finds free space. Every later one first prunes the page. With these deletions, the first run
    /// already finds pages that need pruning, as in a table that is in use.
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

    fn first_large(&self) -> u64 {
        self.leaves_with_few - self.leaves_with_few / LEAVES_FOR_EACH_OF_LARGE
    }

    /// The most calls with so many ids that the world has rows for.
    pub fn most_calls(&self, ids_per_call: u64) -> u64 {
        let leaves = self.range(Leaves::of_calls(ids_per_call));
        (leaves.end - leaves.start) * calls_a_leaf(ids_per_call)
    }

    fn range(&self, leaves: Leaves) -> Range<u64> {
        match leaves {
            Leaves::WithFew => 0..self.first_large(),
            Leaves::OfLargeRequester => self.first_large()..self.leaves_with_few,
            Leaves::WithMany => self.leaves_with_few..self.leaves,
        }
    }
}

/// The leaves whose contacts a run deletes.
#[derive(Clone, Copy)]
pub enum Leaves {
    WithFew,
    OfLargeRequester,
    WithMany,
}

impl Leaves {
    pub fn of_calls(ids_per_call: u64) -> Leaves {
        if ids_per_call <= FEW { Leaves::WithFew } else { Leaves::WithMany }
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

/// Hands out the leaves of a fresh world, each once.
pub struct Stock([Range<u64>; 3]);

impl Stock {
    pub fn of(world: &World) -> Stock {
        Stock([Leaves::WithFew, Leaves::OfLargeRequester, Leaves::WithMany].map(|leaves| world.range(leaves)))
    }

    /// Returns `None` if there are not enough rows left.
    pub fn take(&mut self, leaves: Leaves, ids_per_call: u64, calls: u64) -> Option<Slice> {
        let rest = &mut self.0[leaves as usize];
        let leaves = calls.div_ceil(calls_a_leaf(ids_per_call));
        if leaves > rest.end - rest.start {
            return None;
        }
        let slice = Slice { first_leaf: rest.start, leaves, ids_per_call, calls };
        rest.start += leaves;
        Some(slice)
    }
}
