//! Cutting grouped tensors into tiles.
//!
//! Three tiers, by the size of a group:
//! - small groups share a workgroup, many side by side, in several rounds;
//! - a group of up to [`TilePolicy::held`] elements has all of it at most, so that one pass over memory is enough;
//! - larger ones are cut into parts of [`PART`] elements, which a second stage puts together.
//!
//! Members that lie side by side are worked on by neighbouring invocations; in columns, neighbouring invocations take
//! neighbouring groups instead. How a group is cut depends on the layout of its
//! tensor and the alignment of its arrays alone, so that batching changes no bit.

use std::collections::HashMap;

use super::packer::{self, Slot};
use super::program::host_struct;
use super::tables::Tables;
use super::word::{Reach, VECTOR_WIDTH, WORKGROUP};
use crate::error::{Error, Result, shape};
use crate::gpu::View;
use crate::penalty::{Group, Groups, Layout};

/// The most elements of a group that one workgroup holds: sixteen per invocation.
pub(crate) const HELD: u64 = 16 * WORKGROUP as u64;

/// Elements in a part of a larger group.
pub(crate) const PART: u64 = 4 * HELD;

/// How finely groups are cut: what suits a kernel.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TilePolicy {
    /// The most members of a group in one piece, and the same in columns.
    pub held: u64,
    pub column: u64,
    /// Groups of up to this size take one invocation each.
    pub alone: u64,
    /// The most invocations that share a column: the fewer, the more columns lie side by side.
    pub sharing: u64,
}

/// That of kernels which hold their groups in registers.
pub(crate) const IN_REGISTERS: TilePolicy =
    TilePolicy { held: HELD, column: HELD, alone: 1, sharing: WORKGROUP as u64 };

impl TilePolicy {
    /// Invocations for a group of `size` members that lie side by side: sixteen members each, so that few share the tree
    /// of sums, but enough of them that they read 128 bytes in one go.
    fn lanes(&self, size: u64, reach: Reach) -> u64 {
        if size <= self.alone {
            return 1;
        }
        let abreast = 128 / (4 * reach.width().elements());
        lanes(size, 16).max(lanes(size, VECTOR_WIDTH).min(abreast))
    }
}

/// An entry or a field that is not there.
pub(crate) const NONE: u32 = u32::MAX;

/// Runs of members of up to this length are worked on across neighbouring groups.
const NARROW: u64 = 4;

/// The elements that the groups of one tile lie within where their sizes differ: small beside any binding.
const REACH: u64 = 1 << 20;

host_struct! {
    /// WGSL's `Tile`, of `shaders/shared/tile_at.wgsl`, where each field is explained. All counts are of elements.
    pub(crate) struct Tile {
        pub w: u32,
        pub g: u32,
        pub m: u32,
        pub v: u32,
        pub extra: u32,
        pub groups: u32,
        pub length: u32,
        pub run_length: u32,
        pub run_stride: u32,
        pub stride: u32,
        pub lanes: u32,
        pub across: u32,
        pub row: u32,
        pub tensor: u32,
        pub entry: u32,
        pub weight: f32,
        pub member: u32,
        pub state: u32,
        pub unused0: u32,
        pub unused1: u32,
    }

    /// A group of a tile whose groups differ: start from the tile's, length, weight, number from the tile's first group.
    pub(crate) struct Entry {
        pub start: u32,
        pub length: u32,
        pub weight: f32,
        pub number: u32,
    }
}

/// A tile of one tensor before it has a place in a buffer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TilePlan {
    /// Its first group, and their number.
    pub group: u64,
    pub groups: u64,
    /// The first member of each group, and how many.
    pub from: u64,
    pub length: u64,
    /// Where the first group's first member lies in the tensor, and where the last member of the last group ends.
    pub start: u64,
    pub end: u64,
    pub run_length: u64,
    pub run_stride: u64,
    pub stride: u64,
    pub lanes: u64,
    pub across: bool,
    /// The groups' entries, where they differ.
    pub entries: Vec<Entry>,
    /// The weight, where they do not.
    pub weight: f32,
}

/// A group that is cut into parts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Split {
    /// The group.
    pub group: u64,
    /// Its parts: the first one's index among all parts of the tensor, their number, the distance between two.
    pub part: u64,
    pub parts: u64,
    pub stride: u64,
    /// Its weight.
    pub weight: f32,
}

