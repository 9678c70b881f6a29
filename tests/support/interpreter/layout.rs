//! How types lie in registers, where parts follow each other without gaps, and in memory.

use wgpu::naga::{ArraySize, Handle, Module, ScalarKind, Type, TypeInner};

/// Registers of a type: one for each number.
pub fn registers(module: &Module, inner: &TypeInner) -> u32 {
    match inner {
        TypeInner::Scalar(_) | TypeInner::Atomic(_) => 1,
        TypeInner::Vector { size, .. } => *size as u32,
        TypeInner::Array { base, size, .. } => known(*size) * registers_of(module, *base),
        TypeInner::Struct { members, .. } => members.iter().map(|m| registers_of(module, m.ty)).sum(),
        other => panic!("the interpreter knows no {other:?}"),
    }
}

pub fn registers_of(module: &Module, ty: Handle<Type>) -> u32 {
    registers(module, &module.types[ty].inner)
}

/// The register of a struct's member, from the struct's first.
pub fn member_register(module: &Module, ty: Handle<Type>, member: usize) -> u32 {
    let TypeInner::Struct { members, .. } = &module.types[ty].inner else { panic!("no struct") };
    members[..member].iter().map(|m| registers_of(module, m.ty)).sum()
}

/// Elements of an array that is not one of a binding's end.
pub fn known(size: ArraySize) -> u32 {
    match size {
        ArraySize::Constant(n) => n.get(),
        other => panic!("the interpreter knows no array of size {other:?} here"),
    }
}

/// Words of memory that a type takes.
pub fn words(module: &Module, ty: Handle<Type>) -> u32 {
    match &module.types[ty].inner {
        TypeInner::Array { size, stride, .. } => known(*size) * stride / 4,
        TypeInner::Struct { span, .. } => span / 4,
        inner => registers(module, inner),
    }
}

/// Where the registers of a type lie in memory: word and number of those that follow each other in both.
pub fn runs(module: &Module, inner: &TypeInner) -> Vec<(u32, u32)> {
    let mut all = Vec::new();
    gather(module, inner, 0, &mut all);
    all
}

fn gather(module: &Module, inner: &TypeInner, at: u32, all: &mut Vec<(u32, u32)>) {
    match inner {
        TypeInner::Array { base, size, stride } => {
            for k in 0..known(*size) {
                gather(module, &module.types[*base].inner, at + k * stride / 4, all);
            }
        }
        TypeInner::Struct { members, .. } => {
            for member in members {
                gather(module, &module.types[member.ty].inner, at + member.offset / 4, all);
            }
        }
        inner => {
            let scalar =
                inner.scalar().unwrap_or_else(|| panic!("the interpreter knows no {inner:?} in memory"));
            assert!(
                scalar.kind != ScalarKind::Bool && scalar.width == 4,
                "the interpreter knows no {scalar:?} in memory"
            );
            let n = registers(module, inner);
            match all.last_mut() {
                Some((start, count)) if *start + *count == at => *count += n,
                _ => all.push((at, n)),
            }
        }
    }
}
