//! Reads the names of tests from source text, so that claims about them can be tested.

use std::{fs, path::Path};

/// All source files below a folder of the workspace: where each is, and what it says.
pub(crate) fn sources(folder: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut found);
    found.sort();
    found
}

/// The names of all test functions in this source.
pub(crate) fn tests(source: &str) -> Vec<&str> {
    let mut is_test = false;
    let mut names = Vec::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            continue;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some((name, _)) = function.and_then(|rest| rest.split_once('(')).filter(|_| is_test) {
            names.push(name);
        }
        is_test &= line.is_empty() || line.starts_with("//");
    }
    names
}

/// The numbers that a name begins with after `rs_`: `rs_001_002`, `rs_001_and_002`, `rs_001_to_003`.
pub(crate) fn rules(name: &str) -> Vec<u16> {
    let mut found: Vec<u16> = Vec::new();
    let mut words = name.strip_prefix("rs_").unwrap_or_default().split('_').peekable();
    while let Some(word) = words.next() {
        match (word, word.parse::<u16>()) {
            ("and", _) => {}
            ("to", _) => {
                let last = words.next().and_then(|word| word.parse().ok()).unwrap();
                found.extend(found.last().unwrap() + 1..=last);
            }
            (_, Ok(rule)) if word.len() == 3 => found.push(rule),
            _ => break,
        }
    }
    found
}

#[test]
fn names_are_read_as_they_are_meant() {
    let source = "#[test]\nfn rs_001_a() {}\nfn rs_002_b() {}\n#[tokio::test(start_paused = true)]\n\
        async fn rs_003_and_004_to_006_c() {}\n#[allow(x)]\nfn rs_007() {}";
    assert_eq!(tests(source), ["rs_001_a", "rs_003_and_004_to_006_c"]);
    assert_eq!(rules("rs_003_and_004_to_006_c"), [3, 4, 5, 6]);
    assert_eq!(rules("rs_013_014_016_1_thing"), [13, 14, 16]);
    assert_eq!(rules("other_013"), [0; 0]);
}

#[test]
fn every_file_here_is_part_of_the_binary() {
    let files = sources("tests/it");
    for (path, _) in &files {
        let path = Path::new(path);
        let (name, folder) = (path.file_stem().unwrap().to_str().unwrap(), path.parent().unwrap());
        let (name, parent) = match name {
            "main" => continue,
            "mod" => (folder.file_name().unwrap().to_str().unwrap(), folder.parent().unwrap()),
            name => (name, folder),
        };
        let root = files.iter().find(|(file, _)| {
            [parent.join("main.rs"), parent.join("mod.rs")].iter().any(|root| root.to_str() == Some(file))
        });
        let (_, text) = root.unwrap();
        let declared = text.lines().any(|line| line.trim().ends_with(&format!("mod {name};")));
        assert!(declared, "nobody mods {}: it is not a test", path.display());
    }
}
