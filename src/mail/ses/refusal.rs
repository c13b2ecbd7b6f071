//! What it means for a mail that SES refuses it, and what the operator can do.
//!
//! AWS's own words are not passed on: they name addresses.

use crate::aws::Error;
use crate::mail::NotSent;

/// Why a mail did not leave. Temporary is what the operator can mend: mails wait for that as long as
/// their codes live.
pub fn not_sent(error: &Error, from: &str) -> NotSent {
    let (code, status, message) = match error {
        Error::Refused {
            code,
            status,
            message,
        } => (code.as_str(), *status, message.as_str()),
        Error::NoCredentials(_) => {
            return NotSent::Temporary(format!(
                "{error}. Give the ECS task a task role (taskRoleArn), or set AWS_ACCESS_KEY_ID \
                 and AWS_SECRET_ACCESS_KEY"
            ));
        }
        Error::NoRegion => return NotSent::Temporary(format!("{error}. Set AWS_REGION")),
        Error::Unreachable { .. } => {
            return NotSent::Temporary(format!(
                "{error}. A subnet without a way to the internet needs a VPC endpoint for `email`, \
                 whose security group lets this service in on port 443"
            ));
        }
        Error::Strange { .. } => {
            return NotSent::Temporary(format!(
                "{error}. See that AWS_ENDPOINT_URL is unset or right, and what stands between \
                 here and AWS"
            ));
        }
    };
    if code == "MessageRejected" {
        return rejected(message, from);
    }
    let remedy = remedy(code);
    let why = format!("SES refused the mail: {code} (HTTP {status}). {remedy}");
    match code {
        // The mail itself is not right, and will not be tomorrow.
        "BadRequestException" | "ValidationException" => NotSent::Permanent(why),
        _ => NotSent::Temporary(why),
    }
}

/// SES gives one name to a sender or recipient that nobody verified, and to content it does not take.
fn rejected(message: &str, from: &str) -> NotSent {
    let message = message.to_ascii_lowercase();
    if !message.contains("not verified") {
        return NotSent::Permanent(
            "SES does not take this mail (MessageRejected): it suspects its content".into(),
        );
    }
    if !from.is_empty() && message.contains(&from.to_ascii_lowercase()) {
        return NotSent::Temporary(
            "SES has not verified the sender (MessageRejected): verify the domain or address of \
             MAIL_FROM as an identity, in the region of AWS_REGION"
                .into(),
        );
    }
    NotSent::Permanent(
        "SES is in its sandbox and has not verified the recipient (MessageRejected): verify that \
         address too, or ask AWS for production access"
            .into(),
    )
}

fn remedy(code: &str) -> &'static str {
    match code {
        "MailFromDomainNotVerifiedException" => {
            "The identity's custom MAIL FROM domain lacks its MX record: mend it, or let SES fall \
             back to its own"
        }
        "AccountSuspendedException" => {
            "AWS has suspended sending for this account: it has written why, and answers appeals in \
             its support center"
        }
        "SendingPausedException" => {
            "Sending is paused, for the account or the configuration set: see SES's reputation page \
             and switch it on again"
        }
        "TooManyRequestsException" | "ThrottlingException" | "Throttling" => {
            "The account's sending rate or its daily quota is used up: ask AWS to raise it, in the \
             sandbox by asking for production access"
        }
        "LimitExceededException" => "A quota of SES is used up: ask AWS to raise it",
        "NotFoundException" => {
            "SES_CONFIGURATION_SET, or what it names, is not there in this region"
        }
        "BadRequestException" | "ValidationException" => {
            "See that MAIL_FROM is an address that SES can send from"
        }
        "AccessDeniedException" | "AccessDenied" => {
            "Allow the task role ses:SendEmail and ses:SendRawEmail on the identity of MAIL_FROM \
             and on the configuration set; the `email` VPC endpoint's policy must allow it too"
        }
        "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredTokenException"
        | "ExpiredToken" => {
            "AWS does not take the credentials of this process: check the task role, or \
             AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and this machine's clock"
        }
        _ => "If it does not pass, look for this code in the documentation of SES's SendEmail",
    }
}

/// Whether we may not do what we asked for.
pub fn is_about_permission(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. }
        if code == "AccessDeniedException" || code == "AccessDenied")
}

/// Whether we asked too often.
pub fn is_about_pace(error: &Error) -> bool {
    matches!(error, Error::Refused { code, status, .. }
        if *status == 429 || code == "TooManyRequestsException" || code.starts_with("Throttl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "no-reply@example.org";
    const TO: &str = "ada@example.com";

    fn refused(code: &str, message: &str) -> NotSent {
        let error = Error::Refused {
            status: 400,
            code: code.into(),
            message: message.into(),
        };
        not_sent(&error, FROM)
    }

    #[test]
    fn each_refusal_names_its_remedy_and_no_address() {
        for (code, remedy) in [
            ("MailFromDomainNotVerifiedException", "MX record"),
            ("AccountSuspendedException", "appeals"),
            ("SendingPausedException", "reputation page"),
            ("TooManyRequestsException", "daily quota"),
            ("ThrottlingException", "sending rate"),
            ("LimitExceededException", "quota"),
            ("NotFoundException", "SES_CONFIGURATION_SET"),
            ("AccessDeniedException", "ses:SendRawEmail"),
            ("ExpiredTokenException", "clock"),
            ("SomethingNewException", "documentation"),
        ] {
            let why = refused(code, &format!("{code} for {TO}"));
            assert!(matches!(why, NotSent::Temporary(_)), "{why:?}");
            let why = why.to_string();
            assert!(why.contains(remedy) && !why.contains('@'), "{why}");
        }
        let bad = refused("BadRequestException", &format!("Illegal address {TO}"));
        assert!(matches!(bad, NotSent::Permanent(_)), "{bad:?}");
        assert!(!bad.to_string().contains('@'), "{bad}");
    }

    #[test]
    fn one_name_for_three_refusals_is_told_apart() {
        let of = |identities: &str| {
            refused(
                "MessageRejected",
                &format!(
                    "Email address is not verified. The following identities failed the check in \
                     region AP-NORTHEAST-2: {identities}"
                ),
            )
        };
        let recipient = of(TO);
        assert!(matches!(&recipient, NotSent::Permanent(why) if why.contains("production access")));
        for identities in [FROM, "Example <No-Reply@example.org>, ada@example.com"] {
            let sender = of(identities);
            assert!(matches!(&sender, NotSent::Temporary(why) if why.contains("MAIL_FROM")));
        }
        let content = refused("MessageRejected", "Message contains a virus");
        assert!(matches!(&content, NotSent::Permanent(why) if why.contains("content")));
        for why in [recipient, of(FROM), content] {
            assert!(!why.to_string().contains('@'), "{why}");
        }
    }

    #[test]
    fn what_never_reached_ses_is_tried_again() {
        let unreachable = Error::Unreachable {
            endpoint: "https://email.ap-northeast-2.amazonaws.com".into(),
            why: "no answer".into(),
        };
        let strange = Error::Strange {
            endpoint: "https://proxy.test".into(),
            why: "its answer is no JSON".into(),
        };
        for (error, remedy) in [
            (unreachable, "VPC endpoint for `email`"),
            (strange, "AWS_ENDPOINT_URL"),
            (Error::NoCredentials("none were found".into()), "task role"),
            (Error::NoRegion, "AWS_REGION"),
        ] {
            let why = not_sent(&error, FROM);
            assert!(
                matches!(&why, NotSent::Temporary(why) if why.contains(remedy)),
                "{why:?}"
            );
        }
    }
}
