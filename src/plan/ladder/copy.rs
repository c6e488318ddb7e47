//! COPY: whole on one shard, or refused.

use crate::plan::ladder::{Around, Case, Literals, Route, Ruling};
use crate::plan::resolve::{Named, Placement, placement, relation_named};
use crate::plan::{Access, Kind, RefusalId, SessionEffect, refuse};
use crate::sql::{Copy, CopyDirection, CopySubject};

/// `COPY … TO`, `COPY … FROM`.
pub(super) fn rule(case: &Case<'_>, copy: &Copy) -> Ruling {
    let topology = case.snapshot.topology();
    let home = topology.home();
    let access = match copy.direction {
        CopyDirection::From => Access::Write,
        CopyDirection::To => Access::Read,
    };
    let (schema, name) = match &copy.subject {
        CopySubject::Query(span) => {
            return Ruling {
                route: Route::Inner {
                    span: *span,
                    around: Around::Copy,
                },
                access: Access::Read,
                effect: SessionEffect::None,
                prepare_on: home,
                literals: Literals::Read,
            };
        }
        CopySubject::Table {
            schema,
            name,
            columns: _,
        } => (schema.as_deref(), name.as_str()),
    };
    let parts: Vec<&str> = schema.into_iter().chain([name]).collect();
    let full = parts.join(".");
    let to = |shard, kind, reason| Ruling::fixed(kind, shard, reason, access, SessionEffect::None);
    let found = match relation_named(case.snapshot.catalog(), case.context, &parts) {
        Named::Relation(relation) => match placement(topology, relation) {
            Ok(placement) => placement,
            Err(refusal) => return Ruling::refused(refusal, home),
        },
        Named::System => Placement::System,
        Named::Temporary => Placement::Temporary,
        Named::Missing => Placement::Missing,
    };
    match (found, copy.direction) {
        (Placement::Unsharded(shard), _) => to(shard, Kind::OneShard, "an unsharded table"),
        (Placement::System | Placement::Temporary | Placement::Missing, _) => to(home, Kind::Home, "no sharded table"),
        (Placement::Reference, CopyDirection::To) => to(home, Kind::OneShard, "a reference table"),
        (Placement::Reference, CopyDirection::From) => {
            Ruling::refused(refuse(RefusalId::ReferenceWrite, &[&full, "COPY"]), home)
        }
        (Placement::Sharded { .. }, CopyDirection::From) => {
            Ruling::refused(refuse(RefusalId::CopyFrom, &[&full]), home)
        }
        (Placement::Sharded { .. }, CopyDirection::To) => Ruling::refused(refuse(RefusalId::CopyTo, &[&full]), home),
    }
}
