//! The settings that need more than a number or a word, and the rules between two of them.

use std::net::IpAddr;

use ipnet::IpNet;
use secrecy::SecretString;
use tracing_subscriber::EnvFilter;

use super::problem::Refused;
use super::reader::Reader;
use super::url::{DatabaseUrl, RedisUrl};
use super::{Environment, MailTransport};
use crate::mail::smtp::SmtpUrl;

/// What the word means.
pub fn one_of<T: Copy>(words: &[(&str, T)], text: &str) -> Result<T, Refused> {
    let meant = words.iter().find(|(word, _)| *word == text);
    meant.map(|(_, meant)| *meant).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let remedy = format!("Use one of: {}", words.join(", "));
        Refused::new(format!("{text:?} is not one of its values"), remedy)
    })
}

/// An address or name to listen on; whether it exists is found out by listening.
pub fn host(text: &str) -> Result<String, Refused> {
    let is_name = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if is_name || text.parse::<IpAddr>().is_ok() {
        return Ok(text.to_owned());
    }
    let remedy = "Write 0.0.0.0, ::, 127.0.0.1 or a name; the port is a setting of its own";
    Err(Refused::new(
        "is neither an IP address nor a host name",
        remedy,
    ))
}

/// An address or CIDR of a load balancer.
pub fn proxy(text: &str) -> Result<IpNet, Refused> {
    let net: Option<IpNet> = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(net) = net.map(|net| net.trunc()) else {
        let remedy = "Write addresses or CIDRs, such as 10.0.0.0/16, separated by commas";
        return Err(Refused::new("is neither an IP address nor a CIDR", remedy));
    };
    if net.prefix_len() == 0 {
        let remedy = "Name the load balancer's own networks";
        return Err(Refused::new(
            "trusts everyone, so anyone could choose their address",
            remedy,
        ));
    }
    // Clients' addresses are compared as IPv4 (`client_address`); such an entry would never match.
    if matches!(net.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(Refused::new(
            "is an IPv4 network in IPv6 clothes",
            "Write it as IPv4",
        ));
    }
    Ok(net)
}

/// The mail server; `mail/smtp.rs` reads the rest of it.
pub fn smtp_url(text: &str) -> Result<SecretString, Refused> {
    let remedy = "Write smtp://user:password@host:587 or smtps://user:password@host:465";
    match SmtpUrl::parse(text) {
        Ok(_) => Ok(text.into()),
        Err(why) => Err(Refused::new(format!("cannot be used: {why}"), remedy)),
    }
}

/// `address` or `Name <address>`, as far as a header line is safe with it; the mailer reads the rest.
pub fn sender(text: &str) -> Result<String, Refused> {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>'),
        None => Some(text),
    };
    let is_address = |address: &str| {
        let plain = |part: &str| {
            !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>@,;\"".contains(c))
        };
        address
            .split_once('@')
            .is_some_and(|(local, domain)| plain(local) && plain(domain))
    };
    if address.is_some_and(is_address) && !text.contains(char::is_control) {
        return Ok(text.to_owned());
    }
    let remedy = "Write no-reply@example.com or Example <no-reply@example.com>";
    Err(Refused::new("is not a mail address", remedy))
}

/// How mail leaves. Production mails for real, and nobody reads codes out of its log.
pub fn mail_transport(text: &str, environment: Environment) -> Result<MailTransport, Refused> {
    let words = [
        ("simulation", MailTransport::Simulation),
        ("smtp", MailTransport::Smtp),
        ("ses", MailTransport::Ses),
    ];
    let transport = one_of(&words, text)?;
    if transport == MailTransport::Ses {
        needs_aws("MAIL_TRANSPORT to smtp and SMTP_URL to SES's SMTP endpoint")?;
    }
    if transport == MailTransport::Simulation && environment == Environment::Production {
        let wrong = "is simulation, which writes codes to the log and mails nobody";
        let remedy = "Set MAIL_TRANSPORT to ses, or to smtp and SMTP_URL to the mail server";
        return Err(Refused::new(wrong, remedy));
    }
    Ok(transport)
}

