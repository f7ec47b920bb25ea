//! Tables for people: upper-case headers, three blanks between columns, cells at least six wide.

const GAP: &str = "   ";
const LEAST_WIDTH: usize = 6;

/// Lays out `rows` under `headers`; the last column is not padded.
pub fn render(headers: &[&str], rows: &[Vec<String>], show_headers: bool) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| one_line(cell)).collect())
        .collect();
    let mut widths: Vec<usize> = headers
        .iter()
        .map(|header| header.chars().count().max(LEAST_WIDTH))
        .collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let last = cells.len().saturating_sub(1);
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(index, (cell, width))| {
                if index == last {
                    (*cell).to_owned()
                } else {
                    format!("{cell:width$}")
                }
            })
            .collect();
        padded.join(GAP).trim_end().to_owned()
    };
    let mut lines = Vec::new();
    if show_headers {
        lines.push(line(headers.to_vec()));
    }
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
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
}
