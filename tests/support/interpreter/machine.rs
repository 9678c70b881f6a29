//! Runs a dispatch: workgroups one after another, and of each the invocations one after another from barrier to barrier, both
//! in orders that a seed decides.

use std::collections::BTreeSet;

use super::arithmetic::{Arithmetic, Draws, Rounding};
use super::code::{Arguments, Atomic, Binary, Length, OUTSIDE, Op, Operand, Place, Program, Reg, Unary};
use super::memory::{Access, Memory, Party, Race};

/// Operations between two barriers, beyond which an invocation is taken to go round for ever.
const PATIENCE: u32 = 50_000_000;

/// Where a global variable lies: a memory, and its words there.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub memory: usize,
    pub first: usize,
    pub words: usize,
}

/// How a dispatch is run.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub rounding: Rounding,
    pub seed: u64,
    /// Whether the first thing found ends the dispatch.
    pub hasty: bool,
}

/// Something that no dispatch may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub what: What,
    /// Lines of the source with what they name: of a race the later access first.
    pub lines: Vec<(u32, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Between invocations of a workgroup.
    Race,
    RaceAcrossWorkgroups,
    NonUniform,
    ReadOutside,
    WriteOutside,
    Endless,
}

/// Where an invocation stopped.
#[derive(Clone, Debug, PartialEq)]
enum Stop {
    /// At this barrier, in these rounds of the loops round it.
    Barrier(u32, Vec<u32>),
    End,
    Endless,
}

pub struct Machine<'a> {
    program: &'a Program,
    windows: &'a [Window],
    /// The workgroup's first, then buffers.
    pub memories: Vec<Memory>,
    arithmetic: Arithmetic,
    draws: Draws,
    hasty: bool,
    pub findings: BTreeSet<Finding>,
    party: Party,
    intervals: u32,
    /// Intervals of workgroup memory and of storage.
    near: [u32; 2],
}

/// Registers and place of the invocations of a workgroup.
struct Invocations {
    registers: Vec<u32>,
    at: Vec<u32>,
}

impl<'a> Machine<'a> {
    /// `windows` are those of the program's globals; memory 0 is the workgroup's.
    pub fn new(program: &'a Program, windows: &'a [Window], memories: Vec<Memory>, setting: Setting) -> Self {
        Machine {
            program,
            windows,
            memories,
            arithmetic: Arithmetic::new(setting.rounding, setting.seed ^ 0xa5a5),
            draws: Draws::new(setting.seed),
            hasty: setting.hasty,
            findings: BTreeSet::new(),
            party: Party { workgroup: 0, invocation: 0, interval: 1, dispatch: 1 },
            intervals: 1,
            near: [1; 2],
        }
    }

    /// Runs all workgroups.
    pub fn dispatch(&mut self, (x, y): (u32, u32)) {
        let mut order: Vec<u32> = (0..x * y).collect();
        self.draws.shuffle(&mut order);
        for number in order {
            self.party.workgroup = number;
            self.workgroup([number % x, number / x, 0], [x, y, 1]);
            if self.done() {
                return;
            }
        }
    }

    fn done(&self) -> bool {
        self.hasty && !self.findings.is_empty()
    }

    fn interval(&mut self) -> u32 {
        self.intervals += 1;
        self.intervals
    }

    fn workgroup(&mut self, id: [u32; 3], ids: [u32; 3]) {
        let n = self.program.invocations;
        let garbage = &mut self.draws;
        // NaN, each with a payload of its own: never zero, and no number that a sum would take
        self.memories[0].words.fill_with(|| 0x7fa0_0000 | (garbage.next() as u32 & 0xf_ffff));
        self.near = [self.interval(), self.interval()];
        let mut all = Invocations { registers: self.start(id, ids), at: vec![0; n as usize] };
        let mut order: Vec<u32> = (0..n).collect();
        loop {
            self.draws.shuffle(&mut order);
            let Some(stop) = self.until_barrier(&order, &mut all) else { return };
            let Stop::Barrier(number, _) = stop else { return };
            let barrier = &self.program.barriers[number as usize];
            let (workgroup, storage) = (barrier.workgroup, barrier.storage);
            if workgroup {
                self.near[0] = self.interval();
            }
            if storage {
                self.near[1] = self.interval();
            }
        }
    }

