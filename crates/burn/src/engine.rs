//! The steps of all parameters of a module, in one plan: what runs on the device's thread.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use burn::backend::wgpu::CubeTensor;
use burn::module::ParamId;
use maf_srl::error::{Error, Result, unsupported};
use maf_srl::gpu::{self, Readback, View};
use maf_srl::kernels::step::{Optimizer, StepParameters};
use maf_srl::schedule::{Plan, Schedule, Spec, Tensor, Update, Verification, Verify};

use crate::Gpu;
use crate::bridge::{self, Pin};
use crate::control::{Controls, DensityStatus, Followed};
use crate::record::{Recorded, SparseRecord};

/// What buffers of states are for.
const USAGE: wgpu::BufferUsages =
    wgpu::BufferUsages::STORAGE.union(wgpu::BufferUsages::COPY_SRC).union(wgpu::BufferUsages::COPY_DST);

/// The largest lambda.
const LARGEST: f64 = 1e6;

/// One parameter of a step.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub id: ParamId,
    pub spec: Spec,
    pub rate: f64,
    pub followed: Option<Arc<Followed>>,
}

/// What one step of a module is told.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    pub members: Vec<Member>,
    pub lambda_scale: f64,
    pub freeze: bool,
}

/// What the engine did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Steps of the module.
    pub steps: u64,
    /// Plans that were bound: one for each set of parameters that the ones before did not hold.
    pub plans: u64,
    /// Weights that were copied, because somebody else sees their memory, or to bring them out of memory of their own.
    pub copies: u64,
    /// Dispatches of a step.
    pub dispatches: usize,
}

/// Where the host's time went in the latest step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTimes {
    /// Taking parameters out of the module and putting them back; on the caller's thread.
    pub walk: Duration,
    /// Finding the buffers of weights and gradients, copies of those that cannot be used as they lie among it.
    pub resources: Duration,
    /// Telling the plan where they lie and how each takes its step.
    pub update: Duration,
    /// Recording the step.
    pub record: Duration,
    /// Handing it to the queue.
    pub submit: Duration,
}

/// What is kept of a parameter while it is in no plan: its states and how many steps it took.
#[derive(Clone, Debug, Default)]
struct Kept {
    pub path: String,
    pub states: Vec<View>,
    pub steps: u64,
}

/// A parameter in the plan.
#[derive(Debug)]
struct Held {
    id: ParamId,
    spec: Spec,
    followed: Option<Arc<Followed>>,
    weights: View,
    _pin: PinOf,
}

struct PinOf(#[allow(dead_code, reason = "held for what its being alive does")] Pin);

impl std::fmt::Debug for PinOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pin")
    }
}

#[derive(Debug)]
struct Bound {
    plan: Plan,
    held: Vec<Held>,
}

/// Steps modules on one device.
#[derive(Debug)]
pub(crate) struct Engine {
    gpu: Gpu,
    schedule: Schedule,
    base: Optimizer,
    verify: Verify,
    bound: Option<Bound>,
    kept: HashMap<ParamId, Kept>,
    /// By path, until they are met.
    restored: BTreeMap<String, Recorded>,
    /// Read by tensors that sit out, which no step reads.
    zeros: Option<wgpu::Buffer>,
    counts: Counts,
    times: HostTimes,
    controls: Controls,
    /// The first error since the last look: a step that Burn puts off has nobody to return it to.
    trouble: Option<Error>,
}

impl Engine {
    pub fn new(gpu: &Gpu, base: Optimizer, verify: Verify) -> Self {
        Engine {
            gpu: gpu.clone(),
            schedule: Schedule::new(gpu.device()),
            base,
            verify,
            bound: None,
            kept: HashMap::new(),
            restored: BTreeMap::new(),
            zeros: None,
            counts: Counts::default(),
            times: HostTimes::default(),
            controls: Controls::default(),
            trouble: None,
        }
    }

    /// The engine, also after a panic in a step: what it holds is whole between any two calls.
    pub fn lock(engine: &Arc<Mutex<Self>>) -> MutexGuard<'_, Self> {
        engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_verify(&mut self, verify: Verify) {
        self.verify = verify;
        drop(self.let_go());
    }

    pub fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    pub fn counts(&self) -> Counts {
        Counts { dispatches: self.bound.as_ref().map_or(0, |bound| bound.plan.dispatches()), ..self.counts }
    }

    pub fn controls(&mut self) -> &mut Controls {
        &mut self.controls
    }

