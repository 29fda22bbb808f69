//! In: whose, where and when.
//! Out: whether a recording is one of those, by its name or its header.
//! Never: more trust in a header than that: unverified, it only finds.

use std::path::Path;

use ampgate_recording::{Header, session_millis};
use clap::Args;
use jiff::Timestamp;

use crate::text;

/// Which recordings are wanted.
#[derive(Args, Clone, Debug, Default)]
pub struct Filter {
    /// Only this operator's
    #[arg(long)]
    user: Option<String>,
    /// Only on this load balancer, by uuid or name
    #[arg(long, value_name = "LB", visible_alias = "load-balancer")]
    lb: Option<String>,
    /// Only on this amphora, by uuid or its beginning
    #[arg(long)]
    amphora: Option<String>,
    /// Only this session, by its id or its beginning
    #[arg(long, value_name = "ID")]
    session: Option<String>,
    /// Started at or after: a time, a day (UTC), or how long ago (30m, 2h, 7d)
    #[arg(long, value_parser = text::moment)]
    since: Option<Timestamp>,
    /// Started before
    #[arg(long, value_parser = text::moment)]
    until: Option<Timestamp>,
}

impl Filter {
    /// By the time in the file's name alone, so that a week is found among years without opening each. An hour is
    /// left on both sides, for the id and the recording are made one after the other.
    pub fn surely_not(&self, path: &Path) -> bool {
        const HOUR: i64 = 3_600_000;
        let name = path.file_stem().and_then(|name| name.to_str());
        let Some(time) = name
            .and_then(session_millis)
            .and_then(|ms| i64::try_from(ms).ok())
        else {
            return false;
        };
        self.since
            .is_some_and(|since| time + HOUR < since.as_millisecond())
            || self
                .until
                .is_some_and(|until| time - HOUR > until.as_millisecond())
    }

    /// By the header.
    pub fn wants(&self, h: &Header) -> bool {
        let is = |asked: &Option<String>, have: &[&str]| {
            asked.as_deref().is_none_or(|asked| have.contains(&asked))
        };
        let amphora = self
            .amphora
            .as_deref()
            .map(|a| a.strip_prefix("amphora-").unwrap_or(a));
        let session = self.session.as_deref();
        is(&self.user, &[&h.user])
            && is(&self.lb, &[&h.load_balancer, &h.load_balancer_name])
            && amphora.is_none_or(|a| h.amphora.starts_with(a))
            && session.is_none_or(|s| h.session.starts_with(&s.to_ascii_uppercase()))
            && self.since.is_none_or(|since| h.started >= since)
            && self.until.is_none_or(|until| h.started < until)
    }
}
