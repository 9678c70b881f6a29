//! What is trained against what: methods, their text form, and their default lambdas.
//!
//! A method is an elementwise penalty, a penalty of groups or none, and a rule how their weights are shared out over
//! the layers. Some pairs have names of their own ([`Named`]); any other pair is written `P+GP`, as in
//! `tl1(a=0.5)+lasso(weight=sqrt-size)`. [`MAF`] is a learned regulariser out of a file; `dsrl` and `maf-srl` are
//! regularisers learned from the weights of a dense network with the same seed ([`super::learned`]).

use std::sync::Arc;

use super::learned::{self, Learned, Learning};
use maf_srl::error::{Error, Result, require, unsupported};
use maf_srl::kernels::solver::Solver;
use maf_srl::kernels::step::Base;
use maf_srl::network::Family;
use maf_srl::penalty::group::{Cges, CgesLinear, Exclusive, L1L2, Lasso};
use maf_srl::penalty::{
    Group, GroupPenalty, Groups, L0, L1, Layout, Mcp, NoPenalty, Penalty, Scad, Tl1, WEIGHT,
};
use maf_srl::regulariser::Regulariser;
use maf_srl::schedule::{Backend, HostSchedule, Spec, Verify};
use maf_srl::text;

/// The method without a penalty.
pub const DENSE: &str = "dense";

/// The method with a learned regulariser, [`Choices::regulariser`].
pub const MAF: &str = "maf";

/// The methods of a run that names none.
pub const DEFAULT_METHODS: &str = "dense,l1,tl1,mcp,sgl0,integrated-tl1";

/// Default lambdas, chosen for DIGITS with the default options: for momentum 0.9, which moves weights ten times as far
/// per unit of threshold as the plain gradient; Adam's steps are on another scale altogether.
///
/// The test part was not used. Its remaining 80 % were divided at random, ten times over, into 180 rows for
/// validation and the rest for training; a coarse grid of lambdas was trained on each, and of those with a mean
/// density of at most 0.07 the one with the best mean validation accuracy was taken (`geman`, `laplace`, `etp`:
/// six divisions). So found: lp 0.978 at a density of 0.063, tl1 0.974 at 0.069, log 0.972 at 0.060, l1 0.971 at
/// 0.061. `mcp` lies between two grid points, 0.971 at 0.071 and 0.967 at 0.054. `l0` missed that density on the
/// grid (its cut shrinks with the learning rate; 0.967 at 0.28), and `l2sq` makes no zeros: its lambda is that of a
/// mild weight decay, not tuned. On other data, lambda is the knob.
///
/// The lambdas were tuned with the refit phase, whose share was not tuned itself. The phase was added after one
/// look at test figures without it (best mean accuracy 0.967), so those with it are not wholly unseen.
const DEFAULT_LAMBDAS: &[(&str, f64)] = &[
    ("none", 0.0),
    ("l1", 0.035),
    ("l0", 0.1),
    ("l2sq", 0.001),
    ("elastic-net", 0.06),
    ("scad", 0.085),
    ("mcp", 0.11),
    ("tl1", 0.022),
    ("capped-l1", 0.05),
    ("log", 0.03),
    ("lp", 0.008),
    ("geman", 0.06),
    ("laplace", 0.05),
    ("etp", 0.03),
    ("pwl", 0.035),
];

/// The default lambda of a penalty.
#[must_use]
pub fn default_lambda(penalty: &Penalty) -> Option<f64> {
    DEFAULT_LAMBDAS.iter().find(|(name, _)| *name == penalty.name()).map(|(_, lambda)| *lambda)
}

/// The default lambda of a learned regulariser: the slope at zero, in its atoms, as that of l1.
///
/// Chosen on DIGITS as those of the other tables were: six random divisions of what is not the test part, a coarse
/// grid, the best mean validation accuracy at a density of 0.1 or less. Validation accuracy and density on the grid:
///
/// | lambda | dsrl | maf-srl | maf-srl, density of Â 0.4 |
/// |---|---|---|---|
/// | 0.02 | **0.972 at 0.090** | 0.978 at 0.114 | 0.976 at 0.181 |
/// | 0.025 | 0.966 at 0.074 | **0.972 at 0.095** | 0.970 at 0.139 |
/// | 0.03 | 0.965 at 0.066 | 0.967 at 0.082 | 0.966 at 0.121 |
/// | 0.035 | 0.966 at 0.061 | 0.967 at 0.075 | 0.966 at 0.108 |
///
/// and 0.06 on three of them: 0.957 at 0.045, 0.961 at 0.059, 0.961 at 0.087. On the same six l1 had 0.969 at 0.061, tl1
/// 0.973 at 0.067, integrated-tl1 0.974 at 0.047: learned regularisers come near, and are not better. A weight is zero only
/// where all atoms that reach it are, so that the more entries Â has the fewer zeros there are at one lambda, without a
/// gain in accuracy: the default density of Â is 0.1 therefore, not the papers' 0.3 to 0.5.
#[must_use]
pub fn learned_lambda(kind: Family) -> f64 {
    match kind {
        Family::Dsrl => 0.02,
        Family::MafSrl => 0.025,
    }
}

