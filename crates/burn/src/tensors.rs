//! The proximal step by Burn's tensor operations: on any backend, tensor by tensor.

use burn::optim::{Optimizer as BurnOptimizer, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor};
use burn_pack::Scalar;
use maf_srl::error::{Result, require, unsupported};
use maf_srl::kernels::step::{Adam, Optimizer};
use maf_srl::penalty::group::{Lasso, Weight};
use maf_srl::penalty::{ElasticNet, GroupPenalty, Mcp, Penalty, WEIGHT};

/// An [optimiser of Burn's](burn::optim::Optimizer) that takes a base step and then the operators of penalties, by tensor operations.
///
/// It is what [`SparseOptimizer`](crate::SparseOptimizer) computes, where that cannot be had: on Burn's other backends, and in places
/// that take no other optimiser than Burn's, such as `Learner`. Parameter groups, clipping and checkpoints are Burn's. It works tensor
/// by tensor, so that it is slower with many tensors, and nothing checks it while it runs. Penalties whose operator has no short
/// form in tensor operations, and base steps in Adam's metric, are not there.
///
/// ```
/// use burn::module::ParamGroup;
/// use burn::optim::ModuleOptimizer;
/// use maf_srl::kernels::step::Optimizer;
/// use maf_srl_burn::ProxOptimizer;
/// // Burn's `Linear` is [inputs, outputs]: a neuron is a column
/// let plain = ProxOptimizer::new(Optimizer::HeavyBall { momentum: 0.9 }, "none".parse()?, 0.0)?;
/// let sparse = ProxOptimizer::new(Optimizer::HeavyBall { momentum: 0.9 }, "l1".parse()?, 1e-4)?
///     .with_group("lasso".parse()?, 1e-3, 1)?;
/// let optim = ModuleOptimizer::from(plain)
///     .with_group(ParamGroup::from_path("fc1.weight"), sparse, None);
/// # Ok::<(), maf_srl::Error>(())
/// ```
///
/// **Numbers.** Those of the library's references, rounded by the backend's f32 at each operation. Zeros are exact and positive.
/// **NaN** stays NaN.
#[derive(Clone, Debug)]
pub struct ProxOptimizer {
    base: Optimizer,
    penalty: Penalty,
    lambda: f64,
    group: Option<OfGroup>,
}

#[derive(Clone, Copy, Debug)]
struct OfGroup {
    lasso: Lasso,
    lambda: f64,
    axis: usize,
}

/// The states of a parameter, and how many steps it took.
#[derive(Clone, Debug)]
pub struct ProxState<const D: usize> {
    steps: u64,
    /// Of the gradient, then of its square.
    moments: Vec<Tensor<D>>,
}

impl ProxOptimizer {
    /// A base step, a penalty and its weight.
    ///
    /// # Errors
    /// [`Error::Unsupported`](maf_srl::Error::Unsupported) for a penalty other than none, l1, l2sq, elastic-net, l0 and mcp, and a base
    /// step in Adam's metric or without a gradient; [`Error::Domain`](maf_srl::Error::Domain) for numbers outside their range.
    pub fn new(base: Optimizer, penalty: Penalty, lambda: f64) -> Result<Self> {
        base.check()?;
        require(WEIGHT.contains(lambda), "penalty", "lambda", lambda, WEIGHT)?;
        let known = matches!(
            penalty,
            Penalty::NoPenalty(_)
                | Penalty::L1(_)
                | Penalty::L2Sq(_)
                | Penalty::ElasticNet(_)
                | Penalty::L0(_)
                | Penalty::Mcp(_)
        );
        if !known {
            let what = format!("{penalty} by tensor operations");
            return Err(unsupported(
                "penalty",
                what,
                "none, l1, l2sq, elastic-net, l0, mcp, or a SparseOptimizer",
            ));
        }
        if matches!(base, Optimizer::AdamMetric(_) | Optimizer::Prox) {
            let allowed = "gradient, heavy-ball, nesterov, adam, adamw, or a SparseOptimizer";
            return Err(unsupported("optimizer", format!("{base} by tensor operations"), allowed));
        }
        Ok(ProxOptimizer { base, penalty, lambda, group: None })
    }

    /// With the group lasso, whose groups are the indices of an axis. Tensors without that axis, and vectors, go without it.
    ///
    /// # Errors
    /// [`Error::Unsupported`](maf_srl::Error::Unsupported) for another penalty of groups; [`Error::Domain`](maf_srl::Error::Domain) for a
    /// lambda outside its range.
    pub fn with_group(self, penalty: GroupPenalty, lambda: f64, axis: usize) -> Result<Self> {
        require(WEIGHT.contains(lambda), "penalty of groups", "lambda", lambda, WEIGHT)?;
        let GroupPenalty::Lasso(lasso) = penalty else {
            let what = format!("{penalty} by tensor operations");
            return Err(unsupported("penalty of groups", what, "lasso, or a SparseOptimizer"));
        };
        Ok(ProxOptimizer { group: Some(OfGroup { lasso, lambda, axis }), ..self })
    }

