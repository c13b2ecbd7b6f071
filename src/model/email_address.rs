//! E-mail addresses: which are accepted, and when two spellings are one account.

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

/// The longest address that SMTP can carry, in bytes (RFC 5321 §4.5.3.1.3 less the brackets).
const ADDRESS_BYTES_MAX: usize = 254;
/// The longest local part, in bytes (RFC 5321 §4.5.3.1.1).
const LOCAL_PART_BYTES_MAX: usize = 64;

/// An address that mail can be sent to, with the form that tells accounts apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EmailAddress {
    normal: String,
    spelling: String,
}

/// Why a text is no address that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAnAddress {
    /// Longer than 254 bytes in one of its forms.
    TooLong,
    /// Anything else: not exactly one `@`, quoted, a list, a route, a bad domain …
    Malformed,
}

impl EmailAddress {
    /// Reads what a person typed.
    ///
    /// The domain becomes lower-case A-labels (UTS-46, strict); of the local part only A–Z are
    /// lowered: folding more would give one person's mail to another.
    pub fn parse(typed: &str) -> Result<Self, NotAnAddress> {
        // Before any work: NFC can only be asked of input of a sane size.
        if typed.len() > 4 * ADDRESS_BYTES_MAX {
            return Err(NotAnAddress::TooLong);
        }
        let composed: String = typed.trim().nfc().collect();
        let (local, domain) = composed.split_once('@').ok_or(NotAnAddress::Malformed)?;
        if !is_local_part(local) {
            return Err(NotAnAddress::Malformed);
        }
        let domain = ascii_domain(domain).ok_or(NotAnAddress::Malformed)?;
        let spelling = format!("{local}@{domain}");
        if local.len() > LOCAL_PART_BYTES_MAX || spelling.len() > ADDRESS_BYTES_MAX {
            return Err(NotAnAddress::TooLong);
        }
        // Composed again: a letter that has no composed form may have one once it is lowered.
        let lowered: String = local.to_ascii_lowercase().nfc().collect();
        let normal = format!("{lowered}@{domain}");
        Ok(Self { normal, spelling })
    }

    /// Puts together what a store kept; both were parsed once.
    pub fn from_stored(normal: String, spelling: String) -> Self {
        Self { normal, spelling }
    }

    /// The form that identifies the account; budgets and code derivations use it too.
    pub fn normal(&self) -> &str {
        &self.normal
    }

    /// The form that mail is sent to: the local part as it was typed.
    pub fn spelling(&self) -> &str {
        &self.spelling
    }

    /// The mailbox that this address probably ends in: the local part up to its first `+`, without
    /// dots. Coarser than an account, so that aliases share one send budget.
    pub fn mailbox(&self) -> String {
        let (local, domain) = self.normal.split_once('@').unwrap_or((&self.normal, ""));
        let base = local.split('+').next().unwrap_or_default().replace('.', "");
        format!("{base}@{domain}")
    }
}

/// A dot-atom (RFC 5322 §3.2.3), widened to letters beyond ASCII (RFC 6531 §3.3).
fn is_local_part(local: &str) -> bool {
    !local.is_empty()
        && local
            .split('.')
            .all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_control() && !c.is_whitespace() && !is_invisible(c),
    }
}

/// Characters that draw nothing or turn the text around: two addresses that differ only in these
/// cannot be told apart by anyone.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{ffff}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

