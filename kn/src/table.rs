//! Tables for people: upper-case headers, three blanks between columns, cells at least six wide.

const GAP: &str = "   ";
const LEAST_WIDTH: usize = 6;

/// How wide the columns of a table are.
#[derive(Debug, Default)]
pub struct Layout {
    widths: Vec<usize>,
}

impl Layout {
    /// Wide enough for these headers and rows.
    pub fn new(headers: &[&str], rows: &[Vec<String>]) -> Self {
        let mut layout = Self {
            widths: vec![LEAST_WIDTH; headers.len()],
        };
        layout.widen(headers);
        rows.iter().for_each(|row| layout.widen(row));
        layout
    }

    fn widen(&mut self, cells: &[impl AsRef<str>]) {
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(one_line(cell.as_ref()).chars().count());
        }
    }

    /// One row; the last cell is not padded, and columns that are too narrow become wider from here on.
    pub fn line(&mut self, cells: &[impl AsRef<str>]) -> String {
        self.widen(cells);
        let last = cells.len().saturating_sub(1);
        let padded: Vec<String> = cells
            .iter()
            .zip(&self.widths)
            .enumerate()
            .map(|(index, (cell, width))| {
                let cell = one_line(cell.as_ref());
                if index == last {
                    cell
                } else {
                    format!("{cell:width$}")
                }
            })
            .collect();
        padded.join(GAP).trim_end().to_owned()
    }
}

/// Lays out `rows` under `headers`.
pub fn render(headers: &[&str], rows: &[Vec<String>], show_headers: bool) -> String {
    let mut layout = Layout::new(headers, rows);
    let mut lines = Vec::new();
    if show_headers {
        lines.push(layout.line(headers));
    }
    lines.extend(rows.iter().map(|row| layout.line(row)));
    lines.join("\n")
}

/// A text without line breaks, which messages may have.
pub fn one_line(text: &str) -> String {
    if !text.contains('\n') {
        return text.to_owned();
    }
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line() {
        let rows = vec![vec!["a".to_owned(), "it\nbroke\n.".to_owned()]];
        assert_eq!(render(&["NAME", "REASON"], &rows, false), "a        it broke .");
    }

    #[test]
    fn columns_are_aligned() {
        let rows = vec![
            vec!["hello".into(), "http://x".into(), "True".into()],
            vec!["a".into(), String::new(), String::new()],
        ];
        assert_eq!(
            render(&["NAME", "URL", "READY"], &rows, true),
            "NAME     URL        READY\nhello    http://x   True\na"
        );
        assert_eq!(
            render(&["NAME", "URL", "READY"], &rows[..1], false),
            "hello    http://x   True"
        );
    }

    #[test]
    fn later_rows_widen_their_columns() {
        let mut layout = Layout::new(&["NAME", "READY"], &[vec!["a".into(), "True".into()]]);
        assert_eq!(layout.line(&["a", "True"]), "a        True");
        assert_eq!(layout.line(&["longer-name", "True"]), "longer-name   True");
        assert_eq!(layout.line(&["a", "True"]), "a             True");
    }
}
