//! The invariants of the source that no compiler holds, as rules over its text.
//!
//! Each rule is a function from a file to what is wrong with it; each test also feeds its rule a bad
//! snippet, so that a rule that can find nothing fails.

use std::fs;
use std::path::Path;

/// A file, by its path from the root of the project.
struct File {
    path: String,
    text: String,
}

impl File {
    fn planted(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }

    fn is_under(&self, place: &str) -> bool {
        // A module is its file and its folder.
        self.path == format!("{place}.rs") || self.path.starts_with(&format!("{place}/"))
    }

    /// Lines of code outside tests, with their numbers; comments and the words in strings left out.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        let is_test_file = self.path.ends_with("/tests.rs") || self.path.starts_with("tests/");
        let lines = self.text.lines().enumerate();
        // Our test modules are the last thing in their file.
        lines
            .take_while(move |(_, line)| !is_test_file && *line != "#[cfg(test)]")
            .map(|(at, line)| (at + 1, without_words(line)))
    }

    /// Every place where `is_wrong` finds something in a line of code.
    fn wrong_lines(&self, is_wrong: impl Fn(&str) -> bool) -> Vec<String> {
        let wrong = self.code().filter(|(_, line)| is_wrong(line));
        wrong
            .map(|(at, line)| format!("{}:{at}: {}", self.path, line.trim()))
            .collect()
    }
}

/// A line without its comment and without what stands between quotes.
fn without_words(line: &str) -> String {
    let mut code = String::new();
    let mut is_quoted = false;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if is_quoted => drop(rest.next()),
            // A quote between apostrophes is a character.
            '"' if !code.ends_with('\'') || is_quoted => is_quoted = !is_quoted,
            '/' if !is_quoted && rest.peek() == Some(&'/') => break,
            c if !is_quoted => code.push(c),
            _ => {}
        }
    }
    code
}

/// Whether a line names a crate or a module, and not only a word that contains it.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn files_under(folder: &str, ending: &str) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                found.push(File {
                    path: name.to_owned(),
                    text: fs::read_to_string(&path).unwrap(),
                });
            }
        }
    }
    assert!(!found.is_empty(), "{folder} has no {ending}");
    found
}

fn sources() -> Vec<File> {
    files_under("src", ".rs")
}

/// Holds a rule over files, after it has caught what was planted.
#[track_caller]
fn hold(rule: impl Fn(&File) -> Vec<String>, files: &[File], planted: &[File]) {
    for bad in planted {
        assert!(!rule(bad).is_empty(), "the rule does not see: {}", bad.text);
    }
    let wrong: Vec<String> = files.iter().flat_map(rule).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What a noun may not know. `serde` and `utoipa` are not here: their derives say how a noun is
/// written down, which the noun itself knows best, and pull in nothing of the world.
const NOT_IN_MODEL: &[&str] = &[
    "tokio",
    "axum",
    "hyper",
    "tower",
    "tower_http",
    "rusqlite",
    "lettre",
    "tracing",
    "reqwest",
    "redis",
    "tokio_postgres",
    "async",
    "await",
];

#[test]
fn the_model_is_pure() {
    let rule = |file: &File| {
        if !file.is_under("src/model") {
            return Vec::new();
        }
        let world = [
            "crate::store",
            "crate::http",
            "crate::mail",
            "crate::app",
            "std::fs",
            "std::net::Tcp",
        ];
        file.wrong_lines(|line| {
            NOT_IN_MODEL.iter().any(|name| names(line, name))
                || world.iter().any(|name| line.contains(name))
        })
    };
    let planted = [
        "use tokio::sync::Mutex;",
        "pub async fn find() {}",
        "    tracing::info!(\"told\");",
        "use crate::store::Users;",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/model/user.rs", text)),
    );
}

#[test]
fn only_the_stores_speak_sql() {
    let rule = |file: &File| {
        if file.is_under("src/store") {
            return Vec::new();
        }
        let drivers = ["rusqlite", "tokio_postgres", "deadpool_postgres", "redis"];
        let mut wrong = file.wrong_lines(|line| {
            drivers
                .iter()
                .any(|driver| line.contains(&format!("{driver}::")))
        });
        // SQL stands in strings, so the whole line is looked at.
        let statements = [
            "SELECT ",
            "INSERT INTO ",
            "INSERT OR ",
            "DELETE FROM ",
            "PRAGMA ",
        ];
        let lines = file.text.lines().enumerate();
        let sql = lines.filter(|(_, line)| statements.iter().any(|word| line.contains(word)));
        wrong.extend(sql.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim())));
        wrong
    };
    let planted = [
        "use rusqlite::Connection;",
        "let all = \"SELECT * FROM users\";",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/auth/login.rs", text)),
    );
}

#[test]
fn only_mail_speaks_smtp() {
    let rule = |file: &File| {
        if file.is_under("src/mail") {
            return Vec::new();
        }
        file.wrong_lines(|line| names(line, "lettre"))
    };
    hold(
        rule,
        &sources(),
        &[File::planted(
            "src/work/send_mail.rs",
            "use lettre::Message;",
        )],
    );
}

