//! In: `inventory.toml`.
//! Out: the amphorae in it, behind the trait that every inventory implements.
//! Never: two amphorae with one id, one name or one address.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ampgate_access::table::{self, At, Faults, Table};
use ampgate_access::{
    Amphora, AmphoraId, Fault, HostKey, LoadBalancer, LoadBalancerId, LoginUser, NameError,
    ProjectId, Role, TargetName, UpstreamAddr, is_static_name,
};
use async_trait::async_trait;

use crate::{Condition, Inventory, InventoryError, Known, Resolution};

/// The port of an amphora's sshd.
const SSH: u64 = 22;

/// The inventory of a file.
#[derive(Clone, Debug, Default)]
pub struct Fixed {
    known: Known,
}

impl Fixed {
    /// Reads `inventory.toml`; `file` is its name in faults.
    ///
    /// # Errors
    /// All faults at once, in the order of the file.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let faults = Faults::new(file, text);
        let document = table::parse(text, &faults);
        let root = Table::root(&document, &faults);
        let mut reading = Reading {
            faults: &faults,
            taken: HashMap::new(),
            amphorae: Vec::new(),
        };
        for balancer in root.tables("load_balancer") {
            reading.load_balancer(&balancer);
            balancer.end();
        }
        root.end();
        let known = Known::new(reading.amphorae);
        faults.finish(Self { known })
    }

    /// The amphorae of the file.
    pub fn known(&self) -> &Known {
        &self.known
    }
}

#[async_trait]
impl Inventory for Fixed {
    async fn resolve(&self, name: &TargetName) -> Result<Resolution, InventoryError> {
        Ok(self.known.resolve(name))
    }

    async fn by_id(&self, id: &AmphoraId) -> Result<Option<Arc<Amphora>>, InventoryError> {
        Ok(self.known.by_id(id).cloned())
    }

    async fn all(&self) -> Result<Vec<Arc<Amphora>>, InventoryError> {
        Ok(self.known.all().to_vec())
    }

    async fn condition(&self) -> Condition {
        Condition::of_file(self.known.all().len())
    }
}

/// The file, half read.
struct Reading<'f, 't> {
    faults: &'f Faults<'t>,
    /// What may stand only once, and the line on which it does.
    taken: HashMap<String, usize>,
    amphorae: Vec<Arc<Amphora>>,
}

impl Reading<'_, '_> {
    fn load_balancer(&mut self, table: &Table<'_, '_>) {
        let id = self.once(table, "id", "load balancer", LoadBalancerId::parse);
        let name = table.required("name").map(|name| name.value.to_owned());
        let project = table.parsed("project", ProjectId::parse);
        let project_name = table.string("project_name").map(|n| n.value.to_owned());
        let tags = table.strings("tags");
        let tags = tags.into_iter().map(|tag| tag.value.to_owned()).collect();
        let provider = table.string("provider").map_or("amphora", |p| p.value);
        let flavor = table.string("flavor").map(|f| f.value.to_owned());
        let availability_zone = table
            .string("availability_zone")
            .map(|zone| zone.value.to_owned());
        let vip = table.parsed_if_there("vip", |text| {
            let vip = text.parse::<IpAddr>().map(|vip| vip.to_canonical());
            vip.map_err(|_| "`vip` is an IP address, such as 10.10.10.50 or fd00::50")
        });
        let balancer = match (id, name, project) {
            (Some(id), Some(name), Some(project)) => Some(Arc::new(LoadBalancer {
                id,
                name,
                project,
                project_name,
                tags,
                provider: provider.to_owned(),
                flavor,
                availability_zone,
                vip,
            })),
            _ => None,
        };
        let amphorae = table.tables("amphora");
        if amphorae.is_empty() {
            let help = "write [[load_balancer.amphora]] below it, with id, address and login_user";
            let message = "a load balancer without an amphora";
            self.faults
                .add(table.span(), message, Some(help.to_owned()));
        }
        for amphora in amphorae {
            // Read even below a faulty load balancer: all faults at once.
            self.amphora(&amphora, balancer.as_ref());
            amphora.end();
        }
    }

    fn amphora(&mut self, table: &Table<'_, '_>, balancer: Option<&Arc<LoadBalancer>>) {
        let id = self.once(table, "id", "amphora", AmphoraId::parse);
        let names = table.strings("names");
        let names = names.into_iter().filter_map(|name| self.name(name));
        let names: Vec<String> = names.collect();
        let login_user = table.parsed("login_user", LoginUser::parse);
        let role = table.parsed_if_there("role", str::parse::<Role>);
        let zone = table.string("zone").map(|zone| zone.value.to_owned());
        let compute_id = table.string("compute_id").map(|c| c.value.to_owned());
        let host_key = table.parsed_if_there("host_key", HostKey::parse);
        let port = table.integer("port", 1, u64::from(u16::MAX)).unwrap_or(SSH);
        let port = u16::try_from(port).unwrap_or(22);
        let address = self.address(table, port);
        let (Some(id), Some(address), Some(login_user), Some(balancer)) =
            (id, address, login_user, balancer)
        else {
            return;
        };
        self.amphorae.push(Arc::new(Amphora {
            id,
            names,
            address: Some(address),
            login_user,
            load_balancer: Arc::clone(balancer),
            role,
            status: None,
            zone,
            compute_id,
            host_key,
        }));
    }

    /// A value that may stand only once in the file.
    fn once<T: ToString>(
        &mut self,
        table: &Table<'_, '_>,
        key: &'static str,
        of: &str,
        parse: fn(&str) -> Result<T, NameError>,
    ) -> Option<T> {
        let text = table.required(key)?;
        match parse(text.value) {
            Ok(value) => {
                let what = format!("the {of} {}", value.to_string());
                self.first(&text, what).then_some(value)
            }
            Err(error) => {
                self.faults.add(text.span, error.to_string(), None);
                None
            }
        }
    }

    fn first(&mut self, at: &At<&str>, what: String) -> bool {
        let line = self.faults.line(&at.span);
        if let Some(first) = self.taken.get(&what) {
            let message = format!("{what} is on line {first} already");
            self.faults.add(at.span.clone(), message, None);
            return false;
        }
        self.taken.insert(what, line);
        true
    }

    fn name(&mut self, name: At<&str>) -> Option<String> {
        if !is_static_name(name.value) {
            let message = "a name has 1 to 255 of A-Z a-z 0-9 . _ - and does not begin with - . amphora- or lb-, and is no compute-<uuid>";
            self.faults.add(name.span, message, None);
            return None;
        }
        // Two names that differ in capitals alone could not be told apart: OpenSSH lower-cases what is typed.
        let what = format!("the name {}", name.value.to_ascii_lowercase());
        self.first(&name, what).then(|| name.value.to_owned())
    }

    fn address(&mut self, table: &Table<'_, '_>, port: u16) -> Option<UpstreamAddr> {
        let text = table.required("address")?;
        let wrong = match text.value.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() || ip.is_multicast() => {
                "no amphora can have this address"
            }
            Ok(IpAddr::V4(ip)) if ip.is_broadcast() => "no amphora can have this address",
            Ok(ip) => {
                let address = SocketAddr::new(ip.to_canonical(), port);
                let free = self.first(&text, format!("the address {address}"));
                return free.then_some(UpstreamAddr(address));
            }
            Err(_) => {
                "`address` is an IP address, such as 172.24.0.23 or fd00::17; names are not looked up, and the port is a key of its own: port = 22"
            }
        };
        self.faults.add(text.span, wrong, None);
        None
    }
}
