//! How a penalty is declared, and how a family of penalties is put together: enum, text form, checks.

use std::fmt;

use super::domain::Parameter;
use crate::error::{Result, require};
use crate::text;

/// What every penalty is declared with. `F` is its family, [`Penalty`](super::Penalty) or
/// [`GroupPenalty`](super::GroupPenalty).
pub trait Described<F> {
    /// The name in text form, for example `capped-l1`. Its module and WGSL file are named alike, with `_`.
    fn name(&self) -> &'static str;

    /// The formula, in one line of plain text.
    fn formula(&self) -> &'static str;

    /// Where the formula comes from: paper and equation.
    fn source(&self) -> &'static str;

    /// The shape parameters with their values and domains, in the order of the text form.
    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// The words of the text form that stand for the values 0, 1, ...; none where values are numbers.
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// The same penalty with other shape parameters, in the order of [`Described::parameters`].
    fn with(&self, values: &[f64]) -> F;

    /// Conditions that tie several parameters together. Each parameter's own domain is checked already.
    ///
    /// # Errors
    /// [`crate::Error::Domain`] naming the parameter and the allowed range.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Shape parameters for the cases: the default and the ends of what is used in practice.
    fn examples(&self) -> Vec<F> {
        vec![self.with(&self.parameters().iter().map(|p| p.value).collect::<Vec<_>>())]
    }
}

/// Names and values of the shape parameters.
fn values<F>(rule: &dyn Described<F>) -> Vec<(&'static str, f64)> {
    rule.parameters().iter().map(|p| (p.name, p.value)).collect()
}

/// Each shape parameter in its domain, and what ties them together.
pub(super) fn check<F>(rule: &dyn Described<F>) -> Result<()> {
    for p in rule.parameters() {
        require(p.domain.contains(p.value), rule.name(), p.name, p.value, p.domain)?;
    }
    rule.check()
}

/// Writes the text form.
pub(super) fn write<F>(f: &mut fmt::Formatter<'_>, rule: &dyn Described<F>) -> fmt::Result {
    text::write(f, rule.name(), &values(rule), rule.words())
}

/// Reads the text form of one of a family's penalties, given with their defaults.
pub(super) fn read<F>(place: &str, text: &str, all: &[&dyn Described<F>]) -> Result<F> {
    let find = |name: &str| all.iter().find(|rule| rule.name() == name).map(|&rule| (rule, values(rule)));
    let known = || all.iter().map(|rule| rule.name()).collect();
    let (rule, values) = text::read(place, text, find, known, |rule| rule.words())?;
    Ok(rule.with(&values))
}

/// Declares a penalty: a struct of its shape parameters, each with its default and its domain, and what
/// [`Described`] asks for. `check` is a method, `examples` are values of the shape parameters.
macro_rules! penalty {
    (
        $(#[$of:meta])*
        pub struct $name:ident: $family:ident;
        $($said:tt)*
    ) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct $name;

        impl $crate::penalty::Described<$family> for $name {
            penalty! { @methods $family, $($said)* }

            fn with(&self, _: &[f64]) -> $family {
                (*self).into()
            }
        }
    };
    (
        $(#[$of:meta])*
        pub struct $name:ident: $family:ident {
            $($(#[$about:meta])* pub $field:ident: f64 = $default:literal in $domain:expr,)+
        }
        $($said:tt)*
    ) => {
        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name {
            $($(#[$about])* pub $field: f64,)+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default),+ }
            }
        }

        impl $crate::penalty::Described<$family> for $name {
            penalty! { @methods $family, $($said)* }

            fn parameters(&self) -> Vec<$crate::penalty::Parameter> {
                let of = |name, value, domain| $crate::penalty::Parameter { name, value, domain };
                vec![$(of(stringify!($field), self.$field, $domain)),+]
            }

            fn with(&self, values: &[f64]) -> $family {
                let mut values = values.iter().copied();
                $name { $($field: values.next().unwrap_or(self.$field)),+ }.into()
            }
        }
    };
    (
        @methods $family:ident,
        name: $name:literal,
        formula: $formula:literal,
        source: $source:literal,
        $(check: $check:ident,)?
        $(examples: [$($example:expr),+ $(,)?],)?
    ) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn formula(&self) -> &'static str {
            $formula
        }

        fn source(&self) -> &'static str {
            $source
        }

        $(fn check(&self) -> $crate::Result<()> {
            self.$check()
        })?

        $(fn examples(&self) -> Vec<$family> {
            vec![$(self.with(&$example)),+]
        })?
    };
}
pub(super) use penalty;

/// Makes a family of penalties: its modules, one line each, `module::Type`, and the enum of them.
macro_rules! register {
    (
        $(#[$of:meta])*
        pub enum $family:ident: dyn $rule:ident, called $place:literal;
        $($module:ident::$name:ident,)*
    ) => {
        $(mod $module; pub use $module::$name;)*

        $(#[$of])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum $family {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name),)*
        }

        $(impl From<$name> for $family {
            fn from(penalty: $name) -> Self { $family::$name(penalty) }
        })*

        impl $family {
            #[doc = concat!("Every ", $place, ", with its default parameters, in the register's order.")]
            #[must_use]
            pub fn all() -> Vec<$family> {
                vec![$($family::$name(<$name>::default())),*]
            }

            /// What the penalty's file says about it.
            #[must_use]
            pub fn rule(&self) -> &dyn $rule {
                match self { $($family::$name(penalty) => penalty,)* }
            }

            /// The name in text form, without parameters.
            #[must_use]
            pub fn name(&self) -> &'static str {
                self.rule().name()
            }

            /// Checks every shape parameter against its domain.
            ///
            /// # Errors
            /// [`crate::Error::Domain`] naming parameter, value and allowed range.
            pub fn check(&self) -> $crate::Result<()> {
                $crate::penalty::register::check(self.rule())
            }
        }

        impl std::fmt::Display for $family {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::penalty::register::write(f, self.rule())
            }
        }

        impl std::str::FromStr for $family {
            type Err = $crate::Error;

            /// Reads `name` or `name(parameter=value, ...)`; parameters left out keep their defaults.
            ///
            /// # Errors
            /// [`crate::Error::Text`] for an unknown name or parameter (with the known ones),
            /// [`crate::Error::Domain`] for a value outside its domain.
            fn from_str(text: &str) -> $crate::Result<Self> {
                let penalty = $crate::penalty::register::read($place, text, &[$(&<$name>::default()),*])?;
                penalty.check()?;
                Ok(penalty)
            }
        }

        impl serde::Serialize for $family {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $family {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(super) use register;

#[cfg(test)]
mod tests {
    use crate::penalty::Penalty;

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
            ("tl2", "no such penalty; did you mean tl1? there are none, l1"),
            ("tl1(a=-1)", "tl1: a = -1 is outside [1e-6, 1e6]"),
            ("tl1(a=nan)", "outside"),
            ("tl1(b=1)", "it has: a"),
            ("l1(a=1)", "it has: none"),
            ("tl1(a=x)", "not a number"),
            ("tl1(a", "closing )"),
            ("tl1(a)", "parameter=value"),
            ("tl1(a=1, a=1)", "a is given twice"),
        ] {
            let error = text.parse::<Penalty>().unwrap_err().to_string();
            assert!(error.contains(needle), "{text}: {error}");
        }
    }
}
