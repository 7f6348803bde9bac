//! Values as people write them: `5m`, `72h`, `256 MB`, `2026-11-01`.

use super::ConfigError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{NaiveDate, TimeZone};
use chrono_tz::Tz;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The range a duration must lie in.
#[derive(Clone, Copy)]
pub struct Range {
    pub least: Duration,
    pub most: Duration,
}

impl Range {
    pub const LINK: Range = Range {
        least: Duration::from_secs(1),
        most: Duration::from_secs(900),
    };
    pub const SCHEDULE: Range = Range {
        least: Duration::from_secs(5),
        most: Duration::from_secs(24 * 3600),
    };
    pub const READ_BACK: Range = Range {
        least: Duration::ZERO,
        most: Duration::from_secs(3600),
    };
    pub const JITTER: Range = Range {
        least: Duration::ZERO,
        most: Duration::from_secs(600),
    };
    pub const KEEP: Range = Range {
        least: Duration::from_secs(60),
        most: Duration::from_secs(90 * 24 * 3600),
    };
}

/// One of a few words, or the default.
pub fn one_of<T: Copy + Default>(
    key: &str,
    text: Option<&str>,
    choices: &[T],
    word: fn(T) -> &'static str,
) -> Result<T, ConfigError> {
    let Some(text) = text else {
        return Ok(T::default());
    };
    choices
        .iter()
        .copied()
        .find(|choice| word(*choice) == text)
        .ok_or_else(|| {
            let words: Vec<String> = choices
                .iter()
                .map(|choice| format!("\"{}\"", word(*choice)))
                .collect();
            ConfigError(format!("{key} = \"{text}\": write {}", words.join(" or ")))
        })
}

/// A duration: a whole number and `ms`, `s`, `m`, `h` or `d`.
pub fn duration(section: &str, key: &str, text: &str, range: Range) -> Result<Duration, ConfigError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit_ms: Option<u64> = match unit.trim() {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        "d" => Some(86_400_000),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    let read = number
        .zip(unit_ms)
        .and_then(|(n, ms)| n.checked_mul(ms))
        .map(Duration::from_millis);
    match read {
        Some(read) if read >= range.least && read <= range.most => Ok(read),
        Some(_) => Err(ConfigError(format!(
            "{section}.{key} = \"{text}\" is out of range: from {} to {}",
            shown(range.least),
            shown(range.most)
        ))),
        None => Err(ConfigError(format!(
            "{section}.{key} = \"{text}\": write a time like \"20s\", \"5m\" or \"72h\""
        ))),
    }
}

/// A duration in the largest unit that keeps it whole.
pub fn shown(duration: Duration) -> String {
    let ms = duration.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{}{unit}", ms / size);
        }
    }
    format!("{ms}ms")
}

/// A size: a whole number and `kB`, `MB` or `GB` (thousands), between 1 MB and 64 GB.
pub fn size(section: &str, key: &str, text: &str) -> Result<u64, ConfigError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: Option<u64> = match unit.trim() {
        "kB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let read = digits
        .parse::<u64>()
        .ok()
        .zip(factor)
        .and_then(|(n, factor)| n.checked_mul(factor));
    read.filter(|bytes| (1_000_000..=64_000_000_000).contains(bytes))
        .ok_or_else(|| {
            ConfigError(format!(
                "{section}.{key} = \"{text}\": write a size from \"1 MB\" to \"64 GB\""
            ))
        })
}

/// A whole number within bounds.
pub fn whole(key: &str, value: i64, least: u32, most: u32) -> Result<u32, ConfigError> {
    u32::try_from(value)
        .ok()
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| ConfigError(format!("{key} = {value} is out of range: from {least} to {most}")))
}

/// `now`, or the first moment of a day at the office.
pub fn start(text: &str, zone: Tz) -> Result<Option<i64>, ConfigError> {
    if text == "now" {
        return Ok(None);
    }
    let midnight = text
        .parse::<NaiveDate>()
        .ok()
        .and_then(|date| date.and_hms_opt(0, 0, 0));
    let moment = midnight.and_then(|midnight| zone.from_local_datetime(&midnight).earliest());
    let moment = moment.ok_or_else(|| {
        ConfigError(format!(
            "flows.start = \"{text}\": write \"now\" or a date like \"2026-11-01\""
        ))
    })?;
    Ok(Some(moment.timestamp()))
}

