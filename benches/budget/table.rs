//! What was measured against what was promised, as a table for the README.

use std::fmt::Display;

struct Row {
    what: String,
    measured: String,
    budget: String,
    /// Nothing for what is only told.
    kept: Option<bool>,
}

/// Rows in the order they were measured, and notes below them.
#[derive(Default)]
pub struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    /// A count or a size that must not be over its budget.
    pub fn hold(&mut self, what: &str, measured: u64, budget: u64, unit: &str) {
        let kept = measured <= budget;
        self.put(
            what,
            format!("{}{unit}", grouped(measured)),
            format!("≤ {}{unit}", grouped(budget)),
            Some(kept),
        );
    }

    /// The same where the measure is a fraction.
    pub fn hold_fraction(&mut self, what: &str, measured: f64, budget: f64, unit: &str) {
        let kept = measured <= budget;
        self.put(
            what,
            format!("{measured:.2}{unit}"),
            format!("≤ {budget}{unit}"),
            Some(kept),
        );
    }

    /// A time, or a figure nobody has promised anything about.
    pub fn tell(&mut self, what: &str, measured: impl Display, wished: &str) {
        self.put(what, measured.to_string(), wished.to_owned(), None);
    }

    /// A line below the table.
    pub fn note(&mut self, words: String) {
        self.notes.push(words);
    }

    fn put(&mut self, what: &str, measured: String, budget: String, kept: Option<bool>) {
        let row = Row {
            what: what.to_owned(),
            measured,
            budget,
            kept,
        };
        // Seen at once, so that a run that breaks off has said something.
        eprintln!("{}", row.line());
        self.rows.push(row);
    }

    /// Prints everything; whether every budget is kept.
    pub fn print(&self) -> bool {
        println!("| what | measured | budget | |\n|---|---|---|---|");
        self.rows.iter().for_each(|row| println!("{}", row.line()));
        println!();
        self.notes.iter().for_each(|note| println!("- {note}"));
        self.rows.iter().all(|row| row.kept != Some(false))
    }
}

impl Row {
    fn line(&self) -> String {
        let word = match self.kept {
            Some(true) => "ok",
            Some(false) => "OVER",
            None => "",
        };
        format!("| {} | {} | {} | {word} |", self.what, self.measured, self.budget)
    }
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
