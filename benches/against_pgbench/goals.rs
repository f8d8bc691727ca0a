//! The figures that the service is judged by, in one table at the end.

use crate::growth::REFUSAL;
use crate::measure::{Cell, Contender};
use crate::report::{self, Kind};

/// The rows of the table, for the first world. A figure that was not measured has no row.
#[derive(Default)]
pub struct Goals(Vec<String>);

impl Goals {
    /// Adds the figures of calls with so many ids.
    pub fn compared(&mut self, ids: u64, cells: &[Cell]) {
        let cells: Vec<&Cell> = cells.iter().filter(|cell| cell.world == 0).collect();
        let Some(best) = report::best(&cells, Contender::Lean) else { return };
        let cell = |contender, clients| {
            cells.iter().copied().find(|cell: &&Cell| cell.contender == contender && cell.clients == clients)
        };
        for (of_ids, clients, goal) in [(10, 8, 0.60), (10, 32, 0.85), (1, 64, 1.3), (100, 64, 0.80)] {
            if let Some(service) = cell(Contender::Service, clients).filter(|_| of_ids == ids) {
                let ratio = report::median(service.ratios(best));
                self.add(&format!("{ids} ids, {clients} connections: ratio"), &format!("at least {goal:.2}"), ratio);
            }
        }
        if ids == 10 {
            if let (Some(service), Some(usual)) = (cell(Contender::Service, 32), cell(Contender::UsualWay, 32)) {
                let ratio = report::median(service.ratios(usual));
                self.add("10 ids, 32 connections: ratio to the usual way", "at least 2.00", ratio);
            }
            if let (Some(service), Some(lean)) = (cell(Contender::Service, 8), cell(Contender::Lean, 8)) {
                let postgres = |cell: &Cell| cell.mean(|run| run.postgres_cpu);
                self.add("10 ids, 8 connections: CPU of PostgreSQL for lean, s per 1,000", "", postgres(lean));
                self.add("10 ids, 8 connections: CPU of PostgreSQL, s per 1,000", "at most 0.240", postgres(service));
                let cpu = service.mean(|run| run.program_cpu);
                self.add("10 ids, 8 connections: CPU of the service, s per 1,000", "at most 0.050", cpu);
            }
        }
        for service in cells.iter().filter(|cell| cell.contender == Contender::Service) {
            if let Some(lean) = cell(Contender::Lean, service.clients) {
                let name = format!("{ids} ids, {} connections: p99 ÷ lean's", service.clients);
                self.add(&name, "at most 1.50", service.p99() / lean.p99());
            }
        }
    }

    /// Adds the figures of refusals.
    pub fn costs(&mut self, kinds: &[Kind]) {
        for kind in kinds.iter().filter(|kind| kind.name.starts_with(REFUSAL)) {
            if let Some(cost) = kind.cost_to_success(kinds) {
                self.add(&format!("{} ids, {}: cost to a success", kind.ids_per_call, kind.name), "at most 3.00", cost);
            }
        }
    }

    fn add(&mut self, name: &str, goal: &str, measured: f64) {
        self.0.push(format!("| {name} | {goal} | {measured:.3} |"));
    }

    pub fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!("\n### Goals\n\n| | goal | measured |\n|---|---|--:|\n{}", self.0.join("\n"));
    }
}
