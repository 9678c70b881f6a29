//! The cases of the loss: with the l1 norm and without.

use super::bind;
use super::reference::judge;
use crate::error::Result;
use crate::kernels::backward::cases::{Pair, pairs};
use crate::kernels::{Case, Outcome, PipelineCache};

/// The loss of a pair by this scale and with this lambda.
#[derive(Clone, Debug)]
struct Scaled(Pair, f32, f32);

/// Every case.
pub(super) fn all() -> Vec<Box<dyn Case>> {
    let of = |lambda: f32| {
        // zeros are where the l1 norm has a kink
        let one = move |pair| Scaled(Pair { zeros: lambda != 0.0, ..pair }, 0.25, lambda);
        pairs().into_iter().map(move |pair| Box::new(one(pair)) as Box<dyn Case>)
    };
    of(0.0).chain(of(0.3)).collect()
}

impl Case for Scaled {
    fn name(&self) -> String {
        format!("loss/lambda={}/{}", self.2, self.0.name())
    }

    fn elements(&self) -> usize {
        self.0.elements()
    }

    fn run(&self, _: &wgpu::Device, queue: &wgpu::Queue, kernels: &PipelineCache) -> Result<Outcome> {
        let Scaled(pair, scale, lambda) = self;
        let (made, mut outcome) = pair.run((kernels, queue), &self.name(), |to| {
            bind(kernels, &to.a, &to.b, (*scale, *lambda), &to.out, &to.number)
        })?;
        let [output, target] = &made.pair;
        judge((*scale, *lambda), [output, target], &made.out, made.number, &mut outcome);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use crate::gpu::{self, View};
    use crate::kernels::{Batch, Order, PipelineCache};

    /// Requests that do not fit are refused before anything is recorded.
    #[test]
    fn bad_requests_name_what_does_not_fit() {
        let (device, _) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let kernels = PipelineCache::new(&device);
        let buffer = gpu::buffer(&device, "page", 4096, wgpu::BufferUsages::STORAGE, false).unwrap();
        let view = |at: u64, length: u64| View::new("view", &buffer, 4 * at, length).unwrap();
        let batch = |at: u64| Batch::new("batch", view(at, 12), 3, 4, Order::FeatureMajor).unwrap();
        let (x, aim, grad_output) = (batch(1), batch(13), batch(25));
        let loss = |grad_output: &Batch, at: u64, length: u64| {
            super::super::bind(&kernels, &x, &aim, (1.0, 0.0), grad_output, &view(at, length))
        };
        assert_eq!(loss(&grad_output, 90, 1).unwrap().len(), 2);
        assert!(loss(&grad_output, 90, 2).unwrap_err().to_string().contains("length is 2, expected 1"));
        assert!(loss(&grad_output, 26, 1).unwrap_err().to_string().contains("and the loss overlap"));
        assert!(loss(&x, 90, 1).unwrap_err().to_string().contains("and the output overlap"));
        assert!(
            loss(&grad_output, 1, 1).unwrap_err().to_string().contains("the loss and the output overlap")
        );
    }
}
