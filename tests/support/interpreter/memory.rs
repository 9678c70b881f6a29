//! Memory, and who has been where in it: two accesses to a word by different parties between two barriers are a race, unless
//! both read or both are atomic.

/// How a word is accessed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Access {
    Read,
    Write,
    Atomic,
}

const NOBODY: u32 = u32::MAX;
const SEVERAL: u32 = u32::MAX - 1;

/// Who has accessed a word in an interval, and where in the source.
#[derive(Clone, Copy, Debug)]
struct Trace {
    interval: u32,
    writer: u32,
    reader: u32,
    atomic: u32,
    written_at: u32,
    read_at: u32,
    atomic_at: u32,
}

const FRESH: Trace = Trace {
    interval: 0,
    writer: NOBODY,
    reader: NOBODY,
    atomic: NOBODY,
    written_at: 0,
    read_at: 0,
    atomic_at: 0,
};

impl Trace {
    /// Notes an access; where an earlier one is that must not meet it, if there is one.
    fn note(&mut self, interval: u32, who: u32, access: Access, site: u32) -> Option<u32> {
        if self.interval != interval {
            *self = Trace { interval, ..FRESH };
        }
        let other = |party: u32| party != NOBODY && party != who;
        let met = if other(self.writer) {
            Some(self.written_at)
        } else if access != Access::Read && other(self.reader) {
            Some(self.read_at)
        } else if access != Access::Atomic && other(self.atomic) {
            Some(self.atomic_at)
        } else {
            None
        };
        let (party, at) = match access {
            Access::Read => (&mut self.reader, &mut self.read_at),
            Access::Write => (&mut self.writer, &mut self.written_at),
            Access::Atomic => (&mut self.atomic, &mut self.atomic_at),
        };
        if *party == NOBODY {
            (*party, *at) = (who, site);
        } else if *party != who {
            *party = SEVERAL;
        }
        met
    }
}

/// One buffer, or the memory of a workgroup.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    pub words: Vec<u32>,
    /// Between invocations of a workgroup; empty where nothing writes.
    near: Vec<Trace>,
    /// Between workgroups.
    far: Vec<Trace>,
}

/// Who accesses memory.
#[derive(Clone, Copy, Debug)]
pub struct Party {
    pub workgroup: u32,
    pub invocation: u32,
    /// The number of the interval between barriers, never 0.
    pub interval: u32,
    /// That of the dispatch.
    pub dispatch: u32,
}

/// Two accesses that race.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    pub earlier: u32,
    pub across_workgroups: bool,
}

impl Memory {
    /// A buffer that nobody writes.
    pub fn constant(words: Vec<u32>) -> Self {
        Memory { words, ..Memory::default() }
    }

    /// A buffer that is written.
    pub fn shared(words: Vec<u32>) -> Self {
        let traces = vec![FRESH; words.len()];
        Memory { words, near: traces.clone(), far: traces }
    }

    /// What a workgroup has.
    pub fn of_workgroup(words: usize) -> Self {
        Memory { words: vec![0; words], near: vec![FRESH; words], far: Vec::new() }
    }

    /// Notes the access to a word.
    pub fn note(&mut self, word: usize, party: &Party, access: Access, site: u32) -> Option<Race> {
        let trace = self.near.get_mut(word)?;
        let race = |earlier, across_workgroups| Race { earlier, across_workgroups };
        if let Some(earlier) = trace.note(party.interval, party.invocation, access, site) {
            return Some(race(earlier, false));
        }
        let trace = self.far.get_mut(word)?;
        trace.note(party.dispatch, party.workgroup, access, site).map(|earlier| race(earlier, true))
    }
}