    /// The registers of all invocations at their start.
    fn start(&self, id: [u32; 3], ids: [u32; 3]) -> Vec<u32> {
        let (program, size) = (self.program, self.program.registers as usize);
        let mut one = vec![0; size];
        one[..program.constants.len()].copy_from_slice(&program.constants);
        let mut all = one.repeat(program.invocations as usize);
        let Arguments { workgroup, workgroups, index, local, global } = program.arguments;
        for (k, registers) in (0..).zip(all.chunks_exact_mut(size)) {
            let mut put = |at: Option<Reg>, words: &[u32]| {
                if let Some(at) = at {
                    registers[at as usize..at as usize + words.len()].copy_from_slice(words);
                }
            };
            put(workgroup, &id);
            put(workgroups, &ids);
            put(index, &[k]);
            put(local, &[k, 0, 0]);
            put(global, &[id[0] * program.invocations + k, id[1], id[2]]);
        }
        all
    }

    /// Runs all invocations to where they stop, all at the same place; none where that is not so, or the search is over.
    fn until_barrier(&mut self, order: &[u32], all: &mut Invocations) -> Option<Stop> {
        let size = self.program.registers as usize;
        let mut common: Option<Stop> = None;
        for &k in order {
            self.party.invocation = k;
            let registers = &mut all.registers[k as usize * size..][..size];
            let stop = self.invocation(registers, &mut all.at[k as usize]);
            if stop == Stop::Endless {
                self.findings.insert(Finding { what: What::Endless, lines: Vec::new() });
                return None;
            }
            if self.done() {
                return None;
            }
            match &common {
                None => common = Some(stop),
                Some(first) if *first != stop => {
                    let (mut lines, program) = (Vec::new(), self.program);
                    for one in [first, &stop] {
                        lines.push(match one {
                            Stop::Barrier(number, _) => {
                                (program.barriers[*number as usize].line, "barrier".into())
                            }
                            _ => (0, "end".into()),
                        });
                    }
                    lines.sort();
                    self.findings.insert(Finding { what: What::NonUniform, lines });
                    return None;
                }
                Some(_) => {}
            }
        }
        common
    }

    /// Runs one invocation until it stops.
    fn invocation(&mut self, r: &mut [u32], at: &mut u32) -> Stop {
        let program = self.program;
        for _ in 0..PATIENCE {
            let op = &program.ops[*at as usize];
            *at += 1;
            match *op {
                Op::Copy { to, from, n } => {
                    for k in 0..n {
                        r[(to + k) as usize] = r[(from.at + k * from.step) as usize];
                    }
                }
                Op::Unary { f, to, x, n } => {
                    for k in 0..n {
                        r[(to + k) as usize] = self.unary(f, r[(x + k) as usize]);
                    }
                }
                Op::Binary { f, to, a, b, n } => self.binary(r, f, to, a, b, n),
                Op::Fused { to, a, b, c, minus_product, minus_c, n } => {
                    for k in 0..n {
                        let number = |of: Operand| f32::from_bits(r[(of.at + k * of.step) as usize]);
                        let a = if minus_product { -number(a) } else { number(a) };
                        let c = if minus_c { -number(c) } else { number(c) };
                        r[(to + k) as usize] = self.arithmetic.fused(a, number(b), c).to_bits();
                    }
                }
                Op::Select { to, condition, accept, reject, n } => {
                    for k in 0..n {
                        let yes = r[(condition.at + k * condition.step) as usize] != 0;
                        r[(to + k) as usize] = r[(if yes { accept } else { reject } + k) as usize];
                    }
                }
                Op::All { to, x, n } => {
                    r[to as usize] = u32::from(r[x as usize..(x + n) as usize].iter().all(|&one| one != 0));
                }
                Op::Any { to, x, n } => {
                    r[to as usize] = u32::from(r[x as usize..(x + n) as usize].iter().any(|&one| one != 0));
                }
                Op::Part { to, from, index, n } => {
                    r[to as usize] = r[(from + r[index as usize].min(n - 1)) as usize];
                }
                Op::Index { to, index, length, stride, base } => {
                    let (index, before) = (r[index as usize], base.map_or(0, |base| r[base as usize]));
                    let inside = before != OUTSIDE && index < self.length(length);
                    r[to as usize] = if inside { before + index * stride } else { OUTSIDE };
                }
                Op::Length { to, length } => r[to as usize] = self.length(length),
                Op::Load { to, ref from, n } => self.load(r, to, from, n),
                Op::Store { ref to, from, n } => self.store(r, to, from, n),
                Op::Atomic { f, ref at, value, to } => {
                    r[to as usize] = self.atomic(r, f, at, r[value as usize]);
                }
                Op::Jump { to } => *at = to,
                Op::Unless { condition, to } => {
                    if r[condition as usize] == 0 {
                        *at = to;
                    }
                }
                Op::Enter { rounds } => r[rounds as usize] = 0,
                Op::Round { rounds } => r[rounds as usize] += 1,
                Op::Barrier { number } => {
                    let rounds = &program.barriers[number as usize].rounds;
                    return Stop::Barrier(number, rounds.iter().map(|&at| r[at as usize]).collect());
                }
                Op::End => {
                    *at -= 1;
                    return Stop::End;
                }
            }
        }
        Stop::Endless
    }

