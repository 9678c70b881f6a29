//! The text form of penalties and base steps, `name(parameter=value, ...)`, read in one place.

use crate::error::{Error, Result};

/// Takes `name(parameter=value, ...)` or `name` apart, and fills `values` of those parameters that the text gives.
///
/// `find` returns what a name stands for, with the names and default values of its parameters; `known` lists the names
/// for the message; `words` are those that stand for the values 0, 1, ... of what was found, none where values are
/// numbers.
///
/// # Errors
/// [`Error::Text`] for an unknown name or parameter (with the known ones), and for what is no number or none of the words.
pub fn read<T>(
    place: &str,
    text: &str,
    find: impl Fn(&str) -> Option<(T, Vec<(&'static str, f64)>)>,
    known: impl Fn() -> Vec<&'static str>,
    words: impl Fn(&T) -> &'static [&'static str],
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
    let words = words(&found);
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

/// Writes `name` or `name(parameter=value,...)`. Where values are words, the first of them is the default and left out.
///
/// # Errors
/// Those of the formatter.
pub fn write(
    f: &mut std::fmt::Formatter<'_>,
    name: &str,
    parameters: &[(&'static str, f64)],
    words: &[&str],
) -> std::fmt::Result {
    let shown = |(parameter, value): &(&str, f64)| match words.get(*value as usize) {
        _ if words.is_empty() => Some(format!("{parameter}={value}")),
        Some(word) if *value != 0.0 => Some(format!("{parameter}={word}")),
        _ => None,
    };
    let shown: Vec<_> = parameters.iter().filter_map(shown).collect();
    if shown.is_empty() { f.write_str(name) } else { write!(f, "{name}({})", shown.join(",")) }
}
