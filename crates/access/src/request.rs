//! In: who, where, how and when, in our own words.
//! Out: the same in Cedar's words.
//! Never: decides anything.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
    Schema,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::amphora::{Amphora, LoadBalancer, Role, UpstreamAddr};
use crate::decide::{Action, Circumstances};
use crate::landing::Landing;
use crate::names::{AmphoraId, LoadBalancerId, LoginUser, ProjectId};
use crate::principal::Subject;
use crate::status::Status;
use crate::transfer::Transfer;

/// Cedar's words could not be made: a refusal, never an allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Untranslatable(String);

impl Untranslatable {
    fn because(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

type Words<T> = Result<T, Untranslatable>;

/// What a question is about beside the amphora.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Detail<'a> {
    None,
    /// A file.
    Path(&'a str),
    /// A command that looks like this tool.
    Transfer(Transfer),
}

/// The entity types of the schema, parsed once.
#[derive(Debug)]
pub(crate) struct Kinds {
    user: EntityTypeName,
    group: EntityTypeName,
    project: EntityTypeName,
    load_balancer: EntityTypeName,
    amphora: EntityTypeName,
    role: EntityTypeName,
    status: EntityTypeName,
    landing: EntityTypeName,
    method: EntityTypeName,
    action: EntityTypeName,
}

impl Kinds {
    pub(crate) fn new() -> Words<Self> {
        let kind = |name: &str| {
            name.parse::<EntityTypeName>()
                .map_err(Untranslatable::because)
        };
        Ok(Self {
            user: kind("User")?,
            group: kind("Group")?,
            project: kind("Project")?,
            load_balancer: kind("LoadBalancer")?,
            amphora: kind("Amphora")?,
            role: kind("Role")?,
            status: kind("Status")?,
            landing: kind("Landing")?,
            method: kind("Method")?,
            action: kind("Action")?,
        })
    }

    /// The entities around one question: who asks, and what they ask about.
    pub(crate) fn entities(&self, subject: &Subject, amphora: &Amphora) -> Words<Entities> {
        self.entities_as_known(subject, amphora, true)
    }

    /// The same about an amphora of which only the journal knows. What the journal does not say is left out, though the
    /// schema promises it: a rule that asks for it cannot be evaluated, and that is a refusal.
    pub(crate) fn entities_as_known(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        whole: bool,
    ) -> Words<Entities> {
        let balancer = &amphora.load_balancer;
        let project = uid(&self.project, balancer.project.as_str());
        let balancer_uid = uid(&self.load_balancer, &balancer.id.to_string());
        let groups: HashSet<EntityUid> = subject
            .groups
            .iter()
            .map(|group| uid(&self.group, group.as_str()))
            .collect();
        let of_user = HashMap::from([
            ("projects".to_owned(), self.projects(subject)),
            ("roles".to_owned(), self.roles(subject)?),
        ]);
        let mut of_amphora = HashMap::from([
            ("load_balancer".to_owned(), entity(&balancer_uid)),
            ("project".to_owned(), entity(&project)),
        ]);
        if whole {
            of_amphora.insert("names".to_owned(), strings(&amphora.names));
        }
        if let Some(role) = amphora.role {
            of_amphora.insert("role".to_owned(), entity(&uid(&self.role, role.as_str())));
        }
        if let Some(status) = amphora.status {
            let status = entity(&uid(&self.status, status.as_str()));
            of_amphora.insert("status".to_owned(), status);
        }
        if let Some(zone) = &amphora.zone {
            of_amphora.insert("zone".to_owned(), string(zone));
        }
        let mut of_balancer = HashMap::from([
            ("name".to_owned(), string(&balancer.name)),
            ("project".to_owned(), entity(&project)),
        ]);
        if whole {
            of_balancer.insert("tags".to_owned(), strings(&balancer.tags));
            of_balancer.insert("provider".to_owned(), string(&balancer.provider));
        }
        if let Some(flavor) = &balancer.flavor {
            of_balancer.insert("flavor".to_owned(), string(flavor));
        }
        if let Some(zone) = &balancer.availability_zone {
            of_balancer.insert("availability_zone".to_owned(), string(zone));
        }
        let of_project = balancer
            .project_name
            .iter()
            .map(|name| ("name".to_owned(), string(name)))
            .collect();
        let made = |uid, attributes, parents| {
            Entity::new(uid, attributes, parents).map_err(Untranslatable::because)
        };
        let all = [
            made(uid(&self.user, subject.name.as_str()), of_user, groups)?,
            made(
                uid(&self.amphora, &amphora.id.to_string()),
                of_amphora,
                HashSet::from([balancer_uid.clone()]),
            )?,
            made(balancer_uid, of_balancer, HashSet::from([project.clone()]))?,
            made(project, of_project, HashSet::new())?,
        ];
        // The attributes were made here by hand to fit the schema; `tests::entities_fit_the_schema` checks that they do.
        Entities::from_entities(all, None).map_err(Untranslatable::because)
    }

    fn projects(&self, subject: &Subject) -> RestrictedExpression {
        let projects = subject.projects.keys();
        RestrictedExpression::new_set(projects.map(|id| entity(&uid(&self.project, id.as_str()))))
    }

    fn roles(&self, subject: &Subject) -> Words<RestrictedExpression> {
        let mut pairs = Vec::new();
        for (project, roles) in &subject.projects {
            for role in roles {
                let pair = [
                    (
                        "project".to_owned(),
                        entity(&uid(&self.project, project.as_str())),
                    ),
                    ("role".to_owned(), string(role)),
                ];
                let pair = RestrictedExpression::new_record(pair);
                pairs.push(pair.map_err(Untranslatable::because)?);
            }
        }
        Ok(RestrictedExpression::new_set(pairs))
    }

    /// The circumstances in one landing, and what is particular to files and commands.
    pub(crate) fn context(
        &self,
        subject: &Subject,
        landing: Landing,
        circumstances: &Circumstances,
        detail: Detail<'_>,
    ) -> Words<Context> {
        let moment = circumstances.now.to_zoned(TimeZone::UTC);
        let mut pairs = vec![
            (
                "landing".to_owned(),
                entity(&uid(&self.landing, landing.as_str())),
            ),
            (
                "time".to_owned(),
                RestrictedExpression::new_datetime(datetime(circumstances.now)),
            ),
            (
                "hour".to_owned(),
                RestrictedExpression::new_long(i64::from(moment.hour())),
            ),
            (
                "weekday".to_owned(),
                RestrictedExpression::new_long(i64::from(moment.weekday().to_monday_one_offset())),
            ),
            (
                "source".to_owned(),
                RestrictedExpression::new_ip(subject.source.to_string()),
            ),
            (
                "method".to_owned(),
                entity(&uid(&self.method, subject.method.as_str())),
            ),
        ];
        if let Some(reason) = &circumstances.reason {
            pairs.push(("reason".to_owned(), string(reason)));
        }
        match detail {
            Detail::None => {}
            Detail::Path(path) => pairs.push(("path".to_owned(), string(path))),
            Detail::Transfer(tool) => pairs.push(("transfer".to_owned(), string(tool.as_str()))),
        }
        Context::from_pairs(pairs).map_err(Untranslatable::because)
    }

    /// One question, checked against the schema if there is one.
    pub(crate) fn request(
        &self,
        subject: &Subject,
        amphora: &Amphora,
        action: Action,
        context: Context,
        schema: Option<&Schema>,
    ) -> Words<Request> {
        Request::new(
            uid(&self.user, subject.name.as_str()),
            uid(&self.action, action.as_str()),
            uid(&self.amphora, &amphora.id.to_string()),
            context,
            schema,
        )
        .map_err(Untranslatable::because)
    }
}

fn uid(kind: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
}

fn entity(uid: &EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid.clone())
}

fn string(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn strings<'a>(texts: impl IntoIterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.into_iter().map(|text| string(text)))
}

/// As Cedar reads it, to the millisecond.
fn datetime(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// An amphora that does not exist, for the same work as for one that does.
pub(crate) fn decoy() -> Words<Arc<Amphora>> {
    let nothing = uuid::Uuid::nil();
    let project = ProjectId::parse("00000000000000000000000000000000");
    Ok(Arc::new(Amphora {
        id: AmphoraId::from(nothing),
        names: Vec::new(),
        address: Some(UpstreamAddr(SocketAddr::from(([0, 0, 0, 0], 0)))),
        login_user: LoginUser::parse("nobody").map_err(Untranslatable::because)?,
        load_balancer: Arc::new(LoadBalancer {
            id: LoadBalancerId::from(nothing),
            name: "a load balancer that does not exist".to_owned(),
            project: project.map_err(Untranslatable::because)?,
            project_name: Some("a project that does not exist".to_owned()),
            tags: BTreeSet::from(["none".to_owned(), "such".to_owned()]),
            provider: "amphora".to_owned(),
            flavor: Some("none".to_owned()),
            availability_zone: Some("none".to_owned()),
            vip: None,
        }),
        role: Some(Role::Standalone),
        status: Some(Status::Allocated),
        zone: Some("none".to_owned()),
        compute_id: None,
        host_key: None,
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;
    use std::str::FromStr;

    use super::*;
    use crate::names::{GroupName, UserName};
    use crate::principal::Method;

    /// The entities are made by hand at each question; the schema check is too slow for that, so it is here.
    #[test]
    fn entities_fit_the_schema() {
        let schema = Schema::from_str(crate::policy::SCHEMA).unwrap();
        let kinds = Kinds::new().unwrap();
        let subject = Subject {
            name: UserName::parse("kim").unwrap(),
            groups: BTreeSet::from([GroupName::parse("operators").unwrap()]),
            projects: BTreeMap::from([
                (
                    ProjectId::parse("8a1f0c2d4e6b4f0f9a7c5d3e1b2a4c6e").unwrap(),
                    BTreeSet::from(["member".to_owned(), "\"odd\" role".to_owned()]),
                ),
                (ProjectId::parse("b").unwrap(), BTreeSet::new()),
            ]),
            source: [10, 0, 0, 1].into(),
            method: Method::PasswordTotp,
        };
        let with_all = decoy().unwrap();
        let mut bare = (*with_all).clone();
        bare.role = None;
        bare.status = None;
        bare.zone = None;
        let mut balancer = (*bare.load_balancer).clone();
        balancer.project_name = None;
        balancer.tags.clear();
        balancer.flavor = None;
        balancer.availability_zone = None;
        bare.load_balancer = Arc::new(balancer);
        let in_every_status = Status::ALL.map(|status| Amphora {
            status: Some(status),
            ..(*with_all).clone()
        });
        for amphora in in_every_status.iter().chain([&*with_all, &bare]) {
            let entities = kinds.entities(&subject, amphora).unwrap();
            Entities::from_entities(entities.iter().cloned(), Some(&schema)).unwrap();
            for reason in [None, Some("x".to_owned())] {
                let now = "2026-11-23T10:00:00.123456Z".parse().unwrap();
                let circumstances = Circumstances {
                    now,
                    reason,
                    transfers: Vec::new(),
                };
                for landing in Landing::ALL {
                    let all = Action::ALL.into_iter().chain(Action::OF_OTHERS);
                    let all = all.map(|action| (action, Detail::None));
                    let files = Action::OF_FILES.map(|action| (action, Detail::Path("/etc/hosts")));
                    let tools = [Transfer::Scp, Transfer::Rsync]
                        .map(|tool| (Action::Exec, Detail::Transfer(tool)));
                    for (action, detail) in all.chain(files).chain(tools) {
                        let context = kinds
                            .context(&subject, landing, &circumstances, detail)
                            .unwrap();
                        kinds
                            .request(&subject, amphora, action, context, Some(&schema))
                            .unwrap();
                    }
                }
            }
        }
    }
}