/// How the weights of the two penalties are shared out over the layers l = 1 .. L.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    /// Every layer has lambda and the group lambda as they are.
    Even,
    /// lambda mu and group lambda (1 - mu), mu = s + (1 - 2s) (l - 1) / (L - 1): groups count in the first layers, single
    /// weights in the last (Ma et al., section 4). One layer alone has mu = s.
    Integrated {
        /// The lowest mu, in [0, 0.5].
        s: f64,
    },
    /// The group penalty's own mu = l / L (Yoon and Hwang; Bui et al. (4)).
    Cges,
}

impl Share {
    /// mu of a layer, from 1 to `layers`; none where every layer is treated alike.
    #[must_use]
    pub fn mu(&self, layer: usize, layers: usize) -> Option<f64> {
        match *self {
            Share::Even => None,
            Share::Integrated { s } if layers < 2 => Some(s),
            Share::Integrated { s } => Some(s + (1.0 - 2.0 * s) * (layer - 1) as f64 / (layers - 1) as f64),
            Share::Cges => Some(layer as f64 / layers as f64),
        }
    }
}

/// Two penalties and their rule.
type Parts = (Penalty, GroupPenalty, Share);

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
    parameters: &'static [(&'static str, f64)],
    make: fn(&[f64]) -> Parts,
}

impl Named {
    /// The text form with the default parameters.
    #[must_use]
    pub fn text(&self) -> String {
        let values: Vec<_> = self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if values.is_empty() { self.name.into() } else { format!("{}({})", self.name, values.join(",")) }
    }
}

fn lasso() -> GroupPenalty {
    Lasso::SQRT_SIZE.into()
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
        make: |_| (NoPenalty.into(), lasso(), Share::Even),
    },
    Named {
        name: "sgl",
        about: "sparse group lasso: l1, then lasso; its exact prox; Bui et al. (5), Simon et al. 2013",
        lambda: 0.012,
        parameters: &[],
        make: |_| (L1.into(), lasso(), Share::Even),
    },
    Named {
        name: "sgl0",
        about: "l0, then lasso; Bui et al. (10)",
        lambda: 0.01,
        parameters: &[],
        make: |_| (L0.into(), lasso(), Share::Even),
    },
    Named {
        name: "sgscad",
        about: "scad, then lasso; Bui et al. (11)",
        lambda: 0.015,
        parameters: &[("a", 3.7)],
        make: |v| (Scad { a: v[0] }.into(), lasso(), Share::Even),
    },
    Named {
        name: "sgmcp",
        about: "mcp, then lasso; after Bui et al., with the penalty of Ma et al. (2)",
        lambda: 0.015,
        parameters: &[("gamma", 3.0)],
        make: |v| (Mcp { gamma: v[0] }.into(), lasso(), Share::Even),
    },
    Named {
        name: "sgtl1",
        about: "tl1, then lasso; Bui et al. (12)",
        lambda: 0.0052,
        parameters: &[("a", 0.1)],
        make: |v| (Tl1 { a: v[0] }.into(), lasso(), Share::Even),
    },
    Named {
        name: "integrated-tl1",
        about: "tl1 with lambda mu, then lasso with lambda (1-mu), mu from s to 1-s over the layers; Ma et al., algorithm 1",
        lambda: 0.046,
        parameters: &[("a", 0.1), ("s", 0.1)],
        make: |v| (Tl1 { a: v[0] }.into(), Lasso::default().into(), Share::Integrated { s: v[1] }),
    },
    Named {
        name: "cges",
        about: "group and exclusive sparsity, mu = l/L over the layers, by its exact prox; Bui et al. (4)",
        lambda: 0.03,
        parameters: &[],
        make: |_| (NoPenalty.into(), Cges::default().into(), Share::Cges),
    },
    Named {
        name: "cges-linear",
        about: "the same by the published steps, which are no prox; Yoon and Hwang 2017",
        lambda: 0.02,
        parameters: &[],
        make: |_| (NoPenalty.into(), CgesLinear::default().into(), Share::Cges),
    },
    Named {
        name: "exclusive",
        about: "exclusive sparsity by its exact prox; Bui et al. (3)",
        lambda: 0.05,
        parameters: &[],
        make: |_| (NoPenalty.into(), Exclusive.into(), Share::Even),
    },
    Named {
        name: "l1-l2",
        about: "|W|_1 - alpha |W|_2 of each whole matrix; Bui et al. (9), Lou and Yan 2018",
        lambda: 0.03,
        parameters: &[("alpha", 1.0)],
        make: |v| (NoPenalty.into(), L1L2 { alpha: v[0] }.into(), Share::Even),
    },
];

/// Penalties with their lambdas and a solver: one row of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    /// The name in tables: `dense`, or the text form as it was given.
    pub name: String,
    /// The name, and what sets this row apart from others of that name: solver and lambda.
    pub label: String,
    /// The elementwise penalty of the weight matrices, with all its parameters.
    pub penalty: Penalty,
    /// Its weight.
    pub lambda: f64,
    /// The penalty of groups of weights.
    pub group: Option<GroupPenalty>,
    /// Its weight.
    pub group_lambda: f64,
    /// How both weights are shared out over the layers.
    pub share: Share,
    /// How the penalties enter the step.
    pub solver: Solver,
    /// A learned regulariser in the place of penalties; lambda is its weight.
    pub regulariser: Option<Arc<Regulariser>>,
    /// What is learned from the weights of a dense network before training.
    pub learning: Option<Learning>,
    /// What was learned; [`super::run`] finds it for each seed.
    pub learned: Option<Arc<Learned>>,
}

