//! The trace a hook is part of, as its environment names it.

/// A `traceparent` as W3C Trace Context, version 00, defines it; a later version may have more behind it.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let mut parts = text.splitn(5, '-');
    let mut part = |length: usize| {
        let part = parts.next().unwrap_or_default();
        let is_hexadecimal = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == length && is_hexadecimal).then_some(part)
    };
    let (Some(version), Some(trace), Some(parent), Some(_flags)) = (part(2), part(32), part(16), part(2)) else {
        return false;
    };
    let is_set = |id: &str| id.bytes().any(|byte| byte != b'0');
    version != "ff" && is_set(trace) && is_set(parent) && (version != "00" || parts.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::is_traceparent;

    #[test]
    fn only_what_is_well_formed_is_passed_on() {
        let whole = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert!(is_traceparent(whole) && is_traceparent(&whole.replacen("00", "01", 1)));
        assert!(is_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
        for broken in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-011",
        ] {
            assert!(!is_traceparent(broken), "{broken}");
        }
    }
}
