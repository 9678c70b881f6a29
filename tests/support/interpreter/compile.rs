//! From naga's module to a [`Program`]: statements, with calls inlined.

use std::collections::HashMap;

use wgpu::naga::back::pipeline_constants::process_overrides;
use wgpu::naga::valid::{Capabilities, FunctionInfo, ModuleInfo, ValidationFlags, Validator};
use wgpu::naga::{
    self, AddressSpace, AtomicFunction, Block, BuiltIn, Expression, Function, GlobalVariable, Handle, Module,
    ShaderStage, Statement, TypeInner,
};

use super::code::{Arguments, Atomic, Barrier, Global, Op, Operand, Place, Program, Reg, Site};
use super::layout;

/// What an expression stands for.
#[derive(Clone, Copy, Debug)]
pub enum Value {
    /// A value in registers.
    In(Reg),
    /// A pointer to registers: a variable of a function or of an invocation.
    To(Reg),
    /// A pointer to memory: its place, but for the site.
    At { global: u32, word: u32, index: Option<Reg> },
}

/// A loop that is compiled: jumps out of it and to its end, which get their target when it is known.
struct Loop {
    breaks: Vec<usize>,
    continues: Vec<usize>,
}

/// A function that is compiled into its caller.
pub struct Frame<'a> {
    pub function: &'a Function,
    pub info: &'a FunctionInfo,
    pub arguments: Vec<Value>,
    pub values: Vec<Option<Value>>,
    pub locals: Vec<Reg>,
    result: Option<Reg>,
    returns: Vec<usize>,
    loops: Vec<Loop>,
}

pub struct Compiler<'a> {
    pub module: &'a Module,
    info: &'a ModuleInfo,
    /// Where lines of the source start, but for the first.
    lines: Vec<usize>,
    /// Whether sums take products without rounding them.
    pub fuses: bool,
    pub program: Program,
    constants: HashMap<Vec<u32>, Reg>,
    /// Registers kept for constants.
    reserved: u32,
    top: u32,
    globals: HashMap<Handle<GlobalVariable>, Value>,
    sites: HashMap<Site, u32>,
    rounds: Vec<Reg>,
}

/// Compiles an entry point of `source`, its constant `invocations` overridden.
///
/// # Panics
/// Where the module is none, and where it has what the interpreter does not know.
pub fn compile(source: &str, entry: &str, invocations: u32, fuses: bool) -> Program {
    let parsed =
        naga::front::wgsl::parse_str(source).unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
    let mut validator = Validator::new(ValidationFlags::all(), Capabilities::empty());
    let info = validator.validate(&parsed).unwrap_or_else(|e| panic!("{}", e.emit_to_string(source)));
    let mut constants = naga::back::PipelineConstants::default();
    if parsed.overrides.iter().any(|(_, one)| one.name.as_deref() == Some("invocations")) {
        constants.insert("invocations".into(), f64::from(invocations));
    }
    let (module, info) = process_overrides(&parsed, &info, Some((ShaderStage::Compute, entry)), &constants)
        .expect("a value for each override");
    let number = module.entry_points.iter().position(|one| one.name == entry).expect("the entry point");
    // once to count the constants, and once with room for them
    let first = Compiler::new(&module, &info, source, fuses, 0).run(number);
    Compiler::new(&module, &info, source, fuses, first.constants.len() as u32).run(number)
}

impl<'a> Compiler<'a> {
    fn new(module: &'a Module, info: &'a ModuleInfo, source: &str, fuses: bool, reserved: u32) -> Self {
        Compiler {
            module,
            info,
            lines: source.match_indices('\n').map(|(at, _)| at + 1).collect(),
            fuses,
            program: Program::default(),
            constants: HashMap::new(),
            reserved,
            top: reserved,
            globals: HashMap::new(),
            sites: HashMap::new(),
            rounds: Vec::new(),
        }
    }

    fn run(mut self, number: usize) -> Program {
        let entry = &self.module.entry_points[number];
        self.program.invocations = entry.workgroup_size.iter().product();
        for (handle, variable) in self.module.global_variables.iter() {
            self.declare(handle, variable);
        }
        let arguments = self.built_in(&entry.function);
        self.inline(&entry.function, self.info.get_entry_point(number), arguments, None);
        self.push(Op::End);
        self.program.registers = self.top.max(self.program.registers);
        self.program
    }

