//! In: the amphorae of one load balancer that a principal may reach. Out: the one that has the VIP now, by their own words.
//! Never: asks without an `Inquiry`, asks whom the principal may not reach, or names such a one.

use std::sync::Arc;

use ampgate_access::{Amphora, Circumstances, Inquiry};
use futures_util::future::join_all;

use crate::seek::Seeker;
use crate::sentence::{Trouble, short};
use crate::upstream::{self, Proof};

/// A load balancer has two amphorae, and some more during a failover. More are not asked.
const MOST: usize = 6;

/// Asks all of them at once. `candidates` are of one load balancer.
///
/// # Errors
/// A sentence with what each one said, where not exactly one has the VIP.
pub async fn which(
    seeker: &Seeker<'_>,
    candidates: &[Arc<Amphora>],
    circumstances: &Circumstances,
) -> Result<Arc<Amphora>, Trouble> {
    let Some(vip) = candidates.first().and_then(|a| a.load_balancer.vip) else {
        return Err(Trouble::NoActive(
            "which amphora is active cannot be asked: the gateway does not know this load balancer's VIP (`vip` in inventory.toml); say .master, .backup or .1, .2, …".to_owned(),
        ));
    };
    let inquiries: Vec<Inquiry> = candidates
        .iter()
        .take(MOST)
        .filter_map(|amphora| {
            let policy = &seeker.rules.policy;
            policy.inquiry(seeker.principal, amphora, circumstances)
        })
        .collect();
    let asked = inquiries.iter().map(|inquiry| async {
        let heard =
            upstream::ask(seeker.gateway, &Proof::Inquiry(inquiry, seeker.connection)).await;
        let has = heard.map(|heard| heard.has_vip == Some(true));
        (inquiry.amphora(), has)
    });
    let mut answers = join_all(asked).await;
    answers.sort_by_key(|(amphora, _)| amphora.id);
    let mut active = answers.iter().filter(|(_, has)| matches!(has, Ok(true)));
    match (active.next(), active.next()) {
        (Some((amphora, _)), None) => Ok(Arc::clone(amphora)),
        (first, _) => {
            let what = match first {
                None => "none of its amphorae says that it has",
                Some(_) => "more than one of its amphorae says that it has",
            };
            let said: Vec<String> = answers.iter().map(|(a, has)| said(a, has)).collect();
            Err(Trouble::NoActive(format!(
                "which amphora is active is not clear: {what} the VIP {vip}: {}; say .master, .backup or .1, .2, …",
                said.join("; ")
            )))
        }
    }
}

/// One amphora's answer in the sentence; the troubles that name their amphora do so already.
fn said(amphora: &Amphora, has: &Result<bool, Trouble>) -> String {
    match has {
        Ok(true) => format!("{} has it", short(&amphora.id)),
        Ok(false) => format!("{} does not have it", short(&amphora.id)),
        Err(trouble) => {
            let (name, why) = (short(&amphora.id), trouble.to_string());
            match why.starts_with(&name) {
                true => why,
                false => format!("{name} could not be asked: {why}"),
            }
        }
    }
}
