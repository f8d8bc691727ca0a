//! Compares the tables of `docs/api.md` with the code.

use crate::error::Code;
use crate::resource::{Resource, Rules};

const PAGE: &str = include_str!("../docs/api.md");

fn assert_row(cells: impl IntoIterator<Item = String>) {
    let cells = cells.into_iter().map(|cell| if cell.is_empty() { "| ".to_owned() } else { format!("| {cell} ") });
    let row = cells.collect::<String>() + "|";
    assert!(PAGE.lines().any(|line| line == row), "docs/api.md does not have the row {row}");
}

#[test]
fn the_page_has_every_code() {
    for code in Code::ALL {
        let is_numbered = code.word().ends_with(|last: char| last.is_ascii_digit());
        let message = if is_numbered { format!("`{}`", code.message()) } else { "a sentence that helps".to_owned() };
        let more = match code {
            Code::GLOBAL_1001 => " with `Retry-After`; 500 for a defect of this service",
            Code::TOO_MANY_REQUESTS => " with `Retry-After`",
            _ => "",
        };
        assert_row([code.word().to_owned(), message, format!("{}{more}", code.status().as_u16())]);
    }
}

#[test]
fn the_page_has_every_refusal() {
    type CodeOf = fn(&Rules) -> Option<Code>;
    let rows: [(&str, CodeOf); 4] = [
        ("`{customerId}` is at another depth", |rules| Some(rules.out_of_scope)),
        ("an id that no live row has", |rules| Some(rules.unknown)),
        ("a live row that is not `{customerId}`'s, or not eligible", |rules| Some(rules.ineligible)),
        ("allocated to a live customer", |rules| rules.reference.as_ref().map(|reference| reference.in_use)),
    ];
    for (cause, refusal) in rows {
        let refusals = Resource::ALL.map(|resource| refusal(&resource.rules()).map_or("", Code::word).to_owned());
        assert_row([cause.to_owned()].into_iter().chain(refusals));
    }
}
