//! How far off a result must be before the cases notice: bounds that were loosened show here.
//!
//! The cases of `tests/data/judges.txt`, one or more per kernel and kind of arithmetic, are judged with every result multiplied by
//! 1 + k 2^-24 (`PipelineCache::scaled`). Each line states the smallest power of two k at which something is rejected, and the one
//! at which a tenth of the ordinary results are. A k that grows means a looser bound.

mod support;

use maf_srl::kernels::{Case, KERNELS, PipelineCache};

/// A case and its two k.
struct Line<'a> {
    case: &'a str,
    first: u32,
    tenth: u32,
}

fn lines() -> Vec<Line<'static>> {
    let of = |line: &'static str| {
        let mut words = line.split_whitespace();
        let mut next = || words.next().unwrap_or_else(|| panic!("a line has three words: {line}"));
        let (case, first, tenth) = (next(), next(), next());
        let number = |text: &str| text.parse().expect("a power of two");
        Line { case, first: number(first), tenth: number(tenth) }
    };
    include_str!("data/judges.txt").lines().filter(|line| !line.starts_with('#')).map(of).collect()
}

/// Beyond this nothing is tried: a share of 1 / 16.
const MOST: u32 = 1 << 20;

/// The smallest power of two at which `rejected` holds, which it does from there on.
fn smallest(rejected: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, MOST.ilog2() + 1);
    while low < high {
        let middle = (low + high) / 2;
        if rejected(1 << middle) { high = middle } else { low = middle + 1 }
    }
    1 << low
}

#[test]
fn no_judge_has_become_looser() {
    let one = support::adapter("lavapipe");
    let (device, queue) = one.device();
    let cases: Vec<Box<dyn Case>> = KERNELS.iter().flat_map(|kernel| (kernel.cases)()).collect();
    let mut found = Vec::new();
    let mut looser = Vec::new();
    for Line { case, first, tenth } in lines() {
        let named = cases.iter().find(|one| one.name() == case);
        let named = named.unwrap_or_else(|| panic!("the register has no case {case}"));
        let at = |k: u32| {
            let kernels = PipelineCache::scaled(&device, 1.0 + f64::from(k) / 16_777_216.0);
            let outcome = named.run(&device, &queue, &kernels).expect("the device answers");
            (outcome.mismatches, outcome.bias.elements)
        };
        let (wrong, ordinary) = at(0);
        assert_eq!(wrong, 0, "{case}");
        let is = (smallest(|k| at(k).0 > 0), smallest(|k| 10 * at(k).0 >= ordinary.max(1)));
        if is.0 > first || is.1 > tenth {
            looser.push(case);
        }
        found.push(format!("{case} {} {}", is.0, is.1));
    }
    println!("{}", found.join("\n"));
    assert!(looser.is_empty(), "looser than stated: {looser:#?}\n{}", found.join("\n"));
    for kernel in KERNELS {
        let some = lines().iter().any(|line| line.case.split('/').next() == Some(kernel.name));
        assert!(some, "no judge of the kernel {} is tried", kernel.name);
    }
}
