//! Tables in Markdown.

use std::fmt;

/// A table, its columns as wide as what is in them.
pub(crate) struct Table(Vec<Vec<String>>);

impl Table {
    pub(crate) fn new(heads: &[&str]) -> Self {
        Table(vec![heads.iter().map(|head| (*head).to_owned()).collect()])
    }

    pub(crate) fn row(&mut self, name: &str, cells: Vec<String>) {
        self.0.push([vec![name.to_owned()], cells].concat());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            let cells = self.0.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or_default().max(2)
        };
        let widths: Vec<usize> = (0..self.0[0].len()).map(width).collect();
        for (number, row) in self.0.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                if column == 0 {
                    write!(f, "| {cell:<0$} |", widths[0])?;
                } else {
                    write!(f, " {cell:>0$} |", widths[column])?;
                }
            }
            writeln!(f)?;
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let (start, end) = if column == 0 { ("| ", " |") } else { (" ", ": |") };
                    let dashes = if column == 0 { *width } else { width - 1 };
                    write!(f, "{start}{}{end}", "-".repeat(dashes))?;
                }
                writeln!(f)?;
            }
        }
        Ok(())
    }
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut words = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            words.push(',');
        }
        words.push(digit);
    }
    words
}

/// Milliseconds in words.
pub(crate) fn seconds(millis: u32) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", f64::from(millis) / 1_000.0),
        _ => format!("{:.1} min", f64::from(millis) / 60_000.0),
    }
}

/// The value that this part of an ordered list does not exceed.
pub(crate) fn share(list: &[u32], thousandths: usize) -> u32 {
    let place = list.len() * thousandths / 1_000;
    let place = place.min(list.len().saturating_sub(1));
    list.get(place).copied().unwrap_or_default()
}
