//! A list of methods, each with every lambda and every solver.

use super::super::learned::Learning;
use super::choices::{Choices, SOLVERS};
use super::penalties::Penalties;
use super::{DENSE, MAF, Method, Regularisation, wrong};
use crate::memory::product;
use maf_srl::error::{Result, require};
use maf_srl::kernels::solver::Solver;
use maf_srl::network::Family;

/// The most rows of a comparison: methods, times lambdas, times solvers or numbers of layers.
pub const ROWS: u64 = 10_000;

impl Method {
    /// Reads a list separated by commas (those inside parentheses belong to a method) and combines each method with
    /// every lambda and every solver, `dsrl` and `maf-srl` with every number of layers too. `dense` is one row;
    /// `maf`, which is added where there is a regulariser, and the learned methods have no solver but the proximal
    /// one.
    ///
    /// # Errors
    /// Those of [`Method::parse`], and [`maf_srl::Error::Text`] for an empty entry, an unbalanced parenthesis, an unknown
    /// solver, or a method, lambda, solver or number of layers named twice; [`maf_srl::Error::Domain`] for more rows than
    /// [`ROWS`].
    pub fn parse_list(text: &str, choices: &Choices) -> Result<Vec<Self>> {
        let mut methods = Vec::<Method>::new();
        let mut list = entries(text).map_err(|reason| wrong("`method`", text, reason))?;
        if choices.regulariser.is_some() && !list.contains(&MAF) {
            list.push(MAF);
        }
        let many = choices.solvers.len().max(choices.layers.len()).max(1);
        let count = product(&[list.len(), choices.lambdas.len().max(1), many]);
        let range = format_args!("[1, {ROWS}]");
        require(count <= ROWS, "`method`", "rows of the comparison", count as f64, range)?;
        choices.check()?;
        for entry in list {
            if methods.iter().any(|m| m.name == entry) {
                return Err(wrong("`method`", text, "a method is named twice"));
            }
            methods.extend(rows(entry, choices)?);
        }
        Ok(methods)
    }
}

/// The rows of one entry of a list.
fn rows(entry: &str, choices: &Choices) -> Result<Vec<Method>> {
    if entry == DENSE {
        return Ok(vec![Method::dense()]);
    }
    let lambdas = match &choices.lambdas[..] {
        [] => vec![None],
        lambdas => lambdas.iter().copied().map(Some).collect(),
    };
    let mut rows = Vec::new();
    let mut add = |method: Method, apart: Option<String>| {
        let lambda = (lambdas.len() > 1).then(|| method.lambda.to_string());
        let label: Vec<_> = std::iter::once(method.name.clone()).chain(apart).chain(lambda).collect();
        rows.push(Method { label: label.join(" "), ..method });
    };
    if let Some(&kind) = Family::ALL.iter().find(|k| k.name() == entry) {
        let (block, matrix_density) = (choices.block, choices.matrix_density);
        for &layers in &choices.layers {
            let apart = (choices.layers.len() > 1).then(|| format!("N={layers}"));
            for &lambda in &lambdas {
                add(
                    Method::learned(Learning { kind, block, layers, matrix_density }, lambda)?,
                    apart.clone(),
                );
            }
        }
        return Ok(rows);
    }
    let proximal = [SOLVERS[0].to_owned()];
    let solvers = match &choices.solvers[..] {
        solvers if entry != MAF && !solvers.is_empty() => solvers,
        _ => &proximal,
    };
    for solver in solvers {
        for &lambda in &lambdas {
            let mut method = match &choices.regulariser {
                Some(regulariser) if entry == MAF => Method::maf(regulariser, lambda)?,
                None if entry == MAF => {
                    return Err(wrong("`method`", entry, "maf needs a `regulariser`"));
                }
                _ => Method::parse(entry, lambda)?,
            };
            method.solver = choices.solver(solver, method.lambda)?;
            if let Regularisation::Penalties(Penalties { group: Some(_), .. }) = method.regularisation {
                method.group_lambda = choices.group_lambda.unwrap_or(method.group_lambda);
            }
            let apart =
                (method.solver != Solver::Proximal || solvers.len() > 1).then(|| method.solver.to_string());
            add(method, apart);
        }
    }
    Ok(rows)
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
