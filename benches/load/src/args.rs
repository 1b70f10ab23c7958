//! `--name value` pairs, taken one by one by the mode that knows them.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use crate::Outcome;

/// The pairs nobody has asked for yet.
pub struct Args {
    values: BTreeMap<String, String>,
}

impl Args {
    /// Reads pairs to the end.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut values = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| format!("not an option: {word}"))?;
            let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
            values.insert(name.to_owned(), value);
        }
        Ok(Self { values })
    }

    /// The value of `name`, if it was given.
    pub fn optional<T: FromStr<Err: Display>>(&mut self, name: &str) -> Outcome<Option<T>> {
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        let parsed = value.parse().map_err(|error| format!("--{name}: {error}"))?;
        Ok(Some(parsed))
    }

    /// The value of `name`, which must have been given.
    pub fn required<T: FromStr<Err: Display>>(&mut self, name: &str) -> Outcome<T> {
        self.optional(name)?.ok_or_else(|| format!("--{name} is missing").into())
    }

    /// Refuses what is left over, so that a misspelt option is not ignored.
    pub fn finish(&self) -> Outcome<()> {
        match self.values.keys().next() {
            Some(name) => Err(format!("unknown option --{name}").into()),
            None => Ok(()),
        }
    }
}
