//! A service with something wrong about it, and what the doctor says of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use toml::Table;

use crate::process::{Ended, Folder, Settings};

/// Every secret of these tests has it in it, and nothing else does.
pub const CANARY: &str = "c4n4ry";

/// A service in a folder, with settings as a task of ECS has them. It is well until told otherwise.
pub struct Patient {
    pub folder: Folder,
    settings: BTreeMap<&'static str, String>,
    memory_kib: Option<u32>,
}

/// What the doctor said, in JSON.
pub struct Diagnosis {
    pub ended: Ended,
    pub findings: Vec<Value>,
}

impl Patient {
    pub fn new() -> Self {
        let key = format!("k1:{CANARY}{}", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYm");
        let patient = Self {
            folder: Folder::new(),
            settings: BTreeMap::new(),
            memory_kib: None,
        };
        patient
            .with("ENVIRONMENT", "staging")
            .with("ECS_CONTAINER_METADATA_URI_V4", "http://169.254.170.2/v4/x")
            .with("PORT", "8001")
            .with("PUBLIC_URL", "https://auth.example.org")
            .with("TRUSTED_PROXIES", "10.0.0.0/16")
            .with("MAIL_TRANSPORT", "simulation")
            .with("MAIL_FROM", "no-reply@example.org")
            .with("PASSWORD_HASH_THREADS", "1")
            .with("DATABASE_URL", "sqlite://./data/auth.db")
            .with("SECRET_KEYS", key)
    }

    /// With its accounts on this server. What is kept in Redis is kept in memory.
    pub fn on_postgres(url: impl Into<String>) -> Self {
        Self::new()
            .with("DATABASE_URL", url)
            .with("REDIS_URL", "memory:")
    }

    /// With what is kept in Redis kept there.
    pub fn on_redis(url: impl Into<String>) -> Self {
        Self::new().with("REDIS_URL", url)
    }

    /// With this setting; an empty one is unset.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.settings.insert(name, value.into());
        self
    }

    /// With so much memory for its processes.
    pub fn in_memory_of(self, kib: u32) -> Self {
        Self {
            memory_kib: Some(kib),
            ..self
        }
    }

    /// A subcommand with these settings.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        let settings = self.settings.iter();
        let settings: Vec<_> = settings.map(|(name, value)| (*name, &**value)).collect();
        match self.memory_kib {
            None => self.folder.run(arguments, &settings).await,
            Some(kib) => self.run_in_memory_of(kib, arguments, &settings),
        }
    }

    fn run_in_memory_of(&self, kib: u32, arguments: &[&str], settings: Settings<'_>) -> Ended {
        let script = format!("ulimit -v {kib}; exec \"$0\" \"$@\"");
        let ended = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_aidlc-auth")])
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        Ended {
            code: ended.status.code(),
            out: String::from_utf8(ended.stdout).unwrap(),
            err: String::from_utf8(ended.stderr).unwrap(),
        }
    }

    /// Sees the doctor.
    pub async fn sees_the_doctor(&self) -> Diagnosis {
        let ended = self.run(&["doctor", "--json"]).await;
        shows_no_secret(&ended);
        let findings: Value = serde_json::from_str(&ended.out).unwrap();
        let diagnosis = Diagnosis {
            findings: findings.as_array().unwrap().clone(),
            ended,
        };
        diagnosis.is_complete();
        diagnosis
    }

    /// This and nothing else fails, the evidence has these words, and people are told what to do.
    pub async fn fails(&self, code: &str, evidence: &str) {
        let diagnosis = self.sees_the_doctor().await;
        assert_eq!(diagnosis.codes("failed"), [code], "{}", diagnosis.brief());
        diagnosis.says(code, "failed", evidence);
        assert_eq!(diagnosis.ended.code, Some(1));
        self.is_told(code, "FAILED", Some(1)).await;
    }

    /// Nothing fails, and this is warned of.
    pub async fn warns(&self, code: &str, evidence: &str) {
        let diagnosis = self.sees_the_doctor().await;
        assert_eq!(diagnosis.codes("warning"), [code], "{}", diagnosis.brief());
        diagnosis.says(code, "warning", evidence);
        assert_eq!(diagnosis.ended.code, Some(0), "{:?}", diagnosis.ended);
        self.is_told(code, "warning", Some(0)).await;
    }

    /// In either language, by lines.
    async fn is_told(&self, code: &str, mark: &str, exit: Option<i32>) {
        for language in ["en", "ko"] {
            let ended = self.run(&["doctor", "--language", language]).await;
            shows_no_secret(&ended);
            assert_eq!(ended.code, exit, "{ended:?}");
            let first = ended.out.lines().next().unwrap();
            assert!(first.starts_with(mark) && first.contains(code), "{ended:?}");
            for words in ["what", "remedy"] {
                let words = catalogue()[code][language][words]
                    .as_str()
                    .unwrap()
                    .to_owned();
                assert!(ended.out.contains(&words), "{words} is not in {ended:?}");
            }
        }
    }
}

impl Diagnosis {
    /// The codes of all findings of a status, in order.
    pub fn codes(&self, status: &str) -> Vec<&str> {
        let found = self.findings.iter().filter(|it| it["status"] == status);
        found.map(|it| it["code"].as_str().unwrap()).collect()
    }

    /// Evidence of a finding.
    #[track_caller]
    pub fn says(&self, code: &str, status: &str, evidence: &str) {
        let is_it = |it: &&Value| {
            let said = it["evidence"].as_str().unwrap();
            it["code"] == code && it["status"] == status && said.contains(evidence)
        };
        let found = self.findings.iter().find(is_it);
        assert!(found.is_some(), "{code} {evidence}: {}", self.brief());
    }

    /// For when something else was expected.
    fn brief(&self) -> String {
        let lines = self.findings.iter();
        let lines =
            lines.map(|it| format!("{} {}: {}\n", it["status"], it["code"], it["evidence"]));
        lines.collect()
    }

    /// Each finding has all that one has, in the words of the catalogue.
    fn is_complete(&self) {
        let catalogue = catalogue();
        for finding in &self.findings {
            let entry = &catalogue[finding["code"].as_str().unwrap()];
            let number = entry.get("number").and_then(toml::Value::as_integer);
            assert_eq!(finding["number"].as_i64(), number, "{finding}");
            for words in ["what", "remedy"] {
                for language in ["en", "ko"] {
                    let written = entry[language][words].as_str();
                    assert_eq!(finding[words][language].as_str(), written, "{finding}");
                }
            }
            let evidence = finding["evidence"].as_str().unwrap();
            assert!(
                !evidence.is_empty() && !evidence.contains('\n'),
                "{finding}"
            );
        }
    }
}

#[track_caller]
fn shows_no_secret(ended: &Ended) {
    assert!(!ended.out.contains(CANARY), "{}", ended.out);
    assert!(!ended.err.contains(CANARY), "{}", ended.err);
    assert!(!ended.err.contains("panicked"), "{}", ended.err);
}

/// `deploy/failures.toml`.
pub fn catalogue() -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/failures.toml");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}