fn ascii_domain(domain: &str) -> Option<String> {
    let ascii = Uts46::new()
        .to_ascii(
            domain.as_bytes(),
            AsciiDenyList::STD3,
            Hyphens::Check,
            DnsLength::Verify,
        )
        .ok()?;
    // One label is a host of the local network; digits at the end are an IP address.
    let (_, last) = ascii.rsplit_once('.')?;
    (!last.bytes().all(|b| b.is_ascii_digit())).then(|| ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(typed: &str) -> Result<String, NotAnAddress> {
        EmailAddress::parse(typed).map(|address| address.normal().to_owned())
    }

    #[test]
    fn spellings_of_one_account_share_a_normal_form() {
        for typed in [
            "Ada@Example.ORG",
            "ada@example.org",
            " ADA@EXAMPLE.org\n",
            "aDa@ｅｘａｍｐｌｅ.org",
        ] {
            assert_eq!(normal(typed).as_deref(), Ok("ada@example.org"), "{typed:?}");
        }
        assert_eq!(
            normal("user@한국.kr").as_deref(),
            Ok("user@xn--3e0b707e.kr")
        );
        // The Kelvin sign is no k: only A–Z are lowered.
        assert_ne!(normal("\u{212a}im@example.org"), normal("kım@example.org"));
    }

    #[test]
    fn mail_goes_to_the_spelling_that_was_typed() {
        let address = EmailAddress::parse("Ada.Lovelace@Example.ORG").unwrap();
        assert_eq!(address.spelling(), "Ada.Lovelace@example.org");
    }

    #[test]
    fn what_is_no_single_plain_address_is_refused() {
        for typed in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "a@b@example.org",
            "\"ada\"@example.org",
            "ada lovelace@example.org",
            "ada@example.org, eve@example.org",
            "<ada@example.org>",
            "@relay.example:ada@example.org",
            "ada@[127.0.0.1]",
            "ada@127.0.0.1",
            "ada..l@example.org",
            ".ada@example.org",
            "ada.@example.org",
            "ada@-example.org",
            "ada@exa_mple.org",
            "ada@example..org",
            "ada@example.org.",
            "ada\r\nBcc: eve@example.org",
            "ada\0@example.org",
            "a\u{200b}da@example.org",
            "ada\u{202e}@example.org",
            "ada@xn--a.org",
        ] {
            assert_eq!(normal(typed), Err(NotAnAddress::Malformed), "{typed:?}");
        }
        assert_eq!(
            normal(&format!("{}@example.org", "a".repeat(65))),
            Err(NotAnAddress::TooLong)
        );
        assert_eq!(normal(&"a".repeat(100_000)), Err(NotAnAddress::TooLong));
    }

    #[test]
    fn aliases_share_a_mailbox() {
        let mailbox = |typed| EmailAddress::parse(typed).unwrap().mailbox();
        assert_eq!(
            mailbox("a.d.a+shop@example.org"),
            mailbox("Ada@example.org")
        );
        assert_ne!(mailbox("ada@example.org"), mailbox("ada@example.com"));
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_a_normal_form_is_its_own(typed in "\\PC{0,300}") {
            if let Ok(address) = EmailAddress::parse(&typed) {
                let again = EmailAddress::parse(address.normal()).unwrap();
                prop_assert_eq!(again.normal(), address.normal());
                prop_assert_eq!(again.spelling(), address.normal());
                let by_spelling = EmailAddress::parse(address.spelling()).unwrap();
                prop_assert_eq!(by_spelling, address.clone());
                prop_assert!(address.spelling().len() <= 254);
                prop_assert_eq!(address.normal().matches('@').count(), 1);
            }
        }

        /// Against a second, independent reading of the rules for plain ASCII addresses.
        #[test]
        fn ascii_addresses_match_the_model(
            local in "[A-Za-z0-9+_.\"@ -]{0,12}", domain in "[A-Za-z0-9.-]{0,16}",
        ) {
            let typed = format!("{local}@{domain}");
            let atoms_ok = local.split('.').all(|atom| !atom.is_empty());
            let local_ok = atoms_ok && !local.contains(['"', '@', ' ']);
            let labels: Vec<&str> = domain.split('.').collect();
            let label_ok = |label: &&str| {
                !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
                    && label.get(2..4) != Some("--")
            };
            let domain_ok = labels.len() >= 2 && labels.iter().all(label_ok)
                && !labels[labels.len() - 1].bytes().all(|b| b.is_ascii_digit());
            // A space before the first letter is trimmed away, so it is not the local part's.
            prop_assume!(!typed.starts_with(' ') && !typed.ends_with(' '));
            prop_assert_eq!(normal(&typed).is_ok(), local_ok && domain_ok, "{}", typed);
        }
    }
}