/// Most keys of the desk: the present one, the next one, and a spare of each.
const COMMAND_KEYS_MAX: usize = 4;

/// Ed25519 public keys in base64, as `fleet key` prints them.
pub fn command_keys(texts: &[String]) -> Result<Vec<[u8; 32]>, ConfigError> {
    if texts.len() > COMMAND_KEYS_MAX {
        let words = format!("mqtt.command_keys: at most {COMMAND_KEYS_MAX} keys");
        return Err(ConfigError(words));
    }
    let key = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
    let keys: Option<Vec<[u8; 32]>> = texts.iter().map(key).collect();
    keys.ok_or_else(|| {
        ConfigError("mqtt.command_keys: write each key as `referral-gateway fleet key` prints it".into())
    })
}

/// A word that may stand in an MQTT topic.
pub fn topic_word(key: &str, value: &str) -> Result<(), ConfigError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !value.is_empty() && value.len() <= 32 && value.bytes().all(plain) {
        return Ok(());
    }
    Err(ConfigError(format!(
        "{key} = \"{value}\": up to 32 small letters, digits and hyphens"
    )))
}

/// A name the kernel may give an interface.
pub fn interface(key: &str, name: &str) -> Result<(), ConfigError> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || c == '/' || c == ':';
    if (1..=15).contains(&name.len()) && !name.contains(odd) && name != "." && name != ".." {
        return Ok(());
    }
    let remedy = "write \"any\", or one name like \"eth0\" or \"wwan0\" as `ip link` shows it";
    Err(ConfigError(format!("{key} = \"{name}\": {remedy}")))
}

/// Where to listen: an address of this box, or all of them, and a port.
pub fn address(key: &str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| {
        let example = "write an address and a port like \"0.0.0.0:8443\"";
        ConfigError(format!("{key} = \"{text}\": {example}"))
    })
}

/// Names and addresses for a certificate: at most 16, in the letters host names are made of.
pub fn host_names(key: &str, names: Vec<String>) -> Result<Vec<String>, ConfigError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
    let fits = |name: &String| (1..=100).contains(&name.len()) && name.bytes().all(plain);
    match names.iter().find(|name| !fits(name)) {
        None if names.len() <= 16 => Ok(names),
        None => Err(ConfigError(format!("{key}: at most 16 names"))),
        Some(name) => Err(ConfigError(format!(
            "{key}: \"{name}\" is no host name and no address; write one like \"gateway.office.lan\""
        ))),
    }
}

/// A file that is there, and that nobody but its owner and group may read.
pub fn private(key: &str, path: PathBuf) -> Result<PathBuf, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let shown = path.display();
    let meta = std::fs::metadata(&path)
        .map_err(|error| ConfigError(format!("{key}: cannot read {shown}: {error}")))?;
    if meta.permissions().mode() & 0o007 != 0 {
        return Err(ConfigError(format!(
            "{key}: everybody may read {shown}; run `chmod 600 {shown}`"
        )));
    }
    Ok(path)
}

/// The first line of a secret's file, under the rules of [`private`].
pub fn secret(key: &str, path: PathBuf) -> Result<String, ConfigError> {
    let path = &private(key, path)?;
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError(format!("{key}: cannot read {shown}: {error}")))?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.is_empty() {
        return Err(ConfigError(format!("{key}: {shown} is empty")));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_and_bounded() {
        let read = |text| duration("s", "k", text, Range::SCHEDULE);
        assert_eq!(read("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(shown(Duration::from_secs(300)), "5m");
        for bad in [
            "",
            "5",
            "m5",
            "5 weeks",
            "1s",
            "25h",
            "99999999999999999999s",
            "-5m",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(size("s", "k", "256 MB"), Ok(256_000_000));
        for bad in ["256", "1 kB", "65 GB", "x MB"] {
            assert!(size("s", "k", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_start_day_begins_at_the_office() {
        let zone: Tz = "Asia/Phnom_Penh".parse().unwrap();
        assert_eq!(start("now", zone), Ok(None));
        assert_eq!(start("2026-11-01", zone), Ok(Some(1_793_491_200 - 7 * 3600)));
        assert!(start("yesterday", zone).is_err());
    }
}
