//! The text form, both ways: `lasso(weight=sqrt-size)`, `l1-l2(alpha=1)`.

use std::fmt;
use std::str::FromStr;

use super::lasso::WEIGHTS;
use super::{GroupPenalty, Lasso};
use crate::error::{Error, Result};
use crate::text;

/// The shape parameters as the text form has them.
fn parameters(penalty: &GroupPenalty) -> Vec<(&'static str, f64)> {
    penalty.rule().parameters().iter().map(|p| (p.name, p.value)).collect()
}

impl fmt::Display for GroupPenalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GroupPenalty::Lasso(lasso) if *lasso == Lasso::default() => f.write_str(self.name()),
            GroupPenalty::Lasso(lasso) => {
                write!(f, "{}(weight={})", self.name(), WEIGHTS[lasso.weight as usize])
            }
            _ => text::write(f, self.name(), &parameters(self)),
        }
    }
}

impl FromStr for GroupPenalty {
    type Err = Error;

    /// Reads `name` or `name(parameter=value, ...)`; parameters left out keep their defaults.
    ///
    /// # Errors
    /// [`Error::Text`] for an unknown name or parameter (with the known ones), [`Error::Domain`] for a value
    /// outside its domain.
    fn from_str(text: &str) -> Result<Self> {
        let find = |name: &str| {
            let default = GroupPenalty::all().into_iter().find(|p| p.name() == name)?;
            Some((default, parameters(&default)))
        };
        let known = || GroupPenalty::all().iter().map(GroupPenalty::name).collect();
        // the one parameter whose values are words
        let words = if text.trim_start().starts_with("lasso") { &WEIGHTS[..] } else { &[] };
        let (default, values) = text::read_with("group penalty", text, find, known, words)?;
        let penalty = default.rule().with(&values);
        penalty.check()?;
        Ok(penalty)
    }
}

impl serde::Serialize for GroupPenalty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for GroupPenalty {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
