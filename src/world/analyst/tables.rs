//! Reads the tables of a prompt: CSV with a header row, under a heading that names a coin or a subject.

/// One CSV table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Table {
    /// The coin named in the nearest heading above, such as `BTCUSDT`.
    pub symbol: Option<String>,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Whether the header has all of these columns.
    pub fn has(&self, columns: &[&str]) -> bool {
        columns.iter().all(|wanted| self.columns.iter().any(|column| column == wanted))
    }

    /// Number of rows below the header.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A cell as text; `None` when the row or column does not exist or the cell is empty.
    pub fn text(&self, row: usize, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|name| name == column)?;
        self.rows.get(row)?.get(place).map(String::as_str).filter(|cell| !cell.is_empty())
    }

    /// A cell as a finite number.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        self.text(row, column)?.parse().ok().filter(|value: &f64| value.is_finite())
    }

    /// A whole column, rows without a number left out.
    pub fn numbers(&self, column: &str) -> Vec<f64> {
        (0..self.len()).filter_map(|row| self.number(row, column)).collect()
    }
}

/// Every table of a text, in order.
pub(super) fn read(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut symbol: Option<String> = None;
    let mut open = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('#') {
            symbol = symbol_of(line);
            open = false;
            continue;
        }
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        if cells.len() < 2 || line.starts_with(['{', '[', '<', '`']) {
            open = false;
            continue;
        }
        if !open && cells.iter().all(|cell| is_column_name(cell)) {
            tables.push(Table {
                symbol: symbol.clone(),
                columns: cells.iter().map(|cell| (*cell).to_owned()).collect(),
                rows: Vec::new(),
            });
            open = true;
        } else if open
            && let Some(table) = tables.last_mut()
            && table.columns.len() == cells.len()
        {
            table.rows.push(cells.iter().map(|cell| (*cell).to_owned()).collect());
        } else {
            open = false;
        }
    }
    tables
}

fn is_column_name(cell: &str) -> bool {
    cell.starts_with(|first: char| first.is_ascii_lowercase())
        && cell.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The first word of a heading that is spelled like a contract.
fn symbol_of(heading: &str) -> Option<String> {
    heading
        .split(|character: char| !character.is_ascii_alphanumeric())
        .find(|word| is_symbol(word))
        .map(str::to_owned)
}

/// Whether a word is spelled like a contract quoted in USDT.
pub(super) fn is_symbol(word: &str) -> bool {
    (6..=20).contains(&word.len())
        && word.ends_with("USDT")
        && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_under_their_coin_and_end_where_the_text_goes_on() {
        let text = "# General\nfear_greed,fear_greed_class\n18,Extreme Fear\n\n## BTCUSDT (bitcoin)\n```csv\n\
                    price,rsi14,macd\n66492,57.3,\n```\nWell, prose, too.\nhours_ago,open,close\n4,1,2\n0,2,3\n";
        let tables = read(text);
        assert_eq!(tables.len(), 3);
        assert_eq!(tables[0].number(0, "fear_greed"), Some(18.0));
        assert_eq!(tables[1].symbol.as_deref(), Some("BTCUSDT"));
        assert_eq!(tables[1].number(0, "macd"), None);
        assert_eq!(tables[2].numbers("close"), [2.0, 3.0]);
    }

    #[test]
    fn lines_of_json_are_never_a_table() {
        assert_eq!(read("{\"a\":1,\"b\":2}\n[1,2,3]\n<headlines,id>"), []);
    }
}
