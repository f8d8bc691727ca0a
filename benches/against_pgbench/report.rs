//! Tables in Markdown, with medians of the turns.

use std::time::Duration;

use crate::measure::{Cell, Contender, Turn};
use crate::world::World;

/// Prints what the programs did with calls of so many ids. pgbench at its best number of clients is 1.00 in each world.
pub fn comparison(ids_per_call: u64, worlds: &[World], cells: &[Cell]) {
    println!("\n### {ids_per_call} ids a call");
    for (place, world) in worlds.iter().enumerate() {
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.world == place).collect();
        comparison_in(world, &cells);
    }
    if worlds.len() > 1 {
        growth_of_world(worlds, cells);
    }
}

fn comparison_in(world: &World, cells: &[&Cell]) {
    let Some(best) = best_pgbench(cells) else {
        println!("\n{world}: too few for calls of so many ids.");
        return;
    };
    let fetching = best.median(|turn| turn.share_of_fetching) * 100.0;
    println!(
        "\n{world}: 1.00 is pgbench with {} clients: {:.0} calls a second. {fetching:.1} % of its time it fetched parameters.\n",
        best.clients,
        best.calls_a_second()
    );
    println!(
        "| | connections | ratio | middle half | calls/s | p50 ms | p99 ms | p99 to pgbench's \
         | CPU of the service, s per 1,000 | of PostgreSQL | of the load generator | WAL bytes a call | service's RSS, MB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for cell in cells {
        let mut pgbench = cells.iter().filter(|cell| cell.contender == Contender::Pgbench);
        let same_clients = pgbench.find(|pgbench| pgbench.clients == cell.clients).copied();
        println!("{}", row(cell, best, same_clients));
    }
}

fn row(cell: &Cell, best: &Cell, same_clients: Option<&Cell>) -> String {
    let p99 = cell.median(|turn| milliseconds(turn.p99));
    let p99_ratio = same_clients.map(|pgbench| p99 / pgbench.median(|turn| milliseconds(turn.p99)));
    let ratios = cell.ratios(best);
    let is_service = cell.contender != Contender::Pgbench;
    [
        name(cell.contender).to_owned(),
        cell.clients.to_string(),
        format!("{:.2}", median(ratios.clone())),
        middle_half(ratios),
        format!("{:.0}", cell.calls_a_second()),
        format!("{:.2}", cell.median(|turn| milliseconds(turn.p50))),
        format!("{p99:.2}"),
        p99_ratio.filter(|_| is_service).map_or(String::new(), |ratio| format!("{ratio:.2}")),
        if is_service { format!("{:.3}", cell.mean(|turn| turn.service_cpu)) } else { String::new() },
        format!("{:.3}", cell.mean(|turn| turn.postgres_cpu)),
        format!("{:.3}", cell.mean(|turn| turn.generator_cpu)),
        format!("{:.0}", cell.mean(|turn| turn.wal)),
        if is_service { format!("{:.1}", cell.median(|turn| turn.memory)) } else { String::new() },
    ]
    .iter()
    .fold(String::from("|"), |row, value| format!("{row} {value} |"))
}

/// Prints how the ratios in the other worlds are to those in the first, in the same rounds.
fn growth_of_world(worlds: &[World], cells: &[Cell]) {
    let in_world = |world| cells.iter().filter(move |cell| cell.world == world);
    let services = |world| in_world(world).filter(|cell| cell.contender != Contender::Pgbench);
    let best = |world| best_pgbench(&in_world(world).collect::<Vec<_>>());
    println!("\nThe ratios, to those in the world of {}:\n", worlds[0]);
    println!("| world | | connections | ratio | to the first world's | middle half |");
    println!("|---|---|--:|--:|--:|--:|");
    for (place, world) in worlds.iter().enumerate() {
        for (cell, first) in services(place).zip(services(0)) {
            let (Some(best), Some(first_best)) = (best(place), best(0)) else { return };
            let ratios = cell.ratios(best);
            let growth: Vec<f64> =
                ratios.iter().zip(first.ratios(first_best)).map(|(ratio, first)| ratio / first).collect();
            println!(
                "| {world} | {} | {} | {:.2} | {:.2} | {} |",
                name(cell.contender),
                cell.clients,
                median(ratios),
                median(growth.clone()),
                middle_half(growth),
            );
        }
    }
}

fn best_pgbench<'a>(cells: &[&'a Cell]) -> Option<&'a Cell> {
    let pgbench = cells.iter().filter(|cell| cell.contender == Contender::Pgbench);
    pgbench.max_by(|one, other| one.calls_a_second().total_cmp(&other.calls_a_second())).copied()
}

fn name(contender: Contender) -> &'static str {
    match contender {
        Contender::Pgbench => "pgbench",
        Contender::Service => "**the service**",
        Contender::UsualWay => "the usual way",
    }
}

/// One kind of call in the table of the growth.
pub struct Kind {
    pub name: &'static str,
    pub ids_per_call: u64,
    pub connections: usize,
    pub turns: Vec<Turn>,
}

/// Prints what each kind of call costs, in calls with ten ids that go through on as many connections.
pub fn growth(kinds: &[Kind], measure: &Kind) {
    println!("\n### What else a call costs\n");
    println!(
        "A call costs the time that the service can spend on it: one second by the calls a second. 1.00 is a deletion of {} ids \
         on {} connections.\n",
        measure.ids_per_call, measure.connections
    );
    println!(
        "| call | connections | ids | cost | cost of an id | calls/s | p50 ms | p99 ms | CPU of the service, s per 1,000 | of PostgreSQL |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for kind in kinds {
        let median = |value: fn(&Turn) -> f64| median(kind.turns.iter().map(value).collect());
        let calls_a_second = median(|turn| turn.calls_a_second);
        let costs: Vec<f64> = (kind.turns.iter().zip(&measure.turns))
            .map(|(turn, measure)| measure.calls_a_second / turn.calls_a_second)
            .collect();
        let cost = self::median(costs);
        println!(
            "| {} | {} | {} | {cost:.2} | {:.3} | {calls_a_second:.0} | {:.2} | {:.2} | {:.3} | {:.3} |",
            kind.name,
            kind.connections,
            kind.ids_per_call,
            cost / kind.ids_per_call as f64,
            median(|turn| milliseconds(turn.p50)),
            median(|turn| milliseconds(turn.p99)),
            median(|turn| turn.service_cpu),
            median(|turn| turn.postgres_cpu),
        );
    }
}

impl Cell {
    fn median(&self, value: impl Fn(&Turn) -> f64) -> f64 {
        median(self.turns.iter().map(value).collect())
    }

    /// Over all calls: what is counted in ticks of the clock says little about a short turn.
    fn mean(&self, value: impl Fn(&Turn) -> f64) -> f64 {
        let calls: f64 = self.turns.iter().map(|turn| turn.calls).sum();
        self.turns.iter().map(|turn| value(turn) * turn.calls).sum::<f64>() / calls
    }

    fn calls_a_second(&self) -> f64 {
        self.median(|turn| turn.calls_a_second)
    }

    /// To the other's turn of the same round: the machine may be slower in another.
    fn ratios(&self, other: &Cell) -> Vec<f64> {
        let pairs = self.turns.iter().zip(&other.turns);
        pairs.map(|(turn, other)| turn.calls_a_second / other.calls_a_second).collect()
    }
}

pub fn median(values: Vec<f64>) -> f64 {
    quantile(values, 0.5)
}

/// Between which values the middle half of them lies.
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