    fn length(&self, length: Length) -> u32 {
        match length {
            Length::Known(n) => n,
            Length::Bound { global, word, stride } => {
                (self.windows[global as usize].words as u32).saturating_sub(word) / stride
            }
        }
    }

    /// The first of `n` words in their memory; none where the place is outside, which is noted.
    fn find(&mut self, r: &[u32], place: &Place, n: u32, what: What) -> Option<(usize, usize)> {
        let window = self.windows[place.global as usize];
        let index = place.index.map_or(0, |index| r[index as usize]);
        let word = index as usize + place.word as usize;
        if index == OUTSIDE || word + n as usize > window.words {
            let lines = vec![self.line(place.site)];
            self.findings.insert(Finding { what, lines });
            return None;
        }
        Some((window.memory, window.first + word))
    }

    fn line(&self, site: u32) -> (u32, String) {
        let site = &self.program.sites[site as usize];
        (site.line, site.variable.clone())
    }

    /// Notes accesses to words.
    fn note(&mut self, memory: usize, words: std::ops::Range<usize>, access: Access, site: u32) {
        self.party.interval = self.near[usize::from(memory != 0)];
        for word in words {
            let race = self.memories[memory].note(word, &self.party, access, site);
            if let Some(Race { earlier, across_workgroups }) = race {
                let what = if across_workgroups { What::RaceAcrossWorkgroups } else { What::Race };
                let lines = vec![self.line(site), self.line(earlier)];
                self.findings.insert(Finding { what, lines });
            }
        }
    }

    fn load(&mut self, r: &mut [u32], to: Reg, from: &Place, n: u32) {
        let (to, n) = (to as usize, n as usize);
        let Some((memory, word)) = self.find(r, from, n as u32, What::ReadOutside) else {
            r[to..to + n].fill(0x7fb0_0bad);
            return;
        };
        self.note(memory, word..word + n, Access::Read, from.site);
        r[to..to + n].copy_from_slice(&self.memories[memory].words[word..word + n]);
    }

    fn store(&mut self, r: &[u32], to: &Place, from: Reg, n: u32) {
        let (from, n) = (from as usize, n as usize);
        let Some((memory, word)) = self.find(r, to, n as u32, What::WriteOutside) else { return };
        self.note(memory, word..word + n, Access::Write, to.site);
        self.memories[memory].words[word..word + n].copy_from_slice(&r[from..from + n]);
    }

    fn atomic(&mut self, r: &[u32], f: Atomic, at: &Place, value: u32) -> u32 {
        let Some((memory, word)) = self.find(r, at, 1, What::WriteOutside) else { return 0 };
        self.note(memory, word..word + 1, Access::Atomic, at.site);
        let place = &mut self.memories[memory].words[word];
        let before = *place;
        *place = match f {
            Atomic::Load => before,
            Atomic::Store | Atomic::Exchange => value,
            Atomic::Add => before.wrapping_add(value),
            Atomic::Subtract => before.wrapping_sub(value),
            Atomic::And => before & value,
            Atomic::Or => before | value,
            Atomic::Xor => before ^ value,
            Atomic::Min => before.min(value),
            Atomic::Max => before.max(value),
        };
        before
    }