    fn declare(&mut self, handle: Handle<GlobalVariable>, variable: &GlobalVariable) {
        let value = match variable.space {
            AddressSpace::Private => {
                let n = layout::registers_of(self.module, variable.ty);
                let at = self.registers(n);
                let init = match variable.init {
                    Some(init) => self.constant_expression(init),
                    None => vec![0; n as usize],
                };
                let from = self.constant(init);
                self.copy(at, from, n);
                Value::To(at)
            }
            AddressSpace::WorkGroup | AddressSpace::Storage { .. } => {
                let shared = variable.space == AddressSpace::WorkGroup;
                self.program.globals.push(Global {
                    name: variable.name.clone().unwrap_or_default(),
                    binding: variable.binding.map(|b| b.binding),
                    words: if shared { layout::words(self.module, variable.ty) } else { 0 },
                    written: false,
                });
                Value::At { global: self.program.globals.len() as u32 - 1, word: 0, index: None }
            }
            space => panic!("the interpreter knows no variables in {space:?}"),
        };
        self.globals.insert(handle, value);
    }

    fn built_in(&mut self, function: &Function) -> Vec<Value> {
        let mut places = Arguments::default();
        let mut values = Vec::new();
        for argument in &function.arguments {
            let at = self.registers(layout::registers_of(self.module, argument.ty));
            let Some(naga::Binding::BuiltIn(name)) = argument.binding else {
                panic!("{:?}", argument.binding)
            };
            *match name {
                BuiltIn::WorkGroupId => &mut places.workgroup,
                BuiltIn::NumWorkGroups => &mut places.workgroups,
                BuiltIn::LocalInvocationIndex => &mut places.index,
                BuiltIn::LocalInvocationId => &mut places.local,
                BuiltIn::GlobalInvocationId => &mut places.global,
                other => panic!("the interpreter knows no {other:?}"),
            } = Some(at);
            values.push(Value::In(at));
        }
        self.program.arguments = places;
        values
    }

    /// Registers that are free until the function that is compiled ends.
    pub fn registers(&mut self, n: u32) -> Reg {
        let at = self.top;
        self.top += n;
        self.program.registers = self.program.registers.max(self.top);
        at
    }

    /// The registers of a constant.
    pub fn constant(&mut self, words: Vec<u32>) -> Reg {
        if let Some(&at) = self.constants.get(&words) {
            return at;
        }
        let at = self.program.constants.len() as Reg;
        self.program.constants.extend(&words);
        assert!(self.reserved == 0 || self.program.constants.len() as u32 <= self.reserved);
        self.constants.insert(words, at);
        at
    }

    pub fn push(&mut self, op: Op) -> usize {
        self.program.ops.push(op);
        self.program.ops.len() - 1
    }

    pub fn copy(&mut self, to: Reg, from: Reg, n: u32) {
        self.push(Op::Copy { to, from: Operand { at: from, step: 1 }, n });
    }

    fn here(&self) -> u32 {
        self.program.ops.len() as u32
    }

    /// Has a jump lead to the next operation.
    fn land(&mut self, jump: usize) {
        let here = self.here();
        match &mut self.program.ops[jump] {
            Op::Jump { to } | Op::Unless { to, .. } => *to = here,
            other => unreachable!("{other:?}"),
        }
    }

    pub fn line(&self, span: naga::Span) -> u32 {
        let start = span.to_range().map_or(0, |range| range.start);
        self.lines.partition_point(|&line| line <= start) as u32 + 1
    }

    /// A place of memory as operations name it.
    pub fn place(&mut self, global: u32, word: u32, index: Option<Reg>, span: naga::Span) -> Place {
        let variable = self.program.globals[global as usize].name.clone();
        let site = Site { line: self.line(span), variable };
        let next = self.program.sites.len() as u32;
        let site = *self.sites.entry(site.clone()).or_insert_with(|| {
            self.program.sites.push(site);
            next
        });
        Place { global, word, index, site }
    }

    pub fn global(&self, handle: Handle<GlobalVariable>) -> Value {
        self.globals[&handle]
    }