    /// Where the controllers of density stand before the next step.
    pub fn densities(&self) -> Vec<DensityStatus> {
        self.controls.status(self.counts.steps + 1)
    }

    pub fn times(&mut self) -> &mut HostTimes {
        &mut self.times
    }

    /// What went wrong since the last look.
    pub fn trouble(&mut self) -> Result<()> {
        self.trouble.take().map_or(Ok(()), Err)
    }

    /// What the checks found, after a wait for those that run.
    pub fn finish(&mut self) -> Result<Verification> {
        self.trouble()?;
        self.bound.as_ref().map_or_else(|| Ok(Verification::default()), |bound| bound.plan.finish())
    }

    /// The states and step counts of all parameters, read back.
    pub fn record(&mut self, frozen: bool) -> Result<SparseRecord> {
        self.trouble()?;
        self.keep();
        let device = self.gpu.device();
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let mut reads = Vec::new();
        for kept in self.kept.values() {
            let one = |view: &View| {
                Readback::record(device, &mut encoder, view.buffer(), view.offset(), 4 * view.len())
            };
            reads.push((kept, kept.states.iter().map(one).collect::<Result<Vec<_>>>()?));
        }
        self.gpu.queue().submit([encoder.finish()]);
        // what was restored and has not been met again goes on
        let mut parameters = self.restored.clone();
        for (kept, reads) in reads {
            let states =
                reads.into_iter().map(|read| read.wait::<f32>(device)).collect::<Result<Vec<_>>>()?;
            parameters.insert(kept.path.clone(), Recorded { steps: kept.steps, states });
        }
        let controls = self.controls.remember(self.gpu.device())?;
        Ok(SparseRecord {
            base: self.base.to_string(),
            steps: self.counts.steps,
            frozen,
            parameters,
            controls,
        })
    }

    /// Takes the place of all states: each when its parameter is met.
    pub fn restore(&mut self, record: SparseRecord) -> Result<()> {
        record.fits(&self.base.to_string())?;
        self.controls.restore(&record.controls)?;
        self.counts.steps = record.steps;
        self.bound = None;
        self.kept.clear();
        self.restored = record.parameters;
        Ok(())
    }

    /// Brings what was restored of these parameters to the device.
    fn meet(&mut self, job: &Job, weights: &[(View, Pin)]) -> Result<()> {
        if self.restored.is_empty() {
            return Ok(());
        }
        for (member, (view, _)) in job.members.iter().zip(weights) {
            let path = &member.spec.name;
            let Some(recorded) = self.restored.get(path) else { continue };
            recorded.fits(path, member.spec.states(self.base), view.len())?;
            let upload = |values: &Vec<f32>| {
                let buffer = gpu::buffer_with(self.gpu.device(), path, bytemuck::cast_slice(values), USAGE)?;
                View::new(path, &buffer, 0, values.len() as u64)
            };
            let states = recorded.states.iter().map(upload).collect::<Result<_>>()?;
            self.kept.insert(member.id, Kept { path: path.clone(), states, steps: recorded.steps });
            self.restored.remove(path);
        }
        Ok(())
    }

    /// Steps the weights in place, where nobody else sees them. On an error the weights are as they were, and the error is kept.
    pub fn step(
        &mut self,
        job: &Job,
        weights: Vec<CubeTensor>,
        gradients: Vec<CubeTensor>,
    ) -> Vec<CubeTensor> {
        let began = Instant::now();
        let known: Vec<bool> = job.members.iter().map(|member| self.kept.contains_key(&member.id)).collect();
        let own = |(tensor, known): (CubeTensor, bool)| {
            let tensor = bridge::row_major(tensor);
            // Burn's initialisers put each parameter into a buffer of its own; a copy lies in shared pages, where many of them
            // are one dispatch
            if known && tensor.can_mut() {
                return tensor;
            }
            self.counts.copies += 1;
            tensor.copy()
        };
        let weights: Vec<CubeTensor> = weights.into_iter().zip(known).map(own).collect();
        let gradients: Vec<CubeTensor> = gradients.into_iter().map(bridge::row_major).collect();
        if let Err(error) = self.try_step(began, job, &weights, &gradients) {
            self.trouble.get_or_insert(error);
        }
        weights
    }

