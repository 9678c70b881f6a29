//! Runs the penalties' WGSL on the host: an interpreter of naga's module for scalar f32 code.
//!
//! It rounds to nearest, or draws each result from what WGSL's accuracy table permits: either neighbour for +
//! - *, 2.5 ULP for division, 4.5 for sqrt, 3 + 2|x| for exp and exp2, and flushed subnormals. It stops at
//!   NaN, infinity, the square root of 0 and divisors outside the range for which WGSL promises anything.

use std::cell::RefCell;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use wgpu::naga::{
    BinaryOperator as Op, Block, Expression as E, Function, Handle, Literal, MathFunction as F, Module,
    Statement as S, UnaryOperator,
};

use crate::accuracy::{FLUSH, ulp};

#[derive(Clone, Copy, Debug)]
enum Value {
    Float(f32),
    Bool(bool),
    Unsigned(u32),
    Struct([f32; 8]),
    /// A local variable, or one field of it.
    Pointer(Handle<wgpu::naga::LocalVariable>, Option<u32>),
}

pub struct Interpreter {
    pub module: Module,
    noise: Option<RefCell<ChaCha8Rng>>,
}

enum Flow {
    Next,
    Break,
    Return(Value),
}

struct Frame<'a> {
    function: &'a Function,
    arguments: &'a [Value],
    values: Vec<Option<Value>>,
    locals: Vec<Value>,
}

impl Interpreter {
    /// Rounds to nearest with `noise` None, else draws from what WGSL permits.
    pub fn new(source: &str, noise: Option<u64>) -> Self {
        let module = wgpu::naga::front::wgsl::parse_str(source).expect("WGSL that parses");
        Interpreter { module, noise: noise.map(|s| RefCell::new(ChaCha8Rng::seed_from_u64(s))) }
    }

    pub fn has(&self, name: &str) -> bool {
        self.module.functions.iter().any(|(_, f)| f.name.as_deref() == Some(name))
    }

    pub fn prox(&self, ax: f32, k: [f32; 8]) -> f32 {
        self.float("prox", ax, k)
    }

    pub fn slope(&self, ay: f32, k: [f32; 8]) -> f32 {
        self.float("slope", ay, k)
    }

    fn float(&self, function: &str, ax: f32, k: [f32; 8]) -> f32 {
        match self.call(self.named(function), &[Value::Float(ax), Value::Struct(k)]) {
            Value::Float(y) => y,
            other => panic!("{other:?}"),
        }
    }

    pub fn at_step(&self, k: [f32; 8], scale: f32) -> [f32; 8] {
        match self.call(self.named("at_step"), &[Value::Struct(k), Value::Float(scale)]) {
            Value::Struct(k) => k,
            other => panic!("{other:?}"),
        }
    }

    fn named(&self, name: &str) -> &Function {
        let mut all = self.module.functions.iter();
        all.find(|(_, f)| f.name.as_deref() == Some(name)).expect("a function").1
    }

    /// A permitted f32 result for the exact `v`, off by up to `ulps` (1: either neighbour).
    fn round(&self, v: f64, ulps: f64) -> f32 {
        let Some(noise) = &self.noise else {
            assert!((v as f32).is_finite(), "overflow at {v:e}");
            return v as f32;
        };
        let mut noise = noise.borrow_mut();
        if v != 0.0 && v.abs() < FLUSH && noise.random_bool(0.5) {
            return 0.0;
        }
        let y = if ulps <= 1.0 {
            let nearest = v as f32;
            let exact = f64::from(nearest);
            match () {
                () if exact == v || noise.random_bool(0.5) => nearest,
                () if exact < v => nearest.next_up(),
                () => nearest.next_down(),
            }
        } else {
            // mostly the extremes: an average error would prove little
            let part = if noise.random_bool(0.7) {
                noise.random_range(0..2) as f64 * 2.0 - 1.0
            } else {
                noise.random_range(-1.0..1.0)
            };
            (v + part * ulps * ulp(v)) as f32
        };
        assert!(y.is_finite(), "overflow at {v:e}, {ulps} ULP");
        y
    }

    fn call(&self, function: &Function, arguments: &[Value]) -> Value {
        let mut frame = Frame {
            function,
            arguments,
            values: vec![None; function.expressions.len()],
            locals: vec![Value::Unsigned(0); function.local_variables.len()],
        };
        for (handle, local) in function.local_variables.iter() {
            if let Some(init) = local.init {
                frame.locals[handle.index()] = self.value(&frame, init);
            }
        }
        match self.block(&mut frame, &function.body) {
            Flow::Return(value) => value,
            _ => panic!("no return"),
        }
    }

