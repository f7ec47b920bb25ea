//! Flags that take several values, divided by commas, as CSV does: `a=1,"b=x,y"`.

/// The values of all occurrences of a flag.
pub fn split(values: &[String]) -> Vec<String> {
    values.iter().flat_map(|value| fields(value)).collect()
}

/// The fields of one line. One that begins with a quote ends at the next that is not doubled, commas included.
fn fields(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut begins = true;
    let mut chars = line.chars().peekable();
    while let Some(next) = chars.next() {
        match next {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if begins => {
                quoted = true;
                begins = false;
            }
            ',' if !quoted => {
                fields.push(std::mem::take(&mut field));
                begins = true;
            }
            other => {
                field.push(other);
                begins = false;
            }
        }
    }
    if !line.is_empty() {
        fields.push(field);
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_divide_outside_of_quotes() {
        for (line, expected) in [
            ("", &[][..]),
            ("a=1", &["a=1"]),
            ("a=1,b=2", &["a=1", "b=2"]),
            ("\"a=x,y\",b=2", &["a=x,y", "b=2"]),
            ("\"a=say \"\"x\"\"\"", &["a=say \"x\""]),
            ("a=\"x\"", &["a=\"x\""]),
            ("a,", &["a", ""]),
        ] {
            assert_eq!(fields(line), expected, "{line}");
        }
    }
}
