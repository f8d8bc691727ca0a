//! The two schemas that hold the same rows, each in a server of its own: the lean reference and the service's own. A comparison of
//! two builds has the schema of each.

pub struct Tables {
    pub name: &'static str,
    /// Creates the tables. The service's are created by its migrations.
    pub create: Option<&'static str>,
    /// The table that gets a row for each call.
    pub record: &'static str,
    /// The column of a contact's phone number.
    pub phone: &'static str,
    /// The statement that pgbench runs.
    pub statement: &'static str,
    /// Loads calls of an earlier time, one for each row of `history (number)`.
    pub history: &'static str,
    /// Count the calls that are recorded as successful, and as refused.
    pub successes: &'static str,
    pub refusals: &'static str,
    /// Must count 0 calls. The table `asked` has the calls that must have succeeded.
    pub faults: &'static str,
}

/// The kinds of tables of a benchmark.
pub const KINDS: usize = 2;

/// The service's tables, in the server of another build.
pub static BASELINE: Tables = Tables { name: "baseline", ..OF_THE_SERVICE };

pub static SERVICE: Tables = OF_THE_SERVICE;

pub static LEAN: Tables = Tables {
    name: "lean",
    create: Some(include_str!("lean_tables.sql")),
    record: "request",
    phone: "phone",
    statement: include_str!("lean_statement.sql"),
    history: "
        insert into request (requester, resource, status)
        select bench.requester_id(number), 'address', 'SUCCESSFUL' from history",
    successes: "select count(*) from request where resource = 'contact'",
    refusals: "select 0::bigint",
    faults: "
        select count(*)
        from asked
        cross join lateral unnest(asked.ids) as wanted (id)
        left join contact on contact.id = wanted.id and contact.deleted_by = asked.requester_id
        where contact.deleted_at is null",
};

const OF_THE_SERVICE: Tables = Tables {
    name: "service",
    create: None,
    record: "operation",
    phone: "mobile",
    statement: include_str!("../../src/repository/sql/delete_contacts.sql"),
    history: "
        insert into operation (
          id, requester_id, customer_id, resource, target_ids, status, deleted_rows, idempotency_key, completed_at
        )
        select
          md5('operation ' || number)::uuid, bench.requester_id(number), bench.leaf_id(number % {leaves}), 'address',
          array[md5('address ' || number)::uuid], 'SUCCESS', 1, case when number % 10 = 0 then 'key-' || number end, now()
        from history",
    successes: "select count(*) from operation where resource = 'contact' and status = 'SUCCESS'",
    refusals: "select count(*) from operation where resource = 'contact' and status <> 'SUCCESS'",
    // Calls without a record of their own, and records whose rows are not those that they deleted.
    faults: "
        with recorded as (
          select * from operation where resource = 'contact' and status = 'SUCCESS'
        ), deleted as (
          select contact.deleted_by, array_agg(contact.id order by contact.id) as ids
          from contact
          where contact.deleted_by is not null
          group by contact.deleted_by
        )
        select (
          select count(*)
          from asked
          left join recorded
            on recorded.target_ids = asked.ids
            and recorded.customer_id = asked.customer_id
            and recorded.requester_id = asked.requester_id
          where recorded.id is null
        ) + (
          select count(*)
          from recorded
          full join deleted on deleted.deleted_by = recorded.id
          where recorded.target_ids is distinct from deleted.ids
        )",
};
