//! In: how the cloud is asked. Out: request by request, whether the gateway's credential may do what the gateway must.
//! Never: a second try: a doctor that hammers makes it worse. Never a token or a body in what comes out.

use crate::error::CloudError;
use crate::keystone::{Keystone, Service, Session};
use crate::rows::{self, AmphoraRow, BalancerRow};
use crate::settings::Settings;

/// What was found.
#[derive(Clone, Debug)]
pub struct Examination {
    /// Whether Keystone gives a token.
    pub token: Result<(), CloudError>,
    /// What Keystone says the time is (RFC 9110's `Date`), where it says so.
    pub date: Option<String>,
    /// Whether Octavia allows what the inventory asks for, each as "GET /v2/…". Empty without a token.
    pub requests: Vec<(&'static str, Result<(), CloudError>)>,
}

/// Asks for a new token and, with it, for one of everything.
pub async fn examine(settings: &Settings) -> Examination {
    let keystone = Keystone::new(settings.clone());
    let session = match keystone.session().await {
        Ok(session) => session,
        Err(error) => {
            return Examination {
                token: Err(error),
                date: None,
                requests: Vec::new(),
            };
        }
    };
    let hello = session.get(Service::Keystone, &["v3"], &[]).await.ok();
    let date = hello.and_then(|answer| {
        let date = answer.headers.get("date")?.to_str().ok()?;
        Some(date.to_owned())
    });
    let amphorae = ["v2", "octavia", "amphorae"];
    let balancers = ["v2", "lbaas", "loadbalancers"];
    let mut requests = Vec::new();
    let (listed, amphora) = first(&session, &amphorae, "amphorae", |row: AmphoraRow| row.id).await;
    requests.push(("GET /v2/octavia/amphorae", listed));
    if let Some(id) = amphora {
        let one = one(&session, &amphorae, &id).await;
        requests.push(("GET /v2/octavia/amphorae/{id}", one));
    }
    let (listed, balancer) = first(&session, &balancers, "loadbalancers", |row: BalancerRow| {
        row.id
    })
    .await;
    requests.push(("GET /v2/lbaas/loadbalancers", listed));
    if let Some(id) = balancer {
        let one = one(&session, &balancers, &id).await;
        requests.push(("GET /v2/lbaas/loadbalancers/{id}", one));
    }
    Examination {
        token: Ok(()),
        date,
        requests,
    }
}

/// A list of one; the id of that one, if there is any.
async fn first<R: for<'a> serde::Deserialize<'a>>(
    session: &Session,
    path: &[&str],
    key: &str,
    id: impl Fn(R) -> Option<String>,
) -> (Result<(), CloudError>, Option<String>) {
    let answer = session.get(Service::Octavia, path, &[("limit", "1")]).await;
    let (what, body) = match answer.map(|answer| (answer.what.clone(), answer.success())) {
        Ok((what, Ok(body))) => (what, body),
        Ok((_, Err(error))) | Err(error) => return (Err(error), None),
    };
    match rows::page::<R>(&body, key) {
        Ok(page) => (Ok(()), page.rows.into_iter().find_map(id)),
        Err(why) => {
            let service = "Octavia";
            (Err(CloudError::Garbage { service, what, why }), None)
        }
    }
}

async fn one(session: &Session, path: &[&str], id: &str) -> Result<(), CloudError> {
    let path: Vec<&str> = path.iter().copied().chain([id]).collect();
    let answer = session.get(Service::Octavia, &path, &[]).await?;
    match answer.status {
        // It may have gone in between.
        404 => Ok(()),
        _ => answer.success().map(|_| ()),
    }
}
