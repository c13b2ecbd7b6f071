//! Where the keys come from: settings, or, in development only, a file that the first start makes.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;

use crate::config::{Config, DatabaseUrl, Environment, SecretKey};
use crate::entropy;
use crate::secret::Keys;

/// The keys to serve with, and where they come from, in words. Makes them in development.
pub fn to_serve(config: &Config) -> Result<(Keys, &'static str)> {
    if !config.secret_keys.is_empty() {
        return Ok((keys(&config.secret_keys), "SECRET_KEYS"));
    }
    if config.environment != Environment::Development {
        bail!("SECRET_KEYS has no key in it, and keys are made in development only");
    }
    let Some(path) = kept_at(config) else {
        let key = parse(&key_text()).map_err(|why| anyhow!("a fresh key {why}"))?;
        return Ok((keys(&[key]), "made by this start, in memory"));
    };
    if !path.exists() {
        keep(&path, &key_text()).with_context(|| named(&path))?;
    }
    let key = read(&path)?;
    Ok((keys(&[key]), "made by the first start, beside the database"))
}

/// The keys as far as they are at hand, for commands beside the service. Makes none.
pub fn at_hand(config: &Config) -> Option<Keys> {
    if !config.secret_keys.is_empty() {
        return Some(keys(&config.secret_keys));
    }
    let key = read(&kept_at(config)?).ok()?;
    Some(keys(&[key]))
}

/// The key of a development database lies beside it.
fn kept_at(config: &Config) -> Option<PathBuf> {
    match &config.stores.database_url {
        DatabaseUrl::Sqlite(path) => Some(path.with_file_name("secret-key")),
        _ => None,
    }
}

/// For this user's eyes only, and whole or not at all: a start that is killed leaves no half of it.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let unfinished = path.with_added_extension("new");
    let mut file = File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn read(path: &Path) -> Result<SecretKey> {
    let text = std::fs::read_to_string(path).with_context(|| named(path))?;
    parse(text.trim()).map_err(|why| {
        let remedy = "Restore it, or remove it: the next start makes another";
        anyhow!("{} {why}. {remedy}", named(path))
    })
}

fn named(path: &Path) -> String {
    format!("the key in {}", path.display())
}

/// What is wrong is said without the key.
fn parse(text: &str) -> Result<SecretKey, String> {
    SecretKey::parse(text).map_err(|refused| refused.wrong)
}

/// Each key has a name of its own: what was made under a lost one is "key unknown" then, not "wrong".
fn key_text() -> String {
    let [a, b, c] = entropy::random::<3>();
    let key = STANDARD.encode(entropy::random::<32>());
    format!("dev-{a:02x}{b:02x}{c:02x}:{key}")
}

fn keys(keys: &[SecretKey]) -> Keys {
    let each = keys.iter();
    Keys::new(each.map(|key| (key.id.as_str(), key.bytes.expose_secret())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let env = settings.iter();
        let env = env.map(|(name, value)| (name.to_string(), value.to_string()));
        Config::load(env, None).unwrap()
    }

    fn in_folder(folder: &tempfile::TempDir) -> Config {
        let url = format!("sqlite://{}", folder.path().join("auth.db").display());
        config(&[("DATABASE_URL", &url)])
    }

    #[test]
    fn keys_are_made_in_development_only() {
        let mut config = config(&[("DATABASE_URL", "memory:")]);
        assert!(to_serve(&config).is_ok());
        for environment in [Environment::Staging, Environment::Production] {
            config.environment = environment;
            let refused = to_serve(&config).err().unwrap().to_string();
            assert!(refused.starts_with("SECRET_KEYS has no key"), "{refused}");
        }
    }

    #[test]
    fn a_key_is_kept_whole_and_never_made_by_looking() {
        let folder = tempfile::tempdir().unwrap();
        let config = in_folder(&folder);
        assert!(at_hand(&config).is_none());
        // What a start that was killed left behind does not stand in the way.
        std::fs::write(folder.path().join("secret-key.new"), "de").unwrap();
        let (made, _) = to_serve(&config).unwrap();
        let (kept, _) = to_serve(&config).unwrap();
        let looked_up = at_hand(&config).unwrap();
        let ada = made.pseudonym("ada@example.org");
        assert_eq!(kept.pseudonym("ada@example.org"), ada);
        assert_eq!(looked_up.pseudonym("ada@example.org"), ada);
        let files = std::fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["secret-key"]);
    }

    #[test]
    fn each_key_has_a_name_of_its_own() {
        let (one, other) = (parse(&key_text()).unwrap(), parse(&key_text()).unwrap());
        assert!(
            one.id.starts_with("dev-") && one.id.len() == 10,
            "{}",
            one.id
        );
        assert_ne!(one.id, other.id);
    }

    #[test]
    fn a_key_that_cannot_be_read_is_not_shown_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let config = in_folder(&folder);
        let file = folder.path().join("secret-key");
        for text in ["", "dev:hunter2"] {
            std::fs::write(&file, text).unwrap();
            let refused = format!("{:#}", to_serve(&config).err().unwrap());
            assert!(
                refused.contains("secret-key") && refused.contains("Restore it"),
                "{refused}"
            );
            assert!(
                !refused.contains("hunter2") && !refused.contains("Refused {"),
                "{refused}"
            );
            assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
            assert!(at_hand(&config).is_none());
        }
    }
}
