//! Which units go first where several layers read them, each in columns of its own: always the one whose absence costs the
//! layers least, once what is left makes up for it.
//!
//! The optimal brain surgeon (Hassibi and Stork 1993) for groups of columns: leaving out the columns `u` of a layer `W`
//! whose inputs have the moments `H` costs `tr(W_u ((H^-1)_uu)^-1 W_u^T)`; costs of several layers are added as parts of
//! what each layer gives.

use emberlite_algebra::{Matrix, Root};

/// A layer that reads units.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    /// The inverse of the inputs' moments, `[inputs, inputs]`.
    inverse: Matrix,
    /// `[inputs, outputs]`
    weight: Matrix,
    /// By unit: the inputs that are its.
    columns: Vec<Vec<usize>>,
    /// What an error is measured by.
    power: f64,
}

impl Reader {
    /// A layer whose inputs have these moments, and with what it is to give those, `[outputs, inputs]`.
    pub(super) fn new(moments: &Matrix, wanted: &Matrix, columns: Vec<Vec<usize>>, power: f64) -> Self {
        let root = Root::nearest(moments.clone());
        let weight = root.divide(wanted).transposed();
        Self { inverse: root.inverse(), weight, columns, power: power.max(f64::MIN_POSITIVE) }
    }

    fn cost(&self, unit: usize) -> f64 {
        let cost = match self.columns[unit][..] {
            [] => return 0.0,
            [column] => {
                let power: f64 = self.weight.row(column).iter().map(|number| number * number).sum();
                power / self.inverse.at(column, column).max(f64::MIN_POSITIVE)
            }
            ref columns => {
                let root = Root::nearest(self.inverse.select_rows(columns).select_columns(columns));
                root.solve_triangle(&self.weight.select_rows(columns)).power()
            }
        };
        cost / self.power
    }

    fn leave_out(&mut self, unit: usize) {
        let columns = &self.columns[unit];
        if columns.is_empty() {
            return;
        }
        let across = self.inverse.select_rows(columns);
        let share = Root::nearest(across.select_columns(columns)).divide(&across.transposed());
        self.weight.add_product(&share, &self.weight.select_rows(columns), -1.0);
        self.inverse.add_product(&share, &across, -1.0);
    }
}

/// Layers that read units which go one after the other.
#[derive(Clone, Debug)]
pub(super) struct Elimination {
    readers: Vec<Reader>,
    left: Vec<usize>,
}

impl Elimination {
    /// Of so many units.
    pub(super) fn new(readers: Vec<Reader>, units: usize) -> Self {
        Self { readers, left: (0..units).collect() }
    }

    /// Leaves out the unit that costs least of those that are left and may go; none where none may. Gives its number and
    /// what it costs.
    pub(super) fn next(&mut self, may_go: impl Fn(usize) -> bool) -> Option<(usize, f64)> {
        let cost = |&unit: &usize| (unit, self.readers.iter().map(|reader| reader.cost(unit)).sum::<f64>());
        let costs = self.left.iter().filter(|unit| may_go(**unit)).map(cost);
        let cheapest = costs.min_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)))?;
        self.left.retain(|unit| *unit != cheapest.0);
        self.readers.iter_mut().for_each(|reader| reader.leave_out(cheapest.0));
        Some(cheapest)
    }

    /// The weight that a reader of one output gives an input by now.
    pub(super) fn weight(&self, reader: usize, column: usize) -> f64 {
        self.readers[reader].weight.at(column, 0)
    }

    /// The units that are left, in their order.
    pub(super) fn left(&self) -> &[usize] {
        &self.left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seed: u64, count: usize, width: usize) -> Matrix {
        let mut random = fastrand::Rng::with_seed(seed);
        Matrix::new(count, width, (0..count * width).map(|_| random.f64() - 0.5).collect())
    }

    #[test]
    fn a_unit_that_others_make_up_for_goes_first_whatever_its_weight() {
        let mut x = rows(1, 100, 6);
        for row in 0..100 {
            let row = x.row_mut(row);
            row[4] = row[0] + row[1];
        }
        let weight = Matrix::new(1, 6, vec![2.0, 1.0, 0.1, 1.0, 5.0, 1.0]);
        let mut moments = x.transposed_times(&x);
        moments.add_to_diagonal(1e-7);
        let wanted = weight.times(&moments);
        let columns = (0..6).map(|unit| vec![unit]).collect();
        let mut elimination = Elimination::new(vec![Reader::new(&moments, &wanted, columns, 1.0)], 6);
        let (unit, cost) = elimination.next(|unit| unit != 0).unwrap();
        assert!([1, 4].contains(&unit) && cost < 1e-4, "{unit} {cost}");
        assert_eq!(elimination.next(|_| true).map(|(unit, _)| unit), Some(2));
        assert_eq!(elimination.next(|_| false), None);
        assert_eq!(elimination.left().len(), 4);
    }

    #[test]
    fn costs_of_all_readers_count() {
        let mut moments = Matrix::zeros(2, 2);
        moments.add_to_diagonal(1.0);
        let reader = |weights: [f64; 2], power| {
            let weight = Matrix::new(1, 2, weights.to_vec());
            Reader::new(&moments, &weight, vec![vec![0], vec![1]], power)
        };
        let readers = vec![reader([1.0, 2.0], 1.0), reader([2.0, 1.0], 0.1)];
        assert_eq!(Elimination::new(readers, 2).next(|_| true).map(|(unit, _)| unit), Some(1));
    }
}