/// What the methods of a list are combined with: every lambda and every solver makes a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// Lambdas; none means each method's default.
    pub lambdas: Vec<f64>,
    /// The group penalty's lambda; without it, lambda.
    pub group_lambda: Option<f64>,
    /// Names out of [`SOLVERS`]; none means `proximal`.
    pub solvers: Vec<String>,
    /// The first beta of variable splitting; without it `beta_ratio` times lambda.
    pub beta: Option<f64>,
    /// beta / lambda where no beta is given.
    pub beta_ratio: f64,
    /// SCAD's and MCP's V step as published, see [`Solver::Splitting`].
    pub published: bool,
    /// What [`MAF`] trains with; it is a row of every list then.
    pub regulariser: Option<Arc<Regulariser>>,
    /// Weights per block of `dsrl` and `maf-srl`.
    pub block: u32,
    /// Layers of the network that learns them; each number makes a row.
    pub layers: Vec<u32>,
    /// The share of entries of maf-srl's Â that may be nonzero.
    pub density: f64,
}

/// The solvers' names.
pub const SOLVERS: [&str; 4] = ["proximal", "proximal-subgradient", "subgradient", "splitting"];

/// beta / lambda of Bui et al., section 3.1, for 200 epochs of Adam. In shorter runs a beta so small leaves V behind.
pub const BETA_RATIO: f64 = 25.0;

impl Default for Choices {
    fn default() -> Self {
        Choices {
            lambdas: Vec::new(),
            group_lambda: None,
            solvers: Vec::new(),
            beta: None,
            beta_ratio: BETA_RATIO,
            published: false,
            regulariser: None,
            block: learned::BLOCK,
            layers: vec![learned::DEPTH],
            density: learned::DENSITY,
        }
    }
}

impl Choices {
    fn solver(&self, name: &str, lambda: f64) -> Result<Solver> {
        let solver = match name {
            "proximal" => Solver::Proximal,
            "proximal-subgradient" => Solver::ProximalSubgradient,
            "subgradient" => Solver::Subgradient,
            "splitting" => {
                let beta = self.beta.unwrap_or(self.beta_ratio * lambda);
                Solver::Splitting { beta, published: self.published }
            }
            other => {
                return Err(Error::Text {
                    place: "`solver`".into(),
                    text: other.into(),
                    reason: format!("there are {}", SOLVERS.join(", ")),
                });
            }
        };
        solver.check()?;
        Ok(solver)
    }
}

fn weight(place: &str, lambda: f64) -> Result<()> {
    require(WEIGHT.contains(lambda), place, "lambda", lambda, WEIGHT.to_string())
}

impl Method {
    /// Reads `dense`, a penalty, a name out of [`NAMED`], or `P+GP`; without `lambda` the tables' value is taken.
    ///
    /// # Errors
    /// [`Error::Text`] for an unknown method (with the known ones), [`Error::Domain`] for a parameter or a
    /// lambda outside its domain, [`Error::Unsupported`] without a lambda where there is no default.
    pub fn parse(text: &str, lambda: Option<f64>) -> Result<Self> {
        let name = text.trim().to_owned();
        if let Some(lambda) = lambda {
            weight("`lambda`", lambda)?;
        }
        let method = |(penalty, group, share): (Penalty, Option<GroupPenalty>, Share), default| {
            let lambda = lambda.or(default).ok_or_else(|| {
                unsupported("`method`", format!("{name} has no default lambda"), "an explicit `lambda`")
            })?;
            let group_lambda = if group.is_some() { lambda } else { 0.0 };
            let label = name.clone();
            Ok(Method {
                name: name.clone(),
                label,
                penalty,
                lambda,
                group,
                group_lambda,
                share,
                solver: Solver::Proximal,
                regulariser: None,
                learning: None,
                learned: None,
            })
        };
        if name == DENSE {
            return Ok(Method { lambda: 0.0, ..method((NoPenalty.into(), None, Share::Even), Some(0.0))? });
        }
        if let Some((elementwise, group)) = split_at_plus(&name) {
            let (penalty, group) = (elementwise.parse()?, group.parse()?);
            return method((penalty, Some(group), Share::Even), None);
        }
        let stem = name.split('(').next().unwrap_or_default().trim();
        if let Some(named) = NAMED.iter().find(|n| n.name == stem) {
            let find = |_: &str| Some(((), named.parameters.to_vec()));
            let ((), values) = text::read("method", &name, find, Vec::new)?;
            let (penalty, group, share) = (named.make)(&values);
            penalty.check()?;
            group.check()?;
            if let Share::Integrated { s } = share {
                require((0.0..=0.5).contains(&s), stem, "s", s, "[0, 0.5]")?;
            }
            return method((penalty, Some(group), share), Some(named.lambda));
        }
        if !Penalty::all().iter().any(|p| p.name() == stem) {
            let known = Penalty::all().into_iter().map(|p| p.name()).chain(NAMED.iter().map(|n| n.name));
            let known = known.chain(Family::ALL.iter().map(|k| k.name()));
            let known: Vec<_> = known.collect();
            return Err(Error::Text {
                place: "`method`".into(),
                text: name,
                reason: format!("no such method; there are {DENSE}, {}, and pairs P+GP", known.join(", ")),
            });
        }
        let penalty: Penalty = name.parse()?;
        method((penalty, None, Share::Even), default_lambda(&penalty))
    }

