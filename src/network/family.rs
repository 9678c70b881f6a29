//! DSRL and MAF-SRL by name.

use std::str::FromStr;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::text::there_are;

/// A family of learned regularisers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Â = I: a sum over components (DSRL).
    Dsrl,
    /// Â learned on its pattern (MAF-SRL).
    MafSrl,
}

impl Family {
    /// All of them.
    pub const ALL: [Family; 2] = [Family::Dsrl, Family::MafSrl];

    /// The name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Family::Dsrl => "dsrl",
            Family::MafSrl => "maf-srl",
        }
    }

    /// Names separated by commas, none of them twice.
    ///
    /// # Errors
    /// [`Error::Text`] for anything else.
    pub fn parse_list(text: &str) -> Result<Vec<Self>> {
        let mut methods = Vec::new();
        for name in text.split(',') {
            let method: Family = name.parse()?;
            if methods.contains(&method) {
                return Err(Error::Text {
                    place: "`method`".into(),
                    text: text.into(),
                    reason: format!("{} is named twice", method.name()),
                });
            }
            methods.push(method);
        }
        Ok(methods)
    }
}

impl FromStr for Family {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Family::ALL.into_iter().find(|m| m.name() == text.trim()).ok_or_else(|| Error::Text {
            place: "`method`".into(),
            text: text.into(),
            reason: format!("no such learned method; {}", there_are(text, Family::ALL.map(Family::name))),
        })
    }
}
