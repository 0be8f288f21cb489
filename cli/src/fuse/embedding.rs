//! Rows of constant tables and their sums become one embedding.

use emberlite::ops::{Embedding, Lookup, Table};
use tract_core::internal::*;
use tract_core::ops::array::Gather;
use tract_core::ops::binary::TypedBinOp;
use tract_core::ops::cast::Cast;
use tract_core::ops::math::Add;
use tract_core::ops::source::TypedSource;

use super::cone::Cone;
use super::probe::{Given, Probed, Sample, probe};
use super::view::{Draft, View};

/// Probes give half of the tokens ids below this.
const IDS: i64 = 4;

/// Probes are no longer than this.
const LONGEST: usize = 512;

/// The rows of one table.
struct Rows {
    table: OutletId,
    ids: OutletId,
    /// The rows as they are in the table, and as they are added up: a quantized table's are made into numbers between.
    gathered: OutletId,
    added: OutletId,
}

/// How rows are chosen.
enum Choice {
    /// By the ids of an input of the graph, or what is computed from them.
    Ids(OutletId),
    /// By these ids' padding.
    Padding(OutletId, i64),
    /// Whatever the ids.
    Any(Lookup),
}

/// Sums of rows of constant tables `[rows, width]` that ids `[batch, tokens]` choose become an `Embedding`.
pub(super) fn embedding(view: View<'_>, node: &TypedNode) -> TractResult<Option<TypedModelPatch>> {
    let sum = OutletId::new(node.id, 0);
    rule_if_some!(gathered = rows(view, sum));
    let within = |user: &&TypedNode| rows(view, OutletId::new(user.id, 0)).is_some();
    rule_if!(view.sole_user(sum).filter(within).is_none());
    rule_if_some!(choices = gathered.iter().map(|rows| choice(view, rows)).collect::<Option<Vec<_>>>());
    let mut inputs: Vec<OutletId> = Vec::new();
    for choice in &choices {
        match choice {
            Choice::Padding(ids, _) if !inputs.contains(ids) => inputs.insert(0, *ids),
            Choice::Ids(ids) if !inputs.contains(ids) => inputs.push(*ids),
            _ => {}
        }
    }
    let shape = |ids: &OutletId| view.fact(*ids).map(|fact| &fact.shape);
    rule_if_some!(first = inputs.first());
    rule_if!(inputs.iter().all(|ids| shape(ids) == shape(first)));
    rule_if!(choices.iter().all(|choice| !matches!(choice, Choice::Padding(ids, _) if ids != first)));
    let mut tables = Vec::new();
    for (rows, choice) in gathered.iter().zip(choices) {
        rule_if_some!(numbers = numbers(view, rows));
        rule_if_let!(Some(&[count, width]) = view.constant(rows.table).map(|table| table.shape()));
        let lookup = match choice {
            Choice::Any(lookup) => lookup,
            Choice::Padding(_, padding_id) => Lookup::NonPadding { padding_id },
            Choice::Ids(ids) => Lookup::Input(inputs.iter().position(|input| *input == ids).unwrap_or(0)),
        };
        tables.push((Table::new(&numbers, count, width).map_err(TractError::msg)?, lookup));
    }
    let op = Embedding::new(tables).map_err(TractError::msg)?;
    let table = &view.node(gathered[0].table).name;
    let named = table.strip_suffix("_0").unwrap_or(table);
    let mut draft = Draft::new(view, named, &[]);
    let inputs = draft.taps(&inputs)?;
    let y = draft.wire(op, &inputs)?;
    draft.replace(sum, y)
}

/// The rows that an outlet is the sum of, in order.
fn rows(view: View<'_>, sum: OutletId) -> Option<Vec<Rows>> {
    if let Some([left, right]) = view.binary::<Add>(view.node(sum)) {
        let own = |part: OutletId| view.sole_user(part).and_then(|_| rows(view, part));
        if let (Some(mut all), Some(right)) = (own(left), own(right)) {
            all.extend(right);
            return Some(all);
        }
    }
    let mut gathered = sum;
    while !view.node(gathered).op_is::<Gather>() {
        let node = view.node(gathered);
        let elementwise = node.op_is::<Cast>() || node.op_is::<TypedBinOp>();
        let mut given = node.inputs.iter().filter(|input| view.constant(**input).is_none());
        gathered = *given.next().filter(|_| elementwise)?;
        if given.next().is_some() {
            return None;
        }
        view.sole_user(gathered)?;
    }
    let node = view.node(gathered);
    let (op, &[table, ids]) = (node.op_as::<Gather>()?, &*node.inputs) else { return None };
    let chosen = view.fact(ids)?;
    let fits = op.axis == 0
        && op.output_type.is_none()
        && view.constant(table)?.rank() == 2
        && chosen.datum_type == i64::datum_type()
        && chosen.rank() == 2;
    (fits && view.floats(sum).is_some()).then(|| vec![Rows { table, ids, gathered, added: sum }])
}

