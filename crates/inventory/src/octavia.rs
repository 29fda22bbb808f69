//! In: a credential, and what to look for.
//! Out: rows of amphorae and load balancers, page by page.
//! Never: follows a link that Octavia gives, trusts its filters, or goes on for ever.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use ampgate_access::{Amphora, LoadBalancerId, TargetName};
use bytes::Bytes;
use serde::Deserialize;
use uuid::Uuid;

use crate::error::CloudError;
use crate::keystone::{Keystone, Service};
use crate::rows::{self, AMPHORA_FIELDS, AmphoraRow, BALANCER_FIELDS, BalancerRow, Page, Rows};
use crate::settings::Settings;

/// The most rows of one list; ten times the largest cloud that is known of.
const MOST_ROWS: usize = 250_000;
/// The most pages of one list.
const MOST_PAGES: usize = 5_000;
/// All pages of a refresh together may take this long.
const LISTING: Duration = Duration::from_secs(600);
/// The most rows that are looked at for one name; a load balancer has two amphorae, and some more during a failover.
const A_FEW: &str = "100";
/// Of several load balancers with one name, so many are looked at.
const MOST_NAMESAKES: usize = 8;

const AMPHORAE: [&str; 3] = ["v2", "octavia", "amphorae"];
const BALANCERS: [&str; 3] = ["v2", "lbaas", "loadbalancers"];

/// Octavia's API.
pub(crate) struct Octavia {
    keystone: Arc<Keystone>,
    page: usize,
}

/// One load balancer as it is now: none of its amphorae where it is gone.
pub(crate) struct Found {
    pub(crate) balancer: LoadBalancerId,
    pub(crate) rows: Rows,
}

/// A row with an id, which is the marker of the next page.
trait Row: for<'a> Deserialize<'a> {
    fn id(&self) -> Option<&str>;
}

impl Row for AmphoraRow {
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

impl Row for BalancerRow {
    fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
}

#[derive(Deserialize)]
struct Project {
    id: String,
    name: String,
}

impl Octavia {
    pub(crate) fn new(settings: &Settings, keystone: Arc<Keystone>) -> Self {
        Self {
            keystone,
            page: settings.page,
        }
    }

    /// All amphorae and load balancers; without the names of projects.
    ///
    /// # Errors
    /// Any page that cannot be had or read: half a list would look like amphorae that are gone.
    pub(crate) async fn list(&self) -> Result<Rows, CloudError> {
        let listing = async {
            // Amphorae first: a load balancer that is made in between has none in our list, and nothing is left over.
            let (amphorae, odd) = self
                .all::<AmphoraRow>(&AMPHORAE, "amphorae", &AMPHORA_FIELDS, &[])
                .await?;
            let (balancers, odder) = self
                .all::<BalancerRow>(&BALANCERS, "loadbalancers", &BALANCER_FIELDS, &[])
                .await?;
            Ok(Rows {
                amphorae,
                balancers,
                unreadable: odd + odder,
                ..Rows::default()
            })
        };
        match tokio::time::timeout(LISTING, listing).await {
            Ok(outcome) => outcome,
            Err(_late) => Err(CloudError::Late {
                service: "Octavia",
                host: "all pages together".to_owned(),
                after: LISTING,
            }),
        }
    }

    /// The names of all projects, if the credential may read them; most may not.
    pub(crate) async fn projects(&self) -> Option<BTreeMap<String, String>> {
        // Without a second try: where access rules forbid it, this is answered with a 401 each time.
        let session = self.keystone.session().await.ok()?;
        let answer = session.get(Service::Keystone, &["v3", "projects"], &[]);
        let body = answer.await.ok()?.success().ok()?;
        let page: Page<Project> = rows::page(&body, "projects").ok()?;
        let named = page.rows.into_iter().map(|row| (row.id, row.name));
        Some(named.take(MOST_ROWS).collect())
    }

