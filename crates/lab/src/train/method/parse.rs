//! A method by its name.

use super::lambdas::default_lambda;
use super::named::NAMED;
use super::penalties::Penalties;
use super::share::Share;
use super::{DENSE, Method, Regularisation, weight, wrong};
use maf_srl::error::{Result, require, unsupported};
use maf_srl::network::Family;
use maf_srl::penalty::{GroupPenalty, Penalty};
use maf_srl::text;

impl Method {
    /// Reads `dense`, a penalty, a name out of [`NAMED`], or `P+GP`; without `lambda` the tables' value is taken.
    ///
    /// # Errors
    /// [`maf_srl::Error::Text`] for an unknown method (with the known ones), [`maf_srl::Error::Domain`] for a parameter or a
    /// lambda outside its domain, [`maf_srl::Error::Unsupported`] without a lambda where there is no default.
    pub fn parse(text: &str, lambda: Option<f64>) -> Result<Self> {
        let name = text.trim();
        if let Some(lambda) = lambda {
            weight("`lambda`", lambda)?;
        }
        if name == DENSE {
            return Ok(Method::dense());
        }
        let (penalties, default) = penalties(name)?;
        let lambda = lambda.or(default).ok_or_else(|| {
            unsupported("`method`", format!("{name} has no default lambda"), "an explicit `lambda`")
        })?;
        let group_lambda = if penalties.group.is_some() { lambda } else { 0.0 };
        Ok(Method { group_lambda, ..Method::new(name, lambda, Regularisation::Penalties(penalties)) })
    }
}

/// The penalties of a name, and the default lambda.
fn penalties(name: &str) -> Result<(Penalties, Option<f64>)> {
    if let Some((penalty, group)) = split_at_plus(name) {
        let penalty: Penalty = penalty.parse()?;
        return Ok((Penalties::new(penalty, group.parse::<GroupPenalty>()?, Share::Even), None));
    }
    let stem = name.split('(').next().unwrap_or_default().trim();
    if let Some(named) = NAMED.iter().find(|n| n.name == stem) {
        let find = |_: &str| Some(((), named.parameters.to_vec()));
        let ((), values) = text::read("method", name, find, Vec::new, |()| &[])?;
        let penalties = (named.make)(&values);
        penalties.penalty.check()?;
        penalties.group.map_or(Ok(()), |group| group.check())?;
        if let Share::Integrated { s } = penalties.share {
            require((0.0..=0.5).contains(&s), stem, "s", s, "[0, 0.5]")?;
        }
        return Ok((penalties, Some(named.lambda)));
    }
    if !Penalty::all().iter().any(|p| p.name() == stem) {
        let penalties = Penalty::all().into_iter().map(|p| p.name());
        let known = std::iter::once(DENSE).chain(penalties).chain(NAMED.iter().map(|n| n.name));
        let known = text::there_are(stem, known.chain(Family::ALL.map(Family::name)));
        return Err(wrong("`method`", name, format!("no such method; {known}, and pairs P+GP")));
    }
    let penalty: Penalty = name.parse()?;
    Ok((Penalties { penalty, group: None, share: Share::Even }, default_lambda(&penalty)))
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
