//! Reads files of cases, and tells all that is wrong with one at once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::spelling::{self, hint};
use super::{Case, File, Or};
use crate::client::failure::Failure;

/// Reads every `*.toml` of a directory, by name, or the one file that `path` is.
pub fn read_all(path: &Path) -> Result<Vec<File>, Failure> {
    let files = list(path)?;
    let mut read = Vec::with_capacity(files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).map_err(|error| Failure::file("read", &file, &error))?;
        match parse(&file, &text) {
            Ok(file) => read.push(file),
            Err(mistakes) => wrong.extend(mistakes),
        }
    }
    if wrong.is_empty() { Ok(read) } else { Err(Failure::Several(wrong)) }
}

fn list(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failure::file("read", path, &error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Failure::Usage(format!(
            "{} has no cases (*.toml); docs/policies.md shows one",
            path.display()
        )));
    }
    Ok(files)
}

/// Reads one file, or says what is wrong with it: `file:line: what`.
fn parse(path: &Path, text: &str) -> Result<File, Vec<String>> {
    let place = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        format!("{}:{}", path.display(), before.matches('\n').count() + 1)
    };
    let told = |error: &toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start);
        vec![format!("{}: {}", place(offset), error.message())]
    };
    let table = DeTable::parse(text).map_err(|error| told(&error))?;
    let mut misspelt = Vec::new();
    spelling::check(&spelling::FILE, "", table.get_ref(), &mut misspelt);
    if !misspelt.is_empty() {
        return Err(misspelt
            .into_iter()
            .map(|(at, said)| format!("{}: {said}", place(at)))
            .collect());
    }
    let mut file: File = toml::from_str(text).map_err(|error| told(&error))?;
    path.clone_into(&mut file.path);
    let wrong = check(&file);
    if wrong.is_empty() { Ok(file) } else { Err(wrong) }
}

/// What cannot be meant, though each part of it could.
fn check(file: &File) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut earlier: BTreeSet<&str> = BTreeSet::new();
    let callers: Vec<&str> = file.callers.keys().map(String::as_str).collect();
    for case in &file.cases {
        let mut say = |what: String| {
            wrong.push(format!("{}: case \"{}\": {what}", file.path.display(), case.name));
        };
        if let Some(Or::Short(name)) = &case.caller
            && !file.callers.contains_key(name)
        {
            say(format!("`callers` has no `{name}`; {}", hint(name, &callers)));
        }
        for what in check_payload(case, &earlier).into_iter().chain(check_expect(case)) {
            say(what);
        }
        if !earlier.insert(&case.name) {
            say("another case of this file has this name".into());
        }
    }
    if let Some(name) = file.properties.as_ref().and_then(|it| it.caller.as_ref())
        && !file.callers.contains_key(name)
    {
        let hint = hint(name, &callers);
        let path = file.path.display();
        wrong.push(format!("{path}: `properties.caller`: `callers` has no `{name}`; {hint}"));
    }
    wrong
}

fn check_payload(case: &Case, earlier: &BTreeSet<&str>) -> Vec<String> {
    let Some(payload) = &case.payload else {
        let invoked = case.operation.starts_with("invoke/");
        let refused = case.expect.refuse.is_some();
        let missing = invoked && !refused;
        return missing.then(|| "an `invoke/…` needs a `payload`".into()).into_iter().collect();
    };
    let given = [
        payload.text.is_some(),
        payload.json.is_some(),
        payload.base64.is_some(),
        payload.file.is_some(),
        payload.output_of.is_some(),
    ];
    let mut wrong = Vec::new();
    if given.iter().filter(|given| **given).count() != 1 {
        wrong.push("`payload` is one of `text`, `json`, `base64`, `file` and `output_of`".into());
    }
    if let Some(of) = &payload.output_of
        && !earlier.contains(of.as_str())
    {
        let known: Vec<&str> = earlier.iter().copied().collect();
        wrong.push(format!("`output_of`: no earlier case is \"{of}\"; {}", hint(of, &known)));
    }
    wrong
}

