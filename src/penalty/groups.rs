//! Which weights of a tensor form a group: rows, columns, filters, blocks, index ranges, and a weight per group.
//!
//! Every regular layout is the middle axis of the tensor seen as `[outer, groups, inner]`: group g holds the elements
//! `o * groups * inner + g * inner + i`. Its members are counted by k = o * inner + i.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::domain::WEIGHT;
use crate::error::{self, Error, Result, require, same};

/// How a tensor is divided into groups.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Layout {
    /// `rows`: one group per index of the first axis, of a tensor of two axes or more. In a weight matrix
    /// `[outputs, inputs]` the weights into one neuron.
    Rows,
    /// `columns`: one group per index of the second axis. In `[outputs, inputs]` the weights out of one neuron.
    Columns,
    /// `filters`: one group per output channel of `[outputs, inputs, ...]` with three axes or more.
    Filters,
    /// `channels`: one group per input channel of `[outputs, inputs, ...]` with three axes or more.
    Channels,
    /// `blocks:K`: runs of K elements; the last may be shorter.
    Blocks(u64),
    /// `whole`: the tensor is one group.
    Whole,
    /// Consecutive index ranges, by their borders: group g is `offsets[g]..offsets[g + 1]`. The first border is 0, the
    /// last the number of elements. Has no text form.
    Ragged(Arc<[u64]>),
}

/// The text forms.
const TEXTS: &str = "rows, columns, filters, channels, blocks:K, whole";

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Layout::Rows => f.write_str("rows"),
            Layout::Columns => f.write_str("columns"),
            Layout::Filters => f.write_str("filters"),
            Layout::Channels => f.write_str("channels"),
            Layout::Blocks(k) => write!(f, "blocks:{k}"),
            Layout::Whole => f.write_str("whole"),
            Layout::Ragged(offsets) => write!(f, "ragged:{}", offsets.len().saturating_sub(1)),
        }
    }
}

impl FromStr for Layout {
    type Err = Error;

    /// Reads `rows`, `columns`, `filters`, `channels`, `blocks:K` or `whole`.
    ///
    /// # Errors
    /// [`Error::Text`] for anything else; [`Error::Domain`] for blocks of 0 elements.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::Text {
            place: "groups".into(),
            text: text.into(),
            reason: format!("there are {TEXTS}"),
        };
        match text.trim() {
            "rows" => Ok(Layout::Rows),
            "columns" => Ok(Layout::Columns),
            "filters" => Ok(Layout::Filters),
            "channels" => Ok(Layout::Channels),
            "whole" => Ok(Layout::Whole),
            other => {
                let size = other.strip_prefix("blocks:").ok_or_else(wrong)?;
                let size: u64 = size.trim().parse().map_err(|_| wrong())?;
                require(size >= 1, "groups", "elements per block", size as f64, "[1, 2^64)")?;
                Ok(Layout::Blocks(size))
            }
        }
    }
}

/// The groups of one tensor.
///
/// ```
/// use maf_srl::penalty::{Groups, Layout};
/// let groups = Groups::new(Layout::Columns, &[3, 4])?;
/// assert_eq!((groups.count(), groups.size(0)), (4, 3));
/// assert_eq!(groups.members(1).collect::<Vec<_>>(), [1, 5, 9]);
/// # Ok::<(), maf_srl::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Groups {
    layout: Layout,
    /// Elements of the tensor.
    length: u64,
    outer: u64,
    count: u64,
    inner: u64,
    weights: Option<Arc<[f32]>>,
}

impl Groups {
    /// The groups of a tensor of this shape.
    ///
    /// # Errors
    /// [`Error::Shape`] where the layout does not fit the shape, or ranges do not cover it in order.
    pub fn new(layout: Layout, shape: &[u64]) -> Result<Self> {
        let wrong = |expected: &str| {
            error::shape(format!("groups {layout}"), "shape", format!("{shape:?}"), expected)
        };
        let length = shape.iter().try_fold(1_u64, |n, &axis| n.checked_mul(axis));
        let length = length.ok_or_else(|| wrong("fewer than 2^64 elements"))?;
        // of an empty tensor, whose length says nothing about these
        let rest = |from: usize| shape[from..].iter().fold(1_u64, |n, &axis| n.saturating_mul(axis));
        let (outer, count, inner) = match &layout {
            Layout::Rows | Layout::Columns if shape.len() < 2 => return Err(wrong("two axes or more")),
            Layout::Filters | Layout::Channels if shape.len() < 3 => {
                return Err(wrong("three axes or more: outputs, inputs, kernel"));
            }
            Layout::Rows | Layout::Filters => (1, shape[0], rest(1)),
            Layout::Columns | Layout::Channels => (shape[0], shape[1], rest(2)),
            Layout::Blocks(0) => return Err(wrong("one element per block or more")),
            Layout::Blocks(size) => (1, length.div_ceil(*size), *size),
            Layout::Whole => (1, u64::from(length > 0), length),
            Layout::Ragged(offsets) => {
                let ends = offsets.first().zip(offsets.last());
                let ordered = offsets.windows(2).all(|pair| pair[0] <= pair[1]);
                if ends != Some((&0, &length)) || !ordered {
                    return Err(wrong("borders in order, from 0 to the number of elements"));
                }
                (1, offsets.len() as u64 - 1, 0)
            }
        };
        Ok(Groups { layout, length, outer, count, inner, weights: None })
    }