/// A tensor's tiles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut {
    /// Those whose groups a workgroup holds.
    pub held: Vec<TilePlan>,
    /// Parts of the others; with each the index of its first group in `splits`, and that of its first group's part.
    pub parts: Vec<(TilePlan, u64, u64)>,
    /// The groups that have parts.
    pub splits: Vec<Split>,
    /// How many parts there are.
    pub count: u64,
}

/// A run of groups that are alike.
struct Run {
    first: u64,
    count: u64,
    size: u64,
    run_length: u64,
    run_stride: u64,
    stride: u64,
    start: u64,
}

impl Run {
    /// Whether neighbouring invocations take neighbouring groups.
    fn across(&self) -> bool {
        self.run_length <= NARROW && self.run_length < self.size
    }

    /// A tile of `groups` groups from the `first` of the run on, with `length` members each from the member `from` on.
    fn piece(
        &self,
        group: &Group,
        (first, groups): (u64, u64),
        (from, length): (u64, u64),
        lanes: u64,
    ) -> TilePlan {
        let Run { stride, run_stride, .. } = *self;
        let start =
            self.start + first * stride + from / self.run_length * run_stride + from % self.run_length;
        let run_length = self.run_length.min(length);
        let ids = self.first + first..self.first + first + groups;
        let entry = |number: u64| Entry {
            start: (number * stride) as u32,
            length: length as u32,
            weight: group.weight(ids.start + number),
            number: number as u32,
        };
        let entries = if group.groups.weighted() { (0..groups).map(entry).collect() } else { Vec::new() };
        TilePlan {
            group: ids.start,
            groups,
            from,
            length,
            start,
            end: start + (groups - 1) * stride + extent(length, run_length, run_stride),
            run_length,
            run_stride,
            stride,
            lanes,
            across: self.across(),
            entries,
            weight: group.weight(ids.start),
        }
    }
}

/// Checks a tensor's views against its groups: `wanted` of them, all as long as the groups are.
pub(crate) fn check(tensor: usize, groups: Option<&Groups>, views: &[View], wanted: usize) -> Result<()> {
    let wrong = |name: &str, got, expected| Err(shape(format!("tensor {tensor}"), name, got, expected));
    if views.len() != wanted {
        return wrong("number of views", views.len() as u64, wanted as u64);
    }
    let length = groups.map_or(views[0].length, Groups::len);
    if let Some((k, view)) = views.iter().enumerate().find(|(_, view)| view.length != length) {
        return wrong(&format!("length of view {k}"), view.length, length);
    }
    let Some(groups) = groups else { return Ok(()) };
    let needed = groups.largest();
    let limit = u64::from(u32::MAX);
    if needed > limit {
        let place = format!("tensor {tensor}, groups {}", groups.layout());
        return Err(Error::Limit { place, name: "elements of one group", needed, limit });
    }
    Ok(())
}

/// What suits a tensor: words of four where every group of every array starts and ends at a multiple of four.
pub(crate) fn reach(groups: &Groups, views: &[View]) -> Reach {
    let fits = |n: u64| n.is_multiple_of(VECTOR_WIDTH);
    let aligned = views.iter().all(|view| fits(view.offset / 4));
    let run = groups.run_length();
    let even = match groups.layout() {
        Layout::Ragged(offsets) => offsets.iter().all(|o| fits(*o)),
        Layout::Blocks(size) => fits(*size) && fits(groups.len()),
        _ if run > 0 => fits(run),
        _ => fits(groups.size(0)),
    };
    match (aligned && even && !groups.is_empty(), run) {
        (true, 0) => Reach::Vec4,
        (true, _) => Reach::Vec4Runs,
        (false, 1) => Reach::Columns,
        (false, _) => Reach::Strided,
    }
}

/// Cuts a tensor's groups into tiles of this grain. Empty groups are in none.
pub(crate) fn cut(group: &Group, reach: Reach, grain: TilePolicy) -> Cut {
    let groups = &group.groups;
    let mut cut = Cut::default();
    if groups.is_empty() {
        return cut;
    }
    if let Layout::Ragged(_) = groups.layout() {
        cut_ragged(group, reach, grain, &mut cut);
        return cut;
    }
    let run = groups.run_length();
    let alike = |first: u64, count: u64| {
        let size = groups.size(first);
        let run_length = if run > 0 { run } else { size };
        let stride = if run > 0 || count > 1 { groups.start(1) } else { size };
        Run {
            first,
            count,
            size,
            run_length,
            run_stride: groups.run_stride(),
            stride,
            start: groups.start(first),
        }
    };
    let all = groups.count();
    let tail = u64::from(groups.size(all - 1) != groups.size(0));
    for class in [alike(0, all - tail), alike(all - tail, tail)] {
        if class.count == 0 || class.size == 0 {
            continue;
        }
        if class.size <= if class.across() { grain.column } else { grain.held } {
            hold(group, &class, reach, grain, &mut cut);
        } else {
            part(group, &class, &mut cut);
        }
    }
    cut
}

