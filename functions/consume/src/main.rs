//! The function `consume`: requests from queues, buckets and schedules in, results into a bucket or a queue.

use std::process::ExitCode;

fn main() -> ExitCode {
    let about = "Emberlite's function consume: requests from queues, buckets and schedules in, results out.";
    emberlite::adapter::consume("consume", about)
}