    fn try_step(
        &mut self,
        mut began: Instant,
        job: &Job,
        weights: &[CubeTensor],
        gradients: &[CubeTensor],
    ) -> Result<()> {
        // the time since the last lap
        let mut lap = || {
            let now = Instant::now();
            now - std::mem::replace(&mut began, now)
        };
        let Some(first) = weights.first() else { return Ok(()) };
        let views = |tensors: &[CubeTensor]| -> Result<Vec<(View, Pin)>> {
            let one = |(member, tensor): (&Member, &CubeTensor)| bridge::view(&member.spec.name, tensor);
            job.members.iter().zip(tensors).map(one).collect()
        };
        // one trip to the device's thread for all of them
        let all = first.client.clone().exclusive(|| Ok((views(weights)?, views(gradients)?)));
        let (weights, gradients) = all
            .map_err(|error| unsupported("the device's thread", format!("{error:?}"), "a device that runs"))
            .and_then(|views: Result<_>| views)?;
        let (gradients, pinned): (Vec<View>, Vec<Pin>) = gradients.into_iter().unzip();

        let inside =
            |most: f64, member: &Member| StepParameters::new(member.rate, 1).map(|_| most.max(member.rate));
        let rate = job.members.iter().try_fold(0.0, inside)?;
        self.times.resources = lap();
        let number = self.counts.steps + 1;
        self.controls.look(number, self.gpu.device())?;
        self.meet(job, &weights)?;
        self.place(job, weights, &gradients)?;
        self.set(job, rate, number)?;
        let hyper = StepParameters::new(rate, number)?;
        self.times.update = lap();
        let Some(bound) = &mut self.bound else { return Ok(()) };
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        bound.plan.record(&mut encoder, &hyper);
        let followed = bound.held.iter().map(|held| held.followed.as_deref());
        let counted = self.controls.count(number, &bound.plan, followed, &mut encoder);
        self.times.record = lap();
        self.gpu.queue().submit([encoder.finish()]);
        self.times.submit = lap();
        // the queue runs in order: what Burn writes here next comes after the step
        drop(pinned);
        self.counts.steps = number;
        counted?;
        bound.plan.check()
    }

    /// Has the plan hold these parameters where they lie now.
    fn place(&mut self, job: &Job, weights: Vec<(View, Pin)>, gradients: &[View]) -> Result<()> {
        let place = |bound: &Bound, member: &Member| {
            bound.held.iter().position(|held| held.id == member.id && held.spec == member.spec)
        };
        // most steps have the parameters of the one before, in the same order
        let same = |bound: &Bound| {
            bound.held.len() == job.members.len()
                && bound.held.iter().zip(&job.members).all(|(held, m)| held.id == m.id && held.spec == m.spec)
        };
        let places = match &self.bound {
            Some(bound) if same(bound) => Some((0..job.members.len()).collect::<Vec<_>>()),
            Some(bound) => job.members.iter().map(|member| place(bound, member)).collect(),
            None => None,
        };
        let Some(places) = places else { return self.bind(job, weights, gradients) };
        let Some(bound) = &mut self.bound else { return Ok(()) };
        let rests = bound.held.len() > job.members.len();
        let mut of_gradients = Vec::new();
        if self.base.has_gradient() {
            of_gradients = if rests {
                let longest = bound.held.iter().map(|held| held.weights.len()).max().unwrap_or(1);
                let zeros = zeros(&self.gpu, &mut self.zeros, longest)?;
                let unread = |held: &Held| View::new(&held.spec.name, &zeros, 0, held.weights.len());
                bound.held.iter().map(unread).collect::<Result<Vec<_>>>()?
            } else {
                gradients.to_vec()
            };
            for (&place, gradient) in places.iter().zip(gradients) {
                of_gradients[place] = gradient.clone();
            }
        }
        let mut of_weights: Vec<View> = bound.held.iter().map(|held| held.weights.clone()).collect();
        for (&place, (view, _)) in places.iter().zip(&weights) {
            of_weights[place] = view.clone();
        }
        let mut update = Update::new().with_weights(&of_weights);
        if self.base.has_gradient() {
            update = update.with_gradients(&of_gradients);
        }
        if bound.plan.update(&update)? {
            self.controls.moved();
        }
        for (place, (view, pin)) in places.into_iter().zip(weights) {
            if bound.held[place].weights != view {
                bound.held[place].weights = view;
                bound.held[place]._pin = PinOf(pin);
            }
        }
        Ok(())
    }

