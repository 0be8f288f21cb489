//! How much each layer gives where all together have to give so much: least is lost where none could give a bit more for
//! less than another's last bit.

/// What a layer can be: how large it is then, and what that costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Choice {
    pub(super) size: usize,
    pub(super) cost: f64,
}

/// How often the price of size is halved.
const STEPS: usize = 100;

/// By layer the index of its choice, so that the sizes add up to `size` at most where that is possible, and the costs to
/// next to the least. Each layer has a choice.
pub(super) fn allot(layers: &[Vec<Choice>], size: usize) -> Vec<usize> {
    let at = |price: f64| -> Vec<usize> {
        let dear = |choice: &Choice| choice.cost + price * choice.size as f64;
        let best = |choices: &Vec<Choice>| {
            let order = |a: &usize, b: &usize| {
                let (a, b) = (&choices[*a], &choices[*b]);
                dear(a).total_cmp(&dear(b)).then(a.size.cmp(&b.size))
            };
            (0..choices.len()).min_by(order).unwrap_or(0)
        };
        layers.iter().map(best).collect()
    };
    let sized = |chosen: &[usize]| -> usize { chosen.iter().zip(layers).map(|(at, layer)| layer[*at].size).sum() };
    let greatest =
        layers.iter().flatten().map(|choice| choice.cost).filter(|cost| cost.is_finite()).fold(0.0, f64::max);
    let (mut low, mut high) = (0.0, greatest + 1.0);
    if sized(&at(low)) <= size {
        return at(low);
    }
    for _ in 0..STEPS {
        let middle = if low > 0.0 { (low * high).sqrt() } else { high * 1e-3 };
        if sized(&at(middle)) <= size {
            high = middle
        } else {
            low = middle
        }
        if low == 0.0 && high < f64::MIN_POSITIVE * 1e6 {
            break;
        }
    }
    let mut chosen = at(high);
    grow(layers, size, &mut chosen);
    chosen
}

/// Uses what the price left over: the growth that spares most for its size, as long as one fits.
fn grow(layers: &[Vec<Choice>], size: usize, chosen: &mut [usize]) {
    loop {
        let used: usize = chosen.iter().zip(layers).map(|(at, layer)| layer[*at].size).sum();
        let mut best: Option<(f64, usize, usize)> = None;
        for (layer, choices) in layers.iter().enumerate() {
            let now = choices[chosen[layer]];
            for (index, choice) in choices.iter().enumerate() {
                let fits = choice.size > now.size && used - now.size + choice.size <= size && choice.cost < now.cost;
                let gain = (now.cost - choice.cost) / (choice.size.saturating_sub(now.size)).max(1) as f64;
                if fits && best.is_none_or(|(most, ..)| gain > most) {
                    best = Some((gain, layer, index));
                }
            }
        }
        let Some((_, layer, index)) = best else { return };
        chosen[layer] = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(costs: &[f64]) -> Vec<Choice> {
        costs.iter().enumerate().map(|(size, cost)| Choice { size, cost: *cost }).collect()
    }

    #[test]
    fn the_layer_gives_that_can_best_spare_it() {
        let layers = [layer(&[9.0, 4.0, 1.0, 0.0]), layer(&[0.3, 0.2, 0.1, 0.0])];
        assert_eq!(allot(&layers, 6), [3, 3]);
        assert_eq!(allot(&layers, 4), [3, 1]);
        assert_eq!(allot(&layers, 3), [3, 0]);
        assert_eq!(allot(&layers, 2), [2, 0]);
        assert_eq!(allot(&layers, 0), [0, 0]);
    }

    #[test]
    fn no_more_is_given_than_asked_for() {
        let layers = [layer(&[1.0, 0.0]), layer(&[1.0, 0.0]), layer(&[1.0, 0.0])];
        let chosen = allot(&layers, 2);
        assert_eq!(chosen.iter().sum::<usize>(), 2);
    }

    #[test]
    fn what_can_give_no_more_gives_what_it_can() {
        let layers = [vec![Choice { size: 5, cost: 0.0 }], layer(&[1.0, 0.0])];
        assert_eq!(allot(&layers, 3), [0, 0]);
    }
}
