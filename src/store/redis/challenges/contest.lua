-- Marks a form that is pending as contested.
-- KEYS: record. asked: now.

contest(KEYS[1], load(KEYS[1]))
