//! Tables that fit the terminal: fixed columns take what they need, one flexible column takes what is left.
//!
//! Must not print.

use crate::cli::out::Out;
use crate::cli::text::{clean, fit, width, wrap};

/// Columns between two columns.
const GAP: usize = 2;
/// Columns that the flexible one gets at least.
const FLEXIBLE_MIN: usize = 16;
/// Columns that a fixed one gets at most on a terminal.
const FIXED_MAX: usize = 28;

/// Colour of a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paint {
    /// As it is.
    #[default]
    Plain,
    /// Bold red: act now.
    Alarm,
    /// Red.
    Red,
    /// Yellow.
    Yellow,
    /// Green.
    Green,
    /// Fainter.
    Dim,
}

impl Paint {
    /// ECMA-48 "select graphic rendition" around a text.
    pub fn apply(self, text: &str, out: &Out) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Alarm => "1;31",
            Self::Red => "31",
            Self::Yellow => "33",
            Self::Green => "32",
            Self::Dim => "2",
        };
        if out.is_coloured {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// How a column is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As wide as its longest cell.
    Fixed,
    /// The same, aligned to the right.
    Right,
    /// What is left, cut with an ellipsis.
    Cut,
    /// What is left, over several lines.
    Wrap,
}

/// One cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    paint: Paint,
}

impl Cell {
    /// A coloured cell.
    pub fn painted(text: &str, paint: Paint) -> Self {
        Self {
            text: clean(text),
            paint,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::painted(text, Paint::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// Rows under headings.
#[derive(Clone, Debug)]
pub struct Table {
    columns: &'static [(&'static str, Fit)],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table; without headings when all of them are empty.
    pub fn new(columns: &'static [(&'static str, Fit)]) -> Self {
        Self {
            columns,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        self.rows.push(cells.into());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, ready to be printed.
    pub fn render(&self, out: &Out) -> String {
        let widths = self.widths(out.width);
        let mut text = String::new();
        if self.columns.iter().any(|(head, _)| !head.is_empty()) {
            let heads: Vec<Cell> = self
                .columns
                .iter()
                .map(|(head, _)| Cell::painted(head, Paint::Dim))
                .collect();
            self.render_row(&heads, &widths, out, &mut text);
        }
        for row in &self.rows {
            self.render_row(row, &widths, out, &mut text);
        }
        text
    }

    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let longest = |index: usize, head: &str| {
            let cells = self.rows.iter().filter_map(|row| row.get(index));
            let cells = cells.map(|cell| width(&cell.text));
            cells.max().unwrap_or(0).max(width(head))
        };
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (head, _))| longest(index, head))
            .collect();
        let Some(available) = available else {
            return widths;
        };
        let is_fixed = |fit: Fit| matches!(fit, Fit::Fixed | Fit::Right);
        let mut taken = GAP.saturating_mul(widths.len().saturating_sub(1));
        for (wide, (_, fit)) in widths.iter_mut().zip(self.columns) {
            if is_fixed(*fit) {
                *wide = (*wide).min(FIXED_MAX);
                taken = taken.saturating_add(*wide);
            }
        }
        let left = available.saturating_sub(taken).max(FLEXIBLE_MIN);
        for (wide, (_, fit)) in widths.iter_mut().zip(self.columns) {
            if !is_fixed(*fit) {
                *wide = (*wide).min(left);
            }
        }
        widths
    }

    fn render_row(&self, row: &[Cell], widths: &[usize], out: &Out, text: &mut String) {
        let cells: Vec<Vec<String>> = row
            .iter()
            .zip(widths)
            .zip(self.columns)
            .map(|((cell, wide), (_, layout))| match layout {
                Fit::Wrap => wrap(&cell.text, *wide),
                Fit::Fixed | Fit::Right | Fit::Cut => vec![fit(&cell.text, *wide)],
            })
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        for at in 0..height {
            let mut line = String::new();
            let columns = self.columns.iter().zip(widths).zip(row).zip(&cells);
            for (index, ((((_, layout), wide), cell), lines)) in columns.enumerate() {
                let part = lines.get(at).map_or("", String::as_str);
                let pad = " ".repeat(wide.saturating_sub(width(part)));
                let gap = " ".repeat(if index > 0 { GAP } else { 0 });
                let part = cell.paint.apply(part, out);
                line.push_str(&gap);
                match layout {
                    Fit::Right => line.push_str(&format!("{pad}{part}")),
                    Fit::Fixed | Fit::Cut | Fit::Wrap => line.push_str(&format!("{part}{pad}")),
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[(&str, Fit)] = &[("N", Fit::Right), ("TITLE", Fit::Cut), ("WHO", Fit::Fixed)];

    fn out(width: Option<usize>) -> Out {
        Out {
            width,
            is_terminal: false,
            is_coloured: false,
        }
    }

    fn table() -> Table {
        let mut table = Table::new(COLUMNS);
        table.row(["7".into(), "a".into(), "ana".into()]);
        table.row([
            "12".into(),
            "disk of the database server is almost full".into(),
            "".into(),
        ]);
        table
    }

    #[test]
    fn the_flexible_column_gives_way() {
        let text = "
 N  TITLE                            WHO
 7  a                                ana
12  disk of the database server is…
";
        let text = text.trim_start_matches('\n');
        assert_eq!(table().render(&out(Some(40))), text);
    }

    #[test]
    fn without_a_width_nothing_is_cut() {
        let text = table().render(&out(None));
        assert!(text.contains("is almost full\n"), "{text}");
    }

    #[test]
    fn wrapped_cells_continue_below_themselves() {
        let mut table = Table::new(&[("", Fit::Fixed), ("", Fit::Wrap)]);
        table.row(["ok".into(), "one two three four five six seven".into()]);
        let text = "ok  one two three four five six seven\n";
        assert_eq!(table.render(&out(Some(40))), text);
        let text = "ok  one two three four\n    five six seven\n";
        assert_eq!(table.render(&out(Some(24))), text);
    }

    #[test]
    fn colours_only_where_they_are_seen() {
        let mut seen = out(None);
        assert_eq!(Paint::Red.apply("P2", &seen), "P2");
        seen.is_coloured = true;
        assert_eq!(Paint::Red.apply("P2", &seen), "\x1b[31mP2\x1b[0m");
    }
}
