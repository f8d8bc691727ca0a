//! Tables in Markdown, with medians of the runs.

use std::time::Duration;

use crate::measure::{Cell, Contender};
use crate::run::Run;
use crate::world::World;

/// Prints the figures of all programs for calls of so many ids. In each world, lean at its best number of clients is 1.00.
pub fn comparison(ids_per_call: u64, worlds: &[World], cells: &[Cell]) {
    println!("\n### {ids_per_call} ids a call");
    for (place, world) in worlds.iter().enumerate() {
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.world == place).collect();
        let (Some(lean), Some(own)) = (best(&cells, Contender::Lean), best(&cells, Contender::OwnStatement)) else {
            println!("\n{world}: too few for calls of so many ids.");
            continue;
        };
        println!(
            "\n{world}: 1.00 is lean with {} clients: {:.0} calls a second. {:.1} % of its time it fetched parameters.\n",
            lean.clients,
            lean.calls_a_second(),
            lean.median(|run| run.share_of_fetching) * 100.0
        );
        println!(
            "| | connections | ratio | middle half | to lean, same connections | to its statement | calls/s | p50 ms | p99 ms | p99 ÷ lean's \
             | CPU of the program, s per 1,000 | of PostgreSQL | of the load generator | WAL bytes a call | program's RSS, MB |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for cell in &cells {
            let on_as_many = |other: &&Cell| other.contender == Contender::Lean && other.clients == cell.clients;
            println!("{}", row(cell, lean, own, cells.iter().copied().find(on_as_many)));
        }
    }
}

/// With fewer, even the range of all of them is too narrow.
const FEWEST_ROUNDS_FOR_RANGE: usize = 6;

/// Prints how this build of the service compares with the other one, for calls of so many ids. More rounds make the ranges narrower.
pub fn builds(ids_per_call: u64, worlds: &[World], cells: &[Cell]) {
    println!("\n### {ids_per_call} ids a call: ratios of this build to the other one\n");
    println!("| world | connections | rounds | calls/s | with 95 % | CPU of the service | CPU of PostgreSQL | WAL |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    for cell in cells.iter().filter(|cell| cell.contender == Contender::Service) {
        let is_other = |other: &&Cell| {
            other.contender == Contender::Baseline && other.clients == cell.clients && other.world == cell.world
        };
        let Some(other) = cells.iter().find(is_other) else { continue };
        let calls = cell.ratios(other);
        let means = |value: fn(&Run) -> f64| cell.mean(value) / other.mean(value);
        println!(
            "| {} | {} | {} | {:.3} | {} | {:.3} | {:.3} | {:.3} |",
            worlds[cell.world],
            cell.clients,
            calls.len(),
            median(calls.clone()),
            range_of_median(calls),
            means(|run| run.program_cpu),
            means(|run| run.postgres_cpu),
            means(|run| run.wal),
        );
    }
}

fn row(cell: &Cell, lean: &Cell, own: &Cell, lean_on_as_many: Option<&Cell>) -> String {
    let ratios = cell.ratios(lean);
    let is_program = !cell.contender.is_pgbench();
    let if_program = |value: String| if is_program { value } else { String::new() };
    let to_lean = |value: fn(&Cell, &Cell) -> f64| {
        lean_on_as_many.map_or(String::new(), |lean| if_program(format!("{:.2}", value(cell, lean))))
    };
    [
        name(cell.contender).to_owned(),
        cell.clients.to_string(),
        format!("{:.2}", median(ratios.clone())),
        middle_half(ratios),
        to_lean(|cell, lean| median(cell.ratios(lean))),
        format!("{:.2}", median(cell.ratios(own))),
        format!("{:.0}", cell.calls_a_second()),
        format!("{:.2}", cell.median(|run| milliseconds(run.p50))),
        format!("{:.2}", cell.p99()),
        to_lean(|cell, lean| cell.p99() / lean.p99()),
        if_program(format!("{:.3}", cell.mean(|run| run.program_cpu))),
        format!("{:.3}", cell.mean(|run| run.postgres_cpu)),
        format!("{:.3}", cell.mean(|run| run.generator_cpu)),
        format!("{:.0}", cell.mean(|run| run.wal)),
        if_program(format!("{:.1}", cell.median(|run| run.memory))),
    ]
    .iter()
    .fold(String::from("|"), |row, value| format!("{row} {value} |"))
}