#[test]
fn only_mail_speaks_to_ses() {
    let rule = |file: &File| {
        if file.is_under("src/mail") {
            return Vec::new();
        }
        // What SES understands stands in strings, so the whole line is looked at.
        let words = [
            "/v2/email/",
            "FromEmailAddress",
            "bouncedRecipients",
            "ses::Ses",
        ];
        let lines = file.text.lines().enumerate();
        let ses = lines.filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        ses.map(|(at, line)| format!("{}:{}: {}", file.path, at + 1, line.trim()))
            .collect()
    };
    let planted = [
        "let path = \"/v2/email/account\";",
        "use crate::mail::ses::Ses;",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/work/send_mail.rs", text)),
    );
}

#[test]
fn only_aws_speaks_to_aws() {
    let rule = |file: &File| {
        if file.is_under("src/aws") {
            return Vec::new();
        }
        let crates = [
            "aws_config::",
            "aws_credential_types::",
            "aws_sigv4::",
            "aws_smithy_",
            "aws_types::",
            "hyper_rustls::",
        ];
        file.wrong_lines(|line| crates.iter().any(|name| line.contains(name)))
    };
    hold(
        rule,
        &sources(),
        &[File::planted(
            "src/store/postgres.rs",
            "use aws_config::SdkConfig;",
        )],
    );
}

#[test]
fn no_story_imports_a_story() {
    const PLACES: [&str; 3] = ["src/auth/", "src/profile/", "src/pages/"];
    let stories: Vec<(String, String)> = sources()
        .iter()
        .filter_map(|file| {
            let place = PLACES.iter().find(|place| file.path.starts_with(**place))?;
            let module = place.trim_start_matches("src/").trim_end_matches('/');
            let story = file.path[place.len()..].strip_suffix(".rs")?;
            Some((module.to_owned(), story.to_owned()))
        })
        .collect();
    assert!(stories.len() > 5, "{stories:?}");
    let rule = |file: &File| {
        if !PLACES.iter().any(|place| file.path.starts_with(place)) {
            return Vec::new();
        }
        file.wrong_lines(|line| {
            stories.iter().any(|(module, story)| {
                let by_name = format!("{module}::{story}");
                let beside = format!("super::{story}");
                (names(line, &by_name) || names(line, &beside))
                    && !file.path.ends_with(&format!("/{module}/{story}.rs"))
            })
        })
    };
    let planted = [
        "use crate::auth::login::Login;",
        "use super::register::Register;",
        "auth::login::post();",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/auth/resend.rs", text)),
    );
}

#[test]
fn every_file_says_what_lives_in_it() {
    let rule = |file: &File| {
        let said = file
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .count();
        match said {
            1..=6 => Vec::new(),
            _ => vec![format!("{} opens with {said} lines of //!", file.path)],
        }
    };
    let mut files = sources();
    files.extend(files_under("tests", ".rs"));
    hold(
        rule,
        &files,
        &[File::planted("src/a.rs", "use std::fs;\n//! Late.")],
    );
}

#[test]
fn files_stay_readable() {
    const LINES_MAX: usize = 600;
    let rule = |file: &File| {
        let lines = file.text.lines().count();
        let is_long = lines > LINES_MAX;
        is_long
            .then(|| format!("{} has {lines} lines", file.path))
            .into_iter()
            .collect()
    };
    let long = "fn f() {}\n".repeat(LINES_MAX + 1);
    hold(rule, &sources(), &[File::planted("src/a.rs", &long)]);

    let mut lengths: Vec<_> = sources()
        .iter()
        .map(|file| file.text.lines().count())
        .collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        (60..=180).contains(&median),
        "the median file has {median} lines"
    );
}

#[test]
fn nothing_gives_up_or_was_forgotten() {
    let rule = |file: &File| {
        file.wrong_lines(|line| {
            let forgotten = [
                "todo!",
                "unimplemented!",
                "dbg!",
                ".unwrap()",
                ".unwrap_err()",
                "println!(\"{:?}",
            ];
            let quiet = line.contains("#[allow(") || line.contains("#![allow(");
            let late = line.contains(".expect(\"\")");
            quiet || late || forgotten.iter().any(|what| line.contains(what))
        })
    };
    let planted = [
        "    let user = find().unwrap();",
        "    todo!()",
        "    dbg!(user);",
        "#[allow(dead_code)]",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/a.rs", text)),
    );
}

#[test]
fn what_is_expected_is_expected_for_a_reason() {
    let rule = |file: &File| {
        let mut wrong = Vec::new();
        for (at, _) in file.text.match_indices("#[expect(") {
            let attribute = &file.text[at..];
            let end = attribute.find(")]").unwrap_or(attribute.len());
            if !attribute[..end].contains("reason") {
                wrong.push(format!("{}: {}", file.path, &attribute[..end]));
            }
        }
        wrong
    };
    hold(
        rule,
        &sources(),
        &[File::planted("src/a.rs", "#[expect(dead_code)]\nfn f() {}")],
    );
}

