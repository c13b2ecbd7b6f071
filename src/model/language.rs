//! The two languages that people are spoken to in.

use serde::{Deserialize, Serialize};

/// Korean or English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// 한국어
    Ko,
    /// English, and the answer to anyone who asks for neither.
    #[default]
    En,
}

impl Language {
    /// Picks from an `Accept-Language` header by its weights (RFC 9110 §12.5.4); English when it names neither.
    pub fn from_accept_language(header: &str) -> Self {
        let weight = |part: &str| -> Option<(Language, f32)> {
            let mut fields = part.split(';').map(str::trim);
            let tag = fields.next()?.to_ascii_lowercase();
            let language = match tag.split('-').next()? {
                "ko" => Language::Ko,
                "en" | "*" => Language::En,
                _ => return None,
            };
            let q = fields
                .find_map(|field| field.strip_prefix("q="))
                .map_or(Some(1.0), |q| q.parse().ok())?;
            (q > 0.0).then_some((language, q))
        };
        // The first of equal weights wins, as the client wrote it.
        header
            .split(',')
            .filter_map(weight)
            .fold(None, |best: Option<(Language, f32)>, next| match best {
                Some(best) if best.1 >= next.1 => Some(best),
                _ => Some(next),
            })
            .map_or(Language::En, |(language, _)| language)
    }

    /// `ko` or `en`.
    pub fn as_str(self) -> &'static str {
        match self {
            Language::Ko => "ko",
            Language::En => "en",
        }
    }

    /// Reads what [`Language::as_str`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "ko" => Some(Language::Ko),
            "en" => Some(Language::En),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_known_language_wins() {
        let pick = Language::from_accept_language;
        assert_eq!(pick("ko-KR,ko;q=0.9,en-US;q=0.8"), Language::Ko);
        assert_eq!(pick("en;q=0.2, ko;q=0.7"), Language::Ko);
        assert_eq!(pick("fr, de;q=0.9"), Language::En);
        assert_eq!(pick("ko;q=0, en"), Language::En);
        assert_eq!(pick("en, ko"), Language::En);
        assert_eq!(pick(""), Language::En);
        assert_eq!(pick(";;,q=ko"), Language::En);
    }
}
