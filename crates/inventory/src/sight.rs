//! In: a new list of rows, and what was known before it. Out: nothing, where all that is missing is really gone.
//! Never: a list taken for the whole that lacks what is still there: sessions on it would end, and its file be written over.

use std::collections::HashSet;
use std::sync::Arc;

use ampgate_access::Amphora;

use crate::error::CloudError;
use crate::octavia::Octavia;
use crate::rows::Rows;

/// So many of what is missing are asked for by their ids. A credential that lost sight of load balancers lost all of one
/// project's at least, and each failover leaves one amphora behind.
const LOOKED_AT: usize = 3;

/// Asks for some of the amphorae that were known and are not listed any more.
///
/// # Errors
/// One is still there: a policy lets the credential see its own project's load balancers only, or pages were missed.
pub(crate) async fn check(
    octavia: &Octavia,
    rows: &Rows,
    known: &[Arc<Amphora>],
) -> Result<(), CloudError> {
    let missing = missing(rows, known);
    let step = missing.len().div_ceil(LOOKED_AT).max(1);
    for amphora in missing.into_iter().step_by(step) {
        if octavia.still_has(amphora).await? {
            return Err(CloudError::Garbage {
                service: "Octavia",
                what: "GET /v2/lbaas/loadbalancers and /v2/octavia/amphorae".to_owned(),
                why: format!(
                    "amphora-{} is still there, and it or its load balancer is not listed; may the gateway's credential list all load balancers (os_load-balancer_api:loadbalancer:get_all-global)?",
                    amphora.id
                ),
            });
        }
    }
    Ok(())
}

/// Amphorae that are not listed, or whose load balancer is not.
fn missing<'k>(rows: &Rows, known: &'k [Arc<Amphora>]) -> Vec<&'k Arc<Amphora>> {
    let lower = |id: &Option<String>| id.as_deref().map(str::to_ascii_lowercase);
    let balancers: HashSet<String> = rows.balancers.iter().filter_map(|b| lower(&b.id)).collect();
    let of_listed = rows.amphorae.iter().filter(|amphora| {
        lower(&amphora.loadbalancer_id).is_some_and(|balancer| balancers.contains(&balancer))
    });
    let listed: HashSet<String> = of_listed.filter_map(|a| lower(&a.id)).collect();
    let known = known.iter();
    known
        .filter(|amphora| !listed.contains(&amphora.id.to_string()))
        .collect()
}
