//! Turns `messages.{ko,en}.toml` into a struct with two values, so that a message missing in one
//! language, or used but never written, does not compile.

use std::fmt::Write as _;

type Table = toml::Table;

fn main() {
    let ko = read("messages.ko.toml");
    let en = read("messages.en.toml");
    let mut code = String::new();
    structs(&mut code, "Messages", &en);
    values(&mut code, "KO", &ko, &en);
    values(&mut code, "EN", &en, &ko);
    let folder = std::env::var("OUT_DIR").expect("cargo names the folder");
    std::fs::write(format!("{folder}/messages.rs"), code).expect("the folder is writable");
}

fn read(path: &str) -> Table {
    println!("cargo::rerun-if-changed={path}");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One struct for the file, one for each section in it.
fn structs(code: &mut String, name: &str, table: &Table) {
    let mut sections = String::new();
    let mut fields = String::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                let section_name = format!("{}{name}", camel(key));
                structs(&mut sections, &section_name, section);
                writeln!(fields, "    pub {key}: {section_name},")
            }
            _ => writeln!(fields, "    pub {key}: &'static str,"),
        }
        .expect("a string can be written to");
    }
    write!(
        code,
        "{sections}\n#[derive(Debug)]\npub struct {name} {{\n{fields}}}\n"
    )
    .expect("a string can be written to");
}

fn values(code: &mut String, constant: &str, table: &Table, other: &Table) {
    let literal = literal("Messages", table, other, constant);
    writeln!(code, "pub static {constant}: Messages = {literal};")
        .expect("a string can be written to");
}

fn literal(name: &str, table: &Table, other: &Table, language: &str) -> String {
    for key in other.keys() {
        assert!(
            table.contains_key(key),
            "{language}: the message `{key}` of {name} is missing"
        );
    }
    let mut text = format!("{name} {{ ");
    for (key, value) in table {
        match value {
            toml::Value::Table(section) => {
                let there = other.get(key).and_then(toml::Value::as_table);
                let there = there.unwrap_or_else(|| panic!("[{key}] is not in both languages"));
                let section_name = format!("{}{name}", camel(key));
                write!(
                    text,
                    "{key}: {}, ",
                    literal(&section_name, section, there, language)
                )
            }
            toml::Value::String(words) => write!(text, "{key}: {words:?}, "),
            _ => panic!("{language}: `{key}` is not a text"),
        }
        .expect("a string can be written to");
    }
    text + "}"
}

fn camel(key: &str) -> String {
    key.split('_')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
        })
        .collect()
}
