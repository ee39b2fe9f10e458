//! A table whose columns stand under each other: text to the left, numbers to the right.

use std::fmt;

use super::printable;

/// Rows under a headline.
#[derive(Debug)]
pub(crate) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these columns.
    pub(crate) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; cells that are missing stay empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // Names come from others: a line break or an escape sequence must not tear the table.
        self.rows.push(cells.into_iter().map(|cell| printable(&cell).replace(['\n', '\t'], " ")).collect());
    }

    fn cell(row: &[String], column: usize) -> &str {
        row.get(column).map_or("", String::as_str)
    }

    /// A number, or the dash that stands where there is none.
    fn is_number(cell: &str) -> bool {
        cell == "-" || cell.parse::<i64>().is_ok()
    }
}

/// A value, or a dash where there is none.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize, name: &str| {
            let cells = self.rows.iter().map(|row| Self::cell(row, column).chars().count());
            cells.chain([name.chars().count()]).max().unwrap_or(0)
        };
        let columns: Vec<(usize, bool)> = (self.head.iter().enumerate())
            .map(|(column, name)| {
                let numbers = self.rows.iter().all(|row| Self::is_number(Self::cell(row, column)));
                (width(column, name), numbers && !self.rows.is_empty())
            })
            .collect();
        let mut line = |cell: &dyn Fn(usize) -> String| {
            let mut text = String::new();
            for (column, (width, right)) in columns.iter().enumerate() {
                let gap = if column == 0 { "" } else { "  " };
                let cell = cell(column);
                text += &if *right { format!("{gap}{cell:>width$}") } else { format!("{gap}{cell:<width$}") };
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(&|column| self.head.get(column).map_or_else(String::new, |name| name.to_uppercase()))?;
        self.rows.iter().try_for_each(|row| line(&|column| Self::cell(row, column).to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let mut table = Table::new(&["topic", "partition", "lag"]);
        table.row(["logs.raw".into(), "0".into(), "12345".into()]);
        table.row(["größe".into(), "11".into(), or_dash(None::<i64>)]);
        table.row(["a\nb\x1b[2J".into()]);
        assert_eq!(
            table.to_string(),
            "TOPIC     PARTITION  LAG\n\
             logs.raw  0          12345\n\
             größe     11         -\n\
             a b\u{fffd}[2J\n"
        );
    }

    #[test]
    fn numbers_stand_to_the_right_and_an_empty_table_is_its_headline() {
        let mut table = Table::new(&["name", "lag"]);
        assert_eq!(table.to_string(), "NAME  LAG\n");
        table.row(["a".into(), "5".into()]);
        table.row(["b".into(), "1234".into()]);
        assert_eq!(table.to_string(), "NAME   LAG\na        5\nb     1234\n");
    }
}
