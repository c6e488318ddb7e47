//! What belongs to the server's version: read once per version.

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::{Body, Builtin, Function, Operator, ReadsMoment};
use crate::discovery::Error;
use crate::discovery::catalog_sql::BUILTIN;
use crate::discovery::cells::Cells;
use crate::discovery::reach::Reach;
use crate::discovery::shard_catalog::{function_kind, returns_set, volatility};
use crate::topology::QualifiedName;
use crate::value::Oid;

const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads pg_proc, pg_operator, pg_type and pg_cast of pg_catalog.
pub(super) async fn read(reach: &Reach) -> Result<Builtin, Error> {
    let tables = reach.batch_at_one_moment(&BUILTIN.join(";\n"), READ_TIMEOUT).await?;
    let shard = reach.name();
    let [functions, operators, types, casts] = tables.as_slice() else {
        return Err(Error::Unexpected {
            shard: shard.to_owned(),
            what: format!("{} results instead of 4", tables.len()),
        });
    };
    let mut builtin = Builtin::default();
    for row in functions {
        let cells = Cells::new(row, shard);
        let function = Function {
            name: QualifiedName {
                schema: "pg_catalog".to_owned(),
                name: cells.owned(0)?,
            },
            kind: function_kind(&cells, 1)?,
            arguments: cells.oids(2)?,
            returns: cells.oid(3)?,
            returns_set: returns_set(&cells, 4),
            volatility: volatility(&cells, 5)?,
            // Session effects of built-in functions are the allow-list's matter, not their bodies'.
            body: Body::Plain,
            // Which of them do is a table of the planner's.
            moment: ReadsMoment::No,
            extension: None,
        };
        builtin
            .functions
            .entry(function.name.name.clone())
            .or_default()
            .push(Arc::new(function));
    }
    for row in operators {
        let cells = Cells::new(row, shard);
        let left = cells.oid(1)?;
        let operator = Operator {
            left: (left != Oid(0)).then_some(left),
            right: cells.oid(2)?,
            result: cells.oid(3)?,
            volatility: volatility(&cells, 4)?,
        };
        builtin.operators.entry(cells.owned(0)?).or_default().push(operator);
    }
    for row in types {
        let cells = Cells::new(row, shard);
        builtin.types.insert(cells.owned(0)?, cells.oid(1)?);
    }
    for row in casts {
        let cells = Cells::new(row, shard);
        builtin
            .casts
            .insert((cells.number(0)?, cells.number(1)?), cells.byte(2)?);
    }
    Ok(builtin)
}
