//! The text form, both ways: `scad(a=3.7)`, `l1`.

use std::fmt;
use std::str::FromStr;

use super::Penalty;
use crate::error::{Error, Result};
use crate::text;

/// The shape parameters as the text form has them.
fn parameters(penalty: &Penalty) -> Vec<(&'static str, f64)> {
    penalty.rule().parameters().iter().map(|p| (p.name, p.value)).collect()
}

impl fmt::Display for Penalty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, self.name(), &parameters(self))
    }
}

impl FromStr for Penalty {
    type Err = Error;

    /// Reads `name` or `name(parameter=value, ...)`; parameters left out keep their defaults.
    ///
    /// # Errors
    /// [`Error::Text`] for an unknown name or parameter (with the known ones), [`Error::Domain`] for a value
    /// outside its domain.
    fn from_str(text: &str) -> Result<Self> {
        let find = |name: &str| {
            let default = Penalty::all().into_iter().find(|p| p.name() == name)?;
            Some((default, parameters(&default)))
        };
        let known = || Penalty::all().iter().map(Penalty::name).collect();
        let (default, values) = text::read("penalty", text, find, known)?;
        let penalty = default.rule().with(&values);
        penalty.check()?;
        Ok(penalty)
    }
}

impl serde::Serialize for Penalty {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Penalty {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_both_ways() {
        for penalty in Penalty::all() {
            assert_eq!(penalty.to_string().parse::<Penalty>().unwrap(), penalty);
            assert_eq!(penalty.name().parse::<Penalty>().unwrap(), penalty);
        }
        assert_eq!(" tl1( a = 0.5 ) ".parse::<Penalty>().unwrap().to_string(), "tl1(a=0.5)");
    }

    #[test]
    fn wrong_text_is_named_with_what_is_allowed() {
        for (text, needle) in [
            ("tl2", "there are none, l1"),
            ("tl1(a=-1)", "tl1: a = -1 is outside [1e-6, 1e6]"),
            ("tl1(a=nan)", "outside"),
            ("tl1(b=1)", "it has: a"),
            ("l1(a=1)", "it has: none"),
            ("tl1(a=x)", "not a number"),
            ("tl1(a", "closing )"),
            ("tl1(a)", "parameter=value"),
        ] {
            let error = text.parse::<Penalty>().unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
