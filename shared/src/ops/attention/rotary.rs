//! The angles of rotary positions, computed once per base and head width.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The table of a base (as bits) and a head width.
type Tables = HashMap<(u32, usize), Arc<Vec<f32>>>;

static TABLES: LazyLock<Mutex<Tables>> = LazyLock::new(Mutex::default);

/// Cosines, then sines, for at least `tokens` places: `[tokens][2][width / 2]`.
pub(super) fn table(theta: f32, width: usize, tokens: usize) -> Arc<Vec<f32>> {
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    let table = tables.entry((theta.to_bits(), width)).or_default();
    if table.len() < tokens * width {
        *table = Arc::new(compute(theta, width, tokens.next_power_of_two().max(128)));
    }
    Arc::clone(table)
}

fn compute(theta: f32, width: usize, tokens: usize) -> Vec<f32> {
    let frequencies: Vec<f32> = (0..width / 2).map(|i| 1.0 / theta.powf((2 * i) as f32 / width as f32)).collect();
    let angles = |place: usize| frequencies.iter().map(move |frequency| place as f32 * frequency);
    (0..tokens)
        .flat_map(|place| angles(place).map(f32::cos).chain(angles(place).map(f32::sin)).collect::<Vec<_>>())
        .collect()
}
