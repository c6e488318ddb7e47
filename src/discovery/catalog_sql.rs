//! The statements that read a shard's system catalogs; Postgres 14 to 18.
//!
//! Why text here and parsing in `shard_catalog.rs`: each column's place is checked in one file beside its reader.
//! Holds: everything is schema-qualified or resolved under search_path `pg_catalog`; objects of temporary schemas and of
//! schema `shardgate` are left out; columns that not every version has are read through `to_jsonb`.

use crate::discovery::fingerprint;

/// Schemas whose objects are users'.
const USERS: &str = "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'shardgate')";

/// The catalog of one shard: as many statements as [`STATEMENTS`].
pub(super) fn catalog() -> String {
    [
        SERVER.to_owned(),
        SCHEMAS.to_owned(),
        RELATIONS.replace("USERS", USERS),
        COLUMNS.replace("USERS", USERS),
        UNIQUE.replace("USERS", USERS),
        TRIGGERS.replace("USERS", USERS),
        FOREIGN_KEYS.replace("USERS", USERS),
        RULES.replace("USERS", USERS),
        TYPES.replace("USERS", USERS),
        FUNCTIONS.replace("USERS", USERS),
        OPERATORS.replace("USERS", USERS),
        SYSTEM_RELATIONS.to_owned(),
        READERS.replace("USERS", USERS),
        HIDDEN.to_owned(),
        INDEXES.replace("USERS", USERS),
        fingerprint::statement(),
    ]
    .join(";\n")
}

/// How many statements [`catalog`] has.
pub(super) const STATEMENTS: usize = 16;

/// version number, version, encoding, provider, collate, locale, is in recovery, prepared transactions,
/// synchronous standbys
pub(super) const SERVER: &str = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
    current_setting('server_encoding'), coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'), d.datcollate, \
    coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), pg_is_in_recovery(), \
    current_setting('max_prepared_transactions'), current_setting('synchronous_standby_names') \
    FROM pg_database d WHERE d.datname = current_database()";

const SCHEMAS: &str =
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)' AND nspname <> 'shardgate' ORDER BY 1";

/// oid, schema, name, kind, row security, root's schema, root's name, view definition, inherits, row type, its array
const RELATIONS: &str = "SELECT c.oid, n.nspname, c.relname, c.relkind, c.relrowsecurity, rn.nspname, r.relname, \
    CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, \
    (NOT c.relispartition AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)) \
    OR (c.relkind <> 'p' AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)), \
    c.reltype, coalesce(t.typarray, 0) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_class r ON c.relispartition AND r.oid = pg_partition_root(c.oid) \
    LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace \
    LEFT JOIN pg_type t ON t.oid = c.reltype \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't' AND USERS";