fn check_expect(case: &Case) -> Vec<String> {
    let expect = &case.expect;
    let mut wrong = Vec::new();
    if expect.allow.is_some() == expect.refuse.is_some() {
        wrong.push("`expect` has either `allow` or `refuse`".to_owned());
    }
    if let Some(Or::Short(false)) = expect.allow {
        wrong.push("instead of `allow = false` say `refuse = \"denied\"`, or another kind".into());
    }
    if expect.refuse.is_some() && (expect.output.is_some() || expect.fails.is_some()) {
        wrong.push("what is refused has neither `output` nor `fails`".into());
    }
    if expect.output.is_some() && expect.fails.is_some() {
        wrong.push("`expect` has either `output` or `fails`".into());
    }
    match &expect.output {
        Some(Or::Short(word)) if word != "any" => {
            wrong.push("`output` is \"any\", or a table such as { text = … }".into());
        }
        Some(Or::Long(output)) => {
            let given = [
                output.text.is_some(),
                output.base64.is_some(),
                output.json.is_some(),
                output.includes.is_some(),
            ];
            if given.iter().filter(|given| **given).count() > 1 {
                wrong.push("`output` is one of `text`, `base64`, `json` and `includes`".into());
            }
        }
        _ => {}
    }
    if let Some(kind) = match &expect.refuse {
        Some(Or::Short(kind)) => Some(kind),
        Some(Or::Long(refusal)) => refusal.kind.as_ref(),
        None => None,
    } && !KINDS.contains(&kind.as_str())
    {
        wrong.push(format!("there is no refusal `{kind}`; {}", hint(kind, &KINDS)));
    }
    wrong
}

/// The contract's errors.
const KINDS: [&str; 5] = ["denied", "invalid", "not-found", "conflict", "unavailable"];

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> Vec<String> {
        parse(Path::new("cases/a.toml"), text).unwrap_err()
    }

    const CASE: &str = "[[case]]\nname = \"a\"\noperation = \"encrypt\"\n";

    #[test]
    fn every_misspelt_key_is_told_with_the_one_that_was_meant() {
        let text = "tenent = \"acme\"\n[keys.a]\nalgoritm = \"x\"\n[[case]]\nnam = \"a\"\n\
                    opration = \"encrypt\"\nexpect = { alow = true, cals = {} }\n\
                    [[case]]\npayload = { jsn = 1 }\n\
                    expect = { calls = { \"sealing.encrpyt\" = 1 } }\n";
        let said = wrong(text);
        for (line, meant) in [
            (1, "tenant"),
            (3, "algorithm"),
            (5, "name"),
            (6, "operation"),
            (7, "allow"),
            (7, "calls"),
            (9, "json"),
            (10, "sealing.encrypt"),
        ] {
            let place = format!("cases/a.toml:{line}:");
            let hint = format!("did you mean `{meant}`?");
            let found = said.iter().any(|said| said.starts_with(&place) && said.contains(&hint));
            assert!(found, "{place} {hint} is not in {said:#?}");
        }
        assert_eq!(said.len(), 8, "{said:#?}");
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (text, expected) in [
            ("x", "cases/a.toml:1:"),
            (CASE, "missing field `expect`"),
            (&format!("{CASE}expect = {{}}"), "either `allow` or `refuse`"),
            (&format!("{CASE}expect = {{ allow = false }}"), "refuse = \"denied\""),
            (&format!("{CASE}expect = {{ allow = 1 }}"), "a boolean"),
            (&format!("{CASE}expect = {{ refuse = \"denid\" }}"), "did you mean `denied`?"),
            (
                &format!("{CASE}expect = {{ allow = true, output = \"all\" }}"),
                "`output` is \"any\"",
            ),
            (&format!("{CASE}caller = \"me\"\nexpect = {{ allow = true }}"), "has no `me`"),
            (
                &format!("{CASE}payload = {{ output_of = \"b\" }}\nexpect = {{ allow = true }}"),
                "no earlier case is \"b\"",
            ),
            ("[keys.a]\nalgorithm = \"aes-256-gmc\"", "did you mean `aes-256-gcm`?"),
            ("[keys.a]\nalgorithm = \"best\"", "there are `xaes-256-gcm`, `aes-256-gcm`"),
        ] {
            let said = wrong(text);
            assert!(said.iter().any(|said| said.contains(expected)), "{expected}: {said:?}");
        }
    }
}
