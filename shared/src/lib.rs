//! Emberlite serves small models from serverless functions, on the CPU the function already has.

pub mod ops;