    fn unary(&mut self, f: Unary, x: u32) -> u32 {
        let number = f32::from_bits(x);
        let exact = &self.arithmetic;
        match f {
            Unary::NegateFloat => (-number).to_bits(),
            Unary::NegateInteger => x.wrapping_neg(),
            Unary::Not => u32::from(x == 0),
            Unary::Flip => !x,
            Unary::AbsFloat => number.abs().to_bits(),
            Unary::AbsInteger => (x as i32).wrapping_abs() as u32,
            Unary::SignFloat => match number {
                x if x > 0.0 => 1.0f32.to_bits(),
                x if x < 0.0 => (-1.0f32).to_bits(),
                _ => x,
            },
            Unary::Sqrt => exact.sqrt(number).to_bits(),
            Unary::InverseSqrt => exact.inverse_sqrt(number).to_bits(),
            Unary::Exp => exact.exp(number).to_bits(),
            Unary::Exp2 => exact.exp2(number).to_bits(),
            Unary::Log2 => exact.log2(number).to_bits(),
            Unary::Floor => number.floor().to_bits(),
            Unary::Ones => x.count_ones(),
            // of 0 it is -1
            Unary::TrailingZeros => {
                if x == 0 {
                    u32::MAX
                } else {
                    x.trailing_zeros()
                }
            }
            Unary::FloatOfUnsigned => (x as f32).to_bits(),
            Unary::FloatOfSigned => (x as i32 as f32).to_bits(),
            Unary::UnsignedOfFloat => number as u32,
            Unary::SignedOfFloat => (number as i32) as u32,
            Unary::Truth => u32::from(x != 0),
            Unary::TruthOfFloat => u32::from(number != 0.0),
        }
    }

    fn binary(&mut self, r: &mut [u32], f: Binary, to: Reg, a: Operand, b: Operand, n: u32) {
        for k in 0..n {
            let (x, y) = (r[(a.at + k * a.step) as usize], r[(b.at + k * b.step) as usize]);
            r[(to + k) as usize] = self.of_two(f, x, y);
        }
    }

    fn of_two(&mut self, f: Binary, x: u32, y: u32) -> u32 {
        let (a, b) = (f32::from_bits(x), f32::from_bits(y));
        if self.arithmetic.plain() {
            match f {
                Binary::AddFloat => return (a + b).to_bits(),
                Binary::SubtractFloat => return (a - b).to_bits(),
                Binary::MultiplyFloat => return (a * b).to_bits(),
                Binary::DivideFloat => return (a / b).to_bits(),
                _ => {}
            }
        }
        match f {
            Binary::AddFloat => self.arithmetic.add(a, b).to_bits(),
            Binary::SubtractFloat => self.arithmetic.add(a, -b).to_bits(),
            Binary::MultiplyFloat => self.arithmetic.multiply(a, b).to_bits(),
            Binary::DivideFloat => self.arithmetic.divide(a, b).to_bits(),
            Binary::EqualFloat | Binary::UnequalFloat | Binary::LessFloat | Binary::LessEqualFloat => {
                let (a, b) = match self.arithmetic.plain() {
                    true => (a, b),
                    false => (self.arithmetic.operand(a), self.arithmetic.operand(b)),
                };
                u32::from(match f {
                    Binary::EqualFloat => a == b,
                    Binary::UnequalFloat => a != b,
                    Binary::LessFloat => a < b,
                    _ => a <= b,
                })
            }
            Binary::MinFloat => a.min(b).to_bits(),
            Binary::MaxFloat => a.max(b).to_bits(),
            whole => of_integers(whole, x, y),
        }
    }
}

fn of_integers(f: Binary, x: u32, y: u32) -> u32 {
    let (a, b) = (x as i32, y as i32);
    match f {
        Binary::Add => x.wrapping_add(y),
        Binary::Subtract => x.wrapping_sub(y),
        Binary::Multiply => x.wrapping_mul(y),
        // WGSL: x / 0 is x, x % 0 is 0
        Binary::DivideUnsigned => x.checked_div(y).unwrap_or(x),
        Binary::ModuloUnsigned => x.checked_rem(y).unwrap_or(0),
        Binary::DivideSigned => a.checked_div(b).unwrap_or(a) as u32,
        Binary::ModuloSigned => a.checked_rem(b).unwrap_or(0) as u32,
        Binary::Equal => u32::from(x == y),
        Binary::Unequal => u32::from(x != y),
        Binary::LessUnsigned => u32::from(x < y),
        Binary::LessEqualUnsigned => u32::from(x <= y),
        Binary::LessSigned => u32::from(a < b),
        Binary::LessEqualSigned => u32::from(a <= b),
        Binary::MinUnsigned => x.min(y),
        Binary::MaxUnsigned => x.max(y),
        Binary::MinSigned => a.min(b) as u32,
        Binary::MaxSigned => a.max(b) as u32,
        Binary::And => x & y,
        Binary::Or => x | y,
        Binary::Xor => x ^ y,
        Binary::ShiftLeft => x << (y & 31),
        Binary::ShiftUnsigned => x >> (y & 31),
        Binary::ShiftSigned => (a >> (y & 31)) as u32,
        other => unreachable!("{other:?} is of floats"),
    }
}
