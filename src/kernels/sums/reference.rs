//! What the sums of a layer may be.

use super::dispatch::Cut;
use crate::accuracy::{FLUSH, RELATIVE};
use crate::kernels::Outcome;
use crate::kernels::backward::cases::{LAYER, Numbers, Subject, demand, start, unchanged};
use crate::kernels::backward::reference::{Near, Sum};
use crate::regulariser::{HEAD, ParameterLayout};

/// Judges head, q and b of a gradient's layer.
pub(super) fn judge(
    subject: &Subject,
    numbers: &Numbers,
    places: ParameterLayout,
    after: &[f32],
    outcome: &mut Outcome,
) {
    let layer = subject.layer(numbers, places);
    let (n, m) = (subject.n as usize, subject.m as usize);
    let mut scalars = [Sum::default(); 5];
    let (row_chain, chain) = Cut::new(subject.n, subject.m).chains();
    for i in 0..n {
        let (q_at, b_at) = (places.q().start + i, places.b().start + i);
        let mut q = start(subject.add, numbers, places, q_at);
        let mut b = start(subject.add, numbers, places, b_at);
        for k in i * m..(i + 1) * m {
            let (u, w) = (f64::from(numbers.u[k]), f64::from(numbers.w[k]));
            let v = layer.v(i, numbers.u[k]);
            let slope = layer.slope(v);
            let broken = !w.is_finite() || v.value.is_nan();
            let or_nan = |x: f64| if broken { f64::NAN } else { x };
            let value = slope.value * w * u;
            let error = 2.1 * RELATIVE * value.abs() + slope.error * (w * u).abs() + FLUSH * (1.0 + u.abs());
            q.add(or_nan(value), error);
            b.add(-w, 0.0);
            for (sum, partial) in scalars[1..].iter_mut().zip(layer.partials(v)) {
                let w = Near { value: or_nan(w), error: 0.0 };
                sum.add_product(partial, w);
                sum.error += FLUSH * w.value.abs();
            }
            let g = layer.g(numbers.x[k], numbers.data[k], subject.given);
            scalars[0].add_product(Near { value: f64::from(numbers.grad_r[k]), error: 0.0 }, g);
        }
        demand(outcome, &format!("q̄ {i}"), &q, row_chain, after[q_at]);
        demand(outcome, &format!("b̄ {i}"), &b, row_chain, after[b_at]);
    }
    let l = layer.l();
    scalars[0] =
        if l.is_finite() { scalars[0].times(1.0 / (l * l)) } else { Sum { value: f64::NAN, ..scalars[0] } };
    for (at, sum) in scalars.into_iter().enumerate() {
        let mut total = start(subject.add, numbers, places, at);
        total.merge(sum);
        demand(outcome, ["L̄", "eta̅1", "eta̅2", "delta̅1", "delta̅2"][at], &total, chain + 5.0, after[at]);
    }
    let length = places.length() as usize;
    for at in (5..HEAD as usize).chain(places.values().start..length) {
        let own = LAYER as usize * length + at;
        let zero = !subject.add && !places.values().contains(&at);
        unchanged(outcome, at, after[at], if zero { 0.0 } else { numbers.gradient[own] });
    }
}