    /// Binds these parameters anew, with the states that they had. Those of the plan before stay in it and sit out, so that sets
    /// which take turns are bound once.
    fn bind(&mut self, job: &Job, weights: Vec<(View, Pin)>, gradients: &[View]) -> Result<()> {
        let before = self.let_go();
        self.controls.moved();
        let held = |(member, (weights, pin)): (&Member, (View, Pin))| Held {
            id: member.id,
            spec: member.spec.clone(),
            followed: member.followed.clone(),
            weights,
            _pin: PinOf(pin),
        };
        let mut held: Vec<Held> = job.members.iter().zip(weights).map(held).collect();
        let came = held.len();
        let stays = |other: &Held| !held.iter().any(|one| one.id == other.id);
        let others: Vec<Held> = before.into_iter().filter(stays).collect();
        held.extend(others);

        let longest = held[came..].iter().map(|held| held.weights.len()).max();
        let unread = longest.map(|length| zeros(&self.gpu, &mut self.zeros, length)).transpose()?;
        let mut tensors = Vec::with_capacity(held.len());
        for (k, Held { id, spec, weights: view, .. }) in held.iter().enumerate() {
            let mut tensor = Tensor::new(spec.clone(), view.clone());
            if self.base.has_gradient() {
                let gradient = match (&unread, gradients.get(k)) {
                    (_, Some(gradient)) => gradient.clone(),
                    (Some(zeros), None) => View::new(&spec.name, zeros, 0, view.len())?,
                    (None, None) => continue,
                };
                tensor = tensor.with_gradient(gradient);
            }
            match self.kept.get(id) {
                Some(kept) if kept.states.len() == spec.states(self.base) => {
                    tensor = tensor.with_states(kept.states.clone());
                }
                _ => {}
            }
            tensors.push(tensor);
        }
        let plan = self.schedule.bind(self.base, &tensors, self.verify)?;
        self.counts.plans += 1;
        self.bound = Some(Bound { plan, held });
        self.keep();
        Ok(())
    }

    /// What each tensor of the plan does in this step.
    fn set(&mut self, job: &Job, rate: f64, number: u64) -> Result<()> {
        let Some(bound) = &mut self.bound else { return Ok(()) };
        let members: HashMap<ParamId, &Member> =
            job.members.iter().map(|member| (member.id, member)).collect();
        for (k, held) in bound.held.iter().enumerate() {
            let Some(&was) = bound.plan.settings(k) else { continue };
            let mut now = was;
            now.rests = true;
            if let Some(member) = members.get(&held.id) {
                now.rests = false;
                now.lr_scale = if rate > 0.0 { member.rate / rate } else { 1.0 };
                let (scale, frozen) = match &member.followed {
                    Some(followed) => self.controls.of(followed.by, number),
                    None => (1.0, false),
                };
                now.freeze = job.freeze || frozen;
                let weighed = |lambda: f64| (scale * job.lambda_scale * lambda).min(LARGEST);
                now.lambda = weighed(member.spec.lambda);
                now.group_lambda = weighed(member.spec.group.as_ref().map_or(0.0, |group| group.lambda));
                // of its own, so that one that joins later begins with the first step of Adam's bias correction
                let kept = self.kept.get(&held.id).map_or(0, |kept| kept.steps);
                now.step = Some(was.step.unwrap_or(kept + 1));
            }
            if now != was {
                bound.plan.set(k, now)?;
            }
        }
        Ok(())
    }

    /// Takes down states and step counts of what is in the plan.
    fn keep(&mut self) {
        let Some(bound) = &self.bound else { return };
        for (k, held) in bound.held.iter().enumerate() {
            let steps = bound.plan.settings(k).and_then(|settings| settings.step);
            let kept = self.kept.entry(held.id).or_default();
            kept.path.clone_from(&held.spec.name);
            kept.states = bound.plan.states(k).to_vec();
            kept.steps = steps.map_or(kept.steps, |next| next - 1);
        }
    }

    /// Gives the plan up and returns what it held.
    fn let_go(&mut self) -> Vec<Held> {
        self.keep();
        self.bound.take().map_or_else(Vec::new, |bound| bound.held)
    }
}

/// A buffer of so many zeros at least.
fn zeros(gpu: &Gpu, made: &mut Option<wgpu::Buffer>, length: u64) -> Result<wgpu::Buffer> {
    match made {
        Some(buffer) if buffer.size() >= 4 * length => Ok(buffer.clone()),
        _ => {
            let usage =
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            let buffer =
                gpu::buffer(gpu.device(), "gradients of tensors that sit out", 4 * length, usage, false)?;
            *made = Some(buffer.clone());
            Ok(buffer)
        }
    }
}