    /// The load balancers that a name may mean, as they are now. None: such names cannot be asked for.
    ///
    /// Whatever is found, the same requests are made: one to look for the name (none for a load balancer's id), and two
    /// for a load balancer, if need be one that does not exist.
    ///
    /// # Errors
    /// No answer, or none that can be read.
    pub(crate) async fn look_up(
        &self,
        name: &TargetName,
    ) -> Result<Option<Vec<Found>>, CloudError> {
        let mut ids = match name {
            TargetName::AmphoraPrefix(_) | TargetName::Static(_) => return Ok(None),
            TargetName::LoadBalancer(id, _) => vec![*id],
            TargetName::AmphoraId(id) => {
                let row: Option<AmphoraRow> =
                    self.one(&AMPHORAE, &id.to_string(), "amphora").await?;
                of_balancers(row)
            }
            TargetName::Compute(id) => {
                let id = id.hyphenated().to_string();
                let rows: Vec<AmphoraRow> = self
                    .some(&AMPHORAE, "amphorae", &[("compute_id", &id)])
                    .await?;
                let same = |row: &AmphoraRow| {
                    let compute = row.compute_id.as_deref();
                    compute.is_some_and(|compute| compute.eq_ignore_ascii_case(&id))
                };
                of_balancers(rows.into_iter().filter(same))
            }
            TargetName::LoadBalancerName(name, _) => {
                let rows: Vec<BalancerRow> = self
                    .some(&BALANCERS, "loadbalancers", &[("name", name)])
                    .await?;
                // Depending on the database, names are compared without regard to case, accents or blanks at the end.
                let same = |row: &&BalancerRow| {
                    row.name
                        .as_deref()
                        .is_some_and(|n| n.eq_ignore_ascii_case(name))
                };
                let ids = rows.iter().filter(same).filter_map(|row| row.id.as_deref());
                ids.filter_map(|id| LoadBalancerId::parse(id).ok())
                    .collect()
            }
        };
        ids.truncate(MOST_NAMESAKES);
        if ids.is_empty() {
            self.balancer(Uuid::nil().into()).await?;
        }
        let mut found = Vec::new();
        for id in ids {
            found.push(self.balancer(id).await?);
        }
        Ok(Some(found))
    }

    /// Whether an amphora that was known serves its load balancer still.
    ///
    /// # Errors
    /// No answer; also where the credential may not see what it could.
    pub(crate) async fn still_has(&self, amphora: &Amphora) -> Result<bool, CloudError> {
        let row: Option<AmphoraRow> = self
            .one(&AMPHORAE, &amphora.id.to_string(), "amphora")
            .await?;
        let Some(balancer) = row.and_then(|row| row.loadbalancer_id) else {
            return Ok(false);
        };
        let Ok(balancer) = LoadBalancerId::parse(&balancer) else {
            return Ok(false);
        };
        let row: Option<BalancerRow> = self
            .one(&BALANCERS, &balancer.to_string(), "loadbalancer")
            .await?;
        Ok(row.is_some())
    }

    async fn balancer(&self, balancer: LoadBalancerId) -> Result<Found, CloudError> {
        let id = balancer.to_string();
        let row: Option<BalancerRow> = self.one(&BALANCERS, &id, "loadbalancer").await?;
        let mut amphorae: Vec<AmphoraRow> = self
            .some(&AMPHORAE, "amphorae", &[("loadbalancer_id", &id)])
            .await?;
        let same = |text: Option<&str>| {
            text.is_some_and(|text| LoadBalancerId::parse(text).ok() == Some(balancer))
        };
        amphorae.retain(|row| same(row.loadbalancer_id.as_deref()));
        let mut rows = Rows {
            amphorae,
            balancers: row.into_iter().filter(|row| same(row.id())).collect(),
            ..Rows::default()
        };
        if rows.balancers.is_empty() {
            rows.amphorae.clear();
        }
        Ok(Found { balancer, rows })
    }