#[test]
fn names_say_what_things_are() {
    let rule = |file: &File| {
        file.wrong_lines(|line| {
            let defined = ["struct ", "enum ", "trait ", "fn ", "mod ", "type "];
            let defined = defined.iter().find_map(|kind| line.split_once(kind));
            let name = defined.map(|(_, rest)| {
                rest.split(|c: char| !c.is_alphanumeric() && c != '_')
                    .next()
            });
            let Some(Some(name)) = name else { return false };
            let vague = ["Manager", "Helper", "Util", "Service", "Impl"];
            vague.iter().any(|word| name.ends_with(word))
                || name.starts_with("handle_")
                || name == "utils"
        })
    };
    let planted = [
        "pub struct UserManager;",
        "fn handle_login() {}",
        "mod utils;",
        "struct MailService {",
    ];
    hold(
        rule,
        &sources(),
        &planted.map(|text| File::planted("src/a.rs", text)),
    );
}

#[test]
fn every_dependency_says_what_for() {
    let rule = |file: &File| {
        let mut wrong = Vec::new();
        let (mut is_dependency, mut is_headed) = (false, false);
        for line in file.text.lines() {
            if line.starts_with('[') {
                is_dependency = line.ends_with("dependencies]");
                is_headed = false;
            } else if line.starts_with('#') {
                is_headed = true;
            } else if line.is_empty() {
                is_headed = false;
            } else if is_dependency && !is_headed && !line.contains(" # ") {
                wrong.push(format!("{}: {line}", file.path));
            }
        }
        wrong
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest = [File::planted(
        "Cargo.toml",
        &fs::read_to_string(path).unwrap(),
    )];
    let planted = "[dependencies]\n# of the world\naxum = \"0.8\"\n\nleft-pad = \"1\"\n";
    hold(rule, &manifest, &[File::planted("Cargo.toml", planted)]);
}

#[test]
fn the_frame_holds_what_compilers_can() {
    for path in ["src/main.rs", "src/lib.rs"] {
        let file = sources()
            .into_iter()
            .find(|file| file.path == path)
            .unwrap();
        assert!(file.text.contains("#![forbid(unsafe_code)]"), "{path}");
    }
    let bans =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("clippy.toml")).unwrap();
    for ban in [
        "jiff::Timestamp::now",
        "SystemTime::now",
        "SystemRandom::new",
    ] {
        let line = bans.lines().find(|line| line.contains(ban));
        assert!(
            line.is_some_and(|line| line.contains("reason = ")),
            "{ban} is not banned"
        );
    }
}

#[test]
fn words_and_comments_are_no_code() {
    assert_eq!(
        without_words(r#"let a = "use tokio"; // tokio"#),
        "let a = ; "
    );
    assert_eq!(
        without_words(r#"let a = "\"tokio\"" + b;"#),
        "let a =  + b;"
    );
    assert_eq!(without_words(r#"'"' => tokio"#), r#"'"' => tokio"#);
    assert!(names("use tokio::x", "tokio") && !names("use tokio_x::y", "tokio"));
}

#[test]
fn documents_link_to_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rule = |file: &File| {
        let folder = Path::new(&file.path).parent().unwrap();
        let leads_nowhere = |link: &&str| {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => root.join(&file.path),
                path => root.join(folder).join(path),
            };
            let is_there = match heading {
                "" => target.exists(),
                heading => fs::read_to_string(target)
                    .is_ok_and(|text| text.lines().any(|line| anchor(line) == heading)),
            };
            !is_there
        };
        let links = file.text.split("](").skip(1);
        let links = links.filter_map(|rest| Some(rest.split_once(')')?.0));
        links
            .filter(|link| !link.contains("://"))
            .filter(leads_nowhere)
            .map(|link| format!("{}: {link}", file.path))
            .collect()
    };
    let documents: Vec<_> = ["docs", "deploy", "benches"]
        .iter()
        .flat_map(|folder| files_under(folder, ".md"))
        .chain(
            [
                "README.md",
                "README.ko.md",
                "ARCHITECTURE.md",
                "CONTRIBUTING.md",
                "SECURITY.md",
            ]
            .map(|path| File::planted(path, &fs::read_to_string(root.join(path)).unwrap())),
        )
        .collect();
    let planted = [
        "[a](nowhere.md)",
        "[a](../README.md#no-such-heading)",
        "[a](#none)",
    ];
    hold(
        rule,
        &documents,
        &planted.map(|text| File::planted("docs/page.md", text)),
    );
}

/// A heading as links name it: its letters and digits, hyphens for spaces.
fn anchor(line: &str) -> String {
    if !line.starts_with('#') {
        return String::new();
    }
    let words = line.trim_start_matches('#').trim().to_lowercase();
    let kept = words
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
