//! Texts in and out: the form of penalties and base steps, `name(parameter=value, ...)`, names that are looked up, and
//! foreign names on a terminal.

use crate::error::{Error, Result};

/// Takes `name(parameter=value, ...)` or `name` apart, and fills `values` of those parameters that the text gives.
///
/// `find` returns what a name stands for, with the names and default values of its parameters; `known` lists the names
/// for the message; `words` are those that stand for the values 0, 1, ... of what was found, none where values are
/// numbers.
///
/// # Errors
/// [`Error::Text`] for an unknown name or parameter (with the known ones), for a parameter given twice, and for what is no
/// number or none of the words.
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
        find(name).ok_or_else(|| wrong(format!("no such {place}; {}", there_are(name, known()))))?;
    let words = words(&found);
    let mut values: Vec<f64> = parameters.iter().map(|(_, value)| *value).collect();
    let mut given = vec![false; values.len()];
    for argument in arguments.split(',').map(str::trim).filter(|a| !a.is_empty()) {
        let (key, value) = argument
            .split_once('=')
            .ok_or_else(|| wrong(format!("{argument:?} is not of the form parameter=value")))?;
        let index = parameters.iter().position(|(name, _)| *name == key.trim()).ok_or_else(|| {
            let known: Vec<_> = parameters.iter().map(|(name, _)| *name).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            wrong(format!("{name} has no parameter {:?}; it has: {known}", key.trim()))
        })?;
        if std::mem::replace(&mut given[index], true) {
            return Err(wrong(format!("{} is given twice", key.trim())));
        }
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

/// The known one that was probably meant by a text that is none of them, and all of them: `did you mean l1? there are l0,
/// l1`, or `there are l0, l1` where none is near.
///
/// ```
/// use maf_srl::text::there_are;
/// assert_eq!(there_are("adma", ["gradient", "adam"]), "did you mean adam? there are gradient, adam");
/// assert_eq!(there_are("rmsprop", ["gradient", "adam"]), "there are gradient, adam");
/// ```
#[must_use]
pub fn there_are<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = format!("there are {}", known.join(", "));
    nearest(text, known).map_or(all.clone(), |name| format!("did you mean {name}? {all}"))
}

/// The known name that a text is a slip of the pen or the first letters of.
#[must_use]
pub fn nearest<'a>(text: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.trim().to_lowercase();
    let slips = |name: &str| strsim::osa_distance(&text, name);
    let near = |name: &&str| {
        // of three letters one may be wrong
        3 * slips(name) <= text.chars().count().max(name.chars().count())
            || text.len() > 2 && name.starts_with(&text)
    };
    // of several as near, one as long
    known.into_iter().filter(near).min_by_key(|name| (slips(name), name.len().abs_diff(text.len())))
}

/// Whether a character shows itself and does nothing else: none that controls a terminal, ends a line, reverses the direction
/// of writing or takes no place.
#[must_use]
pub fn visible(c: char) -> bool {
    match c {
        ' '..='~' => true,
        // behind another character, so that combining marks stay as they are
        _ => ['a', c].iter().collect::<String>().escape_debug().eq(['a', c]),
    }
}

/// A foreign text, such as the name of a file, a tensor or an adapter, as it may be shown on a terminal and in a cell of a
/// table: what is not [`visible`] is escaped.
///
/// ```
/// assert_eq!(maf_srl::text::printable("a\u{202e}b \"é\"\n"), "a\\u{202e}b \"é\"\\n");
/// ```
#[must_use]
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match visible(c) {
            true => shown.push(c),
            false => shown.extend(c.escape_debug()),
        }
    }
    shown
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_one_that_could_be_meant() {
        let known = ["l1", "l2", "l2sq", "elastic-net", "tl1", "mcp", "capped-l1", "fashion-mnist"];
        for (text, meant) in [
            ("tl2", Some("tl1")),
            ("TL1", Some("tl1")),
            (" mpc ", Some("mcp")),
            ("elastic", Some("elastic-net")),
            ("elasticnet", Some("elastic-net")),
            ("fashion_mnist", Some("fashion-mnist")),
            ("caped-l1", Some("capped-l1")),
            ("", None),
            ("x", None),
            ("ridge", None),
        ] {
            assert_eq!(nearest(text, known), meant, "{text:?}");
        }
    }

    #[test]
    fn nothing_invisible_reaches_a_terminal() {
        for c in
            ['\0', '\u{1b}', '\u{7f}', '\u{9b}', '\u{200f}', '\u{202e}', '\u{2066}', '\u{2028}', '\u{feff}']
        {
            let shown = printable(&format!("a{c}b"));
            assert!(shown.starts_with("a\\") && shown.ends_with('b') && !shown.contains(c), "{shown}");
        }
        for plain in ["layer.weight", "größe 層", "e\u{301}", "C:\\w's \"x\""] {
            assert_eq!(printable(plain), plain);
        }
    }
}
