//! What a kernel is compiled to: one flat list of operations on the registers of an invocation, with all calls inlined, so
//! that an invocation that waits at a barrier is a place in the list and its registers.

/// The first register of a value; its parts lie one behind another, whatever their types.
pub type Reg = u32;

/// A value that an operation goes through part by part; a scalar beside vectors is taken again and again.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    pub at: Reg,
    /// 1, or 0 for a scalar.
    pub step: u32,
}

/// Of one part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    NegateFloat,
    NegateInteger,
    Not,
    Flip,
    AbsFloat,
    AbsInteger,
    SignFloat,
    Sqrt,
    InverseSqrt,
    Exp,
    Exp2,
    Log2,
    Floor,
    Ones,
    TrailingZeros,
    FloatOfUnsigned,
    FloatOfSigned,
    UnsignedOfFloat,
    SignedOfFloat,
    Truth,
    TruthOfFloat,
}

/// Of two parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binary {
    AddFloat,
    SubtractFloat,
    MultiplyFloat,
    DivideFloat,
    EqualFloat,
    UnequalFloat,
    LessFloat,
    LessEqualFloat,
    MinFloat,
    MaxFloat,
    Add,
    Subtract,
    Multiply,
    DivideUnsigned,
    DivideSigned,
    ModuloUnsigned,
    ModuloSigned,
    Equal,
    Unequal,
    LessUnsigned,
    LessEqualUnsigned,
    LessSigned,
    LessEqualSigned,
    MinUnsigned,
    MaxUnsigned,
    MinSigned,
    MaxSigned,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftUnsigned,
    ShiftSigned,
}

/// A place in memory, counted in words.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// A number of [`Program::globals`].
    pub global: u32,
    /// From the variable's start.
    pub word: u32,
    /// What is added to it, if an index is part of the place.
    pub index: Option<Reg>,
    /// Where the source says so: a number of [`Program::sites`].
    pub site: u32,
}

/// How many elements an array has.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    Known(u32),
    /// What the binding holds of elements of so many words, from this word on.
    Bound {
        global: u32,
        word: u32,
        stride: u32,
    },
}

/// What an atomic operation does.
#[derive(Clone, Copy, Debug)]
pub enum Atomic {
    Load,
    Store,
    Add,
    Subtract,
    And,
    Or,
    Xor,
    Min,
    Max,
    Exchange,
}

/// One operation.
#[derive(Clone, Debug)]
pub enum Op {
    Copy {
        to: Reg,
        from: Operand,
        n: u32,
    },
    Unary {
        f: Unary,
        to: Reg,
        x: Reg,
        n: u32,
    },
    Binary {
        f: Binary,
        to: Reg,
        a: Operand,
        b: Operand,
        n: u32,
    },
    /// `a b + c`, rounded once; either may be negative.
    Fused {
        to: Reg,
        a: Operand,
        b: Operand,
        c: Operand,
        minus_product: bool,
        minus_c: bool,
        n: u32,
    },
    Select {
        to: Reg,
        condition: Operand,
        accept: Reg,
        reject: Reg,
        n: u32,
    },
    All {
        to: Reg,
        x: Reg,
        n: u32,
    },
    Any {
        to: Reg,
        x: Reg,
        n: u32,
    },
    /// One part of a value whose parts have all the same type.
    Part {
        to: Reg,
        from: Reg,
        index: Reg,
        n: u32,
    },
    /// `to` = `base` + `index` `stride`, or [`OUTSIDE`] where there is no such element.
    Index {
        to: Reg,
        index: Reg,
        length: Length,
        stride: u32,
        base: Option<Reg>,
    },
    Length {
        to: Reg,
        length: Length,
    },
    Load {
        to: Reg,
        from: Place,
        n: u32,
    },
    Store {
        to: Place,
        from: Reg,
        n: u32,
    },
    Atomic {
        f: Atomic,
        at: Place,
        value: Reg,
        to: Reg,
    },
    Jump {
        to: u32,
    },
    Unless {
        condition: Reg,
        to: u32,
    },
    /// A loop that begins, and each of its rounds.
    Enter {
        rounds: Reg,
    },
    Round {
        rounds: Reg,
    },
    /// A number of [`Program::barriers`].
    Barrier {
        number: u32,
    },
    End,
}

/// The index of an element that is none.
pub const OUTSIDE: u32 = u32::MAX;

/// A variable in memory.
#[derive(Clone, Debug)]
pub struct Global {
    pub name: String,
    /// `@binding`; none in the memory of the workgroup.
    pub binding: Option<u32>,
    /// Words, of variables of the workgroup.
    pub words: u32,
    /// Whether some operation writes to it.
    pub written: bool,
}

/// Where in the source something is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// Counted from 1.
    pub line: u32,
    pub variable: String,
}

/// A barrier.
#[derive(Clone, Debug)]
pub struct Barrier {
    pub line: u32,
    /// Whose accesses it orders.
    pub workgroup: bool,
    pub storage: bool,
    /// The counters of the loops round it.
    pub rounds: Vec<Reg>,
}

/// A kernel.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub ops: Vec<Op>,
    pub sites: Vec<Site>,
    pub barriers: Vec<Barrier>,
    pub globals: Vec<Global>,
    /// The first registers, which nothing changes.
    pub constants: Vec<u32>,
    /// All registers of an invocation.
    pub registers: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Where the entry point gets its arguments.
    pub arguments: Arguments,
}

/// The registers of built-in values.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    pub workgroup: Option<Reg>,
    pub workgroups: Option<Reg>,
    pub index: Option<Reg>,
    pub local: Option<Reg>,
    pub global: Option<Reg>,
}
