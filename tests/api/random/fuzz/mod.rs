//! Invalid bytes, written to a served process. It answers each of them in a documented form, in time and without a panic, and
//! deletes nothing.
//!
//! `FUZZ_CASES` sets the number of cases. `FUZZ_SEED` repeats a run that failed.

mod answer;
mod call;
mod corpus;
mod http;
mod parsers;
mod target;

use std::fmt::Debug;
use std::str::FromStr;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use uuid::Uuid;

/// A number from an environment variable.
fn variable<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|value| value.parse().expect("the variable is a number"))
}

fn seed() -> u64 {
    variable("FUZZ_SEED").unwrap_or_else(|| Uuid::now_v7().as_u128() as u64)
}

/// Tries this many cases. Fails with the smallest case found that breaks the check, and with its seed.
fn try_cases<S: Strategy>(
    name: &str,
    (cases, seed): (u32, u64),
    strategy: S,
    check: impl Fn(S::Value) -> Result<(), String>,
) where
    S::Value: Debug,
{
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(&strategy, |case| check(case).map_err(TestCaseError::fail));
    match tried {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => {
            panic!("{name}: {reason}\nFUZZ_SEED={seed} FUZZ_CASES={cases}\nthe smallest such case: {case:?}")
        }
        Err(TestError::Abort(reason)) => panic!("{name}: {reason}, FUZZ_SEED={seed}"),
    }
}