    /// The method [`MAF`]. Without `lambda`, thresholds are those of l1 with its default lambda; that was not tuned.
    ///
    /// # Errors
    /// [`Error::Domain`] for a lambda outside its domain; [`Error::Unsupported`] without one for a regulariser without a
    /// threshold.
    pub fn maf(regulariser: &Arc<Regulariser>, lambda: Option<f64>) -> Result<Self> {
        let threshold = regulariser.parameters().activation.delta1;
        let default = default_lambda(&L1.into()).map(|l1| l1 / threshold).filter(|l| WEIGHT.contains(*l));
        let lambda = lambda.or(default).ok_or_else(|| {
            unsupported(
                "`regulariser`",
                format!("a default lambda for the threshold delta1 = {threshold}"),
                "an explicit `lambda`",
            )
        })?;
        weight("`lambda`", lambda)?;
        let plain = Method::parse(DENSE, None)?;
        let name = MAF.to_owned();
        Ok(Method { label: name.clone(), name, lambda, regulariser: Some(regulariser.clone()), ..plain })
    }

    /// A method with a regulariser that is learned from the weights of a dense network. Without `lambda` that of
    /// [`learned_lambda`].
    ///
    /// # Errors
    /// [`Error::Domain`] for a lambda outside its domain; those of [`Learning::check`].
    pub fn learning(learning: Learning, lambda: Option<f64>) -> Result<Self> {
        learning.check()?;
        let lambda = lambda.unwrap_or(learned_lambda(learning.kind));
        weight("`lambda`", lambda)?;
        let plain = Method::parse(DENSE, None)?;
        let name = learning.kind.name().to_owned();
        Ok(Method { label: name.clone(), name, lambda, learning: Some(learning), ..plain })
    }

    /// Reads a list separated by commas (those inside parentheses belong to a method) and combines each method with
    /// every lambda and every solver, `dsrl` and `maf-srl` with every number of layers too. `dense` is one row;
    /// `maf`, which is added where there is a regulariser, and the learned methods have no solver but the proximal
    /// one.
    ///
    /// # Errors
    /// Those of [`Method::parse`], and [`Error::Text`] for an empty entry, an unbalanced parenthesis, an unknown
    /// solver, or a method, lambda, solver or number of layers named twice.
    pub fn parse_list(text: &str, choices: &Choices) -> Result<Vec<Self>> {
        let wrong = |place: &str, text: &str, reason: &str| Error::Text {
            place: place.into(),
            text: text.into(),
            reason: reason.into(),
        };
        for (k, solver) in choices.solvers.iter().enumerate() {
            if choices.solvers[..k].contains(solver) {
                return Err(wrong("`solver`", solver, "a solver is named twice"));
            }
        }
        for (k, lambda) in choices.lambdas.iter().enumerate() {
            if choices.lambdas[..k].contains(lambda) {
                return Err(wrong("`lambda`", &lambda.to_string(), "a lambda is named twice"));
            }
        }
        for (k, layers) in choices.layers.iter().enumerate() {
            if choices.layers[..k].contains(layers) {
                return Err(wrong("`layers`", &layers.to_string(), "a number of layers is named twice"));
            }
        }
        if let Some(lambda) = choices.group_lambda {
            weight("`group_lambda`", lambda)?;
        }
        let mut methods = Vec::<Method>::new();
        let mut list = entries(text).map_err(|reason| wrong("`method`", text, reason))?;
        if choices.regulariser.is_some() && !list.contains(&MAF) {
            list.push(MAF);
        }
        for entry in list {
            if methods.iter().any(|m| m.name == entry) {
                return Err(wrong("`method`", text, "a method is named twice"));
            }
            let lambdas: Vec<_> = choices.lambdas.iter().copied().map(Some).collect();
            let lambdas = if lambdas.is_empty() { vec![None] } else { lambdas };
            let proximal = [SOLVERS[0].to_owned()];
            let solvers = if choices.solvers.is_empty() { &proximal[..] } else { &choices.solvers };
            if entry == DENSE {
                methods.push(Method::parse(entry, None)?);
                continue;
            }
            if let Some(&kind) = Family::ALL.iter().find(|k| k.name() == entry) {
                for &layers in &choices.layers {
                    for &lambda in &lambdas {
                        let (block, density) = (choices.block, choices.density);
                        let made = Method::learning(Learning { kind, block, layers, density }, lambda)?;
                        let mut label = made.name.clone();
                        if choices.layers.len() > 1 {
                            label = format!("{label} N={layers}");
                        }
                        if lambdas.len() > 1 {
                            label = format!("{label} {}", made.lambda);
                        }
                        methods.push(Method { label, ..made });
                    }
                }
                continue;
            }
            let solvers = if entry == MAF { &proximal[..] } else { solvers };
            for solver in solvers {
                for &lambda in &lambdas {
                    let method = match &choices.regulariser {
                        Some(regulariser) if entry == MAF => Method::maf(regulariser, lambda)?,
                        None if entry == MAF => {
                            return Err(wrong("`method`", entry, "maf needs a `regulariser`"));
                        }
                        _ => Method::parse(entry, lambda)?,
                    };
                    let solver = choices.solver(solver, method.lambda)?;
                    let group_lambda = match method.group {
                        Some(_) => choices.group_lambda.unwrap_or(method.group_lambda),
                        None => 0.0,
                    };
                    let mut label = method.name.clone();
                    if solver != Solver::Proximal || solvers.len() > 1 {
                        label = format!("{label} {solver}");
                    }
                    if lambdas.len() > 1 {
                        label = format!("{label} {}", method.lambda);
                    }
                    methods.push(Method { label, solver, group_lambda, ..method });
                }
            }
        }
        Ok(methods)
    }

