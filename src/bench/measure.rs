//! One measurement: the clock, the repeats, and what is said of them.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::gpu::{Clock, Context, Timer};

/// No memory moves as many bytes per nanosecond (20 TB/s): a time that says so is no time. For the copy, beside which
/// everything else is held.
pub(super) const ANY_MEMORY: f64 = 20_000.0;

/// How many times faster than the measured copy of as many bytes a kernel may seem: reading alone is faster than copying, and
/// two sets of buffers may lie in a cache where the copy's do not.
pub(super) const BESIDE_COPY: f64 = 4.0;

/// Times have settled when so many in a row differ by no more than this share.
const SETTLED: (usize, f64) = (5, 0.01);

/// How long a measurement may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Untimed runs first, until five in a row take the same time within 1 %, or for this long: idle GPUs lower their clocks.
    pub warm_up: Duration,
    /// Timed repeats; the median of them is reported.
    pub repeats: usize,
    /// Short kernels are run as often in one repeat as fills this time.
    pub repeat: Duration,
    /// After this time no further repeat starts, once there are three.
    pub budget: Duration,
    /// Buffer sets are made until they hold this many bytes, so that a kernel finds its data in memory and not in a
    /// cache.
    pub rotate: u64,
}

impl Effort {
    /// For hardware: 512 MiB of buffers are more than the caches of the GPUs of the day hold.
    #[must_use]
    pub fn gpu() -> Self {
        Effort {
            warm_up: Duration::from_secs(3),
            repeats: 15,
            repeat: Duration::from_millis(2),
            budget: Duration::from_millis(1500),
            rotate: 512 << 20,
        }
    }

    /// For software adapters and for the float64 references, whose times nobody compares.
    #[must_use]
    pub fn software() -> Self {
        Effort {
            warm_up: Duration::ZERO,
            repeats: 5,
            repeat: Duration::from_millis(1),
            budget: Duration::from_millis(120),
            rotate: 32 << 20,
        }
    }

    /// The same with few repeats.
    #[must_use]
    pub fn quick(self) -> Self {
        Effort { repeats: 3, budget: self.budget / 4, ..self }
    }

    /// How many sets of `footprint` bytes to rotate.
    #[must_use]
    pub fn sets(&self, footprint: u64) -> usize {
        (self.rotate / footprint.max(1)).clamp(2, 32) as usize
    }

    /// Repeats `once(turns)`, the nanoseconds of so many runs, `most` at once; `None` as soon as it gives none.
    fn repeated(
        &self,
        most: usize,
        clock: Clock,
        mut once: impl FnMut(usize) -> Result<Option<f64>>,
    ) -> Result<Option<Measured>> {
        let Some(single) = once(1)? else { return Ok(None) };
        let turns = (self.repeat.as_nanos() as f64 / single.max(1.0)).clamp(1.0, most.max(1) as f64) as usize;
        let start = Instant::now();
        let mut samples = Vec::with_capacity(self.repeats);
        while samples.len() < self.repeats && (samples.len() < 3 || start.elapsed() < self.budget) {
            let Some(ns) = once(turns)? else { return Ok(None) };
            samples.push(ns);
        }
        Ok(Measured::of(samples, turns, clock))
    }
}

/// The time of one run.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Measured {
    /// Nanoseconds, the median of the repeats.
    pub ns: f64,
    /// Nanoseconds of the fastest repeat.
    pub ns_best: f64,
    /// The middle half of the repeats spans this share of the median.
    pub spread: f64,
    /// Timed repeats.
    pub repeats: usize,
    /// Runs in each of them.
    pub turns: usize,
    /// What measured.
    pub clock: Clock,
}

impl Measured {
    /// From the times of `turns` runs each; `None` where there are none.
    pub(super) fn of(mut samples: Vec<f64>, turns: usize, clock: Clock) -> Option<Self> {
        samples.iter_mut().for_each(|ns| *ns /= turns as f64);
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| samples.get((share * (samples.len() as f64 - 1.0)).round() as usize).copied();
        let (ns, best) = (at(0.5)?, at(0.0)?);
        let spread = if ns > 0.0 { (at(0.75)? - at(0.25)?) / ns } else { 0.0 };
        Some(Measured { ns, ns_best: best, spread, repeats: samples.len(), turns, clock })
    }

    /// Gigabytes per second for `bytes` per run, by the median.
    #[must_use]
    pub fn gb_s(&self, bytes: u64) -> f64 {
        bytes as f64 / self.ns
    }

    /// Gigabytes per second for `bytes` per run, by the fastest repeat.
    #[must_use]
    pub fn best_gb_s(&self, bytes: u64) -> f64 {
        bytes as f64 / self.ns_best
    }
}

/// The clocks of one device: timestamps where they can be believed, else the wall clock.
#[derive(Debug)]
pub struct Stopwatch {
    timers: Vec<Timer>,
}

impl Stopwatch {
    /// For a context's device.
    ///
    /// # Errors
    /// Those of [`Timer::new`].
    pub fn new(context: &Context) -> Result<Self> {
        let mut timers = vec![Timer::new(&context.device, &context.queue)?];
        if timers[0].clock() == Clock::Device {
            timers.push(Timer::wall(&context.device, &context.queue));
        }
        Ok(Stopwatch { timers })
    }

