//! From a text to its compiled route: scan, look up, and on a miss parse, resolve and climb the ladder.

use std::sync::Arc;

use crate::plan::cache::{CacheKey, Holds};
use crate::plan::ladder::{self, Around, Asked, Case, Late, Literals, Route, Ruling, Tree, hidden};
use crate::plan::resolve::{Input, Views, resolve};
use crate::plan::{
    Access, Compiled, Facts, Parameters, Plan, RefusalId, Request, SessionEffect, Snapshot, Verdict, refuse,
};
use crate::sql::{Command, Lead, ScanErrorKind, Shape, Statements, Token, command, parse, scan, shape, suspicious};
use crate::topology::ShardId;
use crate::value::Oid;

/// Statements inside statements (EXPLAIN of DECLARE …) beyond this are refused.
const INNER_DEPTH_MAX: usize = 4;

/// The compiled route of a statement, through the cache.
pub(in crate::plan) fn compile(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts,
) -> Result<Arc<Compiled>, Verdict> {
    let lexing = request.context.lexing();
    snapshot.cache().with_shape(|scratch| {
        if let Err(error) = shape(request.text, lexing, scratch) {
            return Ok(Arc::new(unlexed(snapshot, request, error.kind)));
        }
        compile_shaped(snapshot, request, facts, scratch)
    })
}

/// The plan of a statement for the values of this very request, and its route: one scan serves lookup and literals.
pub(in crate::plan) fn plan(
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
) -> Result<(Arc<Compiled>, Plan), Verdict> {
    let lexing = request.context.lexing();
    snapshot.cache().with_shape(|scratch| {
        if let Err(error) = shape(request.text, lexing, scratch) {
            let compiled = Arc::new(unlexed(snapshot, request, error.kind));
            let plan = compiled.bind(snapshot, request, parameters, facts)?;
            return Ok((compiled, plan));
        }
        plan_shaped(snapshot, request, parameters, facts, scratch)
    })
}

/// The same where the text has been scanned into `own`, lexed as the request's context says.
pub(in crate::plan) fn plan_shaped(
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
    own: &Shape,
) -> Result<(Arc<Compiled>, Plan), Verdict> {
    let compiled = compile_shaped(snapshot, request, facts, own)?;
    let plan = compiled.bind_shaped(snapshot, request, parameters, facts, own)?;
    Ok((compiled, plan))
}

/// The same where the text has been scanned into `own`.
fn compile_shaped(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts,
    own: &Shape,
) -> Result<Arc<Compiled>, Verdict> {
    let key = CacheKey {
        shape: own,
        text: request.text,
        context: request.context,
        parameter_types: request.parameter_types,
    };
    if let Some(compiled) = snapshot.cache().get(key) {
        return Ok(compiled);
    }
    let compiled = Arc::new(compile_new(snapshot, request, facts, own, 0)?);
    let holds = match compiled.literals() {
        Literals::Opaque => Holds::ForShape,
        Literals::Read => Holds::ForText,
    };
    snapshot.cache().put(key, holds, &compiled);
    Ok(compiled)
}

/// The route of the very text of a request, past the cache: for a fan-out whose shape was compiled from another text.
pub(in crate::plan) fn compile_afresh(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts,
    depth: usize,
) -> Result<Compiled, Verdict> {
    let mut own = Shape::default();
    match shape(request.text, request.context.lexing(), &mut own) {
        Ok(()) => compile_new(snapshot, request, facts, &own, depth),
        Err(error) => Ok(unlexed(snapshot, request, error.kind)),
    }
}

/// Text that can't be cut into tokens: one shard may read it for itself, several may not.
fn unlexed(snapshot: &Snapshot, request: &Request<'_>, kind: ScanErrorKind) -> Compiled {
    let topology = snapshot.topology();
    let ruling = match topology.all_shards().single() {
        Some(shard) => Ruling {
            route: Route::Fixed {
                kind: crate::plan::Kind::Single,
                shard,
                reason: "there is one shard",
            },
            access: Access::Write,
            effect: SessionEffect::Opaque,
            prepare_on: shard,
            literals: Literals::Read,
        },
        None => {
            let refusal = match kind {
                ScanErrorKind::UnsafeEncoding => refuse(RefusalId::EncodingUnsafe, &[&request.context.client_encoding]),
                kind => refuse(RefusalId::LexicalError, &[&kind.to_string()]),
            };
            Ruling::refused(refusal, topology.home())
        }
    };
    Compiled::new(snapshot, request, ruling, None, Vec::new())
}

