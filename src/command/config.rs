//! `aidlc-auth config`: what is set, to what, and where that came from.

use std::io::{self, Write};

use crate::config::Config;
use crate::telemetry::Escaped;

/// Prints every setting with its value and source; secrets stay hidden.
pub fn print(config: &Config, out: &mut impl Write) -> io::Result<()> {
    let settings = config.settings();
    let width = settings
        .iter()
        .map(|setting| setting.key.len())
        .max()
        .unwrap_or_default();
    for setting in settings {
        let shown = setting.shown.as_deref().unwrap_or("(not set)");
        let (key, shown) = (setting.key, Escaped::words(shown));
        writeln!(out, "{key:width$} = {shown}  [{}]", setting.source)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn printed(env: &[(&str, &str)], file: &str) -> String {
        let env = env
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        let config = Config::load(env, Some((Path::new("auth.toml"), file))).unwrap();
        let mut out = Vec::new();
        print(&config, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn line<'a>(printed: &'a str, key: &str) -> &'a str {
        let is_key = |line: &&str| line.split(' ').next() == Some(key);
        printed
            .lines()
            .find(is_key)
            .unwrap_or_else(|| panic!("{key} is not printed"))
    }

    #[test]
    fn secrets_are_not_printed() {
        let key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
        let out = printed(
            &[
                ("SMTP_URL", "smtp://ada:hunter2@mail.example.org:587"),
                ("SECRET_KEYS", &format!("k1:{key}")),
            ],
            "",
        );
        assert!(!out.contains("hunter2") && !out.contains(key), "{out}");
        assert!(
            line(&out, "smtp_url").ends_with("= smtp://***@mail.example.org:587  [environment]")
        );
        assert!(line(&out, "secret_keys").ends_with("= (set, hidden)  [environment]"));
    }

    #[test]
    fn each_value_is_printed_with_its_source() {
        let out = printed(
            &[("PORT", "9000")],
            "\nmax_sessions = 7\nsmtp_ca_file = \"a\\u001bb\"",
        );
        assert!(line(&out, "port").ends_with("= 9000  [environment]"));
        assert!(line(&out, "max_sessions").ends_with("= 7  [auth.toml:2]"));
        assert!(line(&out, "smtp_ca_file").ends_with("= a\\u{1b}b  [auth.toml:3]"));
        assert!(line(&out, "public_url").ends_with("= http://localhost:9000  [default]"));
        assert!(line(&out, "cors_origins").ends_with("= (not set)  [default]"));
        assert!(line(&out, "redis_url").ends_with("= (not set)  [default]"));
    }
}