    /// The base step: the weights after it, and the states.
    fn base<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: ProxState<D>,
    ) -> (Tensor<D>, ProxState<D>) {
        let steps = state.steps + 1;
        let mut moments = state.moments.into_iter();
        match self.base {
            Optimizer::HeavyBall { momentum } | Optimizer::Nesterov { momentum } => {
                let m = match moments.next() {
                    Some(m) => m.mul_scalar(momentum) + g.clone(),
                    None => g.clone(),
                };
                let direction = match self.base {
                    Optimizer::Nesterov { .. } => g + m.clone().mul_scalar(momentum),
                    _ => m.clone(),
                };
                (w - direction.mul_scalar(lr), ProxState { steps, moments: vec![m] })
            }
            Optimizer::Adam(Adam { beta1, beta2, epsilon, decay }) => {
                let mut moment = |beta: f64, x: Tensor<D>| match moments.next() {
                    Some(m) => m.mul_scalar(beta) + x.mul_scalar(1.0 - beta),
                    None => x.mul_scalar(1.0 - beta),
                };
                let m = moment(beta1, g.clone());
                let v = moment(beta2, g.clone() * g);
                // 1 - beta^step without cancellation
                let correction = |beta: f64| -(steps as f64 * beta.ln()).exp_m1();
                let below = v.clone().sqrt().mul_scalar(1.0 / correction(beta2).sqrt()).add_scalar(epsilon);
                let step = m.clone().mul_scalar(lr / correction(beta1)) / below;
                let w = if decay == 0.0 { w } else { w.mul_scalar(1.0 - lr * decay) };
                (w - step, ProxState { steps, moments: vec![m, v] })
            }
            _ => (w - g.mul_scalar(lr), ProxState { steps, moments: Vec::new() }),
        }
    }

    /// The penalty's operator at step size t.
    fn prox<const D: usize>(&self, t: f64, x: Tensor<D>) -> Tensor<D> {
        let lambda = self.lambda;
        // x - clamp(x, -at, at): exactly 0 and not -0 where |x| <= at
        let soft = |x: Tensor<D>, at: f64| x.clone() - x.clamp(-at, at);
        let hard = |x: Tensor<D>, at: f64| {
            let small = x.clone().abs().lower_equal_elem(at);
            x.mask_fill(small, 0.0)
        };
        match self.penalty {
            Penalty::L1(_) => soft(x, t * lambda),
            Penalty::L2Sq(_) => x.div_scalar(1.0 + t * lambda),
            Penalty::ElasticNet(ElasticNet { mix }) => {
                soft(x, t * lambda * mix).div_scalar(1.0 + t * lambda * (1.0 - mix))
            }
            Penalty::L0(_) => hard(x, (2.0 * t * lambda).sqrt()),
            Penalty::Mcp(Mcp { gamma }) if gamma > t => {
                let flat = x.clone().abs().greater_elem(gamma * lambda);
                soft(x.clone(), t * lambda).mul_scalar(gamma / (gamma - t)).mask_where(flat, x)
            }
            Penalty::Mcp(Mcp { gamma }) => hard(x, lambda * (t * gamma).sqrt()),
            _ => x,
        }
    }
}

impl OfGroup {
    /// x_g - min(1, t lambda / ||x_g||) x_g.
    fn prox<const D: usize>(&self, t: f64, x: Tensor<D>) -> Tensor<D> {
        if D < 2 || self.axis >= D {
            return x;
        }
        let members = x.shape().num_elements() / x.dims()[self.axis].max(1);
        let weight = match self.lasso.weight {
            Weight::One => 1.0,
            Weight::SqrtSize => (members as f64).sqrt(),
        };
        let mut squares = x.clone() * x.clone();
        for axis in (0..D).filter(|axis| *axis != self.axis) {
            squares = squares.sum_dim(axis);
        }
        // a group of zeros stays one, whatever stands below the line; x - x is not -0
        let norm = squares.sqrt().clamp_min(f32::MIN_POSITIVE);
        let less = norm.recip().mul_scalar(t * self.lambda * weight).clamp_max(1.0);
        x.clone() - x * less
    }
}

impl BurnOptimizer for ProxOptimizer {
    type State<const D: usize> = ProxState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<ProxState<D>>,
    ) -> (Tensor<D>, Option<ProxState<D>>) {
        let state = state.unwrap_or(ProxState { steps: 0, moments: Vec::new() });
        let (x, state) = self.base(lr, tensor, grad, state);
        let x = self.prox(lr, x);
        let x = match &self.group {
            Some(group) => group.prox(lr, x),
            None => x,
        };
        (x, Some(state))
    }

    fn to_device<const D: usize>(state: ProxState<D>, device: &Device) -> ProxState<D> {
        let moments = state.moments.into_iter().map(|moment| moment.to_device(device)).collect();
        ProxState { moments, ..state }
    }
}

/// The names of the moments in a record.
const MOMENTS: [&str; 2] = ["first", "second"];

impl<const D: usize> RecordState for ProxState<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_scalar(prefix, "steps", Scalar::from(self.steps));
        for (name, moment) in MOMENTS.iter().zip(&self.moments) {
            out.push_tensor(prefix, name, moment.to_data());
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let Some(Scalar::UInt(steps)) = src.take_scalar(prefix, "steps") else { return None };
        let take = |name: &&str| Some(Tensor::from_data(src.take_tensor(prefix, name)?, device));
        Some(ProxState { steps, moments: MOMENTS.iter().map_while(take).collect() })
    }
}
