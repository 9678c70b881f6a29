//! The methods of two penalties that have names of their own.

use super::penalties::Penalties;
use super::share::Share;
use maf_srl::penalty::group::{Cges, CgesLinear, Exclusive, L1L2, Lasso};
use maf_srl::penalty::{L0, L1, Mcp, NoPenalty, Scad, Tl1};

/// A method of two penalties with a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// The name.
    pub name: &'static str,
    /// The algorithm, in one line: penalties, paper, equation.
    pub about: &'static str,
    /// The default lambda, of both penalties.
    pub lambda: f64,
    /// Parameters with their defaults.
    pub(super) parameters: &'static [(&'static str, f64)],
    pub(super) make: fn(&[f64]) -> Penalties,
}

impl Named {
    /// The text form with the default parameters.
    #[must_use]
    pub fn text(&self) -> String {
        let values: Vec<_> = self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if values.is_empty() { self.name.into() } else { format!("{}({})", self.name, values.join(",")) }
    }
}

/// The methods of two penalties. Those of Bui et al. have one lambda for both terms and group weights sqrt(size); each
/// step is the elementwise prox, then the group's.
///
/// The lambdas were chosen as those of single penalties were, on random divisions of what is not the test part. On a
/// coarse grid and four divisions the best mean validation accuracy at a density of 0.1 or less: sgmcp 0.978 at 0.094,
/// l1-l2 0.978 at 0.075, sgscad 0.976 at 0.091, sgl0 0.975 at 0.047, sgl 0.975 at 0.089, group-lasso 0.974 at 0.088. The
/// exclusive ones thin rows out and clear few: the largest lambda with an accuracy of 0.97, which is cges 0.980 at a
/// density of 0.51, cges-linear 0.985 at 0.61, exclusive 0.971 at 0.28.
///
/// For the two with tl1 a, s and lambda were chosen together, for a density of 0.05 and at most 25 of 128 neurons; twelve
/// further divisions then gave integrated-tl1 0.977 at a density of 0.046 with 17.4 neurons and sgtl1 0.972 at 0.045 with
/// 22.2, where l1 had 0.973 at 0.061 with 13.2 and tl1 0.976 at 0.068 with 22.3.
pub const NAMED: &[Named] = &[
    Named {
        name: "group-lasso",
        about: "lasso(weight=sqrt-size) alone; Bui et al. (2), Yuan and Lin 2006",
        lambda: 0.02,
        parameters: &[],
        make: |_| Penalties::new(NoPenalty, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "sgl",
        about: "sparse group lasso: l1, then lasso; its exact prox; Bui et al. (5), Simon et al. 2013",
        lambda: 0.012,
        parameters: &[],
        make: |_| Penalties::new(L1, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "sgl0",
        about: "l0, then lasso; Bui et al. (10)",
        lambda: 0.01,
        parameters: &[],
        make: |_| Penalties::new(L0, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "sgscad",
        about: "scad, then lasso; Bui et al. (11)",
        lambda: 0.015,
        parameters: &[("a", 3.7)],
        make: |v| Penalties::new(Scad { a: v[0] }, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "sgmcp",
        about: "mcp, then lasso; after Bui et al., with the penalty of Ma et al. (2)",
        lambda: 0.015,
        parameters: &[("gamma", 3.0)],
        make: |v| Penalties::new(Mcp { gamma: v[0] }, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "sgtl1",
        about: "tl1, then lasso; Bui et al. (12)",
        lambda: 0.0052,
        parameters: &[("a", 0.1)],
        make: |v| Penalties::new(Tl1 { a: v[0] }, Lasso::SQRT_SIZE, Share::Even),
    },
    Named {
        name: "integrated-tl1",
        about: "tl1 with lambda mu, then lasso with lambda (1-mu), mu from s to 1-s over the layers; Ma et al., algorithm 1",
        lambda: 0.046,
        parameters: &[("a", 0.1), ("s", 0.1)],
        make: |v| Penalties::new(Tl1 { a: v[0] }, Lasso::default(), Share::Integrated { s: v[1] }),
    },
    Named {
        name: "cges",
        about: "group and exclusive sparsity, mu = l/L over the layers, by its exact prox; Bui et al. (4)",
        lambda: 0.03,
        parameters: &[],
        make: |_| Penalties::new(NoPenalty, Cges::default(), Share::Cges),
    },
    Named {
        name: "cges-linear",
        about: "the same by the published steps, which are no prox; Yoon and Hwang 2017",
        lambda: 0.02,
        parameters: &[],
        make: |_| Penalties::new(NoPenalty, CgesLinear::default(), Share::Cges),
    },
    Named {
        name: "exclusive",
        about: "exclusive sparsity by its exact prox; Bui et al. (3)",
        lambda: 0.05,
        parameters: &[],
        make: |_| Penalties::new(NoPenalty, Exclusive, Share::Even),
    },
    Named {
        name: "l1-l2",
        about: "|W|_1 - alpha |W|_2 of each whole matrix; Bui et al. (9), Lou and Yan 2018",
        lambda: 0.03,
        parameters: &[("alpha", 1.0)],
        make: |v| Penalties::new(NoPenalty, L1L2 { alpha: v[0] }, Share::Even),
    },
];
