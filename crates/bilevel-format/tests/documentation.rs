//! The examples of docs/file-format.md are read, and its tables are complete.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use bilevel::expr::parse::function_names;
use bilevel_format::from_bytes;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    std::fs::read_to_string(root().join("docs/file-format.md")).unwrap()
}

/// The code blocks of the page with what follows their opening fence.
fn blocks(page: &str) -> Vec<(String, String)> {
    page.split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.split_once('\n').unwrap())
        .map(|(a, b)| (a.into(), b.into()))
        .collect()
}

/// A fragment with the tables that it does not have.
fn completed(fragment: &str) -> String {
    let mut text = fragment.to_string();
    for (table, content) in
        [("[follower]", "y = \"in [0, 1]\""), ("[upper]", "minimize = '0'"), ("[lower]", "minimize = '0'")]
    {
        if !text.contains(table) {
            text += &format!("\n{table}\n{content}\n");
        }
    }
    text
}

#[test]
fn every_example_is_read() {
    let page = page();
    let mut count = 0;
    for (kind, text) in blocks(&page) {
        let text = match kind.as_str() {
            "toml" => text,
            "toml fragment" => completed(&text),
            _ => continue,
        };
        from_bytes("docs/file-format.md", text.as_bytes(), &root().join("problems"), &[])
            .unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"));
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

#[test]
fn the_mistake_is_shown_as_printed() {
    let page = page();
    let blocks = blocks(&page);
    let find = |kind: &str| blocks.iter().find(|(k, _)| k == kind).map(|(_, text)| text.trim_end()).unwrap();
    let mistakes = from_bytes("example.toml", find("toml broken").as_bytes(), &root(), &[]).unwrap_err();
    assert_eq!(mistakes.to_string(), find("text"));
}

/// Every text of a variable in the table is read.
#[test]
fn every_set_of_the_table_is_read() {
    let page = page();
    let mut count = 0;
    for line in page.lines().filter(|line| line.starts_with("| `\"")) {
        for text in line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            let file = format!(
                "[constants]\nA = [[1, 2], [3, 4]]\nb = [3, 7]\n[data.train]\nfile = \"data/diabetes.csv\"\n[follower]\ny = {text}\n[upper]\nminimize = '0'\n[lower]\nminimize = '0'\n"
            );
            from_bytes("p.toml", file.as_bytes(), &root().join("problems"), &[]).unwrap_or_else(|m| panic!("{m}"));
            count += 1;
        }
    }
    assert!(count >= 14, "{count}");
}

#[test]
fn every_function_and_option_is_documented() {
    let page = page();
    for name in function_names() {
        let documented = page.contains(&format!("`{name}`")) || page.contains(&format!("`{name}("));
        assert!(documented, "{name}");
    }
    for name in bilevel::smooth::names() {
        assert!(page.contains(&format!("`\"{name}\"`")), "{name}");
    }
}