    /// One thing by id; none where it is not there.
    async fn one<R: Row>(
        &self,
        path: &[&str],
        id: &str,
        key: &str,
    ) -> Result<Option<R>, CloudError> {
        let mut path = path.to_vec();
        path.push(id);
        let answer = self.keystone.get(Service::Octavia, &path, &[]).await?;
        if answer.status == 404 {
            return Ok(None);
        }
        let what = answer.what.clone();
        let body = answer.success()?;
        let row = rows::one(&body, key).map_err(|why| garbage(&what, why))?;
        Ok(
            Some(row)
                .filter(|row: &R| row.id().is_some_and(|found| found.eq_ignore_ascii_case(id))),
        )
    }

    /// The first page of a filtered list.
    async fn some<R: Row>(
        &self,
        path: &[&str],
        key: &str,
        filter: &[(&str, &str)],
    ) -> Result<Vec<R>, CloudError> {
        let query: Vec<_> = filter.iter().copied().chain([("limit", A_FEW)]).collect();
        let (what, body) = self.body(path, &query).await?;
        let page = rows::page(&body, key).map_err(|why| garbage(&what, why))?;
        Ok(page.rows)
    }

    async fn body(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<(String, Bytes), CloudError> {
        let answer = self.keystone.get(Service::Octavia, path, query).await?;
        let what = answer.what.clone();
        Ok((what, answer.success()?))
    }

    /// Every row of a list, and how many there were that cannot be read.
    async fn all<R: Row>(
        &self,
        path: &[&str],
        key: &str,
        fields: &[&str],
        filter: &[(&str, &str)],
    ) -> Result<(Vec<R>, usize), CloudError> {
        let limit = self.page.to_string();
        let (mut rows, mut unreadable) = (Vec::new(), 0);
        let mut seen: HashSet<String> = HashSet::new();
        let mut marker: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut query: Vec<(&str, &str)> = filter.to_vec();
            // Repeated: `fields=id,name` gives empty objects.
            query.extend(fields.iter().map(|field| ("fields", *field)));
            query.push(("limit", &limit));
            query.extend(marker.as_deref().map(|marker| ("marker", marker)));
            let (what, body) = self.body(path, &query).await?;
            let page: Page<R> = rows::page(&body, key).map_err(|why| garbage(&what, why))?;
            unreadable += page.unreadable;
            let got = page.rows.len();
            let mut fresh = 0;
            let mut last = None;
            for row in &page.rows {
                if let Some(id) = row.id() {
                    last = Some(id.to_owned());
                    fresh += usize::from(seen.insert(id.to_owned()));
                }
            }
            // A page that was here before: a circle, or an Octavia that gives everything on each page.
            if fresh == 0 && last.is_some() {
                return match page.more {
                    true => Err(garbage(&what, "its pages go round in a circle".to_owned())),
                    false => Ok((rows, unreadable)),
                };
            }
            // Of rows that come twice, `join` uses one and counts the other.
            rows.extend(page.rows);
            if rows.len() > MOST_ROWS {
                return Err(garbage(&what, format!("more than {MOST_ROWS} rows")));
            }
            if last.is_none() && page.more {
                let why = "a page without any id to go on from".to_owned();
                return Err(garbage(&what, why));
            }
            if last.is_none() || (!page.more && got < self.page) {
                return Ok((rows, unreadable));
            }
            marker = last;
        }
        let what = format!("GET /{}", path.join("/"));
        Err(garbage(&what, format!("more than {MOST_PAGES} pages")))
    }
}

fn of_balancers(rows: impl IntoIterator<Item = AmphoraRow>) -> Vec<LoadBalancerId> {
    let ids = rows.into_iter().filter_map(|row| row.loadbalancer_id);
    let mut ids: Vec<_> = ids
        .filter_map(|id| LoadBalancerId::parse(&id).ok())
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

fn garbage(what: &str, why: String) -> CloudError {
    CloudError::Garbage {
        service: "Octavia",
        what: what.to_owned(),
        why,
    }
}
