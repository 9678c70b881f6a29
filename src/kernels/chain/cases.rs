//! The cases of the derivative by a layer's input: with a Hessian, and by r̄ alone.

use super::bind;
use super::reference::judge;
use crate::error::Result;
use crate::kernels::backward::cases::{Pair, UNWRITTEN, pair, pairs, unchanged};
use crate::kernels::{Case, Outcome, PipelineCache};

/// A pair, and whether h is r̄.
#[derive(Clone, Debug)]
struct Chained(Pair, bool);

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let lost = [f32::NAN, f32::INFINITY].map(|l| Chained(Pair { l, ..pair(5, 7) }, false));
    let both = pairs().into_iter().flat_map(|pair| [Chained(pair.clone(), false), Chained(pair, true)]);
    both.chain(lost).map(|case| Box::new(case) as Box<dyn Case>).collect()
}

impl Case for Chained {
    fn name(&self) -> String {
        let h = if self.1 { "grad_r" } else { "given" };
        format!("chain/h={h}/L={}/{}", self.0.l, self.0.name())
    }

    fn elements(&self) -> usize {
        self.0.elements()
    }

    fn run(&self, _: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let Chained(pair, scaled) = self;
        let (made, mut outcome) = pair.run((kernels, queue), &self.name(), |to| match scaled {
            true => bind(kernels, &to.learned, 1, &to.a, &to.a, &to.out),
            false => bind(kernels, &to.learned, 1, &to.a, &to.b, &to.out),
        })?;
        let [grad_r, h] = &made.pair;
        judge(pair.l, grad_r, if *scaled { grad_r } else { h }, &made.out, &mut outcome);
        unchanged(&mut outcome, 0, made.number, f32::from_bits(UNWRITTEN));
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::super::bind;
    use crate::gpu::{self, View};
    use crate::kernels::{Batch, LearnedParameters, Order, PipelineCache};
    use crate::regulariser::ParameterLayout;

    /// Requests that do not fit are refused before anything is recorded.
    #[test]
    fn bad_requests_name_what_does_not_fit() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let kernels = PipelineCache::new(&device);
        let buffer = gpu::buffer(&device, "page", 4096, wgpu::BufferUsages::STORAGE, false).unwrap();
        let view = |at: u64, length: u64| View::new("view", &buffer, 4 * at, length).unwrap();
        let batch = |at: u64| Batch::new("batch", view(at, 12), 3, 4, Order::FeatureMajor).unwrap();
        let places = ParameterLayout { components: 3, nonzeros: 9 };
        let learned = LearnedParameters::new("learned", view(100, 48), places, 2).unwrap();
        let said = bind(&kernels, &learned, 1, &batch(1), &batch(1), &batch(12)).unwrap_err().to_string();
        assert!(said.contains("the derivative by the input and r̄ overlap"), "{said}");
        assert_eq!(bind(&kernels, &learned, 1, &batch(1), &batch(13), &batch(25)).unwrap().len(), 1);
    }
}
