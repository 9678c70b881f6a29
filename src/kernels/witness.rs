//! Every number that a judge sees, for those who ask for all of them and not for a count.

use std::cell::RefCell;

use super::Judgement;
use crate::error::{Result, unsupported};

/// A number of a kernel, and what is right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// What the kernel made.
    pub got: f32,
    /// What the float64 reference makes.
    pub expected: f64,
    /// How far off it may be: of an operator the backward distance, of all else the distance.
    pub bound: f64,
    /// Whether it is right.
    pub ok: bool,
}

thread_local! {
    static SEEN: RefCell<Option<Vec<Judged>>> = const { RefCell::new(None) };
}

pub(super) fn tell(judgement: &Judgement, got: f32) {
    let Judgement { ok, expected, bound, .. } = *judgement;
    SEEN.with_borrow_mut(|seen| {
        if let Some(all) = seen {
            all.push(Judged { got, expected, bound, ok });
        }
    });
}

/// What `run` returns, and every number that it has judged, in turn: on one thread, as several would mix them.
pub(crate) fn collect<T: Send>(run: impl FnOnce() -> T + Send) -> Result<(T, Vec<Judged>)> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|e| unsupported("threads", e.to_string(), "one thread more than there are"))?;
    Ok(pool.install(|| {
        SEEN.set(Some(Vec::new()));
        let made = run();
        (made, SEEN.take().unwrap_or_default())
    }))
}
