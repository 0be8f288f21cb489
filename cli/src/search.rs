//! `--max-loss`: the smallest or fastest package that loses no more than is allowed, found by measuring candidates here.

mod strategy;

pub use strategy::{Candidate, Judge, Space, Trial, search};
