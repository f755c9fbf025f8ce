//! Holds the arrows between the rooms: what each may use, and nothing more.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Each room with the rooms it may use. The order is that of ARCHITECTURE.md: a room uses only rooms above it.
const ROOMS: [(&str, &[&str]); 12] = [
    ("domain", &[]),
    ("config", &["domain"]),
    ("net", &["domain"]),
    ("market", &["domain", "net"]),
    ("llm", &["domain", "net"]),
    ("exchange", &["domain", "net"]),
    ("store", &["domain"]),
    ("world", &["domain"]),
    ("desk", &["domain", "config", "net", "market", "llm", "exchange", "store"]),
    ("evaluation", &["domain", "config", "net", "market", "llm", "exchange", "store", "desk", "world"]),
    ("console", &["domain", "config"]),
    (
        "cli",
        &[
            "domain",
            "config",
            "net",
            "market",
            "llm",
            "exchange",
            "store",
            "world",
            "desk",
            "evaluation",
            "console",
        ],
    ),
];

fn rust_files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The rooms a source text names as `crate::room`, inside braces too.
fn rooms_named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        if text[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        let list = rest.strip_prefix('{').map_or(rest, |inner| inner.split('}').next().unwrap_or(inner));
        let names = if rest.starts_with('{') { list.split(',').collect() } else { vec![list] };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|character| character.is_ascii_lowercase() || *character == '_')
                .collect();
            named.insert(name);
        }
    }
    named
}

#[test]
fn every_room_uses_only_the_rooms_it_may() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for (room, allowed) in ROOMS {
        let folder = source.join(room);
        if !folder.exists() {
            continue;
        }
        let mut files = Vec::new();
        rust_files(&folder, &mut files);
        assert!(!files.is_empty(), "{room} is empty");
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for used in rooms_named(&text) {
                let is_room = ROOMS.iter().any(|(name, _)| *name == used);
                if is_room && used != room && !allowed.contains(&used.as_str()) {
                    broken.push(format!("{} uses {used}", file.display()));
                }
            }
        }
    }
    assert!(broken.is_empty(), "arrows against the architecture:\n{}", broken.join("\n"));
}

#[test]
fn every_folder_in_src_is_a_room() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().into_string().unwrap();
            assert!(ROOMS.iter().any(|(room, _)| *room == name), "{name} is not in the map");
        }
    }
}

#[test]
fn the_reader_of_arrows_sees_plain_and_braced_uses() {
    let text =
        "use crate::desk::cycle;\nuse crate::{world, net::Transport};\n// crate::console is only mentioned\n";
    let expected: BTreeSet<String> = ["desk", "net", "world"].map(String::from).into();
    assert_eq!(rooms_named(text), expected);
}