    /// Compiles a call in place, and its result into `result`.
    fn inline(
        &mut self,
        function: &'a Function,
        info: &'a FunctionInfo,
        arguments: Vec<Value>,
        result: Option<Reg>,
    ) {
        let top = self.top;
        let mut frame = Frame {
            function,
            info,
            arguments,
            values: vec![None; function.expressions.len()],
            locals: Vec::new(),
            result,
            returns: Vec::new(),
            loops: Vec::new(),
        };
        for (_, local) in function.local_variables.iter() {
            let at = self.registers(layout::registers_of(self.module, local.ty));
            frame.locals.push(at);
        }
        for (handle, local) in function.local_variables.iter() {
            let (to, n) = (frame.locals[handle.index()], layout::registers_of(self.module, local.ty));
            let from = match local.init {
                Some(init) => self.value(&mut frame, init),
                None => self.constant(vec![0; n as usize]),
            };
            self.copy(to, from, n);
        }
        self.block(&mut frame, &function.body);
        for jump in std::mem::take(&mut frame.returns) {
            self.land(jump);
        }
        self.top = top;
    }

    fn block(&mut self, frame: &mut Frame<'a>, block: &'a Block) {
        for (statement, &span) in block.span_iter() {
            self.statement(frame, statement, span);
        }
    }

    fn statement(&mut self, frame: &mut Frame<'a>, statement: &'a Statement, span: naga::Span) {
        match statement {
            Statement::Emit(range) => {
                for handle in range.clone() {
                    self.emit(frame, handle);
                }
            }
            Statement::Block(inner) => self.block(frame, inner),
            Statement::If { condition, accept, reject } => self.branch(frame, *condition, accept, reject),
            Statement::Loop { body, continuing, break_if } => self.round(frame, body, continuing, *break_if),
            Statement::Break => {
                let jump = self.push(Op::Jump { to: 0 });
                frame.loops.last_mut().expect("a loop").breaks.push(jump);
            }
            Statement::Continue => {
                let jump = self.push(Op::Jump { to: 0 });
                frame.loops.last_mut().expect("a loop").continues.push(jump);
            }
            Statement::Return { value } => {
                if let (Some(value), Some(to)) = (value, frame.result) {
                    let n = self.size(frame, *value);
                    let from = self.value(frame, *value);
                    self.copy(to, from, n);
                }
                let jump = self.push(Op::Jump { to: 0 });
                frame.returns.push(jump);
            }
            Statement::ControlBarrier(flags) => {
                let known = naga::Barrier::WORK_GROUP | naga::Barrier::STORAGE;
                assert!(known.contains(*flags), "the interpreter knows no barrier {flags:?}");
                let workgroup = flags.contains(naga::Barrier::WORK_GROUP);
                self.barrier(workgroup, flags.contains(naga::Barrier::STORAGE), span);
            }
            Statement::Store { pointer, value } => self.store(frame, *pointer, *value, span),
            Statement::Atomic { pointer, fun, value, result } => {
                self.atomic(frame, *pointer, *fun, *value, *result, span);
            }
            Statement::WorkGroupUniformLoad { pointer, result } => {
                self.barrier(true, false, span);
                let loaded = self.load(frame, *pointer, span);
                frame.values[result.index()] = Some(loaded);
                self.barrier(true, false, span);
            }
            Statement::Call { function, arguments, result } => {
                let values = arguments.iter().map(|&a| self.pointer_or_value(frame, a)).collect();
                let callee = &self.module.functions[*function];
                let to = callee.result.as_ref().map(|r| layout::registers_of(self.module, r.ty));
                let to = to.map(|n| self.registers(n));
                self.inline(callee, &self.info[*function], values, to);
                if let (Some(result), Some(to)) = (result, to) {
                    frame.values[result.index()] = Some(Value::In(to));
                }
            }
            other => panic!("the interpreter knows no {other:?}"),
        }
    }

    fn branch(
        &mut self,
        frame: &mut Frame<'a>,
        condition: Handle<Expression>,
        accept: &'a Block,
        reject: &'a Block,
    ) {
        let condition = self.value(frame, condition);
        let otherwise = self.push(Op::Unless { condition, to: 0 });
        self.block(frame, accept);
        if reject.is_empty() {
            self.land(otherwise);
            return;
        }
        let end = self.push(Op::Jump { to: 0 });
        self.land(otherwise);
        self.block(frame, reject);
        self.land(end);
    }

