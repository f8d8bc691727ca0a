//! A fresh copy of the world, and the program that deletes from it. At the end, the deleted rows are checked.

use std::time::Instant;

use crate::AnyError;
use crate::client::Client;
use crate::cluster::{COPY, Cluster};
use crate::load::{self, Request};
use crate::program::Program;
use crate::world::{Leaves, Slice, Stock, World};

/// Enough calls to open every connection of a pool and to prepare its statements. They are not measured.
const WARM_UP_CALLS: u64 = 128;
const WARM_UP_CONNECTIONS: usize = 32;

const WARM_UP: &str = include_str!("warm_up.sql");

pub struct Arena<'a> {
    pub cluster: &'a Cluster,
    pub client: Client,
    /// The service, with its own tables, or the usual way, with the lean ones.
    pub program: Program,
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
        eprintln!(
            "a fresh copy of the world, {} tables, in {:.1} s",
            cluster.tables.name,
            began.elapsed().as_secs_f64()
        );
        let url = cluster.url(COPY);
        let mut arena = Arena {
            cluster,
            client: cluster.client(COPY)?,
            program: match cluster.tables.create {
                Some(_) => Program::usual_way(&url)?,
                None => Program::service(&cluster.service, &url, &cluster.file("service.log"))?,
            },
            stock: Stock::of(world),
            deleted: Vec::new(),
            refusals: 0,
            deleted_before: world.deleted(),
        };
        arena.client.run(WARM_UP)?;
        arena.warm_up()?;
        Ok(arena)
    }

    /// Sends calls until each session of the program has touched every page.
    fn warm_up(&mut self) -> Result<(), AnyError> {
        let record = self.cluster.tables.record;
        self.client.run(&format!(
            "create trigger warm_up after insert on {record} for each statement execute function bench.touch_more()"
        ))?;
        let mut sessions = -1;
        // Ends once no call was served by a cold session.
        loop {
            self.send_warm_up()?;
            let known = self.client.number("select count(*) from bench.session")?;
            let cold = self.client.number("select count(*) from bench.session where not is_warm")?;
            if cold == 0 && known == sessions {
                break;
            }
            sessions = known;
        }
        self.client.run(&format!("drop trigger warm_up on {record}"))?;
        // The cached plans are for a table with a trigger, so they are made again.
        self.send_warm_up()
    }

    fn send_warm_up(&mut self) -> Result<(), AnyError> {
        let slice = self.take(Leaves::WithFew, 1, WARM_UP_CALLS).ok_or("there are too few contacts to warm up with")?;
        let requests = self.deletions(&slice)?;
        self.deleted(slice);
        load::send(self.program.address, requests, WARM_UP_CONNECTIONS, load::DELETED)?;
        Ok(())
    }

    /// Reserves fresh rows for so many calls. Returns `None` if not enough are left.
    pub fn take(&mut self, leaves: Leaves, ids_per_call: u64, calls: u64) -> Option<Slice> {
        self.stock.take(leaves, ids_per_call, calls)
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

    /// The requests of a slice.
    pub fn deletions(&mut self, slice: &Slice) -> Result<Vec<Request>, AnyError> {
        Ok(self.calls(slice)?.iter().map(|call| call.request("")).collect())
    }

    /// Ends the program, and checks which rows are deleted.
    pub fn close(mut self) -> Result<(), AnyError> {
        let began = Instant::now();
        self.program.stop()?;
        let tables = self.cluster.tables;
        let slices: Vec<String> = self.deleted.iter().map(|slice| format!("select * from {}", slice.sql())).collect();
        self.client.run(&format!(
            "create temporary table asked as {}; analyze asked, contact, {}",
            slices.join(" union all "),
            tables.record
        ))?;
        let calls: u64 = self.deleted.iter().map(|slice| slice.calls).sum();
        let contacts: u64 = self.deleted.iter().map(|slice| slice.calls * slice.ids_per_call).sum();
        for (name, sql, expected) in [
            ("recorded successes", tables.successes, calls),
            ("recorded refusals", tables.refusals, self.refusals),
            ("deleted contacts", DELETED, self.deleted_before + contacts),
            ("calls that are not recorded with what they deleted", tables.faults, 0),
        ] {
            let found = self.client.number(sql)?;
            if u64::try_from(found)? != expected {
                return Err(format!("{name}: there are {found}, and must be {expected}").into());
            }
        }
        eprintln!("the deleted rows were checked in {:.1} s", began.elapsed().as_secs_f64());
        Ok(())
    }
}

const DELETED: &str = "select count(*) from contact where deleted_at is not null";

/// A deletion call.
#[derive(Clone)]
pub struct Call {
    pub requester: String,
    pub customer: String,
    pub ids: Vec<String>,
}

impl Call {
    /// The request, with these lines added to its head.
    pub fn request(&self, more_headers: &str) -> Request {
        load::deletion(&self.requester, &self.customer, &self.ids, more_headers)
    }
}