/// relation, name, type, typmod, type's name, collation class, collation's name, not null, identity, generated, default
/// (a domain's, where the column has none of its own), draws from a sequence, that sequence's schema and name (where the
/// column's own default is `nextval` of it and nothing else, or the column is an identity)
const COLUMNS: &str = "SELECT a.attrelid, a.attname, a.atttypid, a.atttypmod, format_type(a.atttypid, a.atttypmod), \
    CASE WHEN a.attcollation = 0 THEN 'none' WHEN co.oid = 100 THEN 'default' \
    WHEN NOT co.collisdeterministic THEN 'nondeterministic' \
    WHEN co.collprovider = 'c' AND co.collcollate IN ('C', 'POSIX') THEN 'bytes' \
    WHEN co.collprovider = 'b' AND to_jsonb(co) ->> 'colllocale' IN ('C', 'C.UTF-8') THEN 'bytes' \
    ELSE 'deterministic' END, \
    cn.nspname || '.' || co.collname, a.attnotnull, a.attidentity, a.attgenerated, \
    coalesce(pg_get_expr(d.adbin, d.adrelid), dt.typdefault), \
    coalesce(pg_get_expr(d.adbin, d.adrelid), dt.typdefault) ~* '(nextval|currval|lastval)\\s*\\(' \
    OR EXISTS (SELECT FROM pg_depend p \
    JOIN pg_class s ON s.oid = p.refobjid AND s.relkind = 'S' WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid \
    AND p.refclassid = 'pg_class'::regclass), q.nspname, q.relname \
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
    LEFT JOIN pg_type dt ON dt.oid = a.atttypid AND dt.typtype = 'd' \
    LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace \
    LEFT JOIN LATERAL (SELECT sn.nspname, s.relname FROM (SELECT p.objid AS oid FROM pg_depend p \
    WHERE a.attidentity <> '' AND p.refclassid = 'pg_class'::regclass AND p.refobjid = a.attrelid \
    AND p.refobjsubid = a.attnum AND p.classid = 'pg_class'::regclass AND p.deptype = 'i' \
    UNION ALL SELECT p.refobjid FROM pg_depend p WHERE a.attidentity = '' AND p.classid = 'pg_attrdef'::regclass \
    AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass \
    AND pg_get_expr(d.adbin, d.adrelid) ~ '^nextval\\(''([^'']|'''')+''::regclass\\)$') p \
    JOIN pg_class s ON s.oid = p.oid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace LIMIT 1) q \
    ON a.attidentity <> '' OR d.oid IS NOT NULL \
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') \
    AND c.relpersistence <> 't' AND USERS ORDER BY a.attrelid, a.attnum";

/// relation, index, is an exclusion, key columns (null: an expression), their exclusion operators
const UNIQUE: &str = "SELECT i.indrelid, x.relname, i.indisexclusion, \
    to_json(ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, place) \
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0 \
    WHERE k.place <= i.indnkeyatts ORDER BY k.place)), \
    to_json(ARRAY(SELECT o.oprname::text FROM pg_constraint e CROSS JOIN unnest(e.conexclop) WITH ORDINALITY k(oid, place) \
    JOIN pg_operator o ON o.oid = k.oid WHERE e.conrelid = i.indrelid AND e.conindid = i.indexrelid AND e.contype = 'x' \
    ORDER BY k.place)) \
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE (i.indisunique OR i.indisexclusion) AND i.indislive AND c.relpersistence <> 't' AND USERS \
    ORDER BY i.indrelid, x.relname";

/// relation, name, type bits, function's schema, function
const TRIGGERS: &str = "SELECT t.tgrelid, t.tgname, t.tgtype, pn.nspname, p.proname \
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace pn ON pn.oid = p.pronamespace \
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND c.relpersistence <> 't' AND USERS ORDER BY t.tgrelid, t.tgname";

/// relation, name, columns, target's schema, target, its columns, on update, on delete
const FOREIGN_KEYS: &str = "SELECT f.conrelid, f.conname, \
    to_json(ARRAY(SELECT a.attname::text FROM unnest(f.conkey) WITH ORDINALITY k(attnum, place) \
    JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum ORDER BY k.place)), tn.nspname, t.relname, \
    to_json(ARRAY(SELECT a.attname::text FROM unnest(f.confkey) WITH ORDINALITY k(attnum, place) \
    JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum ORDER BY k.place)), \
    f.confupdtype, f.confdeltype \
    FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_class t ON t.oid = f.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace \
    WHERE f.contype = 'f' AND f.conparentid = 0 AND c.relpersistence <> 't' AND USERS ORDER BY f.conrelid, f.conname";

/// relation, name
const RULES: &str = "SELECT r.ev_class, r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE r.rulename <> '_RETURN' AND USERS ORDER BY 1, 2";

/// oid, schema, name, kind, base or element, labels
const TYPES: &str = "SELECT t.oid, n.nspname, t.typname, t.typtype, \
    CASE WHEN t.typtype = 'd' THEN t.typbasetype WHEN t.typcategory = 'A' THEN t.typelem ELSE 0 END, \
    to_json(ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder)) \
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid \
    WHERE (c.oid IS NULL OR c.relkind = 'c') AND USERS ORDER BY 1";

/// oid, schema, name, kind, argument types, result, is a set, volatility, language, extension, body (of an
/// aggregate the functions that it is made of)
const FUNCTIONS: &str = "SELECT p.oid, n.nspname, p.proname, p.prokind, to_json(p.proargtypes::oid[]), p.prorettype, \
    p.proretset, p.provolatile, l.lanname, x.extname, \
    CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) \
    WHEN p.prokind = 'a' THEN (SELECT concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, \
    a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn) FROM pg_aggregate a WHERE a.aggfnoid = p.oid) END \
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang \
    LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' \
    AND d.refclassid = 'pg_extension'::regclass \
    LEFT JOIN pg_extension x ON x.oid = d.refobjid WHERE USERS ORDER BY 2, 3, 1";

/// symbol, schema
const OPERATORS: &str = "SELECT DISTINCT o.oprname, n.nspname FROM pg_operator o \
    JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE USERS ORDER BY 1, 2";

/// schema, name
const SYSTEM_RELATIONS: &str = "SELECT n.nspname, c.relname FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// relation, what reads (policy, check, default), its name, kind of what is read (table, function), schema, name
const READERS: &str = "SELECT o.relation, o.what, o.name, CASE WHEN f.oid IS NULL THEN 'table' ELSE 'function' END, \
    coalesce(fn.nspname, tn.nspname), coalesce(f.proname, t.relname) \
    FROM (SELECT 'pg_policy'::regclass AS classid, oid, polrelid AS relation, 'policy' AS what, polname::text AS name \
    FROM pg_policy \
    UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid, 'check', conname::text FROM pg_constraint \
    WHERE contype = 'c' AND conrelid <> 0 \
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid, \
    CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated column' END, a.attname::text FROM pg_attrdef d \
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum) o \
    JOIN pg_class c ON c.oid = o.relation JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_depend d ON d.classid = o.classid AND d.objid = o.oid AND d.deptype IN ('n', 'a') \
    LEFT JOIN pg_proc f ON d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid \
    LEFT JOIN pg_namespace fn ON fn.oid = f.pronamespace \
    LEFT JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid AND t.oid <> o.relation \
    AND t.relkind IN ('r', 'p', 'v', 'm', 'f') \
    LEFT JOIN pg_namespace tn ON tn.oid = t.relnamespace \
    WHERE (f.oid IS NOT NULL OR t.oid IS NOT NULL) AND c.relpersistence <> 't' AND USERS \
    AND coalesce(fn.nspname, tn.nspname) NOT IN ('pg_catalog', 'information_schema') \
    GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6";

/// relation (0: a domain's), what runs unnamed (policy, check, trigger, rule, index, default, generated) or that it is a
/// part, its name, letter of commands or kind, expression, a policy's WITH CHECK, schema and name of the domain or of the
/// whole, the users' objects that it depends on: kind (function, operator's function, type, relation), schema, name. Of
/// row policies those that are enabled; of triggers those with a condition or arguments; of defaults those that a foreign
/// key sets.
const HIDDEN: &str = "SELECT o.relation, o.what, o.name, o.letter, o.expression, o.checking, o.schema, o.other, \
    (SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_array(u.kind, un.nspname, u.name)), '[]') FROM pg_depend d \
    CROSS JOIN LATERAL (SELECT 'function' AS kind, f.pronamespace AS namespace, f.proname AS name FROM pg_proc f \
    WHERE d.refclassid = 'pg_proc'::regclass AND f.oid = d.refobjid \
    UNION ALL SELECT 'operator', f.pronamespace, f.proname FROM pg_operator p JOIN pg_proc f ON f.oid = p.oprcode \
    WHERE d.refclassid = 'pg_operator'::regclass AND p.oid = d.refobjid \
    UNION ALL SELECT 'type', t.typnamespace, t.typname FROM pg_type t \
    WHERE d.refclassid = 'pg_type'::regclass AND t.oid = d.refobjid \
    UNION ALL SELECT 'relation', r.relnamespace, r.relname FROM pg_class r WHERE d.refclassid = 'pg_class'::regclass \
    AND r.oid = d.refobjid AND r.oid <> o.relation AND r.relkind IN ('r', 'p', 'v', 'm', 'f')) u \
    JOIN pg_namespace un ON un.oid = u.namespace WHERE d.classid = o.classid AND d.objid = o.oid \
    AND un.nspname NOT IN ('pg_catalog', 'information_schema')) \
    FROM (SELECT 'pg_policy'::regclass AS classid, p.oid, p.polrelid AS relation, 'policy' AS what, p.polname AS name, \
    p.polcmd AS letter, pg_get_expr(p.polqual, p.polrelid) AS expression, \
    pg_get_expr(p.polwithcheck, p.polrelid) AS checking, NULL::name AS schema, NULL::name AS other \
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relrowsecurity \
    UNION ALL SELECT 'pg_constraint'::regclass, k.oid, k.conrelid, 'check', k.conname, '*', \
    pg_get_expr(k.conbin, k.conrelid), NULL, n.nspname, t.typname FROM pg_constraint k \
    LEFT JOIN pg_type t ON t.oid = k.contypid LEFT JOIN pg_namespace n ON n.oid = t.typnamespace \
    WHERE k.contype = 'c' AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false' \
    UNION ALL SELECT 'pg_trigger'::regclass, t.oid, t.tgrelid, 'trigger', t.tgname, '*', pg_get_triggerdef(t.oid), NULL, \
    NULL, NULL FROM pg_trigger t \
    WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgqual IS NOT NULL OR t.tgnargs > 0) \
    UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class, 'rule', r.rulename, r.ev_type, pg_get_ruledef(r.oid), NULL, \
    NULL, NULL FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class \
    WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D' AND c.relkind IN ('r', 'p') AND r.oid >= 16384 \
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid, 'index', x.relname, '*', \
    concat_ws(' ', pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)), NULL, NULL, NULL \
    FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid \
    WHERE i.indislive AND i.indexrelid >= 16384 AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) \
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, d.adrelid, \
    CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated' END, a.attname, a.attgenerated, \
    pg_get_expr(d.adbin, d.adrelid), NULL, NULL, NULL FROM pg_attrdef d \
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> '' \
    OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = d.adrelid AND k.contype = 'f' \
    AND (k.confupdtype = 'd' OR k.confdeltype = 'd')) \
    UNION ALL SELECT 'pg_inherits'::regclass, 0, h.inhrelid, 'part', c.relname, '*', NULL, NULL, n.nspname, c.relname \
    FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhparent AND c.relkind IN ('r', 'p', 'f') \
    JOIN pg_namespace n ON n.oid = c.relnamespace) o ORDER BY 1, 2, 3, 7, 8";

/// schema, index, its table's schema, its table
const INDEXES: &str = "SELECT xn.nspname, x.relname, n.nspname, c.relname FROM pg_index i \
    JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_namespace xn ON xn.oid = x.relnamespace \
    JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE c.relpersistence <> 't' AND USERS";

/// What belongs to the server's version: functions, operators, types, casts.
pub(super) const BUILTIN: [&str; 4] = [
    // name, kind, argument types, result, is a set, volatility
    "SELECT p.proname, p.prokind, to_json(p.proargtypes::oid[]), p.prorettype, p.proretset, p.provolatile FROM pg_proc p \
     WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384 ORDER BY p.proname, p.oid",
    // symbol, left, right, result, volatility
    "SELECT o.oprname, o.oprleft, o.oprright, o.oprresult, p.provolatile FROM pg_operator o \
     JOIN pg_proc p ON p.oid = o.oprcode WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oid < 16384 \
     ORDER BY o.oprname, o.oid",
    // name, oid
    "SELECT typname, oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace",
    // source, target, context
    "SELECT castsource, casttarget, castcontext FROM pg_cast WHERE castsource < 16384 AND casttarget < 16384",
];

/// A value that changes when a role's settings do, in this database or in all; one that changes when it does who may log in.
pub(super) const ROLES: &str = "SELECT concat(count(*), ' ', sum(hashtextextended(s::text, 0))), \
    (SELECT concat(d.datallowconn, ' ', d.datacl, ' ', \
    (SELECT sum(hashtextextended(concat(r.rolname, r.rolsuper, r.rolcanlogin, r.rolvaliduntil <= now()), 0)) FROM pg_roles r \
    WHERE r.rolsuper OR NOT r.rolcanlogin OR r.rolvaliduntil <= now()), ' ', \
    (SELECT sum(hashtextextended(concat(m.roleid, ' ', m.member), 0)) FROM pg_auth_members m)) \
    FROM pg_database d WHERE d.datname = current_database()) \
    FROM pg_db_role_setting s \
    WHERE setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))";
