//! The commands in docs/certificates.md print what stands under them.

use std::path::Path;
use std::process::Command;

/// Runs a command line of the shell in the root of the repository, with the program on the path.
fn shell(line: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = Path::new(env!("CARGO_BIN_EXE_bilevel"));
    let folder = program.parent().unwrap_or(root.as_path());
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh").args(["-c", line]).current_dir(&root).env("PATH", path).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[cfg(unix)]
#[test]
fn commands_print_what_the_guide_shows() {
    let text = include_str!("../../../docs/certificates.md");
    let mut commands = 0;
    for block in text.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        let mut lines = block.lines();
        let Some(command) = lines.next().and_then(|line| line.strip_prefix("$ ")) else {
            panic!("a block does not begin with a command: {block}");
        };
        let printed = shell(command);
        let mut rest = printed.as_str();
        for line in lines {
            // The guide may leave out lines, and the ends of lines.
            let Some(at) = rest.find(line) else { panic!("`{command}` does not print `{line}` but\n{printed}") };
            rest = &rest[at + line.len()..];
        }
        commands += 1;
    }
    assert!(commands >= 6, "{commands} commands in the guide");
}
