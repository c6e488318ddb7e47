//! EXPLAIN in JSON, XML and YAML: one document of the shards' documents.
//!
//! Why by lines: Postgres writes these formats line by line with fixed indents and escapes line breaks (in XML: `<`), so a
//! shard's plan goes into ours as it was written, whatever the server's next version adds to it.
//! Holds: the document has the form of Postgres's own, one element with one plan; under it each shard's whole, as a member.
//! A number of ours is the shards' own added up or their greatest, and is there only if every shard gave it.

use std::fmt::Write as _;

use crate::sql::ExplainFormat;

/// What a document says of the merge.
#[derive(Debug, Default)]
pub(super) struct Heading {
    /// how rows become one answer
    pub(super) merge: String,
    /// rows that the proxy leaves out at the start
    pub(super) offset: u64,
    /// most rows that it gives
    pub(super) limit: Option<u64>,
    /// the shard that finishes the groups
    pub(super) finish: Option<String>,
}

/// One shard's document.
#[derive(Debug)]
pub(super) struct Member {
    /// name of the shard
    pub(super) shard: String,
    /// as the server gave it
    pub(super) document: String,
}

/// How shards' numbers become one.
#[derive(Clone, Copy, Debug)]
enum Total {
    Least,
    Greatest,
    Sum,
}

/// Numbers of a plan node, with their digits behind the point.
const OF_PLAN: [(&str, Total, usize); 7] = [
    ("Startup Cost", Total::Least, 2),
    ("Total Cost", Total::Greatest, 2),
    ("Plan Rows", Total::Sum, 0),
    ("Plan Width", Total::Greatest, 0),
    ("Actual Startup Time", Total::Least, 3),
    ("Actual Total Time", Total::Greatest, 3),
    ("Actual Rows", Total::Sum, 0),
];

/// Numbers beside the plan.
const BESIDE: [(&str, Total, usize); 2] = [
    ("Planning Time", Total::Greatest, 3),
    ("Execution Time", Total::Greatest, 3),
];

/// A value of the document.
#[derive(Clone, Debug)]
enum Value {
    Text(String),
    /// a number or a truth value
    Plain(String),
}

/// A shard's document cut up: lines of its plan, and lines that stand beside that.
#[derive(Debug)]
struct Cut<'a> {
    plan: Vec<&'a str>,
    beside: Vec<&'a str>,
}

/// The one document; `None`: a shard's has another form than Postgres's.
pub(super) fn document(format: ExplainFormat, heading: &Heading, members: &[Member]) -> Option<String> {
    let cuts = members
        .iter()
        .map(|member| cut(format, &member.document))
        .collect::<Option<Vec<Cut<'_>>>>()?;
    let mut properties = vec![
        ("Node Type", Value::Text("Custom Scan".to_owned())),
        ("Parallel Aware", Value::Plain("false".to_owned())),
        ("Async Capable", Value::Plain("false".to_owned())),
        ("Custom Plan Provider", Value::Text("Shardgate".to_owned())),
    ];
    let total = |lines: &[Vec<&str>], indent: usize, (name, how, digits): (&'static str, Total, usize)| {
        let numbers: Option<Vec<f64>> = lines.iter().map(|lines| number(format, lines, indent, name)).collect();
        let numbers = numbers.filter(|numbers| !numbers.is_empty())?;
        let one = numbers.into_iter().reduce(|left, right| match how {
            Total::Least => left.min(right),
            Total::Greatest => left.max(right),
            Total::Sum => left + right,
        })?;
        Some((name, Value::Plain(format!("{one:.digits$}"))))
    };
    let (mut plans, mut besides) = (Vec::new(), Vec::new());
    for cut in &cuts {
        plans.push(cut.plan.clone());
        besides.push(cut.beside.clone());
    }
    properties.extend(OF_PLAN.into_iter().filter_map(|one| total(&plans, 6, one)));
    if properties.iter().any(|(name, _)| *name == "Actual Rows") {
        properties.push(("Actual Loops", Value::Plain("1".to_owned())));
    }
    properties.push(("Merge", Value::Text(heading.merge.clone())));
    if heading.offset > 0 {
        properties.push(("Offset", Value::Plain(heading.offset.to_string())));
    }
    if let Some(limit) = heading.limit {
        properties.push(("Limit", Value::Plain(limit.to_string())));
    }
    if let Some(shard) = &heading.finish {
        properties.push(("Finished On", Value::Text(shard.clone())));
    }
    let beside: Vec<(&str, Value)> = BESIDE.into_iter().filter_map(|one| total(&besides, 4, one)).collect();
    let mut out = String::new();
    let written = match format {
        ExplainFormat::Text => return None,
        ExplainFormat::Json => json(&mut out, &properties, &beside, (members, &cuts)),
        ExplainFormat::Xml => xml(&mut out, &properties, &beside, (members, &cuts)),
        ExplainFormat::Yaml => yaml(&mut out, &properties, &beside, (members, &cuts)),
    };
    written.ok().map(|()| out)
}

