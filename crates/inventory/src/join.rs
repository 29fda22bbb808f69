//! In: rows of amphorae and of load balancers, as Octavia said them.
//! Out: amphorae with their load balancers; what cannot be used is counted, and the first of it named.
//! Never: a guess where a value is missing, or a tenant's text in a sentence unescaped.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ampgate_access::{
    Amphora, AmphoraId, LoadBalancer, LoadBalancerId, ProjectId, Status, UpstreamAddr,
};

use crate::error::excerpt;
use crate::rows::{AmphoraRow, BalancerRow, Rows};
use crate::settings::Settings;

/// The port of an amphora's sshd.
const SSH: u16 = 22;
/// So many unusable rows are named; the rest is counted.
const NAMED: usize = 20;

/// What could not be used of an inventory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unusable {
    /// How many rows.
    pub count: usize,
    /// The first of them, each with what is wrong with it.
    pub named: Vec<String>,
}

impl Unusable {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(what());
        }
    }
}

/// Joins the rows.
pub(crate) fn join(rows: &Rows, settings: &Settings) -> (Vec<Arc<Amphora>>, Unusable) {
    let mut unusable = Unusable::default();
    for _ in 0..rows.unreadable {
        unusable.add(|| "a row that is no object".to_owned());
    }
    let mut balancers = HashMap::new();
    for row in &rows.balancers {
        match balancer(row, rows) {
            Ok(found) if balancers.contains_key(&found.id) => {
                unusable.add(|| format!("the load balancer {} is listed twice", found.id));
            }
            Ok(found) => {
                balancers.insert(found.id, Arc::new(found));
            }
            Err(why) => unusable.add(|| why),
        }
    }
    let mut seen = HashSet::new();
    let mut amphorae = Vec::with_capacity(rows.amphorae.len());
    for row in &rows.amphorae {
        match amphora(row, &balancers, settings) {
            Ok(Some(found)) if seen.insert(found.id) => amphorae.push(Arc::new(found)),
            Ok(Some(found)) => {
                unusable.add(|| format!("the amphora {} is listed twice", found.id));
            }
            Ok(None) => {}
            Err(why) => unusable.add(|| why),
        }
    }
    (amphorae, unusable)
}

fn shown(text: Option<&str>) -> String {
    text.map_or("(missing)".to_owned(), |text| excerpt(text.as_bytes()))
}

fn balancer(row: &BalancerRow, rows: &Rows) -> Result<LoadBalancer, String> {
    let id = row.id.as_deref().map(LoadBalancerId::parse);
    let Some(Ok(id)) = id else {
        return Err(format!(
            "a load balancer with the id {}",
            shown(row.id.as_deref())
        ));
    };
    let project = row.project_id.as_deref().map(ProjectId::parse);
    let Some(Ok(project)) = project else {
        return Err(format!(
            "the load balancer {id} with the project {}",
            shown(row.project_id.as_deref())
        ));
    };
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Ok(LoadBalancer {
        id,
        // Without a name it cannot be called by one, but by id.
        name: row.name.clone().unwrap_or_default(),
        project_name: rows.projects.get(project.as_str()).cloned(),
        project,
        tags: BTreeSet::from_iter(row.tags.iter().cloned()),
        provider: text(&row.provider).unwrap_or_else(|| "amphora".to_owned()),
        flavor: text(&row.flavor_id),
        availability_zone: text(&row.availability_zone),
        vip: row
            .vip_address
            .as_deref()
            .and_then(|text| text.parse::<IpAddr>().ok())
            .map(|vip| vip.to_canonical()),
    })
}

/// None: an amphora that serves nobody, yet or any more. Policy speaks of load balancers, so nobody may reach it.
fn amphora(
    row: &AmphoraRow,
    balancers: &HashMap<LoadBalancerId, Arc<LoadBalancer>>,
    settings: &Settings,
) -> Result<Option<Amphora>, String> {
    let id = row.id.as_deref().map(AmphoraId::parse);
    let Some(Ok(id)) = id else {
        return Err(format!(
            "an amphora with the id {}",
            shown(row.id.as_deref())
        ));
    };
    let Some(of) = row.loadbalancer_id.as_deref() else {
        return Ok(None);
    };
    let balancer = LoadBalancerId::parse(of).ok();
    let Some(balancer) = balancer.and_then(|id| balancers.get(&id)) else {
        return Err(format!(
            "the amphora {id}: its load balancer {} is not listed; may the credential list those of all projects (loadbalancer:get_all-global)?",
            shown(Some(of))
        ));
    };
    let address = match row.lb_network_ip.as_deref().filter(|text| !text.is_empty()) {
        None => None,
        Some(text) => Some(address(text).ok_or_else(|| {
            format!(
                "the amphora {id}: no amphora can have the address {}",
                shown(Some(text))
            )
        })?),
    };
    Ok(Some(Amphora {
        id,
        names: Vec::new(),
        address,
        login_user: settings.login_user(row.image_id.as_deref()).clone(),
        load_balancer: Arc::clone(balancer),
        // A role that a newer Octavia invents is no role that we know.
        role: row.role.as_deref().and_then(|role| role.parse().ok()),
        status: row.status.as_deref().map(Status::of_octavia),
        zone: row.cached_zone.clone().filter(|zone| !zone.is_empty()),
        compute_id: row.compute_id.clone(),
        host_key: None,
    }))
}

fn address(text: &str) -> Option<UpstreamAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    let nowhere = match ip {
        IpAddr::V4(ip) => ip.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    let wrong = nowhere || ip.is_unspecified() || ip.is_multicast();
    (!wrong).then(|| UpstreamAddr(SocketAddr::new(ip, SSH)))
}

/// Amphorae and load balancers out of bodies of the two lists, as a refresh makes them: for tests and fuzzing.
///
/// # Errors
/// A body that is no list.
pub fn of_bodies(
    amphorae: &[u8],
    balancers: &[u8],
    settings: &Settings,
) -> Result<(Vec<Arc<Amphora>>, Unusable), String> {
    let amphorae = crate::rows::page::<AmphoraRow>(amphorae, "amphorae")?;
    let balancers = crate::rows::page::<BalancerRow>(balancers, "loadbalancers")?;
    let rows = Rows {
        unreadable: amphorae.unreadable + balancers.unreadable,
        amphorae: amphorae.rows,
        balancers: balancers.rows,
        ..Rows::default()
    };
    Ok(join(&rows, settings))
}
