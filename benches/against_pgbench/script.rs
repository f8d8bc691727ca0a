//! The script of pgbench: a deletion with its parameters, for the lean tables or the service's.
//!
//! The statement is read from its file, and only its parameters get other names: `-M prepared` sends them as parameters again.
//! pgbench can compute numbers but no lists of ids, and a statement that hashed them itself would spend more on that than on the
//! deletion. So the parameters of all calls are put into a table before the clock starts, and each client fetches those of its next
//! calls in one look-up of a row. That look-up is a transaction of its own in pgbench's log. Its share of the time is printed, and
//! is not subtracted.
//!
//! pgbench sends text, and sends a parameter again each time that the statement mentions it. So the first expression of the
//! statement reads the list of ids, and the others refer to it. For a long list only its number is sent, by which the list is found.

use std::fmt::Write;

use crate::AnyError;
use crate::client::Client;
use crate::tables::Tables;
use crate::world::Slice;

/// The most ids that are sent as text.
const LONGEST_TEXT: u64 = 10;

/// The locks for which the clients wait before the run begins, and at its end.
pub const BEGIN: u32 = 1;
pub const END: u32 = 2;

/// Touches every page.
const WARM_UP: &str = "\
begin;
set local statement_timeout = 0;
select bench.touch(0, 1000000000000);
end;
";

/// The number of calls that a client fetches at once. Each is a prepared statement of its own.
pub fn calls_a_fetch(ids_per_call: u64) -> u64 {
    match ids_per_call {
        0..=LONGEST_TEXT => 10,
        _ => 4,
    }
}

/// A parameter whose value differs from call to call.
struct Parameter {
    name: &'static str,
    /// Its value, as text, from a row of `bench.calls`.
    value: &'static str,
    cast: &'static str,
}

/// `word` names the parameter in the comment of the statement, as in `$2 requester`.
fn parameter(word: &str) -> Option<Parameter> {
    let (name, value, cast) = match word {
        // The ids of operations begin with the time, like those that the service makes.
        "operation" => (
            "operation",
            "lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(number), 12, '0')",
            "::uuid",
        ),
        "requester" => ("requester", "requester_id::text", "::uuid"),
        "customer" => ("customer", "customer_id::text", "::uuid"),
        "contacts" => ("ids", "ids::text", ""),
        _ => return None,
    };
    Some(Parameter { name, value, cast })
}

/// The expression for a parameter that is the same in every call. pgbench cannot send a null. With a literal, the planner would
/// simplify the plan, and it would not be the service's.
fn constant(word: &str) -> Option<&'static str> {
    match word {
        "idempotency" | "actor" => Some("nullif(:no_key::text, 'none')"),
        // A call that waits for its outcome has no record yet.
        "whether" => Some(":recorded::boolean"),
        _ => None,
    }
}

/// The variables of pgbench for these constants.
pub const DEFINITIONS: [&str; 2] = ["--define=no_key=none", "--define=recorded=false"];

/// Calls, the script that makes them, and the table that they are fetched from.
pub struct Script {
    ids_per_call: u64,
    /// The statement, with names in braces for its parameters.
    statement: String,
    parameters: Vec<Parameter>,
}