/// Cuts a shard's document at its plan.
fn cut(format: ExplainFormat, document: &str) -> Option<Cut<'_>> {
    let lines: Vec<&str> = document.lines().collect();
    let (before, opens, closes, behind): (&[&str], &str, &str, &[&str]) = match format {
        ExplainFormat::Text => return None,
        ExplainFormat::Json => (&["[", "  {"], "    \"Plan\": {", "    }", &["  }", "]"]),
        ExplainFormat::Xml => (
            &[
                "<explain xmlns=\"http://www.postgresql.org/2009/explain\">",
                "  <Query>",
            ],
            "    <Plan>",
            "    </Plan>",
            &["  </Query>", "</explain>"],
        ),
        ExplainFormat::Yaml => (&[], "- Plan: ", "", &[]),
    };
    let inner = lines.strip_prefix(before)?.strip_suffix(behind)?;
    let (first, inner) = inner.split_first()?;
    if *first != opens {
        return None;
    }
    let end = match format {
        // The plan's lines are those that are indented deeper.
        ExplainFormat::Yaml => inner
            .iter()
            .position(|line| !line.starts_with("    "))
            .unwrap_or(inner.len()),
        _ => inner.iter().position(|line| line.trim_end_matches(',') == closes)?,
    };
    let (plan, rest) = inner.split_at_checked(end)?;
    let beside = match format {
        ExplainFormat::Yaml => rest,
        _ => rest.get(1..)?,
    };
    Some(Cut {
        plan: plan.to_vec(),
        beside: beside.to_vec(),
    })
}

/// The number of this name among a node's own properties. YAML's stand two columns further left.
fn number(format: ExplainFormat, lines: &[&str], indent: usize, name: &str) -> Option<f64> {
    let lead = match format {
        ExplainFormat::Text => return None,
        ExplainFormat::Json => format!("{:indent$}\"{name}\": ", ""),
        ExplainFormat::Xml => format!("{:indent$}<{}>", "", tag(name)),
        ExplainFormat::Yaml => format!("{:width$}{name}: ", "", width = indent.saturating_sub(2)),
    };
    let written = lines.iter().find_map(|line| line.strip_prefix(lead.as_str()))?;
    let written = written.split(['<', ',']).next()?;
    written.trim().parse().ok()
}

/// As JSON writes it, and YAML too: as in Postgres, a string of YAML is one of JSON.
fn value(of: &Value) -> String {
    match of {
        Value::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        Value::Plain(text) => text.clone(),
    }
}

fn json(
    out: &mut String,
    properties: &[(&str, Value)],
    beside: &[(&str, Value)],
    (members, cuts): (&[Member], &[Cut<'_>]),
) -> std::fmt::Result {
    out.push_str("[\n  {\n    \"Plan\": {\n");
    for (name, of) in properties {
        writeln!(out, "      \"{name}\": {},", value(of))?;
    }
    out.push_str("      \"Plans\": [\n");
    for (at, (member, cut)) in members.iter().zip(cuts).enumerate() {
        let shard = serde_json::Value::from(member.shard.as_str());
        out.push_str("        {\n          \"Parent Relationship\": \"Member\",\n");
        write!(out, "          \"Shard\": {shard},")?;
        for line in &cut.plan {
            write!(out, "\n    {line}")?;
        }
        if !cut.beside.is_empty() {
            out.push(',');
        }
        for line in &cut.beside {
            write!(out, "\n      {line}")?;
        }
        let comma = if at.saturating_add(1) < members.len() { "," } else { "" };
        write!(out, "\n        }}{comma}\n")?;
    }
    out.push_str("      ]\n    }");
    for (name, of) in beside {
        write!(out, ",\n    \"{name}\": {}", value(of))?;
    }
    out.push_str("\n  }\n]");
    Ok(())
}

fn yaml(
    out: &mut String,
    properties: &[(&str, Value)],
    beside: &[(&str, Value)],
    (members, cuts): (&[Member], &[Cut<'_>]),
) -> std::fmt::Result {
    out.push_str("- Plan: \n");
    for (name, of) in properties {
        writeln!(out, "    {name}: {}", value(of))?;
    }
    out.push_str("    Plans: ");
    for (member, cut) in members.iter().zip(cuts) {
        let shard = serde_json::Value::from(member.shard.as_str());
        write!(out, "\n      - Parent Relationship: \"Member\"\n        Shard: {shard}")?;
        for line in &cut.plan {
            write!(out, "\n    {line}")?;
        }
        for line in &cut.beside {
            write!(out, "\n      {line}")?;
        }
    }
    for (name, of) in beside {
        write!(out, "\n  {name}: {}", value(of))?;
    }
    Ok(())
}

/// A property's name as Postgres makes a tag of it.
fn tag(name: &str) -> String {
    name.replace(' ', "-")
}

fn xml(
    out: &mut String,
    properties: &[(&str, Value)],
    beside: &[(&str, Value)],
    (members, cuts): (&[Member], &[Cut<'_>]),
) -> std::fmt::Result {
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let element = |(name, of): &(&str, Value)| {
        let (tag, text) = (
            tag(name),
            match of {
                Value::Text(text) => escaped(text),
                Value::Plain(text) => text.clone(),
            },
        );
        format!("<{tag}>{text}</{tag}>")
    };
    out.push_str("<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n  <Query>\n    <Plan>\n");
    for property in properties {
        writeln!(out, "      {}", element(property))?;
    }
    out.push_str("      <Plans>\n");
    for (member, cut) in members.iter().zip(cuts) {
        let shard = escaped(&member.shard);
        out.push_str("        <Plan>\n          <Parent-Relationship>Member</Parent-Relationship>\n");
        writeln!(out, "          <Shard>{shard}</Shard>")?;
        // A text may have line breaks of its own: lines are as they came.
        for line in cut.plan.iter().chain(&cut.beside) {
            writeln!(out, "{line}")?;
        }
        out.push_str("        </Plan>\n");
    }
    out.push_str("      </Plans>\n    </Plan>\n");
    for property in beside {
        writeln!(out, "    {}", element(property))?;
    }
    out.push_str("  </Query>\n</explain>");
    Ok(())
}