    /// Measures `run(timer, turns)`, which returns the nanoseconds of `turns` runs of `bytes` each; `most` turns at
    /// once. Warms up first. `None` where no clock gave a time that can be true: none that says that more than `fastest` bytes
    /// move in a nanosecond.
    ///
    /// # Errors
    /// Those of `run`.
    pub fn measure(
        &self,
        effort: &Effort,
        (bytes, fastest): (u64, f64),
        most: usize,
        run: impl Fn(&Timer, usize) -> Result<f64>,
    ) -> Result<Option<Measured>> {
        let by = |timer: &Timer| {
            let start = Instant::now();
            run(timer, 1)?;
            let mut times = Vec::new();
            while start.elapsed() < effort.warm_up && !settled(&times) {
                times.push(run(timer, most.clamp(1, 8))?);
            }
            let limits = (bytes, fastest);
            effort.repeated(most, timer.clock(), |turns| believable(limits, turns, || run(timer, turns)))
        };
        self.first(by)
    }

    /// The nanoseconds of `runs` runs, for a caller with statistics of its own, who warms up; of any memory. Otherwise as
    /// [`Stopwatch::measure`].
    ///
    /// # Errors
    /// Those of `run`.
    pub fn total(
        &self,
        bytes: u64,
        most: usize,
        runs: u64,
        run: impl Fn(&Timer, usize) -> Result<f64>,
    ) -> Result<Option<(f64, Clock)>> {
        self.first(|timer| {
            let (mut left, mut total) = (runs, 0.0);
            while left > 0 {
                let turns = left.min(most.max(1) as u64) as usize;
                let Some(ns) = believable((bytes, ANY_MEMORY), turns, || run(timer, turns))? else {
                    return Ok(None);
                };
                total += ns;
                left -= turns as u64;
            }
            Ok(Some((total, timer.clock())))
        })
    }

    /// What the first of the clocks that can be believed gives.
    fn first<T>(&self, by: impl Fn(&Timer) -> Result<Option<T>>) -> Result<Option<T>> {
        self.timers.iter().find_map(|timer| by(timer).transpose()).transpose()
    }
}

/// Whether the last times are alike.
fn settled(times: &[f64]) -> bool {
    let (count, share) = SETTLED;
    let Some(last) = times.len().checked_sub(count).map(|from| &times[from..]) else { return false };
    let (least, most) = last.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), &ns| (a.min(ns), b.max(ns)));
    most <= (1.0 + share) * least
}

/// A time, unless it is longer than the host waited for it or says that bytes moved faster than `fastest` per nanosecond:
/// then the timestamps are broken.
fn believable(
    (bytes, fastest): (u64, f64),
    turns: usize,
    run: impl FnOnce() -> Result<f64>,
) -> Result<Option<f64>> {
    let start = Instant::now();
    let ns = run()?;
    let waited = start.elapsed().as_nanos() as f64;
    let moved = (bytes * turns as u64) as f64;
    Ok((ns > 0.0 && ns <= waited && moved <= fastest * ns).then_some(ns))
}

/// Measures work on the host, by the wall clock.
pub fn measure_host(effort: &Effort, mut run: impl FnMut()) -> Option<Measured> {
    let mut once = |turns: usize| {
        let start = Instant::now();
        (0..turns).for_each(|_| run());
        start.elapsed().as_nanos() as f64
    };
    once(1);
    effort.repeated(10_000, Clock::Wall, |turns| Ok(Some(once(turns)))).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_speaks_and_one_slow_repeat_does_not() {
        let measured = Measured::of(vec![40.0, 20.0, 22.0, 1000.0, 21.0], 2, Clock::Wall).unwrap();
        assert_eq!((measured.ns, measured.ns_best, measured.repeats), (11.0, 10.0, 5));
        assert!((measured.spread - (20.0 - 10.5) / 11.0).abs() < 1e-12);
        assert_eq!(measured.gb_s(110), 10.0);
        assert_eq!(Measured::of(Vec::new(), 1, Clock::Wall), None);
    }

    #[test]
    fn times_settle_when_five_in_a_row_are_alike() {
        assert!(!settled(&[100.0; 4]));
        assert!(settled(&[900.0, 100.0, 100.5, 100.9, 100.2, 100.0]));
        assert!(!settled(&[100.0, 100.5, 101.1, 100.2, 100.0]));
    }

    #[test]
    fn what_no_memory_can_do_is_not_believed() {
        let of = |ns, fastest| believable((1 << 20, fastest), 1, || Ok(ns)).unwrap();
        // longer than the host waited, and nothing at all
        assert_eq!((of(1e15, ANY_MEMORY), of(0.0, ANY_MEMORY)), (None, None));
        let slept = |ns: f64, fastest| {
            let run = || {
                std::thread::sleep(Duration::from_millis(2));
                Ok(ns)
            };
            believable((1 << 20, fastest), 1, run).unwrap()
        };
        assert_eq!(slept(1e5, 20.0), Some(1e5));
        // the same bytes, by a copy that moves two of them per nanosecond
        assert_eq!(slept(1e5, BESIDE_COPY * 2.0), None);
    }

    #[test]
    fn sets_fill_the_rotation_within_reason() {
        let effort = Effort::gpu();
        assert_eq!(effort.sets(1), 32);
        assert_eq!(effort.sets(64 << 20), 8);
        assert_eq!(effort.sets(8 << 30), 2);
    }
}