/// The contender's cell with the most calls a second.
pub fn best<'a>(cells: &[&'a Cell], contender: Contender) -> Option<&'a Cell> {
    let cells = cells.iter().filter(|cell| cell.contender == contender);
    cells.max_by(|one, other| one.calls_a_second().total_cmp(&other.calls_a_second())).copied()
}

fn name(contender: Contender) -> &'static str {
    match contender {
        Contender::Lean => "lean",
        Contender::OwnStatement => "the service's statement",
        Contender::Service => "**the service**",
        Contender::UsualWay => "the usual way",
        Contender::Baseline => "the other build",
    }
}

/// The name of a successful deletion.
pub const DELETION: &str = "deletion";

/// One kind of call in the table of the costs.
pub struct Kind {
    pub name: &'static str,
    pub ids_per_call: u64,
    pub connections: usize,
    pub runs: Vec<Run>,
}

impl Kind {
    /// The cost, relative to a successful deletion of as many ids on as many connections.
    pub fn cost_to_success(&self, kinds: &[Kind]) -> Option<f64> {
        let is_success = |kind: &&Kind| {
            kind.name == DELETION && kind.ids_per_call == self.ids_per_call && kind.connections == self.connections
        };
        kinds.iter().find(is_success).map(|success| self.cost(success))
    }

    fn cost(&self, measure: &Kind) -> f64 {
        let pairs = self.runs.iter().zip(&measure.runs);
        median(pairs.map(|(run, measure)| measure.calls_a_second / run.calls_a_second).collect())
    }
}

/// Prints the cost of each kind of call, relative to `measure`.
pub fn costs(kinds: &[Kind], measure: &Kind) {
    println!("\n### What each kind of call costs\n");
    println!(
        "A call costs the time that the service can spend on it: one second by the calls a second. 1.00 is a deletion of {} ids \
         on {} connections.\n",
        measure.ids_per_call, measure.connections
    );
    println!(
        "| call | connections | ids | cost | cost of an id | to a deletion of as many ids | calls/s | p50 ms | p99 ms \
         | CPU of the service, s per 1,000 | of PostgreSQL |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for kind in kinds {
        let median = |value: fn(&Run) -> f64| median(kind.runs.iter().map(value).collect());
        let cost = kind.cost(measure);
        println!(
            "| {} | {} | {} | {cost:.2} | {:.3} | {} | {:.0} | {:.2} | {:.2} | {:.3} | {:.3} |",
            kind.name,
            kind.connections,
            kind.ids_per_call,
            cost / kind.ids_per_call as f64,
            kind.cost_to_success(kinds).map_or(String::new(), |cost| format!("{cost:.2}")),
            median(|run| run.calls_a_second),
            median(|run| milliseconds(run.p50)),
            median(|run| milliseconds(run.p99)),
            median(|run| run.program_cpu),
            median(|run| run.postgres_cpu),
        );
    }
}

impl Cell {
    pub fn median(&self, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(value).collect())
    }

    /// The mean over all calls. Processor time is counted in ticks, which are too coarse for one short run.
    pub fn mean(&self, value: impl Fn(&Run) -> f64) -> f64 {
        let calls: f64 = self.runs.iter().map(|run| run.calls).sum();
        self.runs.iter().map(|run| value(run) * run.calls).sum::<f64>() / calls
    }

    fn calls_a_second(&self) -> f64 {
        self.median(|run| run.calls_a_second)
    }

    /// In milliseconds.
    pub fn p99(&self) -> f64 {
        self.median(|run| milliseconds(run.p99))
    }

    /// The ratio to the other's run in each round. The machine may be slower in one round than in another.
    pub fn ratios(&self, other: &Cell) -> Vec<f64> {
        let pairs = self.runs.iter().zip(&other.runs);
        pairs.map(|(run, other)| run.calls_a_second / other.calls_a_second).collect()
    }
}

pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// The range that contains the median of all possible values with a probability of 95 %, whatever their distribution is.
fn range_of_median(mut values: Vec<f64>) -> String {
    if values.len() < FEWEST_ROUNDS_FOR_RANGE {
        return "too few rounds".to_owned();
    }
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let below = ((count - 1.96 * count.sqrt()) / 2.0 - 0.5) as usize;
    format!("{:.3} to {:.3}", values[below], values[values.len() - 1 - below])
}

/// The range of the middle half of the values.
fn middle_half(values: Vec<f64>) -> String {
    format!("{:.2} to {:.2}", quantile(values.clone(), 0.25), quantile(values, 0.75))
}

fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = last as f64 * share;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
