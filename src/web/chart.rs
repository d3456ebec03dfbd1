//! A chart of columns over time, with a scale. Each column is a pile of parts, each with a colour.

use std::fmt::{Display, Write as _};

use super::html::Escaped;

/// A chart of columns, the oldest first.
pub(crate) struct Chart<'a, Label> {
    /// What it shows, in a sentence for those who don't see it.
    pub(crate) label: &'a str,
    /// The colour of each part of a column, from the bottom up.
    pub(crate) kinds: &'a [&'a str],
    /// The parts of each column.
    pub(crate) columns: &'a [Vec<u64>],
    /// What is shown where a column is pointed at.
    pub(crate) titles: &'a dyn Fn(usize) -> String,
    /// HTML below the columns, at equal distances.
    pub(crate) axis: &'a [Label],
    /// A text in place of the columns, if all are empty.
    pub(crate) empty: &'a str,
}

impl<Label: Display> Chart<'_, Label> {
    /// The chart as HTML.
    pub(crate) fn html(&self) -> String {
        let sum = |column: &Vec<u64>| column.iter().sum::<u64>();
        let highest = self.columns.iter().map(sum).max().unwrap_or(0);
        let top = top_of_scale(highest);
        let width = self.columns.len();
        let mut html = format!(
            "<div class=chart><p class=scale aria-hidden=true><span>{top}</span><span>{half}</span><span>0</span></p>\
             <svg class=plot viewBox=\"0 0 {width} 100\" preserveAspectRatio=none role=img aria-label=\"{label}\">\
             <path class=grid d=\"M0 0H{width}M0 50H{width}M0 100H{width}\"></path>",
            half = top / 2,
            label = Escaped(self.label),
        );
        for (at, column) in self.columns.iter().enumerate() {
            self.write_column(&mut html, at, column, top);
        }
        html.push_str("</svg>");
        if highest == 0 {
            let _ = write!(html, "<p class=empty>{}</p>", Escaped(self.empty));
        }
        html.push_str("<p class=axis>");
        for label in self.axis {
            let _ = write!(html, "<span>{label}</span>");
        }
        html.push_str("</p></div>");
        html
    }

    fn write_column(&self, html: &mut String, at: usize, column: &[u64], top: u64) {
        if column.iter().all(|count| *count == 0) {
            return;
        }
        let _ = write!(html, "<g><title>{}</title>", Escaped(&(self.titles)(at)));
        let height = |count: u64| count as f64 * 100.0 / top as f64;
        let mut below = 0;
        for (kind, count) in self.kinds.iter().zip(column).filter(|(_, count)| **count > 0) {
            below += count;
            let _ = write!(
                html,
                "<rect data-kind={kind} x={at}.1 y={y:.2} width=.8 height={height:.2}></rect>",
                y = 100.0 - height(below),
                height = height(*count),
            );
        }
        html.push_str("</g>");
    }
}

/// The least round number that is not below `highest`; its half is a whole number.
fn top_of_scale(highest: u64) -> u64 {
    let mut ten = 1;
    loop {
        for top in [2 * ten, 4 * ten, 6 * ten, 10 * ten] {
            if top >= highest {
                return top;
            }
        }
        ten *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(columns: &[Vec<u64>]) -> String {
        Chart {
            label: "requests <by minute>",
            kinds: &["good", "bad"],
            columns,
            titles: &|at| format!("column {at}"),
            axis: &["then", "now"],
            empty: "Nothing yet.",
        }
        .html()
    }

    #[test]
    fn the_scale_ends_at_a_round_number() {
        for (highest, top) in [
            (0, 2),
            (1, 2),
            (3, 4),
            (5, 6),
            (7, 10),
            (10, 10),
            (11, 20),
            (61, 100),
            (4_001, 6_000),
        ] {
            assert_eq!(top_of_scale(highest), top, "{highest}");
        }
    }

    #[test]
    fn parts_are_piled_up_and_empty_columns_left_out() {
        let html = chart(&[vec![1, 1], vec![0, 0], vec![4, 0]]);
        assert!(
            html.contains("<span>4</span><span>2</span><span>0</span>"),
            "{html}"
        );
        assert!(
            html.contains("<rect data-kind=good x=0.1 y=75.00 width=.8 height=25.00>"),
            "{html}"
        );
        assert!(
            html.contains("<rect data-kind=bad x=0.1 y=50.00 width=.8 height=25.00>"),
            "{html}"
        );
        assert!(
            html.contains("<rect data-kind=good x=2.1 y=0.00 width=.8 height=100.00>"),
            "{html}"
        );
        assert!(
            html.contains("<title>column 2</title>") && !html.contains("column 1<"),
            "{html}"
        );
        assert!(
            html.contains("requests &lt;by minute&gt;") && !html.contains("Nothing yet"),
            "{html}"
        );
        assert!(chart(&[vec![0, 0]]).contains("<p class=empty>Nothing yet.</p>"));
    }
}
