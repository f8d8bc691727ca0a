//! Random calls and histories, against a model of the contract.

mod fuzz;
mod histories;