fn compile_new(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts,
    own: &Shape,
    depth: usize,
) -> Result<Compiled, Verdict> {
    let lexing = request.context.lexing();
    let home = snapshot.topology().home();
    if own.statements() == Statements::Several {
        let refusal = refuse(RefusalId::SyntaxNotUnderstood, &["several statements in one"]);
        return Ok(Compiled::new(
            snapshot,
            request,
            Ruling::refused(refusal, home),
            None,
            Vec::new(),
        ));
    }
    let tokens = match scan(request.text, lexing) {
        Ok(tokens) => tokens,
        Err(error) => return Ok(unlexed(snapshot, request, error.kind)),
    };
    let said = match own.lead() {
        Lead::Query if own.statements() == Statements::One && !starts_with(request.text, b"with") => Ok(Command::Query),
        Lead::Query | Lead::Write | Lead::Empty | Lead::Other => command(request.text, lexing),
    };
    let said = match said {
        Ok(said) => said,
        Err(error) => return Ok(unlexed(snapshot, request, error.kind)),
    };
    let types = types(request, facts);
    let ruled = with_case(snapshot, request, (&types, own, &tokens, &said), |case| {
        let ruling = ladder::rule(case)?;
        let sequences = ladder::sequence_use(case, &ruling);
        let unseen = ladder::unseen(case);
        Ok((ruling, sequences, ladder::clock(case, &unseen), unseen))
    });
    let (ruling, sequences, clock, unseen) = ruled?;
    let inner = inner(snapshot, request, facts, &ruling, depth)?;
    Ok(Compiled::new(snapshot, request, ruling, inner, types)
        .of_shape(own)
        .with_sequences(sequences)
        .with_clock(clock, unseen))
}

/// A statement once more, on a shard that joins a transaction begun on another.
pub(in crate::plan) fn renewed(
    snapshot: &Snapshot,
    request: &Request<'_>,
    parameters: &Parameters<'_>,
    facts: &Facts,
    (shard, access): (ShardId, Access),
) -> Result<Late, Verdict> {
    let lexing = request.context.lexing();
    let unread = |_| Verdict::Refused(hidden("a text that can't be read"));
    let mut own = Shape::default();
    shape(request.text, lexing, &mut own).map_err(unread)?;
    let tokens = scan(request.text, lexing).map_err(unread)?;
    let said = command(request.text, lexing).map_err(unread)?;
    let types = types(request, facts);
    let asked = Asked {
        shard,
        access,
        parameters,
        types: &types,
        facts,
    };
    with_case(snapshot, request, (&types, &own, &tokens, &said), |case| {
        ladder::renew(case, &asked)
    })
}

/// Does something with a statement that has been parsed, if it has to be, and its names resolved.
fn with_case<T>(
    snapshot: &Snapshot,
    request: &Request<'_>,
    (types, own, tokens, said): (&[Oid], &Shape, &[Token], &Command),
    then: impl FnOnce(&Case<'_>) -> Result<T, Verdict>,
) -> Result<T, Verdict> {
    let lexing = request.context.lexing();
    let wants_tree = snapshot.topology().all_shards().single().is_none()
        && matches!(
            said,
            Command::Query | Command::Insert | Command::Update | Command::Delete | Command::Merge
        );
    let case = |tree: &Tree<'_>| {
        then(&Case {
            text: request.text,
            lexing,
            tokens,
            command: said,
            snapshot,
            context: request.context,
            resolved: tree,
        })
    };
    match wants_tree.then(|| parse(request.text, lexing)) {
        None => case(&Tree::NotWanted),
        Some(Err(failure)) => case(&Tree::Unparsed(failure)),
        Some(Ok(statement)) => {
            let views = Views::collect(snapshot.catalog(), request.text, lexing);
            let suspicions = suspicious(request.text, lexing).unwrap_or_default();
            let input = Input {
                text: request.text,
                lexing,
                tokens,
                shape: own,
                statement: &statement,
                suspicions: &suspicions,
                views: &views,
                topology: snapshot.topology(),
                catalog: snapshot.catalog(),
                context: request.context,
                parameter_types: types,
            };
            match resolve(&input) {
                Ok(resolved) => case(&Tree::Resolved(Box::new(resolved))),
                Err(refusal) => case(&Tree::Refused(refusal)),
            }
        }
    }
}

/// Compiles the statement inside EXPLAIN, DECLARE or COPY.
fn inner(
    snapshot: &Snapshot,
    request: &Request<'_>,
    facts: &Facts,
    ruling: &Ruling,
    depth: usize,
) -> Result<Option<Box<Compiled>>, Verdict> {
    let Route::Inner {
        span,
        around: Around::Explain(_) | Around::Cursor(_) | Around::Copy,
    } = &ruling.route
    else {
        return Ok(None);
    };
    let home = snapshot.topology().home();
    let text = span.of(request.text);
    let request = Request { text, ..*request };
    if depth >= INNER_DEPTH_MAX {
        let refusal = refuse(RefusalId::SyntaxNotUnderstood, &["a statement inside statements"]);
        return Ok(Some(Box::new(Compiled::new(
            snapshot,
            &request,
            Ruling::refused(refusal, home),
            None,
            Vec::new(),
        ))));
    }
    let compiled = compile_afresh(snapshot, &request, facts, depth.saturating_add(1))?;
    Ok(Some(Box::new(compiled)))
}

/// Types of `$n`: what a server learnt, else what the client declared.
fn types(request: &Request<'_>, facts: &Facts) -> Vec<Oid> {
    match &facts.parameter_types {
        Some(learnt) => learnt.clone(),
        None => request.parameter_types.to_vec(),
    }
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    let trimmed = text.trim_ascii_start();
    trimmed
        .get(..word.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(word))
        || trimmed.starts_with(b"/*")
        || trimmed.starts_with(b"--")
}
