//! Topic names and filters (MQTT 3.1.1, 4.7).

/// Something one can publish to; its length takes two bytes on the wire.
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= usize::from(u16::MAX) && !topic.contains(['+', '#', '\0'])
}

/// Something one can subscribe to: a wildcard stands for whole levels, `#` for all of the rest.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_level = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !level.contains(['+', '#', '\0']),
        };
        if !is_level {
            return false;
        }
    }
    !filter.is_empty()
}

/// Whether a filter selects a topic name; both are known to be valid.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    // The broker's own topics are not for those who ask for everything.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in filter.split('/') {
        match (level, names.next()) {
            // The level above included: `a/#` selects `a`.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_select_by_whole_levels() {
        for (filter, topic, wanted) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/", false),
            ("a/+", "a/b", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("a/+", "a/b/c", false),
            ("+/+/status", "x/y/status", true),
            ("+/+/status", "x/status", false),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("/+", "/a", true),
            ("+", "/a", false),
        ] {
            assert_eq!(matches(filter, topic), wanted, "{filter} on {topic}");
        }
    }

    #[test]
    fn wildcards_stand_alone_and_never_in_names() {
        for (text, filter, name) in [
            ("a/b", true, true),
            ("/", true, true),
            ("", false, false),
            ("a\0", false, false),
            ("+/a/#", true, false),
            ("#", true, false),
            ("#/a", false, false),
            ("a+/b", false, false),
            ("a/b#", false, false),
        ] {
            assert_eq!((is_filter(text), is_name(text)), (filter, name), "{text:?}");
        }
    }
}