/// Invocations for `size` members, `each` of them per invocation if possible.
fn lanes(size: u64, each: u64) -> u64 {
    size.div_ceil(each).next_power_of_two().min(u64::from(WORKGROUP))
}

/// Where the last of `length` members from the first one ends.
fn extent(length: u64, run_length: u64, run_stride: u64) -> u64 {
    (length - 1) / run_length * run_stride + (length - 1) % run_length + 1
}

/// Tiles of groups that stay in one piece.
fn hold(group: &Group, class: &Run, reach: Reach, grain: TilePolicy, cut: &mut Cut) {
    let across = class.across();
    // columns: many members each, so that more columns lie side by side
    let lanes =
        if across { lanes(class.size, 16).min(grain.sharing) } else { grain.lanes(class.size, reach) };
    let round = u64::from(WORKGROUP) / lanes;
    // several rounds per workgroup, where that leaves workgroups enough
    let rounds = (HELD / (round * class.size)).min(class.count.div_ceil(64 * round)).max(1);
    let per_tile = round * rounds;
    let mut first = 0;
    while first < class.count {
        let groups = per_tile.min(class.count - first);
        cut.held.push(class.piece(group, (first, groups), (0, class.size), lanes));
        first += groups;
    }
}

/// Parts of groups that do not.
fn part(group: &Group, class: &Run, cut: &mut Cut) {
    const SIDE_BY_SIDE: u64 = 32;
    let across = class.across();
    let together = if across { SIDE_BY_SIDE.min(class.count) } else { 1 };
    let lanes = if across { u64::from(WORKGROUP) / SIDE_BY_SIDE } else { u64::from(WORKGROUP) };
    // whole runs, or parts of one
    let each = if class.run_length > PART {
        PART
    } else {
        (PART / together / class.run_length).max(1) * class.run_length
    };
    let ranges: Vec<(u64, u64)> = {
        let mut ranges = Vec::new();
        let mut from = 0;
        while from < class.size {
            let rest = if class.run_length > PART {
                class.run_length - from % class.run_length
            } else {
                class.size - from
            };
            let length = each.min(rest);
            ranges.push((from, length));
            from += length;
        }
        ranges
    };
    let base = cut.count;
    let split = cut.splits.len() as u64;
    for k in 0..class.count {
        cut.splits.push(Split {
            group: class.first + k,
            part: base + k,
            parts: ranges.len() as u64,
            stride: class.count,
            weight: group.weight(class.first + k),
        });
    }
    for (number, &(from, length)) in (0_u64..).zip(&ranges) {
        let mut first = 0;
        while first < class.count {
            let groups = together.min(class.count - first);
            let piece = class.piece(group, (first, groups), (from, length), lanes);
            cut.parts.push((piece, split + first, base + number * class.count + first));
            first += groups;
        }
    }
    cut.count += ranges.len() as u64 * class.count;
}

/// Groups of different sizes: those that take equally many invocations share tiles.
fn cut_ragged(group: &Group, reach: Reach, grain: TilePolicy, cut: &mut Cut) {
    let groups = &group.groups;
    let mut open: HashMap<u64, TilePlan> = HashMap::new();
    let mut elements: HashMap<u64, u64> = HashMap::new();
    for g in 0..groups.count() {
        let (size, start) = (groups.size(g), groups.start(g));
        if size == 0 {
            continue;
        }
        if size > grain.held {
            part(
                group,
                &Run { first: g, count: 1, size, run_length: size, run_stride: size, stride: size, start },
                cut,
            );
            continue;
        }
        let lanes = grain.lanes(size, reach);
        let round = u64::from(WORKGROUP) / lanes;
        let held_by = elements.entry(lanes).or_default();
        let full = |p: &TilePlan| {
            p.groups.is_multiple_of(round) && *held_by + size > HELD
                || start + size - p.start > REACH
                || g - p.group > REACH
        };
        if open.get(&lanes).is_some_and(full) {
            cut.held.extend(open.remove(&lanes));
            *held_by = 0;
        }
        *held_by += size;
        let piece = open.entry(lanes).or_insert(TilePlan {
            group: g,
            groups: 0,
            from: 0,
            length: 0,
            start,
            end: start,
            run_length: 0,
            run_stride: 0,
            stride: 0,
            lanes,
            across: false,
            entries: Vec::new(),
            weight: 1.0,
        });
        piece.groups += 1;
        piece.length = piece.length.max(size);
        piece.run_length = piece.length;
        piece.end = start + size;
        piece.entries.push(Entry {
            start: (start - piece.start) as u32,
            length: size as u32,
            weight: group.weight(g),
            number: (g - piece.group) as u32,
        });
    }
    let mut rest: Vec<TilePlan> = open.into_values().collect();
    rest.sort_by_key(|p| p.group);
    cut.held.extend(rest);
}

