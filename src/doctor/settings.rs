//! What is wrong with the settings, in the words in which a start would refuse them.

use crate::config::Problem;
use crate::model::finding::Finding;

/// How a slash is written inside a password: every reader of a URL says so where it suspects that one
/// was written as it is.
const SLASH: &str = "%2F";

/// Every problem; or that there is none.
pub fn of(problems: &[Problem]) -> Vec<Finding> {
    if problems.is_empty() {
        return vec![Finding::ok("settings", "all can be read")];
    }
    let finding = |problem: &Problem| {
        let code = match problem.wrong.contains(SLASH) {
            true => "password_in_url",
            false => "settings",
        };
        Finding::failed(code, problem.to_string())
    };
    problems.iter().map(finding).collect()
}
