//! Every statement about accounts. (Those about what expires stand beside the code that binds them.)

use crate::store::statements::{audit, statements, user};

statements! {
    /// The account at an address.
    FIND =
        "SELECT ", user!(), " FROM users WHERE email = ?1 AND status <> 'pending_deletion'";

    /// What is read where an address has no account, so that reading takes as long as where it has one.
    NOBODY =
        "SELECT zeroblob(16), 'nobody@example.org', 'nobody@example.org', 'Nobody at all',
             '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
             NULL, NULL, NULL, 'active', 0, 0, 0";

    /// An account by its id.
    GET = "SELECT ", user!(), " FROM users WHERE id = ?1";

    /// Writes an account.
    CREATE =
        "INSERT INTO users (", user!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";

    /// Writes what changed of a profile, and no more: a word that a newer release wrote in another
    /// field stays.
    CHANGE_PROFILE =
        "UPDATE users SET updated_at = ?2, full_name = coalesce(?3, full_name),
             language = iif(?4, ?5, language), gender = iif(?6, ?7, gender),
             birth_year = iif(?8, ?9, birth_year)
         WHERE id = ?1";

    /// Sets what an account may do.
    SET_STATUS = "UPDATE users SET status = ?2, generation = ?3, updated_at = ?4 WHERE id = ?1";

    /// Writes what has to follow a change.
    FOLLOW = "INSERT INTO follow_ups (id, user_id, task, created_at) VALUES (?1, ?2, ?3, ?4)";

    /// The follow-ups that are left, oldest first.
    FOLLOW_UPS =
        "SELECT id, user_id, task FROM follow_ups WHERE created_at < ?1 ORDER BY created_at";

    /// Strikes one out.
    FOLLOW_UP_DONE = "DELETE FROM follow_ups WHERE id = ?1";

    /// Notes that an address gets no mail, unless that is noted.
    SUPPRESS =
        "INSERT INTO suppressed_addresses (email, reason, detail, at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (email) DO NOTHING";

    /// Why an address gets no mail.
    SUPPRESSION = "SELECT reason, detail, at FROM suppressed_addresses WHERE email = ?1";

    /// Lets an address have mail again.
    UNSUPPRESS = "DELETE FROM suppressed_addresses WHERE email = ?1";

    /// Appends a row to the audit trail, unless it is there.
    AUDIT =
        "INSERT INTO audit (", audit!(), ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (id) DO NOTHING";

    /// Erases old rows of it.
    ERASE_AUDIT = "DELETE FROM audit WHERE at < ?1";

    /// Erases accounts that withdrew long ago.
    ERASE_USERS = "DELETE FROM users WHERE status = 'pending_deletion' AND updated_at < ?1";

    /// Erases what was to follow from the changes of accounts that are gone.
    ERASE_FOLLOW_UPS = "DELETE FROM follow_ups WHERE user_id NOT IN (SELECT id FROM users)";
}
