//! A kernel as the register, the pipelines and the dispatches know it: its names, its WGSL, and the structs that the host
//! writes for it.

use std::collections::HashSet;

use super::rule::{self, Rule};
use super::word::WORKGROUP;

/// One variant of a kernel.
pub(super) trait Program {
    /// The kernel: the name of the entry point.
    const KERNEL: &'static str;

    /// The variant's name.
    fn name(&self) -> String;

    /// The complete WGSL.
    fn source(&self) -> String;

    /// The structs that the host writes.
    fn structs(&self) -> Vec<Struct>;

    /// Invocations of a workgroup.
    fn invocations(&self) -> u32 {
        WORKGROUP
    }

    /// The bindings of which the kernel reads only, and which share no buffer with others. All others are bound for
    /// reading and writing, as a caller's views may lie in one buffer, which cannot be bound both ways.
    fn reads(&self) -> &'static [u32] {
        &[0]
    }

    /// What one workgroup takes, and how many there are, for hosts that are not this crate.
    fn work(&self) -> &'static str;

    /// What else they keep to.
    fn rules(&self) -> &'static [Rule] {
        rule::JOB
    }
}

/// A variant in the register.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The variant's name.
    pub name: String,
    /// Its complete WGSL; the entry point is the kernel's name.
    pub wgsl: String,
    /// The structs that the host writes, as it lays them out.
    pub structs: Vec<Struct>,
    /// Invocations of a workgroup: what the constant `invocations` is overridden with.
    pub invocations: u32,
    /// The bindings that the host binds read-only; all others are bound for reading and writing.
    pub reads: &'static [u32],
    /// How it is dispatched: first what one workgroup takes.
    pub rules: Vec<Rule>,
}

/// Programs as the register lists them, each name once.
pub(super) fn listed<P: Program>(programs: impl IntoIterator<Item = P>) -> Vec<Source> {
    let mut seen = HashSet::new();
    let new = programs.into_iter().filter(|p| seen.insert(p.name()));
    let source = |p: P| Source {
        name: p.name(),
        wgsl: p.source(),
        structs: p.structs(),
        invocations: p.invocations(),
        reads: p.reads(),
        rules: [&[Rule { subject: "workgroup", text: p.work() }], p.rules()].concat(),
    };
    new.map(source).collect()
}

/// How the host lays out a struct of WGSL.
#[derive(Clone, Debug, PartialEq)]
pub struct Struct {
    /// Its name in WGSL.
    pub name: &'static str,
    /// Its members with their offsets in bytes.
    pub members: Vec<(&'static str, u32)>,
    /// Its bytes.
    pub size: u32,
}

impl Struct {
    /// A struct of numbers of 4 bytes.
    pub(super) fn of_words(name: &'static str, members: &[&'static str]) -> Self {
        let members: Vec<_> = members.iter().copied().zip((0..).step_by(4)).collect();
        Struct { name, size: 4 * members.len() as u32, members }
    }

    /// The same, with an array of any length behind it.
    pub(super) fn and(mut self, member: &'static str) -> Self {
        self.members.push((member, self.size));
        self
    }

    /// The same, with the members of `inner` in place of the one that holds them: WGSL has them in one struct.
    pub(super) fn with(self, member: &str, inner: Struct) -> Self {
        let spread = |(name, at)| match name == member {
            true => inner.members.iter().map(|&(name, within)| (name, at + within)).collect(),
            false => vec![(name, at)],
        };
        Struct { members: self.members.into_iter().flat_map(spread).collect(), ..self }
    }
}

/// A struct of the host that is one of WGSL: see [`host_struct`].
pub(super) trait Host: bytemuck::Pod {
    /// Members with their offsets.
    const MEMBERS: &'static [(&'static str, usize)];

    /// Its layout under the name that it has in WGSL.
    fn layout(name: &'static str) -> Struct {
        let members = Self::MEMBERS.iter().map(|&(member, at)| (member, at as u32)).collect();
        Struct { name, members, size: size_of::<Self>() as u32 }
    }
}

/// Declares structs whose bytes a kernel reads: what WGSL calls its members, this does.
macro_rules! host_struct {
    ($($(#[$of:meta])* $vis:vis struct $name:ident { $($(#[$about:meta])* $shown:vis $member:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$of])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
        $vis struct $name { $($(#[$about])* $shown $member: $type),* }

        impl $crate::kernels::program::Host for $name {
            const MEMBERS: &'static [(&'static str, usize)] =
                &[$((stringify!($member), std::mem::offset_of!($name, $member))),*];
        }
    )*};
}
pub(super) use host_struct;
