//! A plan: a graph made ready to run, shared by every request.

use std::ops::Range;
use std::sync::Arc;

use emberlite_kernels::threads;
use tract_core::internal::{DatumType, TValue, tvec};
use tract_core::model::TypedRunnableModel;
use tract_core::prelude::{IntoArcTensor as _, IntoRunnable, TVec, Tensor, TypedModel};

use super::ids::{self, Ids};
use super::{EngineError, explain, guarded};
use crate::ops::rows;
use crate::ops::step::Step;

/// A graph made ready to run. Runs share it; each keeps its own state.
#[derive(Clone, Debug)]
pub struct Plan {
    runnable: Arc<TypedRunnableModel>,
    /// By input.
    ids: Arc<[Option<Ids>]>,
}

impl Plan {
    /// Chooses the graph's operators for this CPU and orders them. A graph that was not simplified before (tract's
    /// declutter) runs as it is: the packer's work, not a cold start's.
    ///
    /// # Errors
    /// [`EngineError::Plan`] where tract refuses the graph.
    pub fn new(mut model: TypedModel) -> Result<Self, EngineError> {
        let ids = ids::find(&model).into();
        guarded(|| {
            model.optimize().map_err(|error| explain(&error))?;
            model.into_runnable().map_err(|error| explain(&error))
        })
        .map(|runnable| Self { runnable, ids })
        .map_err(EngineError::Plan)
    }

    /// By input of the graph: the integers that choose a row, where an input's integers do so and the graph tells.
    pub fn ids(&self) -> impl Iterator<Item = Option<Range<i64>>> {
        self.ids.iter().map(|ids| ids.as_ref().map(Ids::known))
    }

    /// Runs the graph on its inputs, in the graph's order. Inputs must have the types and shapes it declares.
    ///
    /// Symbolic dimensions come out as `INT64`.
    ///
    /// # Errors
    /// [`EngineError::UnknownId`] where an integer chooses a row that is not there, and [`EngineError::Run`] where an
    /// operator refuses what it is given.
    pub fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, EngineError> {
        for (ids, input) in self.ids.iter().zip(&inputs) {
            ids.as_ref().map_or(Ok(()), |ids| ids.check(input))?;
        }
        guarded(|| {
            let inputs: TVec<_> = inputs.into_iter().map(Into::into).collect();
            let outputs = threads::enter(|| self.runnable.run(inputs)).map_err(|error| explain(&error))?;
            outputs.into_iter().map(|output| without_symbols(output.into_arc_tensor())).collect()
        })
        .map_err(EngineError::Run)
    }

    /// Runs a language model's graph on the tokens of a step, its only input, and gives its only output.
    ///
    /// # Errors
    /// As [`Plan::run`].
    pub(super) fn run_step(&self, tokens: Tensor, step: &mut Step) -> Result<Arc<Tensor>, EngineError> {
        if let Some(Some(ids)) = self.ids.first() {
            ids.check(&tokens)?;
        }
        let rows = step.rows();
        let run = || {
            let mut state = self.runnable.spawn()?;
            // Known from the start, so that no operator's output is searched for it.
            if let Some(wanted) = self.runnable.model().symbols.get(rows::WANTED) {
                state.turn_state.resolved_symbols.set(&wanted, rows as i64);
            }
            state.run(tvec![tokens.into()])
        };
        guarded(|| {
            let outputs = threads::enter(|| step.during(run)).map_err(|error| explain(&error))?;
            outputs.into_iter().next().map(TValue::into_arc_tensor).ok_or_else(|| "no output".to_owned())
        })
        .map_err(EngineError::Run)
    }
}

fn without_symbols(tensor: Arc<Tensor>) -> Result<Arc<Tensor>, String> {
    if tensor.datum_type() != DatumType::TDim {
        return Ok(tensor);
    }
    let plain = tensor.cast_to_dt(DatumType::I64).map_err(|error| explain(&error))?;
    Ok(plain.into_owned().into())
}
