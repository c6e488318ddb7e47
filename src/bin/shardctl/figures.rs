//! Figures in few columns: shares, rates, sizes, spans, bars.

/// A share of 1 as a bar of so many cells; more than 1 fills it.
pub(crate) fn bar(share: f64, cells: usize) -> String {
    const PARTS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let wide = f64::from(u32::try_from(cells).unwrap_or(0));
    let mut eighths = (share.clamp(0.0, 1.0) * wide * 8.0).round();
    let mut bar = String::new();
    while eighths >= 8.0 {
        bar.push('█');
        eighths -= 8.0;
    }
    let part = PARTS.iter().zip(1_u32..).find(|(_, part)| f64::from(*part) >= eighths);
    if let Some((part, _)) = part
        && eighths >= 1.0
    {
        bar.push_str(part);
    }
    format!("{bar:<cells$}")
}

/// At most five columns.
pub(crate) fn percent(share: Option<f64>) -> String {
    match share.map(|share| share * 100.0) {
        None => "-".to_owned(),
        Some(percent) if percent < 9.95 => format!("{percent:.1}%"),
        Some(percent) if percent < 9_999.5 => format!("{percent:.0}%"),
        Some(_) => ">999%".to_owned(),
    }
}

/// Seconds per second.
pub(crate) fn waiting(seconds: f64) -> String {
    match seconds {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 9.995 => format!("{few:.2}"),
        many => short(many, 1000.0, &["", "k", "M", "G"]),
    }
}

/// Per second.
pub(crate) fn rate(value: f64) -> String {
    short(value, 1000.0, &["", "k", "M", "G"])
}

pub(crate) fn size(bytes: f64) -> String {
    short(bytes, 1024.0, &["B", "K", "M", "G", "T", "P"])
}

/// At most three digits and a unit.
fn short(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    while value >= 999.5
        && let Some(larger) = units.next()
    {
        value /= step;
        unit = larger;
    }
    match value {
        whole if whole.fract() == 0.0 || whole >= 9.95 => format!("{whole:.0}{unit}"),
        few => format!("{few:.1}{unit}"),
    }
}

/// `90 s`, `10 m`, `3 h`
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        few if few < 120.0 => format!("{few:.0} s"),
        some if some < 7200.0 => format!("{:.0} m", some / 60.0),
        many => format!("{:.0} h", many / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.04, "0.0"),
            (3.0, "3"),
            (9.94, "9.9"),
            (10.2, "10"),
            (999.4, "999"),
            (999.6, "1.0k"),
            (12_345.0, "12k"),
        ] {
            assert_eq!(rate(value), text);
        }
        assert_eq!(size(40.0 * 1024.0 * 1024.0), "40M");
        assert_eq!((size(0.0).as_str(), size(9000.0).as_str()), ("0B", "8.8K"));
        assert_eq!(
            (percent(Some(0.012)).as_str(), percent(Some(1.2)).as_str()),
            ("1.2%", "120%")
        );
        assert_eq!((span(90.0).as_str(), span(600.0).as_str()), ("90 s", "10 m"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0, 12), " ".repeat(12));
        assert_eq!(bar(7.0, 12), "█".repeat(12));
        assert_eq!(bar(0.5, 12), format!("{}{}", "█".repeat(6), " ".repeat(6)));
        assert!(bar(0.01, 12).starts_with('▏'));
        for share in [0.001, 0.04, 0.333, 0.99, 0.999] {
            assert_eq!(bar(share, 12).chars().count(), 12, "{share}");
        }
    }
}