/// The fields of a tile that its piece knows; places and rows come later.
pub(crate) fn tile(piece: &TilePlan, row: usize, tensor: usize) -> Tile {
    Tile {
        groups: piece.groups as u32,
        length: piece.length as u32,
        run_length: piece.run_length.min(u64::from(u32::MAX)) as u32,
        run_stride: piece.run_stride.min(u64::from(u32::MAX)) as u32,
        stride: piece.stride.min(u64::from(u32::MAX)) as u32,
        lanes: piece.lanes as u32,
        across: u32::from(piece.across),
        row: row as u32,
        tensor: tensor as u32,
        weight: piece.weight,
        member: piece.from as u32,
        ..packer::Tile::empty()
    }
}

/// Words of 16 bytes that what is measured of a part takes.
const PARTIAL: u64 = 2;

/// What larger groups are measured into: words of 16 bytes, so many of each group's own, and behind them those of all parts.
pub(crate) struct Scratch {
    own: u64,
    group: u64,
    part: u64,
}

impl Scratch {
    /// Its buffer, with room for tensors that are cut like this, and the places of the first one.
    pub fn new(
        device: &wgpu::Device,
        room: &'static str,
        tables: &mut Tables,
        own: u64,
        cuts: &[(Reach, Cut)],
    ) -> Result<(wgpu::Buffer, Self)> {
        let groups: u64 = cuts.iter().map(|(_, cut)| cut.splits.len() as u64).sum();
        let parts: u64 = cuts.iter().map(|(_, cut)| cut.count).sum();
        let bytes = 16 * (own * groups + PARTIAL * parts).max(own);
        Ok((tables.scratch(device, room, bytes)?, Scratch { own, group: 0, part: own * groups }))
    }

    /// The places of the next tensor.
    pub fn advance(&mut self, cut: &Cut) {
        self.group += self.own * cut.splits.len() as u64;
        self.part += PARTIAL * cut.count;
    }

    /// The word in which a group's own begin.
    pub fn of_group(&self, split: u64) -> u32 {
        (self.group + self.own * split) as u32
    }

    /// The tile of a piece that is a part.
    pub fn part(&self, piece: &(TilePlan, u64, u64), row: usize, tensor: usize) -> Tile {
        let (piece, split, part) = piece;
        let extra = (self.part + PARTIAL * part) as u32;
        Tile { extra, state: self.of_group(*split), ..tile(piece, row, tensor) }
    }

    /// Tiles that put the parts of a tensor's groups together, by one workgroup each.
    pub fn combine(&self, cut: &Cut, row: usize) -> impl Iterator<Item = Tile> {
        (0_u64..).zip(&cut.splits).map(move |(number, split)| Tile {
            extra: (self.part + PARTIAL * split.part) as u32,
            groups: 1,
            length: split.parts as u32,
            stride: (PARTIAL * split.stride) as u32,
            lanes: 1,
            row: row as u32,
            weight: split.weight,
            state: self.of_group(number),
            ..bytemuck::Zeroable::zeroed()
        })
    }
}

impl packer::Tile for Tile {
    const NAME: &'static str = "one tile of groups";
    type Entry = Entry;

    /// One invocation per group of none: the kernels divide by it.
    fn empty() -> Self {
        Tile { lanes: 1, entry: NONE, ..bytemuck::Zeroable::zeroed() }
    }

    fn start(&mut self, slot: Slot) -> Option<&mut u32> {
        Some(match slot {
            Slot::W => &mut self.w,
            Slot::G => &mut self.g,
            Slot::M => &mut self.m,
            Slot::V => &mut self.v,
            Slot::Extra => &mut self.extra,
        })
    }

    fn enter(&mut self, at: u32) {
        self.entry = at;
    }
}