    fn round(
        &mut self,
        frame: &mut Frame<'a>,
        body: &'a Block,
        continuing: &'a Block,
        break_if: Option<Handle<Expression>>,
    ) {
        let rounds = self.registers(1);
        self.push(Op::Enter { rounds });
        self.rounds.push(rounds);
        frame.loops.push(Loop { breaks: Vec::new(), continues: Vec::new() });
        let start = self.here();
        self.push(Op::Round { rounds });
        self.block(frame, body);
        for jump in std::mem::take(&mut frame.loops.last_mut().expect("the loop").continues) {
            self.land(jump);
        }
        self.block(frame, continuing);
        if let Some(condition) = break_if {
            let condition = self.value(frame, condition);
            self.push(Op::Unless { condition, to: start });
        } else {
            self.push(Op::Jump { to: start });
        }
        for jump in frame.loops.pop().expect("the loop").breaks {
            self.land(jump);
        }
        self.rounds.pop();
    }

    fn barrier(&mut self, workgroup: bool, storage: bool, span: naga::Span) {
        let number = self.program.barriers.len() as u32;
        let (line, rounds) = (self.line(span), self.rounds.clone());
        self.program.barriers.push(Barrier { line, workgroup, storage, rounds });
        self.push(Op::Barrier { number });
    }

    /// The type that a pointer points to.
    pub fn pointee(&self, frame: &Frame<'a>, pointer: Handle<Expression>) -> TypeInner {
        match frame.info[pointer].ty.inner_with(&self.module.types) {
            TypeInner::Pointer { base, .. } => self.module.types[*base].inner.clone(),
            TypeInner::ValuePointer { size: Some(size), scalar, .. } => {
                TypeInner::Vector { size: *size, scalar: *scalar }
            }
            TypeInner::ValuePointer { size: None, scalar, .. } => TypeInner::Scalar(*scalar),
            other => panic!("{other:?} is no pointer"),
        }
    }

    fn store(
        &mut self,
        frame: &mut Frame<'a>,
        pointer: Handle<Expression>,
        value: Handle<Expression>,
        span: naga::Span,
    ) {
        let inner = self.pointee(frame, pointer);
        let from = self.value(frame, value);
        match self.pointer_or_value(frame, pointer) {
            Value::To(to) => self.copy(to, from, layout::registers(self.module, &inner)),
            Value::At { global, word, index } if matches!(inner, TypeInner::Atomic(_)) => {
                let at = self.place(global, word, index, span);
                let to = self.registers(1);
                self.program.globals[global as usize].written = true;
                self.push(Op::Atomic { f: Atomic::Store, at, value: from, to });
            }
            Value::At { global, word, index } => {
                self.program.globals[global as usize].written = true;
                let mut from = from;
                for (start, n) in layout::runs(self.module, &inner) {
                    let to = self.place(global, word + start, index, span);
                    self.push(Op::Store { to, from, n });
                    from += n;
                }
            }
            Value::In(_) => panic!("a store to no pointer"),
        }
    }

    fn atomic(
        &mut self,
        frame: &mut Frame<'a>,
        pointer: Handle<Expression>,
        fun: AtomicFunction,
        value: Handle<Expression>,
        result: Option<Handle<Expression>>,
        span: naga::Span,
    ) {
        let TypeInner::Atomic(scalar) = self.pointee(frame, pointer) else { panic!("no atomic") };
        let f = match fun {
            AtomicFunction::Add => Atomic::Add,
            AtomicFunction::Subtract => Atomic::Subtract,
            AtomicFunction::And => Atomic::And,
            AtomicFunction::InclusiveOr => Atomic::Or,
            AtomicFunction::ExclusiveOr => Atomic::Xor,
            AtomicFunction::Exchange { compare: None } => Atomic::Exchange,
            AtomicFunction::Min if scalar == naga::Scalar::U32 => Atomic::Min,
            AtomicFunction::Max if scalar == naga::Scalar::U32 => Atomic::Max,
            other => panic!("the interpreter knows no atomic {other:?} of {scalar:?}"),
        };
        let value = self.value(frame, value);
        let Value::At { global, word, index } = self.pointer_or_value(frame, pointer) else {
            panic!("no memory")
        };
        let (at, to) = (self.place(global, word, index, span), self.registers(1));
        self.program.globals[global as usize].written = true;
        self.push(Op::Atomic { f, at, value, to });
        if let Some(result) = result {
            frame.values[result.index()] = Some(Value::In(to));
        }
    }
}
