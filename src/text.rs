//! The text form of penalties and base steps, `name(parameter=value, ...)`, read in one place.

use crate::error::{Error, Result};

/// Takes `name(parameter=value, ...)` or `name` apart, and fills `values` of those parameters that the text gives.
///
/// `find` returns the names and default values of a name's parameters, `known` lists the names for the message.
///
/// # Errors
/// [`Error::Text`] for an unknown name or parameter (with the known ones) and for what is no number.
pub fn read<T>(
    place: &str,
    text: &str,
    find: impl Fn(&str) -> Option<(T, Vec<(&'static str, f64)>)>,
    known: impl Fn() -> Vec<&'static str>,
) -> Result<(T, Vec<f64>)> {
    read_with(place, text, find, known, &[])
}

/// The same where values are words, if there are any in `words`; they stand for their places there.
///
/// # Errors
/// As [`read`].
pub fn read_with<T>(
    place: &str,
    text: &str,
    find: impl Fn(&str) -> Option<(T, Vec<(&'static str, f64)>)>,
    known: impl Fn() -> Vec<&'static str>,
    words: &[&str],
) -> Result<(T, Vec<f64>)> {
    let wrong = |reason: String| Error::Text { place: place.into(), text: text.into(), reason };
    let (name, arguments) = match text.trim().split_once('(') {
        None => (text.trim(), ""),
        Some((name, rest)) => {
            let inner = rest.strip_suffix(')').ok_or_else(|| wrong("the closing ) is missing".into()))?;
            (name.trim(), inner)
        }
    };
    let (found, parameters) =
        find(name).ok_or_else(|| wrong(format!("no such {place}; there are {}", known().join(", "))))?;
    let mut values: Vec<f64> = parameters.iter().map(|(_, value)| *value).collect();
    for argument in arguments.split(',').map(str::trim).filter(|a| !a.is_empty()) {
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| wrong(format!("{argument:?} is not of the form parameter=value")))?;
        let index = parameters.iter().position(|(name, _)| *name == key.trim()).ok_or_else(|| {
            let known: Vec<_> = parameters.iter().map(|(name, _)| *name).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            wrong(format!("{name} has no parameter {:?}; it has: {known}", key.trim()))
        })?;
        let value = value.trim();
        let read = match words {
            [] => value.parse().ok(),
            _ => words.iter().position(|word| *word == value).map(|place| place as f64),
        };
        values[index] = read.ok_or_else(|| match words {
            [] => wrong(format!("{value:?} is not a number")),
            _ => wrong(format!("{value:?} is none of {}", words.join(", "))),
        })?;
    }
    Ok((found, values))
}

/// Writes `name` or `name(parameter=value,...)`.
///
/// # Errors
/// Those of the formatter.
pub fn write(
    f: &mut std::fmt::Formatter<'_>,
    name: &str,
    parameters: &[(&'static str, f64)],
) -> std::fmt::Result {
    f.write_str(name)?;
    for (k, (parameter, value)) in parameters.iter().enumerate() {
        write!(f, "{}{parameter}={value}", if k == 0 { '(' } else { ',' })?;
    }
    if parameters.is_empty() { Ok(()) } else { f.write_str(")") }
}