    fn block(&self, frame: &mut Frame, block: &Block) -> Flow {
        for statement in block.iter() {
            match statement {
                S::Emit(range) => {
                    for handle in range.clone() {
                        let value = self.evaluate(frame, handle);
                        frame.values[handle.index()] = Some(value);
                    }
                }
                S::Block(inner) => match self.block(frame, inner) {
                    Flow::Next => {}
                    flow => return flow,
                },
                S::If { condition, accept, reject } => {
                    let Value::Bool(yes) = self.value(frame, *condition) else { panic!("no bool") };
                    match self.block(frame, if yes { accept } else { reject }) {
                        Flow::Next => {}
                        flow => return flow,
                    }
                }
                S::Loop { body, continuing, break_if: None } => loop {
                    match self.block(frame, body) {
                        Flow::Next => {}
                        Flow::Break => break,
                        flow => return flow,
                    }
                    self.block(frame, continuing);
                },
                S::Break => return Flow::Break,
                S::Return { value: Some(value) } => return Flow::Return(self.value(frame, *value)),
                S::Store { pointer, value } => {
                    let value = self.value(frame, *value);
                    match (self.value(frame, *pointer), value) {
                        (Value::Pointer(local, None), value) => frame.locals[local.index()] = value,
                        (Value::Pointer(local, Some(field)), Value::Float(value)) => {
                            let Value::Struct(s) = &mut frame.locals[local.index()] else { panic!() };
                            s[field as usize] = value;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                S::Call { function, arguments, result: Some(result) } => {
                    let values: Vec<_> = arguments.iter().map(|a| self.value(frame, *a)).collect();
                    let value = self.call(&self.module.functions[*function], &values);
                    frame.values[result.index()] = Some(value);
                }
                other => panic!("{other:?}"),
            }
        }
        Flow::Next
    }

    fn value(&self, frame: &Frame, handle: Handle<wgpu::naga::Expression>) -> Value {
        frame.values[handle.index()].unwrap_or_else(|| self.evaluate(frame, handle))
    }

    fn evaluate(&self, frame: &Frame, handle: Handle<wgpu::naga::Expression>) -> Value {
        let value = |h: &Handle<_>| self.value(frame, *h);
        let float = |h: &Handle<_>| match value(h) {
            Value::Float(x) => x,
            other => panic!("{other:?} where a float is expected"),
        };
        match &frame.function.expressions[handle] {
            E::Literal(Literal::F32(x)) => Value::Float(*x),
            E::Literal(Literal::U32(x)) => Value::Unsigned(*x),
            E::Literal(Literal::Bool(x)) => Value::Bool(*x),
            E::FunctionArgument(index) => frame.arguments[*index as usize],
            E::LocalVariable(local) => Value::Pointer(*local, None),
            E::AccessIndex { base, index } => match value(base) {
                Value::Struct(s) => Value::Float(s[*index as usize]),
                Value::Pointer(local, None) => Value::Pointer(local, Some(*index)),
                other => panic!("{other:?}"),
            },
            E::Load { pointer } => match value(pointer) {
                Value::Pointer(local, None) => frame.locals[local.index()],
                Value::Pointer(local, Some(field)) => match frame.locals[local.index()] {
                    Value::Struct(s) => Value::Float(s[field as usize]),
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            },
            E::Unary { op: UnaryOperator::Negate, expr } => Value::Float(-float(expr)),
            E::Unary { op: UnaryOperator::LogicalNot, expr } => match value(expr) {
                Value::Bool(b) => Value::Bool(!b),
                other => panic!("{other:?}"),
            },
            E::Binary { op, left, right } => self.binary(*op, value(left), value(right)),
            E::Select { condition, accept, reject } => match value(condition) {
                Value::Bool(yes) => value(if yes { accept } else { reject }),
                other => panic!("{other:?}"),
            },
            E::Math { fun, arg, arg1, arg2, .. } => {
                let x = float(arg);
                let argument = |h: &Option<_>| float(h.as_ref().expect("an argument"));
                let wide = f64::from(x);
                Value::Float(match fun {
                    F::Abs => x.abs(),
                    F::Min => x.min(argument(arg1)),
                    F::Max => x.max(argument(arg1)),
                    F::Clamp => x.max(argument(arg1)).min(argument(arg2)),
                    F::Sqrt => {
                        assert!(x > 0.0, "sqrt({x})");
                        self.round(wide.sqrt(), 4.5)
                    }
                    F::Exp => self.round(wide.exp(), 3.0 + 2.0 * wide.abs()),
                    F::Exp2 => self.round(wide.exp2(), 3.0 + 2.0 * wide.abs()),
                    F::Log2 if (0.5..=2.0).contains(&x) => {
                        let v = wide.log2();
                        self.round(v, (1.0 / 2097152.0) / ulp(v))
                    }
                    F::Log2 => self.round(wide.log2(), 3.0),
                    other => panic!("{other:?} has no place in a penalty"),
                })
            }
            other => panic!("{other:?}"),
        }
    }

    fn binary(&self, op: Op, left: Value, right: Value) -> Value {
        match (left, right) {
            (Value::Float(a), Value::Float(b)) => {
                let (x, y) = (f64::from(a), f64::from(b));
                match op {
                    Op::Add => Value::Float(self.round(x + y, 1.0)),
                    Op::Subtract => Value::Float(self.round(x - y, 1.0)),
                    Op::Multiply => Value::Float(self.round(x * y, 1.0)),
                    Op::Divide => {
                        assert!((FLUSH..=1.0 / FLUSH).contains(&y.abs()), "{x} / {y}");
                        Value::Float(self.round(x / y, if x == 0.0 { 1.0 } else { 2.5 }))
                    }
                    Op::Equal => Value::Bool(a == b),
                    Op::Less => Value::Bool(a < b),
                    Op::LessEqual => Value::Bool(a <= b),
                    Op::Greater => Value::Bool(a > b),
                    Op::GreaterEqual => Value::Bool(a >= b),
                    other => panic!("{other:?}"),
                }
            }
            (Value::Unsigned(a), Value::Unsigned(b)) => match op {
                Op::Add => Value::Unsigned(a + b),
                Op::Subtract => Value::Unsigned(a - b),
                Op::And => Value::Unsigned(a & b),
                Op::Less => Value::Bool(a < b),
                Op::NotEqual => Value::Bool(a != b),
                other => panic!("{other:?}"),
            },
            (Value::Bool(a), Value::Bool(b)) => match op {
                Op::LogicalAnd => Value::Bool(a && b),
                Op::LogicalOr => Value::Bool(a || b),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}