    /// The tensors of a network as a schedule wants them: `layers.K.weight` with the method's penalties,
    /// `layers.K.bias` with none. `layout` divides every matrix; without it see [`Method::layout`].
    ///
    /// # Errors
    /// [`Error::Shape`] for a layout that needs more than two axes.
    pub fn specs(&self, widths: &[usize], layout: Option<&Layout>) -> Result<Vec<Spec>> {
        let layers = widths.len().saturating_sub(1);
        let learned = match (&self.learning, &self.learned) {
            (Some(_), Some(learned)) => Some(learned.clone()),
            // to find what cannot be trained before anything is learned
            (Some(learning), None) => Some(Arc::new(learning.stand_in(&widths[..layers])?)),
            (None, _) => None,
        };
        let mut specs = Vec::with_capacity(2 * layers);
        for (k, pair) in widths.windows(2).enumerate() {
            let mu = self.share.mu(k + 1, layers);
            let (mut lambda, mut group_lambda, mut group) = (self.lambda, self.group_lambda, self.group);
            match (self.share, mu) {
                (Share::Integrated { .. }, Some(mu)) => {
                    (lambda, group_lambda) = (lambda * mu, group_lambda * (1.0 - mu));
                }
                (Share::Cges, Some(mu)) => group = group.map(|g| g.rule().with(&[mu])),
                _ => {}
            }
            let mut spec =
                Spec::new(format!("layers.{k}.weight"), self.penalty, lambda).with_solver(self.solver);
            if let Some(group) = group {
                let layout = layout.cloned().unwrap_or_else(|| self.layout(k + 1 == layers));
                let groups = Groups::new(layout, &[pair[1] as u64, pair[0] as u64])?;
                spec = spec.with_group(Group::new(group, group_lambda, groups));
            }
            if let Some(regulariser) = &self.regulariser
                && let Some(groups) = vectors(regulariser, [pair[1] as u64, pair[0] as u64])?
            {
                spec = spec.with_regulariser(regulariser.clone(), groups);
            }
            if let (Some(learning), Some(learned)) = (&self.learning, &learned)
                && let Some(Some(regulariser)) = learned.regularisers.get(k)
            {
                let blocks = Layout::Blocks(u64::from(learning.block));
                let groups = Groups::new(blocks, &[pair[1] as u64, pair[0] as u64])?;
                spec.lambda = self.lambda / regulariser.parameters().activation.delta1;
                spec = spec.with_regulariser(regulariser.clone(), groups);
            }
            specs.push(spec);
            specs.push(Spec::new(format!("layers.{k}.bias"), NoPenalty.into(), 0.0));
        }
        Ok(specs)
    }

    /// The weight matrices of a network that the regulariser does not fit, and that are left without a penalty.
    ///
    /// # Errors
    /// As [`Method::specs`]; [`Error::Shape`] where there is one to learn, and it fits none.
    pub fn left_out(&self, widths: &[usize]) -> Result<Vec<String>> {
        if self.regulariser.is_none() && self.learning.is_none() {
            return Ok(Vec::new());
        }
        let specs = self.specs(widths, None)?.into_iter().step_by(2);
        let names: Vec<_> = specs.filter(|spec| spec.regulariser.is_none()).map(|spec| spec.name).collect();
        match self.learning {
            Some(learning) if names.len() + 1 >= widths.len() => Err(learning.no_block(&self.name)),
            _ => Ok(names),
        }
    }

    /// The groups of a matrix where none are asked for: what makes hidden neurons superfluous. A row holds the weights
    /// into a hidden neuron, a column of the last matrix those out of one. `l1-l2` is a penalty of the whole matrix.
    #[must_use]
    pub fn layout(&self, last: bool) -> Layout {
        match self.group {
            Some(GroupPenalty::L1L2(_)) => Layout::Whole,
            _ if last => Layout::Columns,
            _ => Layout::Rows,
        }
    }

