//! A fresh copy of the world with both services on it, and at its end the check of what they and pgbench have deleted.

use std::net::SocketAddr;
use std::time::Instant;

use crate::AnyError;
use crate::client::Client;
use crate::cluster::{COPY, Cluster};
use crate::load::{self, Request};
use crate::program::Program;
use crate::world::{Slice, Stock, World};

/// What opens every connection of a pool and prepares its statements, before anything is measured.
const WARM_UP_CALLS: u64 = 128;
const WARM_UP_CONNECTIONS: usize = 32;

const WARM_UP: &str = include_str!("warm_up.sql");

pub struct Arena<'a> {
    pub cluster: &'a Cluster,
    pub client: Client,
    pub service: Program,
    pub usual_way: Program,
    stock: Stock,
    deleted: Vec<Slice>,
    refusals: u64,
    /// Contacts that were deleted before.
    deleted_before: u64,
}

impl<'a> Arena<'a> {
    pub fn open(cluster: &'a Cluster, world: &World) -> Result<Arena<'a>, AnyError> {
        let began = Instant::now();
        cluster.copy(world)?;
        eprintln!("a fresh copy of the world, in {:.1} s", began.elapsed().as_secs_f64());
        let url = cluster.url(COPY);
        let mut arena = Arena {
            cluster,
            client: cluster.client(COPY)?,
            service: Program::service(&url, &cluster.file("service.log"))?,
            usual_way: Program::usual_way(&url)?,
            stock: Stock::of(world),
            deleted: Vec::new(),
            refusals: 0,
            deleted_before: world.deleted(),
        };
        arena.client.run(WARM_UP)?;
        arena.warm_up()?;
        Ok(arena)
    }

    /// Sends calls until each session of both services has touched every page that deletions go through.
    fn warm_up(&mut self) -> Result<(), AnyError> {
        self.client.run(
            "create trigger warm_up after insert on operation for each statement execute function bench.touch_more()",
        )?;
        for address in [self.service.address, self.usual_way.address] {
            let mut sessions = -1;
            // Until no call has come to a session that was not warm.
            loop {
                self.send_warm_up(address)?;
                let known = self.client.number("select count(*) from bench.session")?;
                let cold = self.client.number("select count(*) from bench.session where not is_warm")?;
                if cold == 0 && known == sessions {
                    break;
                }
                sessions = known;
            }
        }
        self.client.run("drop trigger warm_up on operation")?;
        // Plans were made for a table with a trigger.
        for address in [self.service.address, self.usual_way.address] {
            self.send_warm_up(address)?;
        }
        Ok(())
    }

    fn send_warm_up(&mut self, address: SocketAddr) -> Result<(), AnyError> {
        let slice = self.take(1, WARM_UP_CALLS).ok_or("there are too few contacts to warm up with")?;
        let requests = self.deletions(&slice)?;
        self.deleted(slice);
        load::send(address, requests, WARM_UP_CONNECTIONS, load::DELETED)?;
        Ok(())
    }

    /// Fresh rows for so many calls; none when there are not enough left.
    pub fn take(&mut self, ids_per_call: u64, calls: u64) -> Option<Slice> {
        self.stock.take(ids_per_call, calls)
    }

    /// Notes that every call of a slice must have deleted its rows.
    pub fn deleted(&mut self, slice: Slice) {
        self.deleted.push(slice);
    }

    /// Notes that so many calls must have been recorded as refused.
    pub fn refused(&mut self, calls: u64) {
        self.refusals += calls;
    }

    /// The calls of a slice: requester, customer, ids.
    pub fn calls(&mut self, slice: &Slice) -> Result<Vec<Call>, AnyError> {
        let rows: Vec<(String, String, Vec<String>)> = self.client.rows(&format!(
            "select requester_id::text, customer_id::text, ids::text[] from {} order by number",
            slice.sql()
        ))?;
        Ok(rows.into_iter().map(|(requester, customer, ids)| Call { requester, customer, ids }).collect())
    }

    /// The calls of a slice as they are sent.
    pub fn deletions(&mut self, slice: &Slice) -> Result<Vec<Request>, AnyError> {
        Ok(self.calls(slice)?.iter().map(|call| call.request("")).collect())
    }

    /// Ends both services and looks at what is deleted.
    pub fn close(mut self) -> Result<(), AnyError> {
        let began = Instant::now();
        self.service.stop()?;
        self.usual_way.stop()?;
        let slices: Vec<String> = self.deleted.iter().map(|slice| format!("select * from {}", slice.sql())).collect();
        self.client.run(&format!(
            "create temporary table asked as {}; analyze asked, contact, operation",
            slices.join(" union all ")
        ))?;
        let calls: u64 = self.deleted.iter().map(|slice| slice.calls).sum();
        let contacts: u64 = self.deleted.iter().map(|slice| slice.calls * slice.ids_per_call).sum();
        for (what, sql, expected) in [
            ("recorded successes", SUCCESSES, calls),
            ("recorded refusals", REFUSALS, self.refusals),
            ("deleted contacts", DELETED, self.deleted_before + contacts),
            ("calls without a record of their own", UNRECORDED, 0),
            ("records whose rows are not those that it deleted", MISRECORDED, 0),
        ] {
            let found = self.client.number(sql)?;
            if u64::try_from(found)? != expected {
                return Err(format!("{what}: there are {found}, and must be {expected}").into());
            }
        }
        eprintln!("what is deleted was checked, in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }
}

const SUCCESSES: &str = "select count(*) from operation where resource = 'contact' and status = 'SUCCESS'";
const REFUSALS: &str = "select count(*) from operation where resource = 'contact' and status <> 'SUCCESS'";
const DELETED: &str = "select count(*) from contact where deleted_at is not null";

const UNRECORDED: &str = "
    select count(*)
    from asked
    left join operation
      on operation.target_ids = asked.ids
      and operation.customer_id = asked.customer_id
      and operation.requester_id = asked.requester_id
      and operation.status = 'SUCCESS'
    where operation.id is null";

const MISRECORDED: &str = "
    with deleted as (
      select contact.deleted_by, array_agg(contact.id order by contact.id) as ids
      from contact
      where contact.deleted_by is not null
      group by contact.deleted_by
    )
    select count(*)
    from (select * from operation where resource = 'contact' and status = 'SUCCESS') as operation
    full join deleted on deleted.deleted_by = operation.id
    where operation.target_ids is distinct from deleted.ids";

/// A deletion call.
#[derive(Clone)]
pub struct Call {
    pub requester: String,
    pub customer: String,
    pub ids: Vec<String>,
}

impl Call {
    /// As it is sent, with more lines in its head.
    pub fn request(&self, more_headers: &str) -> Request {
        load::deletion(&self.requester, &self.customer, &self.ids, more_headers)
    }
}
