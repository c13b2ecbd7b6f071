//! What an answer of AWS says, and what could help where it refuses.

use bytes::Bytes;
use hyper::Response;
use hyper::header::DATE;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Error;

/// AWS takes signatures up to 5 minutes old. A refusal with less between the clocks has other reasons.
const SKEW: SignedDuration = SignedDuration::from_mins(4);
/// An error's words are told up to here.
const MESSAGE_CHARS_MAX: usize = 300;

/// What could help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// To wait and try again.
    Wait,
    /// To sign with this time: it is AWS's.
    SetClock(Timestamp),
    /// To look our credentials up anew.
    RenewIdentity,
    /// Nothing that we could do.
    None,
}

/// The JSON of an answer to a call signed at `signed_at`, or why there is none.
pub fn read(
    endpoint: &str,
    answer: &Response<Bytes>,
    signed_at: Timestamp,
) -> Result<Value, (Error, Remedy)> {
    let status = answer.status();
    let body = serde_json::from_slice::<Value>(answer.body());
    if status.is_success() {
        return body.map_err(|_| {
            let endpoint = endpoint.to_owned();
            let why = "its answer is no JSON".to_owned();
            (Error::Strange { endpoint, why }, Remedy::None)
        });
    }
    let body = body.unwrap_or_default();
    let code = code(answer, &body);
    let remedy = if is_busy(status.as_u16(), &code) {
        Remedy::Wait
    } else if let Some(theirs) = other_time(answer, &code, signed_at) {
        Remedy::SetClock(theirs)
    } else if is_identity_refused(&code) {
        Remedy::RenewIdentity
    } else {
        Remedy::None
    };
    let refused = Error::Refused {
        status: status.as_u16(),
        code,
        message: message(&body),
    };
    Err((refused, remedy))
}

/// `AccessDeniedException` out of a header or field that may have a namespace before it and a URL after it.
fn code(answer: &Response<Bytes>, body: &Value) -> String {
    let header = answer.headers().get("x-amzn-errortype");
    let header = header.and_then(|value| value.to_str().ok());
    let field = || body.get("__type").or(body.get("code"))?.as_str();
    let code = header.or_else(field).unwrap_or("without a code");
    let code = code.split(':').next().unwrap_or(code);
    code.rsplit('#').next().unwrap_or(code).to_owned()
}

/// The first line only: a refused signature is explained with the whole request, session token included.
fn message(body: &Value) -> String {
    let message = ["message", "Message"]
        .iter()
        .find_map(|name| body.get(name)?.as_str())
        .unwrap_or("no words were given");
    let line = message.lines().next().unwrap_or_default();
    let line = line.trim_end_matches('.');
    line.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn is_busy(status: u16, code: &str) -> bool {
    let busy = [
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
    ];
    status >= 500 || status == 429 || busy.contains(&code)
}

fn is_identity_refused(code: &str) -> bool {
    let refused = [
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
    ];
    refused.contains(&code)
}

/// AWS's time, where ours is so far from it that it may be why the signature was refused.
fn other_time(answer: &Response<Bytes>, code: &str, signed_at: Timestamp) -> Option<Timestamp> {
    let of_time = [
        "RequestTimeTooSkewed",
        "RequestExpired",
        "RequestInTheFuture",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "AuthFailure",
    ];
    if !of_time.contains(&code) {
        return None;
    }
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let apart = theirs.duration_since(signed_at).abs();
    (apart > SKEW).then_some(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response<Bytes> {
        let mut answer = Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        answer
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap()
    }

    fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> (Error, Remedy) {
        let at = "2026-11-02T10:00:00Z".parse().unwrap();
        read("https://aws.test", &answer(status, headers, body), at).unwrap_err()
    }

    #[test]
    fn a_code_is_found_wherever_aws_puts_it() {
        let in_body =
            r#"{"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "No."}"#;
        let header = [("x-amzn-ErrorType", "AccessDeniedException:http://aws.test/")];
        for (headers, body) in [(&[][..], in_body), (&header[..], r#"{"message": "No."}"#)] {
            let expected = Error::Refused {
                status: 400,
                code: "AccessDeniedException".into(),
                message: "No".into(),
            };
            assert_eq!(refused(400, headers, body), (expected, Remedy::None));
        }
        let (error, _) = refused(400, &[], "<html>");
        assert_eq!(
            error.to_string(),
            "AWS refused: without a code (HTTP 400): no words were given"
        );
    }

    #[test]
    fn what_is_worth_a_second_attempt_gets_one() {
        let code = |code: &str| format!(r#"{{"__type": "{code}", "message": "No."}}"#);
        assert_eq!(refused(503, &[], "").1, Remedy::Wait);
        assert_eq!(
            refused(400, &[], &code("ThrottlingException")).1,
            Remedy::Wait
        );
        assert_eq!(
            refused(400, &[], &code("ExpiredTokenException")).1,
            Remedy::RenewIdentity
        );
        assert_eq!(
            refused(400, &[], &code("ResourceNotFoundException")).1,
            Remedy::None
        );
    }

    #[test]
    fn a_signature_refused_for_its_time_tells_aws_s() {
        let body = r#"{"__type": "InvalidSignatureException", "message": "Signature expired"}"#;
        let far = refused(400, &[("date", "Mon, 02 Nov 2026 10:12:00 GMT")], body).1;
        assert_eq!(
            far,
            Remedy::SetClock("2026-11-02T10:12:00Z".parse().unwrap())
        );
        // With clocks that agree the key is wrong, and another clock would not help.
        let near = refused(400, &[("date", "Mon, 02 Nov 2026 10:00:03 GMT")], body).1;
        assert_eq!(near, Remedy::RenewIdentity);
        assert_eq!(
            refused(400, &[("date", "yesterday")], body).1,
            Remedy::RenewIdentity
        );
    }

    #[test]
    fn the_request_that_aws_quotes_goes_nowhere() {
        let body = r#"{"__type": "InvalidSignatureException",
            "message": "The request signature does not match.\n\nThe Canonical String was\nx-amz-security-token:THETOKEN"}"#;
        let (error, _) = refused(403, &[], body);
        let text = format!("{error} {error:?}");
        assert!(
            text.contains("does not match") && !text.contains("THETOKEN"),
            "{text}"
        );
    }
}
