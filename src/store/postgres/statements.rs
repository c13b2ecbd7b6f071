//! Every statement about accounts, each one whole step: whatever changes a row says so in the audit
//! trail and leaves the follow-up in the same statement, so that it is one round trip, atomic, and
//! leaves nothing idle in a transaction. Parameters say their types: unnamed statements need them.
//!
//! All name their columns, so that a newer release may add some beside this one.

use crate::store::statements::{audit, statements, user};

/// What goes with every change of an account, `changed`: its audit row ($1 to $7), and under the
/// same id the follow-up ($8 is the task). Then the account as it is now.
macro_rules! told_and_followed {
    () => {
        concat!(
            "told AS (
                 INSERT INTO audit (", audit!(), ")
                 SELECT $1::uuid, $2::bigint, $3::text, $4::text, id, $5::text, $6::inet, $7::text FROM changed
             ), followed AS (
                 INSERT INTO follow_ups (id, user_id, task, created_at)
                 SELECT $1::uuid, id, $8::text, $2::bigint FROM changed
             )
             SELECT ", user!(), " FROM changed"
        )
    };
}

/// The audit row ($1 to $8) of a change that is no account's, and whether there was one.
macro_rules! told {
    () => {
        concat!(
            "told AS (
                 INSERT INTO audit (", audit!(), ")
                 SELECT $1::uuid, $2::bigint, $3::text, $4::text, $5::uuid, $6::text, $7::inet, $8::text
                 FROM changed
             )
             SELECT EXISTS (SELECT FROM changed)"
        )
    };
}

statements! {
    /// The account at an address, and whether it is one: where there is none, nobody's row is made
    /// and carried instead, so that it costs as much.
    FIND =
        "WITH found AS MATERIALIZED (SELECT ", user!(), " FROM users
             WHERE email = $1::text AND status <> 'pending_deletion')
         SELECT ", user!(), ", true AS is_there FROM found
         UNION ALL
         SELECT '00000000-0000-0000-0000-000000000000', 'nobody@example.org', 'nobody@example.org',
             'Nobody at all',
             '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
             NULL, NULL, NULL, 'active', 0, 0, 0, false
         WHERE NOT EXISTS (SELECT FROM found)";

    /// An account by its id.
    GET = "SELECT ", user!(), " FROM users WHERE id = $1::uuid";

    /// Writes an account with its audit row, or neither; and says whether it did. Other rows in its
    /// way may be too new for this statement to see: what they are, [`IN_THE_WAY`] tells.
    CREATE =
        "WITH written AS (
             INSERT INTO users (", user!(), ")
             VALUES ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::text, $7::text, $8::smallint,
                 $9::text, $10::bigint, $11::bigint, $12::bigint)
             ON CONFLICT DO NOTHING RETURNING id
         ), told AS (
             INSERT INTO audit (", audit!(), ")
             SELECT $13::uuid, $14::bigint, $15::text, $16::text, $17::uuid, $18::text, $19::inet, $20::text
             FROM written
         )
         SELECT EXISTS (SELECT FROM written)";

    /// Why an account was not written: it is there, its address is taken.
    IN_THE_WAY =
        "SELECT EXISTS (SELECT FROM users WHERE id = $1::uuid),
             EXISTS (SELECT FROM users WHERE email = $2::text AND status <> 'pending_deletion')";

    /// Merges a change into an active account's profile: only what changed, so that a word that a
    /// newer release wrote in another field stays.
    CHANGE_PROFILE =
        "WITH changed AS (
             UPDATE users SET updated_at = greatest($2::bigint, updated_at + 1),
                 full_name = coalesce($10::text, full_name),
                 language = CASE WHEN $11::bool THEN $12::text ELSE language END,
                 gender = CASE WHEN $13::bool THEN $14::text ELSE gender END,
                 birth_year = CASE WHEN $15::bool THEN $16::smallint ELSE birth_year END
             WHERE id = $9::uuid AND status = 'active' RETURNING ", user!(), "
         ), ", told_and_followed!();

    /// Sets the status of the account at an address, and raises its generation.
    SET_STATUS =
        "WITH changed AS (
             UPDATE users SET updated_at = greatest($2::bigint, updated_at + 1), generation = generation + 1,
                 status = $10::text
             WHERE email = $9::text AND status <> 'pending_deletion' RETURNING ", user!(), "
         ), ", told_and_followed!();

    /// The oldest follow-ups of the tasks that are asked for, as many as a sweep works off, each with
    /// the account as it is now. Those that only a newer release knows hold up no others.
    FOLLOW_UPS =
        "SELECT ", user!(), ", follow_up, task FROM users JOIN (
             SELECT id AS follow_up, user_id, task, created_at AS since FROM follow_ups
             WHERE created_at < $1::bigint AND task = ANY ($2::text[])
             ORDER BY created_at, id LIMIT 100
         ) AS left_behind ON user_id = users.id ORDER BY since, follow_up";

    /// Strikes out a follow-up.
    FOLLOW_UP_DONE = "DELETE FROM follow_ups WHERE id = $1::uuid";

    /// Notes that an address gets no mail, with its audit row, unless that is noted; and says whether.
    SUPPRESS =
        "WITH changed AS (
             INSERT INTO suppressed_addresses (email, reason, detail, at)
             VALUES ($9::text, $10::text, $11::text, $12::bigint) ON CONFLICT DO NOTHING RETURNING email
         ), ", told!();

    /// Why an address gets no mail.
    SUPPRESSION = "SELECT reason, detail, at FROM suppressed_addresses WHERE email = $1::text";

    /// Lets an address have mail again, with its audit row; and says whether it had none.
    UNSUPPRESS =
        "WITH changed AS (
             DELETE FROM suppressed_addresses WHERE email = $9::text RETURNING email
         ), ", told!();

    /// Appends rows, given as columns, to the audit trail.
    AUDIT =
        "INSERT INTO audit (", audit!(), ")
         SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::uuid[], $6::text[],
             $7::inet[], $8::text[])
         ON CONFLICT (id) DO NOTHING";

    /// Erases some accounts that withdrew long ago, their follow-ups with them, and counts them: few
    /// enough to take milliseconds. What another copy is erasing at this moment is left to it.
    ERASE_USERS =
        "WITH erased AS (
             DELETE FROM users WHERE id = ANY (ARRAY (
                 SELECT id FROM users WHERE status = 'pending_deletion' AND updated_at < $1::bigint
                 ORDER BY updated_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
             RETURNING id
         )
         SELECT count(*) FROM erased";

    /// Erases some old rows of the audit trail, and counts them.
    ERASE_AUDIT =
        "WITH erased AS (
             DELETE FROM audit WHERE id = ANY (ARRAY (
                 SELECT id FROM audit WHERE at < $1::bigint
                 ORDER BY at LIMIT 1000 FOR UPDATE SKIP LOCKED))
             RETURNING id
         )
         SELECT count(*) FROM erased";
}
