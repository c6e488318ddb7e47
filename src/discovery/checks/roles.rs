//! Roles: clients' roles exist on every shard, with the verifier that the proxy has and the same settings.
//!
//! Holds: a verifier is compared, never shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{Method, Role, Settings, Users};
use crate::discovery::cells::Cells;
use crate::discovery::reach::{Reach, Row, literal};
use crate::discovery::{Error, Finding, Severity};

const ROLES_TIMEOUT: Duration = Duration::from_secs(10);

/// One role on one shard.
#[derive(Debug, Default)]
struct Found {
    may_login: bool,
    settings: String,
    verifier: Option<String>,
    membership: Membership,
}

/// May the control role SET ROLE to a role?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Membership {
    #[default]
    None,
    Member,
}

/// Compares roles on all shards. `reaches`: those that answer.
pub(in crate::discovery) async fn roles(
    settings: &Settings,
    users: &Users,
    reaches: &[Arc<Reach>],
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let names: Vec<&str> = match &settings.auth.role {
        Role::Own => users.iter().map(|user| user.name.as_str()).collect(),
        Role::Shared { name, .. } => {
            let detail = "GRANT, row-level security and current_user see the shared role, not the client's.";
            findings.push(about(None, name, "every client runs under this one role", detail, ""));
            vec![name]
        }
    };
    let mut first: Option<(&str, BTreeMap<String, Found>)> = None;
    for reach in reaches {
        let (found, can_see) = read(reach, &names).await?;
        if !can_see && settings.auth.method == Method::Scram {
            let detail = "The control role may not read pg_authid, so verifiers were not compared.";
            let hint = format!("GRANT SELECT ON pg_authid TO {}", reach.endpoint().user);
            findings.push(about(
                Some(reach.name()),
                &reach.endpoint().user,
                "verifiers can't be compared",
                detail,
                &hint,
            ));
        }
        for name in &names {
            one(&mut findings, settings, users, reach.name(), name, found.get(*name));
            if found
                .get(*name)
                .is_some_and(|found| found.membership == Membership::None)
            {
                let control = &reach.endpoint().user;
                findings.push(about(
                    Some(reach.name()),
                    name,
                    "the control role is not a member of this role",
                    "What it prepared can't be finished by recovery, which runs COMMIT PREPARED under the role that prepared.",
                    &format!("GRANT {name} TO {control}"),
                ));
            }
        }
        let Some((first_on, expected)) = &first else {
            first = Some((reach.name(), found));
            continue;
        };
        for (name, ours) in &found {
            if let Some(theirs) = expected.get(name).filter(|theirs| theirs.settings != ours.settings) {
                let show = |settings: &str| {
                    if settings.is_empty() {
                        "none".to_owned()
                    } else {
                        settings.to_owned()
                    }
                };
                let detail = format!(
                    "Shard {first_on} has {}, this one {}.",
                    show(&theirs.settings),
                    show(&ours.settings)
                );
                let hint = "Give it the same with ALTER ROLE … SET, so that statements mean the same on each shard.";
                findings.push(about(
                    Some(reach.name()),
                    name,
                    "the role's settings differ between shards",
                    &detail,
                    hint,
                ));
            }
        }
    }
    Ok(findings)
}

fn about(shard: Option<&str>, role: &str, message: &str, detail: &str, hint: &str) -> Finding {
    Finding {
        severity: Severity::Warning,
        shard: shard.map(str::to_owned),
        object: if role.is_empty() {
            "every role".to_owned()
        } else {
            format!("role {role}")
        },
        message: message.to_owned(),
        detail: detail.to_owned(),
        hint: hint.to_owned(),
    }
}

fn one(
    findings: &mut Vec<Finding>,
    settings: &Settings,
    users: &Users,
    shard: &str,
    name: &str,
    found: Option<&Found>,
) {
    let Some(found) = found else {
        let hint = format!("CREATE ROLE {name} LOGIN, with the same verifier as on the other shards.");
        findings.push(about(
            Some(shard),
            name,
            "the role doesn't exist on this shard",
            "Its statements run under it there.",
            &hint,
        ));
        return;
    };
    if !found.may_login {
        findings.push(about(
            Some(shard),
            name,
            "the role may not log in on this shard",
            "",
            &format!("ALTER ROLE {name} LOGIN"),
        ));
    }
    let Some(user) = users.get(name) else { return };
    let passes_through = settings.auth.role == Role::Own && user.password.is_none();
    let ours = user.verifier.as_ref().map(|verifier| verifier.reveal());
    if let (true, Some(ours), Some(theirs)) = (passes_through, ours, found.verifier.as_deref())
        && ours != theirs
    {
        let detail = "The proxy passes the login on, which works only with the very same verifier.";
        let hint =
            format!("ALTER ROLE {name} PASSWORD with the users file's verifier, or give the user a password there.");
        findings.push(about(
            Some(shard),
            name,
            "the verifier differs from the users file's",
            detail,
            &hint,
        ));
    }
}

/// The roles of these names, and the settings of all roles under the empty name; whether verifiers could be read.
async fn read(reach: &Reach, names: &[&str]) -> Result<(BTreeMap<String, Found>, bool), Error> {
    let list: Vec<String> = names.iter().map(|name| literal(name)).chain([literal("")]).collect();
    let settings = "coalesce((SELECT string_agg(c, ', ' ORDER BY s.setdatabase, c) FROM pg_db_role_setting s \
        CROSS JOIN unnest(s.setconfig) c WHERE s.setrole = r.oid \
        AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))), '')";
    let sql = |source: &str, verifier: &str| {
        format!(
            "SELECT r.rolname, r.rolcanlogin, {settings}, {verifier}, pg_has_role(r.oid, 'MEMBER') FROM {source} r \
             WHERE r.rolname IN ({}) UNION ALL SELECT '', true, {settings}, NULL, true FROM (SELECT 0::oid AS oid) r",
            list.join(", ")
        )
    };
    let (rows, can_see) = match reach.rows(&sql("pg_authid", "r.rolpassword"), ROLES_TIMEOUT).await {
        Ok(rows) => (rows, true),
        Err(Error::Server { code, .. }) if code == "42501" => {
            (reach.rows(&sql("pg_roles", "NULL"), ROLES_TIMEOUT).await?, false)
        }
        Err(error) => return Err(error),
    };
    let found = rows
        .iter()
        .map(|row| entry(row, reach.name()))
        .collect::<Result<_, _>>()?;
    Ok((found, can_see))
}

fn entry(row: &Row, shard: &str) -> Result<(String, Found), Error> {
    let cells = Cells::new(row, shard);
    let found = Found {
        may_login: cells.is(1),
        settings: cells.owned(2)?,
        verifier: cells.optional(3).map(str::to_owned),
        membership: if cells.is(4) {
            Membership::Member
        } else {
            Membership::None
        },
    };
    Ok((cells.owned(0)?, found))
}