    /// Finds what no step can be made of, on a network of one neuron per layer and of as many inputs as a regulariser has
    /// components.
    ///
    /// # Errors
    /// Those of [`HostSchedule::new`].
    pub fn check(&self, base: Base, layout: Option<&Layout>) -> Result<()> {
        let n = self.regulariser.as_ref().map_or(1, |r| r.parameters().components() as usize);
        let n = self.learning.map_or(n, |l| l.block as usize);
        let specs = self.specs(&[n, 1, 1], layout)?;
        let zeros = vec![0.0; n];
        let lengths = [n, 1, 1, 1].map(|length| &zeros[..length]);
        HostSchedule::new(&Backend::Cpu, &specs, &lengths, base, Verify::Off).map(drop)
    }

    /// The same without penalties.
    #[must_use]
    pub fn bare(&self) -> Self {
        Method {
            penalty: NoPenalty.into(),
            lambda: 0.0,
            group: None,
            group_lambda: 0.0,
            share: Share::Even,
            solver: Solver::Proximal,
            regulariser: None,
            learning: None,
            learned: None,
            ..self.clone()
        }
    }

    /// Both penalties, as `P` or `P+GP`; `maf(n=N)` for a regulariser of N components, and likewise for learned ones.
    #[must_use]
    pub fn penalties(&self) -> String {
        if let Some(regulariser) = &self.regulariser {
            return format!("{MAF}(n={})", regulariser.parameters().components());
        }
        if let Some(learning) = &self.learning {
            return format!("{}(n={},layers={})", self.name, learning.block, learning.layers);
        }
        match &self.group {
            None => self.penalty.to_string(),
            Some(group) => format!("{}+{group}", self.penalty),
        }
    }
}

/// A matrix [outputs, inputs] as vectors of a regulariser's n components: its rows, else blocks of n; none where n does not
/// divide it.
fn vectors(regulariser: &Regulariser, shape: [u64; 2]) -> Result<Option<Groups>> {
    let n = u64::from(regulariser.parameters().components());
    let layout = match shape {
        [_, columns] if columns == n => Layout::Rows,
        [rows, columns] if (rows * columns).is_multiple_of(n) => Layout::Blocks(n),
        _ => return Ok(None),
    };
    Groups::new(layout, &shape).map(Some)
}

/// `P+GP`, apart; a plus inside parentheses belongs to a number.
fn split_at_plus(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let at = text.char_indices().find(|&(_, sign)| {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        sign == '+' && depth == 0
    })?;
    Some((text[..at.0].trim(), text[at.0 + 1..].trim()))
}

