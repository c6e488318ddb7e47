//! Single values: whole numbers, durations, addresses.
//!
//! Holds: a number without a unit is no duration, except 0; a host that needs a name server is no listen address.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::node::Node;
use crate::config::reader::{Fields, Reader};

/// A whole number of a mapping, or its default.
pub(super) fn whole(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    range: RangeInclusive<u32>,
    default: u32,
) -> u32 {
    fields
        .get(name)
        .and_then(|node| whole_at(reader, node, &fields.path(name), range))
        .unwrap_or(default)
}

/// A whole number.
pub(super) fn whole_at(reader: &mut Reader<'_>, node: &Node, shown: &str, range: RangeInclusive<u32>) -> Option<u32> {
    let wanted = format!("a whole number from {} to {}", range.start(), range.end());
    let scalar = reader.scalar(node, shown, &wanted)?;
    match scalar.text.parse::<u32>() {
        Ok(number) if range.contains(&number) => Some(number),
        Ok(_) | Err(_) => {
            reader.wrong(node.at, format!("{shown} must be {wanted}, not {}", node.described()));
            None
        }
    }
}

/// A number with or without a fraction.
pub(super) fn number_at(reader: &mut Reader<'_>, node: &Node, shown: &str, range: RangeInclusive<f64>) -> Option<f64> {
    let wanted = format!("a number from {} to {}", range.start(), range.end());
    let scalar = reader.scalar(node, shown, &wanted)?;
    let is_plain = scalar.text.chars().all(|c| c.is_ascii_digit() || c == '.');
    match scalar.text.parse::<f64>() {
        Ok(number) if is_plain && range.contains(&number) => Some(number),
        Ok(_) | Err(_) => {
            reader.wrong(node.at, format!("{shown} must be {wanted}, not {}", node.described()));
            None
        }
    }
}

/// May a duration be zero?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zero {
    /// it means "no bound"
    Allowed,
    /// it would mean "never works"
    Refused,
}

/// A duration of a mapping, or its default.
pub(super) fn duration(
    reader: &mut Reader<'_>,
    fields: &Fields<'_>,
    name: &str,
    zero: Zero,
    default: Duration,
) -> Duration {
    let Some(node) = fields.get(name) else { return default };
    let shown = fields.path(name);
    let wanted = "a duration such as 500ms, 5s, 10m or 2h";
    let Some(scalar) = reader.scalar(node, &shown, wanted) else {
        return default;
    };
    match parse_duration(&scalar.text) {
        Some(Duration::ZERO) if zero == Zero::Refused => {
            reader.wrong(node.at, format!("{shown} must be longer than 0"));
            default
        }
        Some(duration) => duration,
        None => {
            let unit = if scalar.text.parse::<u64>().is_ok() {
                "; a number needs its unit"
            } else {
                ""
            };
            reader.wrong(
                node.at,
                format!("{shown} must be {wanted}, not {}{unit}", node.described()),
            );
            default
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit_at)?;
    let number: u64 = number.parse().ok()?;
    let per_unit: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(per_unit)?))
}

/// `host:port` to listen on.
pub(super) fn address(reader: &mut Reader<'_>, node: &Node, shown: &str) -> Option<SocketAddr> {
    let wanted = "an address such as 127.0.0.1:6432";
    let scalar = reader.scalar(node, shown, wanted)?;
    let parsed = parse_address(&scalar.text);
    if parsed.is_none() {
        let why = "the host is an IP address, localhost, or * for all; the port 0 to 65535";
        reader.wrong(
            node.at,
            format!("{shown} must be {wanted}, not {}: {why}", node.described()),
        );
    }
    parsed
}

fn parse_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    let host = match host {
        "localhost" => Ipv4Addr::LOCALHOST,
        "*" => Ipv4Addr::UNSPECIFIED,
        _ => return None,
    };
    Some(SocketAddr::new(IpAddr::V4(host), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_units() {
        let cases = [
            ("0", Some(0)),
            ("5s", Some(5_000)),
            ("250ms", Some(250)),
            ("2 h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("5", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn addresses_need_no_name_server() {
        for (text, address) in [
            ("127.0.0.1:6432", Some("127.0.0.1:6432")),
            ("localhost:1", Some("127.0.0.1:1")),
            ("*:5", Some("0.0.0.0:5")),
            ("[::1]:6432", Some("[::1]:6432")),
            ("example.org:5", None),
            ("127.0.0.1", None),
            ("127.0.0.1:65536", None),
            (":5", None),
        ] {
            assert_eq!(parse_address(text).map(|a| a.to_string()).as_deref(), address, "{text}");
        }
    }
}