/// The rows of a table as they are added up.
fn numbers(view: View<'_>, rows: &Rows) -> Option<Vec<f32>> {
    if rows.gathered == rows.added {
        return view.numbers(rows.table).map(<[f32]>::to_vec);
    }
    let table = view.constant(rows.table)?;
    let shape = [1, table.shape()[0], table.shape()[1]];
    let fact = TypedFact::dt_shape(table.datum_type(), shape);
    let cone = Cone::of_outlet(view.0, rows.added, rows.gathered, fact)?;
    let along_rows = |constant: &Arc<Tensor>| constant.shape().iter().rev().skip(1).any(|&size| size != 1);
    if cone.constants.iter().any(along_rows) {
        return None;
    }
    let table = table.as_ref().clone().into_shape(&shape).ok()?;
    let made = cone.plan()?.run(vec![table]).ok()?.into_iter().next()?;
    Some(made.try_as_plain_ram().ok()?.as_slice::<f32>().ok()?.to_vec())
}

fn choice(view: View<'_>, rows: &Rows) -> Option<Choice> {
    if view.op::<TypedSource>(rows.ids).is_some() {
        return Some(Choice::Ids(rows.ids));
    }
    let count = view.constant(rows.table)?.shape()[0];
    recognised(view, rows.ids, count).or(Some(Choice::Ids(rows.ids)))
}

/// What computed ids turn out to be, on texts as long as the arithmetic and the table allow.
fn recognised(view: View<'_>, ids: OutletId, rows: usize) -> Option<Choice> {
    let short = [(1, 1), (2, 5), (3, 17)];
    let longest = [rows.min(LONGEST), rows.min(LONGEST).saturating_sub(IDS as usize)];
    let mut attempts: Vec<Vec<(usize, usize)>> =
        longest.iter().filter(|tokens| **tokens > 17).map(|&tokens| [&short[..], &[(1, tokens)]].concat()).collect();
    attempts.push(short.to_vec());
    attempts.push(short.into_iter().filter(|(_, tokens)| *tokens < rows).collect());
    let probed = attempts.iter().find_map(|sizes| probe(view.0, ids, sizes, Given::Ids { below: IDS }))?;
    any(&probed).map(Choice::Any).or_else(|| {
        let source = probed.source?;
        let padding = |padding_id: &i64| agree(&probed.samples, |sample| counted(sample, *padding_id));
        (0..IDS).find(padding).map(|padding_id| Choice::Padding(source, padding_id))
    })
}

fn any(probed: &Probed) -> Option<Lookup> {
    let first = usize::try_from(*probed.samples.first()?.ids()?.first()?).ok()?;
    let row = agree(&probed.samples, |sample| vec![first as i64; sample.texts * sample.tokens]);
    let sequential =
        |sample: &Sample| (0..sample.texts * sample.tokens).map(|i| (i % sample.tokens + first) as i64).collect();
    if row {
        Some(Lookup::Row(first))
    } else {
        agree(&probed.samples, sequential).then_some(Lookup::Sequential { offset: first })
    }
}

/// Whether samples are as expected; ids of one text stand for those of all.
fn agree(samples: &[Sample], expected: impl Fn(&Sample) -> Vec<i64>) -> bool {
    let agrees = |sample: &Sample| {
        let (Some(got), expected) = (sample.ids(), expected(sample)) else { return false };
        match sample.output.shape() {
            [texts, tokens] if [*texts, *tokens] == [sample.texts, sample.tokens] => got == expected,
            [1, tokens] if *tokens == sample.tokens => expected.chunks(sample.tokens).all(|text| text == got),
            _ => false,
        }
    };
    !samples.is_empty() && samples.iter().all(agrees)
}

/// RoBERTa's positions.
fn counted(sample: &Sample, padding_id: i64) -> Vec<i64> {
    let text = |ids: &[i64]| {
        let mut place = padding_id;
        let position = |id: &i64| {
            if *id == padding_id {
                return padding_id;
            }
            place += 1;
            place
        };
        ids.iter().map(position).collect::<Vec<_>>()
    };
    sample.given.chunks(sample.tokens).flat_map(text).collect()
}
