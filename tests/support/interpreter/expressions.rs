//! From naga's module to a program: expressions.

use wgpu::naga::{
    self, ArraySize, BinaryOperator, Expression, Handle, Literal, MathFunction, RelationalFunction,
    ScalarKind, TypeInner, UnaryOperator,
};

use super::code::{Atomic, Binary, Length, Op, Operand, Reg, Unary};
use super::compile::{Compiler, Frame, Value};
use super::layout;

impl<'a> Compiler<'a> {
    /// The type of an expression.
    fn inner<'f>(&'f self, frame: &Frame<'f>, handle: Handle<Expression>) -> &'f TypeInner
    where
        'a: 'f,
    {
        frame.info[handle].ty.inner_with(&self.module.types)
    }

    fn kind(&self, frame: &Frame<'a>, handle: Handle<Expression>) -> ScalarKind {
        let inner = self.inner(frame, handle);
        inner.scalar().unwrap_or_else(|| panic!("the interpreter computes with no {inner:?}")).kind
    }

    /// Registers of an expression's value.
    pub fn size(&self, frame: &Frame<'a>, handle: Handle<Expression>) -> u32 {
        layout::registers(self.module, self.inner(frame, handle))
    }

    /// The registers of a value.
    pub fn value(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Reg {
        match self.pointer_or_value(frame, handle) {
            Value::In(at) => at,
            other => panic!("{other:?} is no value"),
        }
    }

    fn operand(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Operand {
        let step = u32::from(matches!(self.inner(frame, handle), TypeInner::Vector { .. }));
        Operand { at: self.value(frame, handle), step }
    }

    /// What an expression stands for, that was computed or needs not to be.
    pub fn pointer_or_value(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Value {
        if let Some(known) = frame.values[handle.index()] {
            return known;
        }
        let value = match &frame.function.expressions[handle] {
            Expression::Literal(literal) => Value::In(self.constant(vec![word(*literal)])),
            Expression::Constant(constant) => {
                let words = self.constant_expression(self.module.constants[*constant].init);
                Value::In(self.constant(words))
            }
            Expression::ZeroValue(ty) => {
                let zeros = vec![0; layout::registers_of(self.module, *ty) as usize];
                Value::In(self.constant(zeros))
            }
            Expression::FunctionArgument(k) => frame.arguments[*k as usize],
            Expression::LocalVariable(local) => Value::To(frame.locals[local.index()]),
            Expression::GlobalVariable(global) => self.global(*global),
            // parts of constants, which naga does not always emit
            Expression::Compose { .. } | Expression::Splat { .. } => {
                self.emit(frame, handle);
                return frame.values[handle.index()].expect("just computed");
            }
            other => panic!("{other:?} is used before it is computed"),
        };
        frame.values[handle.index()] = Some(value);
        value
    }

    /// The words of an expression of the module's.
    pub fn constant_expression(&self, handle: Handle<Expression>) -> Vec<u32> {
        match &self.module.global_expressions[handle] {
            Expression::Literal(literal) => vec![word(*literal)],
            Expression::Constant(constant) => self.constant_expression(self.module.constants[*constant].init),
            Expression::ZeroValue(ty) => vec![0; layout::registers_of(self.module, *ty) as usize],
            Expression::Compose { components, .. } => {
                components.iter().flat_map(|&one| self.constant_expression(one)).collect()
            }
            Expression::Splat { size, value } => self.constant_expression(*value).repeat(*size as usize),
            other => panic!("the interpreter knows no constant {other:?}"),
        }
    }

    /// Compiles an expression where it is computed.
    pub fn emit(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) {
        let value = self.computed(frame, handle);
        frame.values[handle.index()] = Some(value);
    }

    fn computed(&mut self, frame: &mut Frame<'a>, handle: Handle<Expression>) -> Value {
        let span = frame.function.expressions.get_span(handle);
        match &frame.function.expressions[handle] {
            Expression::Load { pointer } => return self.load(frame, *pointer, span),
            Expression::Access { base, index } => return self.access(frame, *base, *index),
            Expression::AccessIndex { base, index } => return self.access_known(frame, *base, *index),
            Expression::ArrayLength(array) => return self.array_length(frame, *array),
            // nothing to compute: the bits, or the number as it is
            Expression::As { expr, convert: None, .. } => return Value::In(self.value(frame, *expr)),
            _ => {}
        }
        let n = self.size(frame, handle);
        let to = self.registers(n);
        match &frame.function.expressions[handle] {
            Expression::Compose { components, .. } => {
                let mut at = to;
                for &one in components {
                    let (from, n) = (self.value(frame, one), self.size(frame, one));
                    self.copy(at, from, n);
                    at += n;
                }
            }
            Expression::Splat { value, .. } => {
                let from = Operand { at: self.value(frame, *value), step: 0 };
                self.push(Op::Copy { to, from, n });
            }
            Expression::Swizzle { vector, pattern, .. } => {
                let from = self.value(frame, *vector);
                for (k, &part) in (0..n).zip(pattern) {
                    self.copy(to + k, from + part as u32, 1);
                }
            }
            Expression::Unary { op, expr } => {
                let f = match (op, self.kind(frame, *expr)) {
                    (UnaryOperator::Negate, ScalarKind::Float) => Unary::NegateFloat,
                    (UnaryOperator::Negate, _) => Unary::NegateInteger,
                    (UnaryOperator::LogicalNot, _) => Unary::Not,
                    (UnaryOperator::BitwiseNot, _) => Unary::Flip,
                };
                let x = self.value(frame, *expr);
                self.push(Op::Unary { f, to, x, n });
            }
            Expression::Binary { op, left, right } => self.binary(frame, *op, *left, *right, (to, n)),
            Expression::Select { condition, accept, reject } => {
                let condition = self.operand(frame, *condition);
                let (accept, reject) = (self.value(frame, *accept), self.value(frame, *reject));
                self.push(Op::Select { to, condition, accept, reject, n });
            }
            Expression::Relational { fun, argument } => {
                let (x, n) = (self.value(frame, *argument), self.size(frame, *argument));
                self.push(match fun {
                    RelationalFunction::All => Op::All { to, x, n },
                    RelationalFunction::Any => Op::Any { to, x, n },
                    other => panic!("the interpreter knows no {other:?}"),
                });
            }
            Expression::Math { fun, arg, arg1, arg2, arg3: None } => {
                let more = [*arg1, *arg2].into_iter().flatten().collect::<Vec<_>>();
                self.math(frame, *fun, *arg, &more, (to, n));
            }
            Expression::As { expr, kind, convert: Some(4 | 1) } => {
                let from = self.kind(frame, *expr);
                let x = self.value(frame, *expr);
                match conversion(from, *kind) {
                    Some(f) => self.push(Op::Unary { f, to, x, n }),
                    None => return Value::In(x),
                };
            }
            other => panic!("the interpreter knows no {other:?}"),
        }
        Value::In(to)
    }

    /// Loads what a pointer points to.
    pub fn load(&mut self, frame: &mut Frame<'a>, pointer: Handle<Expression>, span: naga::Span) -> Value {
        let inner = self.pointee(frame, pointer);
        let n = layout::registers(self.module, &inner);
        let pointer = self.pointer_or_value(frame, pointer);
        let to = self.registers(n);
        match pointer {
            Value::To(from) => self.copy(to, from, n),
            Value::At { global, word, index } if matches!(inner, TypeInner::Atomic(_)) => {
                let at = self.place(global, word, index, span);
                self.push(Op::Atomic { f: Atomic::Load, at, value: to, to });
            }
            Value::At { global, word, index } => {
                let mut at = to;
                for (start, n) in layout::runs(self.module, &inner) {
                    let from = self.place(global, word + start, index, span);
                    self.push(Op::Load { to: at, from, n });
                    at += n;
                }
            }
            Value::In(_) => panic!("a load from no pointer"),
        }
        Value::In(to)
    }

    /// `base[index]` where the index is known only when it is computed.
    fn access(
        &mut self,
        frame: &mut Frame<'a>,
        base: Handle<Expression>,
        index: Handle<Expression>,
    ) -> Value {
        let index_at = self.value(frame, index);
        match self.pointer_or_value(frame, base) {
            Value::In(from) => match *self.inner(frame, base) {
                TypeInner::Vector { size, .. } => {
                    let to = self.registers(1);
                    self.push(Op::Part { to, from, index: index_at, n: size as u32 });
                    Value::In(to)
                }
                ref other => panic!("the interpreter knows no index into a value of {other:?}"),
            },
            Value::To(_) => panic!("the interpreter knows no index into a variable of one invocation"),
            Value::At { global, word, index: before } => {
                let (length, stride) = match self.pointee(frame, base) {
                    TypeInner::Array { size: ArraySize::Dynamic, stride, .. } => {
                        (Length::Bound { global, word, stride: stride / 4 }, stride / 4)
                    }
                    TypeInner::Array { size, stride, .. } => (Length::Known(layout::known(size)), stride / 4),
                    TypeInner::Vector { size, .. } => (Length::Known(size as u32), 1),
                    other => panic!("the interpreter knows no index into {other:?}"),
                };
                let to = self.registers(1);
                self.push(Op::Index { to, index: index_at, length, stride, base: before });
                Value::At { global, word, index: Some(to) }
            }
        }
    }

    /// `base.member`, `base.x`, `base[3]`.
    fn access_known(&mut self, frame: &mut Frame<'a>, base: Handle<Expression>, index: u32) -> Value {
        let value = self.pointer_or_value(frame, base);
        let pointer = !matches!(value, Value::In(_));
        let (ty, inner) = match self.inner(frame, base) {
            TypeInner::Pointer { base, .. } if pointer => {
                (Some(*base), self.module.types[*base].inner.clone())
            }
            inner => (
                frame.info[base].ty.handle(),
                if pointer { self.pointee(frame, base) } else { inner.clone() },
            ),
        };
        let (registers, words) = match &inner {
            TypeInner::Struct { members, .. } => {
                let ty = ty.expect("structs have names");
                let member = index as usize;
                (layout::member_register(self.module, ty, member), members[member].offset / 4)
            }
            TypeInner::Array { base, stride, .. } => {
                (index * layout::registers_of(self.module, *base), index * stride / 4)
            }
            TypeInner::Vector { .. } => (index, index),
            other => panic!("the interpreter knows no part of {other:?}"),
        };
        match value {
            Value::In(at) => Value::In(at + registers),
            Value::To(at) => Value::To(at + registers),
            Value::At { global, word, index } => Value::At { global, word: word + words, index },
        }
    }

    fn array_length(&mut self, frame: &mut Frame<'a>, array: Handle<Expression>) -> Value {
        let TypeInner::Array { size: ArraySize::Dynamic, stride, .. } = self.pointee(frame, array) else {
            panic!("the length of no array")
        };
        let Value::At { global, word, index: None } = self.pointer_or_value(frame, array) else {
            panic!("the length of an array that is not a binding's end")
        };
        let to = self.registers(1);
        self.push(Op::Length { to, length: Length::Bound { global, word, stride: stride / 4 } });
        Value::In(to)
    }

    fn binary(
        &mut self,
        frame: &mut Frame<'a>,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
        (to, n): (Reg, u32),
    ) {
        let kind = self.kind(frame, left);
        if self.fuses && kind == ScalarKind::Float && self.fused(frame, op, left, right, (to, n)) {
            return;
        }
        let (a, b) = (self.operand(frame, left), self.operand(frame, right));
        let (f, swapped) = operator(op, kind);
        let (a, b) = if swapped { (b, a) } else { (a, b) };
        self.push(Op::Binary { f, to, a, b, n });
    }

    /// A sum with a product in one operation, if it is one.
    fn fused(
        &mut self,
        frame: &mut Frame<'a>,
        op: BinaryOperator,
        left: Handle<Expression>,
        right: Handle<Expression>,
        (to, n): (Reg, u32),
    ) -> bool {
        let minus = match op {
            BinaryOperator::Add => false,
            BinaryOperator::Subtract => true,
            _ => return false,
        };
        let product = |handle| match frame.function.expressions[handle] {
            Expression::Binary { op: BinaryOperator::Multiply, left, right } => Some((left, right)),
            _ => None,
        };
        let (factors, other, minus_product, minus_c) = match (product(left), product(right)) {
            (Some(factors), _) => (factors, right, false, minus),
            (None, Some(factors)) => (factors, left, minus, false),
            (None, None) => return false,
        };
        let (a, b) = (self.operand(frame, factors.0), self.operand(frame, factors.1));
        let c = self.operand(frame, other);
        self.push(Op::Fused { to, a, b, c, minus_product, minus_c, n });
        true
    }

    fn math(
        &mut self,
        frame: &mut Frame<'a>,
        fun: MathFunction,
        arg: Handle<Expression>,
        more: &[Handle<Expression>],
        (to, n): (Reg, u32),
    ) {
        let kind = self.kind(frame, arg);
        let operands: Vec<_> =
            std::iter::once(&arg).chain(more).map(|&one| self.operand(frame, one)).collect();
        let whole = Operand { at: to, step: 1 };
        let [low, high] = [MathFunction::Max, MathFunction::Min].map(|f| extreme(f, kind));
        match (fun, operands[..].as_ref()) {
            (MathFunction::Min, &[a, b]) => _ = self.push(Op::Binary { f: high, to, a, b, n }),
            (MathFunction::Max, &[a, b]) => _ = self.push(Op::Binary { f: low, to, a, b, n }),
            (MathFunction::Clamp, &[x, from, end]) => {
                self.push(Op::Binary { f: low, to, a: x, b: from, n });
                self.push(Op::Binary { f: high, to, a: whole, b: end, n });
            }
            (MathFunction::Fma, &[a, b, c]) => {
                self.push(Op::Fused { to, a, b, c, minus_product: false, minus_c: false, n });
            }
            (MathFunction::Dot, &[a, b]) => {
                let size = self.size(frame, arg);
                let ([multiply, add], _) =
                    ([BinaryOperator::Multiply, BinaryOperator::Add].map(|op| operator(op, kind).0), ());
                let products = self.registers(size);
                self.push(Op::Binary { f: multiply, to: products, a, b, n: size });
                self.copy(to, products, 1);
                for k in 1..size {
                    let b = Operand { at: products + k, step: 1 };
                    self.push(Op::Binary { f: add, to, a: whole, b, n: 1 });
                }
            }
            (_, &[x]) => {
                let f = function(fun, kind);
                self.push(Op::Unary { f, to, x: x.at, n });
            }
            other => panic!("the interpreter knows no {other:?}"),
        }
    }
}

fn word(literal: Literal) -> u32 {
    match literal {
        Literal::F32(x) => x.to_bits(),
        Literal::U32(x) => x,
        Literal::I32(x) => x as u32,
        Literal::Bool(x) => u32::from(x),
        other => panic!("the interpreter knows no literal {other:?}"),
    }
}

/// How one kind of number becomes another; none where its word stays.
fn conversion(from: ScalarKind, to: ScalarKind) -> Option<Unary> {
    use ScalarKind::{Bool, Float, Sint, Uint};
    match (from, to) {
        (Uint, Float) => Some(Unary::FloatOfUnsigned),
        (Bool, Float) => Some(Unary::FloatOfUnsigned),
        (Sint, Float) => Some(Unary::FloatOfSigned),
        (Float, Uint) => Some(Unary::UnsignedOfFloat),
        (Float, Sint) => Some(Unary::SignedOfFloat),
        (Float, Bool) => Some(Unary::TruthOfFloat),
        (Uint | Sint, Bool) => Some(Unary::Truth),
        (Bool | Uint | Sint, Uint | Sint) | (Bool, Bool) | (Float, Float) => None,
        other => panic!("the interpreter knows no conversion {other:?}"),
    }
}

fn function(fun: MathFunction, kind: ScalarKind) -> Unary {
    match (fun, kind) {
        (MathFunction::Abs, ScalarKind::Float) => Unary::AbsFloat,
        (MathFunction::Abs, ScalarKind::Sint) => Unary::AbsInteger,
        (MathFunction::Sign, ScalarKind::Float) => Unary::SignFloat,
        (MathFunction::Sqrt, _) => Unary::Sqrt,
        (MathFunction::InverseSqrt, _) => Unary::InverseSqrt,
        (MathFunction::Exp, _) => Unary::Exp,
        (MathFunction::Exp2, _) => Unary::Exp2,
        (MathFunction::Log2, _) => Unary::Log2,
        (MathFunction::Floor, _) => Unary::Floor,
        (MathFunction::CountOneBits, _) => Unary::Ones,
        (MathFunction::FirstTrailingBit, _) => Unary::TrailingZeros,
        other => panic!("the interpreter knows no {other:?}"),
    }
}

fn extreme(fun: MathFunction, kind: ScalarKind) -> Binary {
    match (fun, kind) {
        (MathFunction::Min, ScalarKind::Float) => Binary::MinFloat,
        (_, ScalarKind::Float) => Binary::MaxFloat,
        (MathFunction::Min, ScalarKind::Sint) => Binary::MinSigned,
        (_, ScalarKind::Sint) => Binary::MaxSigned,
        (MathFunction::Min, _) => Binary::MinUnsigned,
        _ => Binary::MaxUnsigned,
    }
}

/// The operation, and whether its operands change places.
fn operator(op: BinaryOperator, kind: ScalarKind) -> (Binary, bool) {
    use BinaryOperator as Op;
    let signed = kind == ScalarKind::Sint;
    let pick = |float, of_signed, of_unsigned| match kind {
        ScalarKind::Float => float,
        ScalarKind::Sint => of_signed,
        _ => of_unsigned,
    };
    let less = pick(Binary::LessFloat, Binary::LessSigned, Binary::LessUnsigned);
    let less_equal = pick(Binary::LessEqualFloat, Binary::LessEqualSigned, Binary::LessEqualUnsigned);
    let f = match op {
        Op::Add => pick(Binary::AddFloat, Binary::Add, Binary::Add),
        Op::Subtract => pick(Binary::SubtractFloat, Binary::Subtract, Binary::Subtract),
        Op::Multiply => pick(Binary::MultiplyFloat, Binary::Multiply, Binary::Multiply),
        Op::Divide => pick(Binary::DivideFloat, Binary::DivideSigned, Binary::DivideUnsigned),
        Op::Modulo if kind != ScalarKind::Float => {
            pick(Binary::ModuloSigned, Binary::ModuloSigned, Binary::ModuloUnsigned)
        }
        Op::Equal => pick(Binary::EqualFloat, Binary::Equal, Binary::Equal),
        Op::NotEqual => pick(Binary::UnequalFloat, Binary::Unequal, Binary::Unequal),
        Op::Less => less,
        Op::LessEqual => less_equal,
        Op::Greater => return (less, true),
        Op::GreaterEqual => return (less_equal, true),
        Op::And | Op::LogicalAnd => Binary::And,
        Op::InclusiveOr | Op::LogicalOr => Binary::Or,
        Op::ExclusiveOr => Binary::Xor,
        Op::ShiftLeft => Binary::ShiftLeft,
        Op::ShiftRight if signed => Binary::ShiftSigned,
        Op::ShiftRight => Binary::ShiftUnsigned,
        other => panic!("the interpreter knows no {other:?} of {kind:?}"),
    };
    (f, false)
}