/// The entries of a list separated by commas outside parentheses.
fn entries(text: &str) -> std::result::Result<Vec<&str>, &'static str> {
    let (mut found, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, sign) in text.char_indices().chain(std::iter::once((text.len(), ','))) {
        match sign {
            '(' => depth += 1,
            ')' => depth = depth.checked_sub(1).ok_or("a ) without its (")?,
            ',' if depth == 0 => {
                let entry = text[from..at].trim();
                if entry.is_empty() {
                    return Err("an entry of the list is empty");
                }
                found.push(entry);
                from = at + 1;
            }
            _ => {}
        }
    }
    if depth > 0 { Err("a closing ) is missing") } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_parentheses_belong_to_the_penalty() {
        let methods = Method::parse_list(" dense, tl1( a = 0.5 ) ,l1", &Choices::default()).unwrap();
        let names: Vec<_> = methods.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["dense", "tl1( a = 0.5 )", "l1"]);
        assert_eq!(methods[1].penalty.to_string(), "tl1(a=0.5)");
        assert_eq!(methods[0].lambda, 0.0);
    }

    #[test]
    fn wrong_lists_are_named_with_what_is_allowed() {
        for (text, needle) in [
            ("dsrl,dsrl", "twice"),
            ("", "empty"),
            ("l1,,tl1", "empty"),
            ("l1,", "empty"),
            ("l1,l1", "twice"),
            ("tl1(a=1", "closing )"),
            ("tl1)a", "without its ("),
            ("lasso", "there are dense, none, l1"),
            ("tl1(a=-1)", "outside"),
            ("l1(a=1)", "no parameter"),
        ] {
            let error = Method::parse_list(text, &Choices::default()).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
        for lambda in [-1.0, f64::NAN, f64::INFINITY, 1e7] {
            assert!(matches!(
                Method::parse_list("l1", &Choices { lambdas: vec![lambda], ..Choices::default() }),
                Err(Error::Domain { .. })
            ));
        }
    }

    #[test]
    fn lambdas_come_from_the_table_unless_given() {
        for penalty in Penalty::all() {
            // a penalty need not have one
            match default_lambda(&penalty) {
                Some(lambda) => assert_eq!(Method::parse(penalty.name(), None).unwrap().lambda, lambda),
                None => assert!(Method::parse(penalty.name(), None).is_err()),
            }
            assert_eq!(Method::parse(penalty.name(), Some(0.25)).unwrap().lambda, 0.25);
        }
        for (name, _) in DEFAULT_LAMBDAS {
            assert!(Penalty::all().iter().any(|p| p.name() == *name), "{name} is no penalty");
        }
        assert_eq!(Method::parse("dense", Some(0.25)).unwrap().lambda, 0.0);
        assert!(Method::parse_list(DEFAULT_METHODS, &Choices::default()).unwrap().len() > 3);
    }

    #[test]
    fn pairs_and_names_give_both_penalties() {
        let pair = Method::parse("tl1(a=1e+0) + lasso(weight=sqrt-size)", Some(0.1)).unwrap();
        assert_eq!(pair.penalties(), "tl1(a=1)+lasso(weight=sqrt-size)");
        assert_eq!((pair.lambda, pair.group_lambda, pair.share), (0.1, 0.1, Share::Even));
        for named in NAMED {
            let method = Method::parse(named.name, None).unwrap();
            assert_eq!(Method::parse(&named.text(), None).unwrap().penalties(), method.penalties());
            assert_eq!(method.lambda, named.lambda);
            assert_eq!(method.group_lambda, named.lambda);
            method.check(Base::all()[1], None).unwrap();
            assert!(!Penalty::all().iter().any(|p| p.name() == named.name), "{}", named.name);
        }
        let other = Method::parse("integrated-tl1(s=0.25)", None).unwrap();
        assert_eq!(other.share, Share::Integrated { s: 0.25 });
        for (text, needle) in [
            ("tl1+lasso", "an explicit `lambda`"),
            ("tl1+ridge", "no such group penalty"),
            ("ridge+lasso", "no such penalty"),
            ("integrated-tl1(s=0.6)", "[0, 0.5]"),
            ("integrated-tl1(b=1)", "it has: a, s"),
            ("sgscad(a=0.5)", "outside"),
            ("l1-l2(alpha=2)", "outside"),
        ] {
            let error = Method::parse(text, None).unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }

    #[test]
    fn lambda_is_shared_out_as_the_papers_have_it() {
        let integrated = Share::Integrated { s: 0.1 };
        let mu = |share: Share, layers: usize| -> Vec<f64> {
            (1..=layers).map(|l| (share.mu(l, layers).unwrap() * 1e9).round() / 1e9).collect()
        };
        assert_eq!(mu(integrated, 5), [0.1, 0.3, 0.5, 0.7, 0.9]);
        assert_eq!(mu(integrated, 1), [0.1]);
        assert_eq!(mu(Share::Cges, 4), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!(Share::Even.mu(1, 3), None);

        let specs =
            Method::parse("integrated-tl1(s=0)", Some(1.0)).unwrap().specs(&[3, 4, 5, 2], None).unwrap();
        let weights: Vec<_> = specs.iter().step_by(2).collect();
        let group = |s: &Spec| s.group.clone().unwrap();
        assert_eq!(weights.iter().map(|s| s.lambda).collect::<Vec<_>>(), [0.0, 0.5, 1.0]);
        assert_eq!(weights.iter().map(|s| group(s).lambda).collect::<Vec<_>>(), [1.0, 0.5, 0.0]);
        let cges = Method::parse("cges", Some(1.0)).unwrap().specs(&[3, 4, 2], None).unwrap();
        assert_eq!(group(&cges[0]).penalty.to_string(), "cges(mu=0.5)");
        assert_eq!(group(&cges[2]).penalty.to_string(), "cges(mu=1)");
    }

    #[test]
    fn groups_are_those_of_hidden_neurons() {
        let layouts = |text: &str, layout: Option<&Layout>| -> Vec<String> {
            let specs = Method::parse(text, Some(0.1)).unwrap().specs(&[3, 4, 5, 2], layout).unwrap();
            specs.iter().filter_map(|s| s.group.as_ref()).map(|g| g.groups.layout().to_string()).collect()
        };
        assert_eq!(layouts("sgl", None), ["rows", "rows", "columns"]);
        assert_eq!(layouts("l1-l2", None), ["whole", "whole", "whole"]);
        assert_eq!(layouts("sgl", Some(&Layout::Blocks(2))), ["blocks:2", "blocks:2", "blocks:2"]);
        assert!(layouts("l1", None).is_empty());
        assert!(Method::parse("sgl", None).unwrap().specs(&[3, 4], Some(&Layout::Filters)).is_err());
    }

    #[test]
    fn biases_carry_no_penalty() {
        let specs = Method::parse("sgl", Some(0.5)).unwrap().specs(&[2, 3, 2], None).unwrap();
        let names: Vec<_> = specs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"]);
        assert_eq!(specs.iter().map(|s| s.lambda).collect::<Vec<_>>(), [0.5, 0.0, 0.5, 0.0]);
        assert_eq!((specs[1].penalty.name(), &specs[1].group), ("none", &None));
    }

    #[test]
    fn every_lambda_and_every_solver_makes_a_row() {
        let choices = Choices {
            lambdas: vec![0.1, 0.2],
            solvers: vec!["proximal".into(), "splitting".into()],
            group_lambda: Some(0.05),
            ..Choices::default()
        };
        let methods = Method::parse_list("dense,sgl,l1", &choices).unwrap();
        let labels: Vec<_> = methods.iter().map(|m| m.label.as_str()).collect();
        assert_eq!(labels[..3], ["dense", "sgl proximal 0.1", "sgl proximal 0.2"]);
        assert_eq!(labels[3..5], ["sgl splitting 0.1", "sgl splitting 0.2"]);
        assert_eq!(labels.len(), 9);
        assert_eq!(methods[4].solver, Solver::Splitting { beta: 5.0, published: false });
        assert_eq!((methods[4].group_lambda, methods[8].group_lambda), (0.05, 0.0));
        for (choices, needle) in [
            (Choices { lambdas: vec![0.1, 0.1], ..Choices::default() }, "a lambda is named twice"),
            (Choices { solvers: vec!["sgd".into()], ..Choices::default() }, "there are proximal"),
            (
                Choices { solvers: vec!["splitting".into(); 2], ..Choices::default() },
                "a solver is named twice",
            ),
            (Choices { group_lambda: Some(-1.0), ..Choices::default() }, "`group_lambda`"),
            (Choices { solvers: vec!["splitting".into()], beta: Some(0.0), ..Choices::default() }, "beta"),
        ] {
            let error = Method::parse_list("l1", &choices).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
        let cges = Method { solver: Solver::Subgradient, ..Method::parse("cges", None).unwrap() };
        assert!(matches!(cges.check(Base::all()[1], None), Err(Error::Unsupported { .. })));
    }

    #[test]
    fn learned_methods_make_rows_where_their_blocks_fit() {
        let choices =
            Choices { lambdas: vec![0.01, 0.02], layers: vec![2, 4], block: 6, ..Choices::default() };
        let methods = Method::parse_list("dsrl,maf-srl,l1", &choices).unwrap();
        let labels: Vec<_> = methods.iter().map(|m| m.label.as_str()).collect();
        assert_eq!(labels[..3], ["dsrl N=2 0.01", "dsrl N=2 0.02", "dsrl N=4 0.01"]);
        assert_eq!((labels[4], labels[8], labels.len()), ("maf-srl N=2 0.01", "l1 0.01", 10));
        assert_eq!(methods[4].penalties(), "maf-srl(n=6,layers=2)");
        methods[0].check(Base::all()[1], None).unwrap();
        // 6 divides 3 x 4 weights, but no row
        let specs = methods[0].specs(&[12, 3, 4, 5], None).unwrap();
        let layout = |s: &Spec| s.regulariser.as_ref().map(|r| r.groups.layout().to_string());
        let layouts: Vec<_> = specs.iter().step_by(2).map(layout).collect();
        assert_eq!(layouts, [Some("blocks:6".into()), None, None]);
        assert_eq!(methods[0].left_out(&[12, 3, 4, 5]).unwrap(), ["layers.1.weight", "layers.2.weight"]);
        // the slope at zero is lambda: 0.5 is the stand-in's threshold
        assert_eq!(specs[0].lambda, 0.02);
        assert!(methods[0].bare().specs(&[12, 3], None).unwrap()[0].regulariser.is_none());
        for (choices, needle) in [
            (Choices { layers: vec![2, 2], ..Choices::default() }, "named twice"),
            (Choices { layers: vec![0], ..Choices::default() }, "`layers`"),
            (Choices { block: 0, ..Choices::default() }, "`block`"),
            (Choices { density: 1.5, ..Choices::default() }, "`density`"),
        ] {
            let error = Method::parse_list("maf-srl", &choices).unwrap_err().to_string();
            assert!(error.contains(needle), "{error}");
        }
    }

    #[test]
    fn a_regulariser_makes_a_row_where_it_fits() {
        use maf_srl::matrix::Pattern;
        use maf_srl::penalty::Activation;
        use maf_srl::regulariser::Parameters;
        let activation = Activation { eta1: 0.5, eta2: 1.0, delta1: 0.5, delta2: 1.0 };
        let pattern = Arc::new(Pattern::diagonal(6).unwrap());
        let of = Regulariser::new(Parameters::identity(pattern, activation, 1.0).unwrap()).unwrap();
        let solvers = vec!["proximal".into(), "subgradient".into()];
        let choices = Choices { regulariser: Some(Arc::new(of)), solvers, ..Choices::default() };
        let methods = Method::parse_list("l1", &choices).unwrap();
        assert_eq!(methods.len(), 3);
        let maf = &methods[2];
        assert_eq!((maf.name.as_str(), maf.lambda, maf.penalties().as_str()), (MAF, 0.07, "maf(n=6)"));
        assert_eq!(Method::parse_list("maf,l1", &choices).unwrap()[0].name, MAF);
        maf.check(Base::all()[1], None).unwrap();
        // rows, blocks, and neither
        let widths = [6, 4, 3, 5];
        let specs = maf.specs(&widths, None).unwrap();
        let layout = |s: &Spec| s.regulariser.as_ref().map(|r| r.groups.layout().to_string());
        let layouts: Vec<_> = specs.iter().step_by(2).map(layout).collect();
        assert_eq!(layouts, [Some("rows".into()), Some("blocks:6".into()), None]);
        assert_eq!(maf.left_out(&widths).unwrap(), ["layers.2.weight"]);
        assert!(maf.bare().specs(&widths, None).unwrap().iter().all(|s| s.regulariser.is_none()));
        let error = Method::parse_list("maf", &Choices::default()).unwrap_err().to_string();
        assert!(error.contains("`regulariser`"), "{error}");
    }
}
