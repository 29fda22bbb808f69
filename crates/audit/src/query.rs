//! In: what sessions somebody asks for.
//! Out: the newest of them, a page at a time, by prefix scans alone.
//! Never: reads all rows to find a few.

use crate::error::AuditError;
use crate::index::{Index, Kind, SessionKey, by_prefix};
use crate::row::SessionRow;
use jiff::Timestamp;

/// Characters of an id.
const ID: usize = 26;

/// Which sessions. All that is set must hold; without anything: the newest of all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// Only those that still run.
    pub live: bool,
    /// Of this operator.
    pub user: Option<String>,
    /// Of this load balancer: its uuid, or its name at that time.
    pub load_balancer: Option<String>,
    /// On this amphora, by uuid.
    pub amphora: Option<String>,
    /// Started at or after this moment.
    pub since: Option<Timestamp>,
    /// Started before this moment.
    pub until: Option<Timestamp>,
    /// Older than this session: the `next` of the page before.
    pub before: Option<String>,
    /// At most so many rows; 0 means 50, and more than 10,000 are never given at once.
    pub limit: usize,
}

/// Rows, newest first.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Page {
    /// The rows.
    pub rows: Vec<SessionRow>,
    /// Where the next page starts (for [`Query::before`]); none at the end.
    pub next: Option<String>,
}

impl Index {
    /// The newest sessions that a query asks for.
    pub fn sessions(&self, query: &Query) -> Result<Page, AuditError> {
        let limit = if query.limit == 0 {
            50
        } else {
            query.limit.min(10_000)
        };
        let filters = self.filters(query)?;
        let mut page = Page::default();
        for key in self.newest(query, &filters) {
            let key = key?;
            if !self.in_all(&filters, key)? {
                continue;
            }
            let Some(row) = self.row(key)? else { continue };
            // A prefix is a short hash: the row has the last word.
            if !query.matches(&row) {
                continue;
            }
            if page.rows.len() == limit {
                page.next = page.rows.last().map(|row| row.id.clone());
                break;
            }
            page.rows.push(row);
        }
        Ok(page)
    }

    /// One session by its id.
    pub fn session(&self, id: &str) -> Result<Option<SessionRow>, AuditError> {
        SessionKey::parse(id).map_or(Ok(None), |key| self.row(key))
    }

    /// The sessions whose ids begin so, oldest first, at most `most`; the first characters of an id are its time.
    pub fn beginning(&self, start: &str, most: usize) -> Result<Vec<SessionRow>, AuditError> {
        let fill = |with: char| {
            let rest = std::iter::repeat_n(with, ID.saturating_sub(start.len()));
            start.chars().chain(rest).collect::<String>()
        };
        let (Some(first), Some(last)) =
            (SessionKey::parse(&fill('0')), SessionKey::parse(&fill('Z')))
        else {
            return Ok(Vec::new());
        };
        let mut rows = Vec::new();
        for entry in self.rows.range(first.bytes()..=last.bytes()).take(most) {
            let (key, _) = entry.map_err(|fault| self.fault(fault))?;
            if let Some(key) = SessionKey::of_entry(&key) {
                rows.extend(self.row(key)?);
            }
        }
        Ok(rows)
    }

    /// Prefixes that a session must have, the most selective kind first.
    fn filters(&self, query: &Query) -> Result<Vec<[u8; 8]>, AuditError> {
        let mut filters = Vec::new();
        filters.extend(
            query
                .amphora
                .as_deref()
                .map(|value| by_prefix(Kind::Amphora, value)),
        );
        if let Some(value) = &query.load_balancer {
            let id = by_prefix(Kind::LoadBalancer, value);
            let known = self
                .by
                .scan_prefix(id)
                .next()
                .transpose()
                .map_err(|fault| self.fault(fault))?;
            filters.push(if known.is_some() {
                id
            } else {
                by_prefix(Kind::LoadBalancerName, value)
            });
        }
        filters.extend(
            query
                .user
                .as_deref()
                .map(|value| by_prefix(Kind::User, value)),
        );
        Ok(filters)
    }

    /// Keys of candidate sessions, newest first, from the smallest set that contains them all.
    fn newest<'a>(
        &'a self,
        query: &Query,
        filters: &[[u8; 8]],
    ) -> impl Iterator<Item = Result<SessionKey, AuditError>> + use<'a> {
        let from = query.since.map_or(SessionKey::FIRST, SessionKey::first_at);
        let until = query.until.map_or(SessionKey::END, SessionKey::first_at);
        let before = query.before.as_deref().and_then(SessionKey::parse);
        let to = before.map_or(until, |before| before.min(until));
        let (tree, prefix): (&sled::Tree, &[u8]) = match filters.first() {
            _ if query.live => (&self.live, &[]),
            Some(prefix) => (&self.by, prefix),
            None => (&self.rows, &[]),
        };
        let range = [prefix, from.bytes()].concat()..[prefix, to.bytes()].concat();
        // An empty or turned range must not reach sled, which would panic.
        let keys = (range.start < range.end).then(|| tree.range(range));
        keys.into_iter()
            .flat_map(|keys| keys.rev())
            .filter_map(|entry| match entry {
                Ok((key, _)) => SessionKey::of_entry(&key).map(Ok),
                Err(fault) => Some(Err(self.fault(fault))),
            })
    }

    fn in_all(&self, filters: &[[u8; 8]], key: SessionKey) -> Result<bool, AuditError> {
        for prefix in filters {
            let found = self
                .by
                .contains_key([prefix.as_slice(), key.bytes()].concat());
            if !found.map_err(|fault| self.fault(fault))? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Query {
    fn matches(&self, row: &SessionRow) -> bool {
        let same =
            |asked: &Option<String>, has: &str| asked.as_deref().is_none_or(|asked| asked == has);
        let balancer = self.load_balancer.as_deref();
        same(&self.user, &row.user)
            && same(&self.amphora, &row.amphora)
            && balancer
                .is_none_or(|asked| asked == row.load_balancer || asked == row.load_balancer_name)
            && (!self.live || row.is_live())
    }
}