/// A level, or levels per module.
pub fn log_level(text: &str) -> Result<String, Refused> {
    let remedy =
        "Write error, warn, info, debug or trace, or a list such as info,aidlc_auth::store=debug";
    // The filter takes a mistyped level for a module's name, and then logs next to nothing.
    let is_level = |word: &str| {
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        levels.iter().any(|level| level.eq_ignore_ascii_case(word))
    };
    let bare = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.contains(['=', '[', ']', '{', '}']));
    if bare.into_iter().any(|word| !is_level(word)) {
        return Err(Refused::new("names a level that there is not", remedy));
    }
    match EnvFilter::builder().parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Refused::new("is not a list of levels", remedy)),
    }
}

/// Where a replica is: a PostgreSQL server like the primary.
pub fn replica_url(text: &str) -> Result<SecretString, Refused> {
    match DatabaseUrl::parse(text) {
        Ok(DatabaseUrl::Postgres(url)) => Ok(url),
        _ => {
            let remedy = "Write postgres://host:5432/name, or leave it unset";
            Err(Refused::new("names no PostgreSQL server", remedy))
        }
    }
}

/// The secret's full name. A short one would be looked for in whatever account the credentials are of.
pub fn secret_arn(text: &str) -> Result<String, Refused> {
    let is_plain = text.bytes().all(|b| b.is_ascii_graphic());
    if is_plain && text.starts_with("arn:") && text.contains(":secretsmanager:") {
        return Ok(text.to_owned());
    }
    let remedy =
        "Write arn:aws:secretsmanager:<region>:<account>:secret:<name>, as the console shows it";
    Err(Refused::new(
        "is not the ARN of a secret in Secrets Manager",
        remedy,
    ))
}

/// A program without the feature `aws` has nobody to speak to it.
fn needs_aws(instead: &str) -> Result<(), Refused> {
    if cfg!(feature = "aws") {
        return Ok(());
    }
    let wrong = "needs AWS, which this program was built without";
    let remedy = format!("Build it with the feature `aws`, or set {instead}");
    Err(Refused::new(wrong, remedy))
}

/// A region; what it is called is part of a host's name.
pub fn region(text: &str) -> Result<String, Refused> {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.contains('-') && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let remedy = "Write its short name, such as ap-northeast-2";
    Err(Refused::new("is not an AWS region", remedy))
}

/// What SES calls a configuration set.
pub fn configuration_set(text: &str) -> Result<String, Refused> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if text.len() <= 64 && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let remedy = "Write its name, up to 64 letters, digits, - or _, and not its ARN";
    Err(Refused::new(
        "is not the name of a configuration set",
        remedy,
    ))
}

/// The topic's full name: what is not from it is not believed.
pub fn topic_arn(text: &str) -> Result<String, Refused> {
    needs_aws("nothing in SES_TOPIC_ARN")?;
    let parts: Vec<_> = text.split(':').collect();
    let is_name = |name: &str| {
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
        !name.is_empty() && name.bytes().all(is_plain)
    };
    let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
    if let ["arn", partition, "sns", place, account, name] = parts[..]
        && (partition == "aws" || partition.starts_with("aws-"))
        && region(place).is_ok()
        && is_account(account)
        && is_name(name)
    {
        return Ok(text.to_owned());
    }
    let remedy =
        "Write arn:aws:sns:<region>:<account>:<name>, as the console shows it, of a standard topic";
    Err(Refused::new("is not the ARN of an SNS topic", remedy))
}

/// What keys begin with. Braces would change where a cluster keeps them.
pub fn key_prefix(text: &str) -> Result<String, Refused> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/".contains(&b);
    if text.len() <= 64 && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    let remedy = "Write up to 64 letters, digits or any of - _ . : /";
    Err(Refused::new("cannot begin a key", remedy))
}

/// The embedded store is one file: a step over two of them would not be atomic.
pub fn refuse_two_files(
    reader: &mut Reader,
    database_url: Option<&DatabaseUrl>,
    redis_url: Option<&RedisUrl>,
) {
    let two = match (database_url, redis_url) {
        (Some(DatabaseUrl::Sqlite(users)), Some(RedisUrl::Sqlite(others))) => users != others,
        (Some(DatabaseUrl::Sqlite(_)), Some(RedisUrl::Memory)) => true,
        (Some(DatabaseUrl::Memory), Some(RedisUrl::Sqlite(_))) => true,
        _ => false,
    };
    if two {
        let wrong = "names another place than database_url, and the embedded store is one file";
        reader.refuse("redis_url", Refused::new(wrong, "Leave REDIS_URL unset"));
    }
}