    /// The same groups, the penalty of each multiplied by its own weight: one number per group, in [0, 1e6].
    ///
    /// # Errors
    /// [`Error::Shape`] where there are more or fewer weights than groups; [`Error::Domain`] for one outside its range.
    pub fn with_weights(self, weights: &[f32]) -> Result<Self> {
        let place = format!("groups {}", self.layout);
        same(place, "number of weights", weights.len() as u64, self.count)?;
        for (g, &weight) in weights.iter().enumerate() {
            let weight = f64::from(weight);
            require(WEIGHT.contains(weight), "groups", &format!("weight of group {g}"), weight, WEIGHT)?;
        }
        Ok(Groups { weights: Some(weights.into()), ..self })
    }

    /// How the tensor is divided.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Elements of the tensor.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Elements of group `g`; 0 where there is no such group.
    #[must_use]
    pub fn size(&self, g: u64) -> u64 {
        match &self.layout {
            _ if g >= self.count => 0,
            Layout::Ragged(offsets) => offsets[g as usize + 1] - offsets[g as usize],
            Layout::Blocks(size) => (*size).min(self.length - g * size),
            _ => self.outer * self.inner,
        }
    }

    /// Elements of the largest group; 0 without groups.
    #[must_use]
    pub fn largest(&self) -> u64 {
        match &self.layout {
            Layout::Ragged(offsets) => offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0),
            // only the last block may be shorter
            _ => self.size(0),
        }
    }

    /// The user's weight of group `g`; 1 without weights or group.
    #[must_use]
    pub fn weight(&self, g: u64) -> f32 {
        self.weights.as_ref().and_then(|weights| weights.get(g as usize)).map_or(1.0, |w| *w)
    }

    /// Whether the groups have weights of their own.
    #[must_use]
    pub fn weighted(&self) -> bool {
        self.weights.is_some()
    }

    /// The elements of group `g`, in the order in which ties are broken.
    pub fn members(&self, g: u64) -> impl Iterator<Item = usize> + Clone + use<> {
        let (start, run, jump) = (self.start(g), self.run(), self.jump());
        (0..self.size(g)).map(move |k| match run {
            0 => (start + k) as usize,
            run => (start + k / run * jump + k % run) as usize,
        })
    }

    /// The first element of group `g`.
    pub(crate) fn start(&self, g: u64) -> u64 {
        match &self.layout {
            Layout::Ragged(offsets) => offsets.get(g as usize).map_or(self.length, |start| *start),
            _ => g.saturating_mul(self.inner),
        }
    }

    /// Members of a group that lie side by side; 0 where all of them do.
    pub(crate) fn run(&self) -> u64 {
        if self.outer > 1 { self.inner } else { 0 }
    }

    /// From one such run of a group to its next.
    pub(crate) fn jump(&self) -> u64 {
        self.count.saturating_mul(self.inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_is_in_one_group() {
        let ragged = Layout::Ragged([0, 3, 3, 4, 120].into());
        for layout in [
            Layout::Rows,
            Layout::Columns,
            Layout::Filters,
            Layout::Channels,
            Layout::Blocks(7),
            Layout::Blocks(1000),
            Layout::Whole,
            ragged,
        ] {
            let groups = Groups::new(layout.clone(), &[4, 5, 3, 2]).unwrap();
            let mut seen = [0; 120];
            for g in 0..groups.count() {
                assert_eq!(groups.members(g).count() as u64, groups.size(g));
                assert!(groups.size(g) <= groups.largest());
                groups.members(g).for_each(|k| seen[k] += 1);
            }
            assert_eq!(seen, [1; 120], "{layout}");
            assert!((0..groups.count()).any(|g| groups.size(g) == groups.largest()), "{layout}");
        }
        for layout in [Layout::Rows, Layout::Whole, Layout::Blocks(3)] {
            assert_eq!(Groups::new(layout, &[0, 5]).unwrap().length(), 0);
        }
        // what is not there has no members; products that nothing needs may leave the range
        let groups = Groups::new(Layout::Blocks(u64::MAX - 1), &[5]).unwrap();
        assert_eq!((groups.members(0).count(), groups.members(1).count(), groups.weight(1)), (5, 0, 1.0));
        assert_eq!(Groups::new(Layout::Rows, &[0, 1 << 40, 1 << 40]).unwrap().count(), 0);
    }

    #[test]
    fn layouts_that_do_not_fit_are_refused() {
        for (layout, shape) in [
            (Layout::Rows, vec![5]),
            (Layout::Columns, vec![5]),
            (Layout::Filters, vec![5, 5]),
            (Layout::Ragged([0, 4].into()), vec![5]),
            (Layout::Ragged([1, 5].into()), vec![5]),
            (Layout::Ragged([0, 4, 3, 5].into()), vec![5]),
            (Layout::Ragged([].into()), vec![0]),
            (Layout::Blocks(0), vec![5]),
        ] {
            let error = Groups::new(layout, &shape).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
        }
        let groups = Groups::new(Layout::Rows, &[2, 3]).unwrap();
        assert!(matches!(groups.clone().with_weights(&[1.0]), Err(Error::Shape { .. })));
        assert!(matches!(groups.with_weights(&[1.0, f32::NAN]), Err(Error::Domain { .. })));
    }

    #[test]
    fn text_goes_both_ways() {
        for text in ["rows", "columns", "filters", "channels", "blocks:16", "whole"] {
            assert_eq!(text.parse::<Layout>().unwrap().to_string(), text);
        }
        for text in ["row", "blocks:", "blocks:0", "blocks:-1", ""] {
            assert!(text.parse::<Layout>().is_err(), "{text}");
        }
    }
}