impl Script {
    /// Reads the names of the parameters from the comment at the head of the statement.
    pub fn new(tables: &Tables, ids_per_call: u64) -> Result<Script, AnyError> {
        let (comment, statement): (Vec<&str>, Vec<&str>) =
            tables.statement.lines().partition(|line| line.trim_start().starts_with("--"));
        // pgbench would also replace a name after a colon in a comment.
        let mut statement = statement.join("\n");
        let mut parameters = Vec::new();
        for number in 1.. {
            let placeholder = format!("${number}");
            if !statement.contains(&placeholder) {
                break;
            }
            let word =
                comment.iter().find_map(|line| line.split(&format!("{placeholder} ")).nth(1)?.split([' ', ',']).next());
            let word = word.unwrap_or_default();
            if let Some(constant) = constant(word) {
                statement = statement.replace(&placeholder, constant);
            } else {
                let parameter = parameter(word).ok_or_else(|| format!("what to send as {placeholder} ({word})?"))?;
                statement = statement.replace(&placeholder, &format!("{{{}}}", parameter.name));
                parameters.push(parameter);
            }
        }
        let list = match ids_per_call {
            0..=LONGEST_TEXT => "select {ids}::uuid[] as ids",
            _ => "select list.ids from bench.list where list.number = {ids}::bigint",
        };
        let rest = statement.replace("{ids}", "((select wanted.ids from wanted)::uuid[])");
        let heads = ["with recursive", "with"];
        let (head, rest) = (heads.iter().find_map(|head| Some((head, rest.strip_prefix(head)?))))
            .ok_or("the statement does not begin with `with`")?;
        Ok(Script { ids_per_call, statement: format!("{head} wanted as materialized ({list}),{rest}"), parameters })
    }

    /// Fills the tables from which the clients fetch the calls of the slice.
    pub fn prepare(&self, client: &mut Client, slice: &Slice, clients: usize) -> Result<(), AnyError> {
        client.run(
            "drop table if exists bench.list, bench.fetch;
             create unlogged table bench.list (number bigint primary key, ids uuid[]);
             create unlogged table bench.fetch (client bigint, batch bigint, parameters text[], primary key (client, batch));
             alter table bench.list alter ids set storage external;
             alter table bench.fetch alter parameters set storage external",
        )?;
        let calls = slice.sql();
        let mut values = self.parameters.iter().map(|parameter| parameter.value).collect::<Vec<_>>().join(", ");
        if self.ids_per_call > LONGEST_TEXT {
            client.run(&format!("insert into bench.list select number, ids from {calls}"))?;
            values = values.replace("ids::text", "number::text");
        }
        client.run(&format!(
            "insert into bench.fetch
             select number % {clients}, number / {clients} / {fetch}, array_agg(parameter.text order by number, parameter.place)
             from {calls}
             cross join lateral unnest(array[{values}]) with ordinality as parameter (text, place)
             group by 1, 2",
            fetch = calls_a_fetch(self.ids_per_call),
        ))
    }

    /// One transaction is one call, or the fetch of the next ones.
    pub fn text(&self) -> Result<String, AnyError> {
        let fetch = calls_a_fetch(self.ids_per_call);
        let columns: Vec<String> = (0..fetch)
            .flat_map(|place| self.parameters.iter().map(move |parameter| format!("{}_{place}", parameter.name)))
            .zip(1..)
            .map(|(name, index)| format!("next.parameters[{index}] as {name}"))
            .collect();
        let mut script = format!(
            "\\if :stage = 0\n{WARM_UP}\\set stage 1\n\
             \\elif :stage = 1 and :batch = 1 and :place = {fetch}\n{}\\set stage 2\n\
             \\elif :left = 0\n{}\
             \\elif :place = {fetch}\n\
             with next as materialized (\n  select parameters || '{{}}' as parameters from bench.fetch \
             where client = :client_id and batch = :batch\n)\n\
             select {} from next \\gset\n\\set batch :batch + 1\n\\set place 0\n",
            wait_for(BEGIN),
            wait_for(END),
            columns.join(", ")
        );
        for place in 0..fetch {
            let statement =
                self.parameters.iter().fold(self.statement.clone(), |statement, Parameter { name, cast, .. }| {
                    statement.replace(&format!("{{{name}}}"), &format!(":{name}_{place}{cast}"))
                });
            write!(script, "\\elif :place = {place}\n{statement};\n\\set place {}\n\\set left :left - 1\n", place + 1)?;
        }
        script.push_str("\\endif\n");
        Ok(script)
    }
}

/// Waits until the benchmark releases the lock.
fn wait_for(barrier: u32) -> String {
    format!(
        "set lock_timeout = 0;\nset statement_timeout = 0;\n\
         select pg_advisory_lock_shared({barrier});\nselect pg_advisory_unlock_shared({barrier});\n\
         reset lock_timeout;\nreset statement_timeout;\n"
    )
}
