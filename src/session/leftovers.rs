//! What opaque code left in a backend's session: looked at after the client's own Sync, in a message of its own.
//!
//! Holds: a setting that it changed becomes the session's, so that it is replayed wherever the session goes, and leaves
//! the backend before somebody else gets it; what can't be replayed keeps the backend pinned (`sessions.md` 19, 22).

use std::collections::BTreeSet;

use crate::session::error::Stop;
use crate::session::lane::{round_trip, text_cells};
use crate::session::state::{Session, Stale};
use crate::sql::{SessionSettings, quote_literal};
use crate::transaction::{Examine, Participant};
use crate::wire;

/// Channels, session advisory locks, held cursors, temporary relations: how many in all.
const LEFTOVERS: &str = "SELECT (SELECT pg_catalog.count(*) FROM pg_catalog.pg_listening_channels()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' \
      AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_cursors WHERE is_holdable), \
    (SELECT pg_catalog.count(*) FROM pg_catalog.pg_class \
      WHERE relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()), \
    pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.<>) 0";

/// How many of its cells count what keeps a backend pinned; the last one tells whether it has a temporary schema, which
/// stays to its end, and shows in `current_schemas(true)`.
const COUNTS: usize = 4;

/// Two-part names aren't listed anywhere: those that functions' bodies name are asked for.
const NAMED_IN_BODIES: &str = "SELECT DISTINCT pg_catalog.lower(m[1]) FROM pg_catalog.pg_proc, \
    LATERAL pg_catalog.regexp_matches(prosrc, '([[:alpha:]_][[:alnum:]_$]*\\.[[:alpha:]_][[:alnum:]_$.]*)', 'g') m \
    WHERE pronamespace OPERATOR(pg_catalog.<>) 'pg_catalog'::pg_catalog.regnamespace \
    AND prosrc OPERATOR(pg_catalog.~*) '(set_config|[[:<:]]set[[:>:]])'";

/// Puts every setting back, so that none reaches another session.
const CLEAN: &[u8] = b"RESET ALL;RESET SESSION AUTHORIZATION;RESET ROLE";

impl Session {
    /// Asks a backend what opaque code left in its session; ends its pin if that is nothing or can be replayed.
    pub(super) async fn look_at(&mut self, participant: &mut Participant) -> Result<(), Stop> {
        participant.examine = Examine::No;
        participant.set_unnamed(0);
        let Some(rows) = ask(participant, LEFTOVERS.as_bytes()).await? else {
            return self.keep(participant);
        };
        let Some(settings) = ask(participant, self.settings_question().as_bytes()).await? else {
            return self.keep(participant);
        };
        self.adopt_settings(&settings);
        let cells = rows.first().map_or(&[][..], Vec::as_slice);
        if cells.get(COUNTS).is_some_and(|cell| cell.as_deref() == Some("t")) {
            participant.backend.retire();
        }
        let is_clean = cells
            .iter()
            .take(COUNTS)
            .all(|cell| cell.as_deref().is_none_or(|text| text == "0"));
        if !is_clean {
            participant.note_settings(&self.settings.clone());
            return self.keep(participant);
        }
        if ask(participant, CLEAN).await?.is_none() {
            return self.keep(participant);
        }
        participant.note_settings(&SessionSettings::default());
        if self.settings.custom_names().next().is_some() {
            participant.backend.restrict_reuse();
        }
        participant.pin = None;
        participant.backend.unpin();
        Ok(())
    }

    fn keep(&mut self, participant: &mut Participant) -> Result<(), Stop> {
        match participant.pin {
            Some(_) => Ok(()),
            None => self.pin_participant(participant, "session state"),
        }
    }

    fn settings_question(&self) -> String {
        let names = self.settings.custom_names();
        let mut sql = format!(
            "SELECT pg_catalog.lower(name), pg_catalog.current_setting(name) FROM pg_catalog.pg_settings \
             WHERE source OPERATOR(pg_catalog.=) 'session' \
             UNION ALL SELECT 'role', pg_catalog.current_setting('role') \
             UNION ALL SELECT n, pg_catalog.current_setting(n, true) FROM ({NAMED_IN_BODIES}) named(n)"
        );
        for name in names {
            let name = quote_literal(name);
            sql.push_str(&format!(
                " UNION ALL SELECT {name}, pg_catalog.current_setting({name}, true)"
            ));
        }
        sql
    }

    /// What a backend has becomes what the session has.
    fn adopt_settings(&mut self, rows: &[Vec<Option<String>>]) {
        let before = self.settings.clone();
        let mut seen = BTreeSet::new();
        for row in rows {
            let [Some(name), value] = row.as_slice() else { continue };
            seen.insert(name.clone());
            let value = value.as_deref().unwrap_or_default();
            let unset = if name == "role" { "none" } else { "" };
            if before.get(name).unwrap_or(unset) != value
                && let Ok(changed) = self.settings.with_value(name, value)
            {
                self.settings = changed;
            }
        }
        let gone = before
            .effective()
            .filter(|(name, _)| !seen.contains(*name) && *name != "session_authorization");
        for (name, _) in gone {
            self.settings = self.settings.with_reset(name);
        }
        if self.settings != before {
            self.watch_timers(&self.settings.clone());
            self.stale = Stale::Yes;
        }
    }
}

/// Rows of a question of ours; `None`: it was refused.
async fn ask(participant: &mut Participant, sql: &[u8]) -> Result<Option<Vec<Vec<Option<String>>>>, Stop> {
    wire::put_query(&mut participant.backend.link.out_buffer, sql);
    let mut rows = Vec::new();
    let mut refused = false;
    round_trip(participant, |frame| {
        match frame.tag {
            b'D' => rows.push(text_cells(frame.body)?),
            b'E' => refused = true,
            _ => {}
        }
        Ok(())
    })
    .await?;
    Ok(if refused { None } else { Some(rows) })
}
