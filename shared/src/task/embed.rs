//! The task `embed`: texts in, vectors out.

use super::text::TextError;
use crate::model::{Dim, Manifest};

/// What a request wants of its vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// How many components are kept, from the first; all of them for `None`.
    pub dimensions: Option<usize>,
    /// Whether a vector is scaled to length 1, after cutting.
    pub normalize: bool,
}

/// How many components the model's vectors have, where the manifest tells.
pub fn dimensions(manifest: &Manifest) -> Option<usize> {
    match manifest.outputs.first()?.shape.last()? {
        Dim::Fixed(width) => Some(*width),
        Dim::Symbol(_) => None,
    }
}

/// Makes of the model's vectors what a request wants.
///
/// # Errors
/// [`TextError::Dimensions`] where more are wanted than there are, or none.
pub fn finish(vectors: &mut [Vec<f32>], wish: Wish) -> Result<(), TextError> {
    for vector in vectors {
        if let Some(expected) = wish.dimensions {
            if expected == 0 || expected > vector.len() {
                return Err(TextError::Dimensions { expected, got: vector.len() });
            }
            vector.truncate(expected);
        }
        if wish.normalize {
            normalize(vector);
        }
    }
    Ok(())
}

/// Scales a vector to length 1; one of length 0 stays.
fn normalize(vector: &mut [f32]) {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|component| *component = (f64::from(*component) / length) as f32);
    }
}

/// How alike the first vector is to each of the others: their cosine.
pub fn similarities(vectors: &[Vec<f32>]) -> Vec<f32> {
    let Some((first, others)) = vectors.split_first() else { return Vec::new() };
    let length = |vector: &[f32]| dot(vector, vector).sqrt();
    let cosine = |other: &Vec<f32>| {
        let lengths = length(first) * length(other);
        if lengths > 0.0 { (dot(first, other) / lengths) as f32 } else { 0.0 }
    };
    others.iter().map(cosine).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_are_cut_before_they_are_scaled() {
        let mut vectors = vec![vec![3.0, 4.0, 12.0]];
        finish(&mut vectors, Wish { dimensions: Some(2), normalize: true }).unwrap();
        assert_eq!(vectors, [[0.6, 0.8]]);
    }

    #[test]
    fn a_vector_of_zeros_stays() {
        let mut vectors = vec![vec![0.0; 3]];
        finish(&mut vectors, Wish { dimensions: None, normalize: true }).unwrap();
        assert_eq!(vectors, [[0.0; 3]]);
        assert_eq!(similarities(&[vec![0.0], vec![1.0]]), [0.0]);
    }

    #[test]
    fn more_dimensions_than_there_are_or_none_are_refused() {
        for expected in [0, 4] {
            let refused = finish(&mut [vec![1.0; 3]], Wish { dimensions: Some(expected), normalize: false });
            assert_eq!(refused, Err(TextError::Dimensions { expected, got: 3 }));
        }
    }

    #[test]
    fn similarity_is_the_cosine() {
        assert_eq!(similarities(&[vec![2.0, 0.0], vec![5.0, 0.0], vec![0.0, 1.0], vec![-1.0, 0.0]]), [1.0, 0.0, -1.0]);
    }
}
