//! In: `policy.cedar`.
//! Out: a policy of which every rule is understood, has a name and a line, and fits the schema.
//! Never: a rule that cannot apply, or a word that the schema does not know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::{Authorizer, Effect, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;

use crate::amphora::Amphora;
use crate::fault::Fault;
use crate::landing::Landing;
use crate::names::{AmphoraId, GroupName, LoadBalancerId, ProjectId, UserName};
use crate::request::{Kinds, decoy};
use crate::table::Faults;

/// The schema which every policy is checked against.
pub const SCHEMA: &str = include_str!("schema.cedarschema");

/// Annotations that mean something here.
const ANNOTATIONS: &str =
    "@id(\"…\"), @default_landing(\"plain|root|netns\"), @description(\"…\"), @keep(\"contents\")";

/// The rules in force.
pub struct Policy {
    pub(crate) set: PolicySet,
    pub(crate) schema: Schema,
    pub(crate) rules: BTreeMap<PolicyId, Rule>,
    pub(crate) kinds: Kinds,
    pub(crate) decoy: Arc<Amphora>,
    pub(crate) authorizer: Authorizer,
    /// The paths that rules speak of, without their wildcards: what lies below a directory that is moved.
    pub(crate) paths: Vec<String>,
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({} rules)", self.rules.len())
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) reference: RuleRef,
    pub(crate) default_landing: Option<Landing>,
    /// `@keep("contents")`: of the files that it permits to be read or written, the content is kept.
    pub(crate) keeps: bool,
}

/// A rule, as people find it again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct RuleRef {
    /// What `@id` says, else `file:line`.
    pub id: String,
    /// The policy file.
    pub file: String,
    /// The line on which the rule begins, counted from 1.
    pub line: usize,
    /// What it does.
    pub effect: RuleEffect,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleEffect {
    /// It allows, unless another forbids.
    Permit,
    /// It forbids, whatever others permit.
    Forbid,
}

impl fmt::Display for RuleEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Permit => "permit",
            Self::Forbid => "forbid",
        })
    }
}

impl fmt::Display for RuleRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} \"{}\" ({}:{})",
            self.effect,
            self.id.escape_debug(),
            self.file,
            self.line
        )
    }
}

impl Policy {
    /// Reads and checks a policy; `file` is its name in faults and rules.
    ///
    /// # Errors
    /// All faults at once. What Cedar only warns about (a rule that can never apply, letters that look like others) is a
    /// fault here: somebody meant something by it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let faults = Faults::new(file, text);
        let set = match PolicySet::from_str(text) {
            Ok(set) => set,
            Err(errors) => {
                for error in errors.iter() {
                    add(&faults, error, 0..0, None);
                }
                return Err(faults.finish(()).err().unwrap_or_default());
            }
        };
        let (schema, kinds, decoy) = match built_in() {
            Ok(built_in) => built_in,
            Err(error) => {
                faults.add(
                    0..0,
                    format!("the schema inside ampgate is broken: {error}"),
                    None,
                );
                return Err(faults.finish(()).err().unwrap_or_default());
            }
        };
        let places = places(text, &set);
        let place = |id: &PolicyId| places.get(id).cloned().unwrap_or(0..0);
        if set.is_empty() {
            let help = "write at least one rule; to shut everybody out write forbid(principal, action, resource);";
            faults.add(
                0..0,
                "a policy without a rule: nobody may reach anything",
                Some(help.to_owned()),
            );
        }
        for template in set.templates() {
            let help =
                "name a User or a Group instead of ?principal, and a resource instead of ?resource";
            faults.add(
                place(template.id()),
                "a rule with a slot applies to nobody",
                Some(help.to_owned()),
            );
        }
        validate(&set, &schema, &faults, &place);
        let rules = name_rules(&set, &faults, &place);
        check_names(&set, text, &faults, &place);
        faults.finish(Self {
            set,
            schema,
            rules,
            kinds,
            decoy,
            authorizer: Authorizer::new(),
            paths: paths(text),
        })
    }

    /// The first rule that asks for the contents of files, if there is one.
    pub fn keeping(&self) -> Option<&RuleRef> {
        let keeping = self.rules.values().filter(|rule| rule.keeps);
        keeping
            .map(|rule| &rule.reference)
            .min_by_key(|rule| rule.line)
    }

    /// All rules, in the order of the file.
    pub fn rules(&self) -> Vec<RuleRef> {
        let mut rules: Vec<RuleRef> = self.rules.values().map(|r| r.reference.clone()).collect();
        rules.sort_by_key(|rule| rule.line);
        rules
    }
}

/// What does not depend on the file. That it can be made is tested; if it cannot, there is no policy.
fn built_in() -> Result<(Schema, Kinds, Arc<Amphora>), String> {
    let schema = Schema::from_str(SCHEMA).map_err(|error| error.to_string())?;
    let kinds = Kinds::new().map_err(|error| error.to_string())?;
    let decoy = decoy().map_err(|error| error.to_string())?;
    Ok((schema, kinds, decoy))
}

type Place<'p> = &'p dyn Fn(&PolicyId) -> Range<usize>;

/// Notes what Cedar says, at the place it names.
fn add(faults: &Faults<'_>, said: &dyn Diagnostic, otherwise: Range<usize>, id: Option<&PolicyId>) {
    let message = match id {
        Some(id) => without_id(&said.to_string(), id),
        None => said.to_string(),
    };
    let span = said
        .labels()
        .and_then(|mut labels| labels.next())
        .map_or(otherwise, |label| {
            label.offset()..label.offset() + label.len()
        });
    let help = said.help().map(|help| match id {
        Some(id) => without_id(&help.to_string(), id),
        None => help.to_string(),
    });
    faults.add(span, message, help);
}

fn validate(set: &PolicySet, schema: &Schema, faults: &Faults<'_>, place: Place<'_>) {
    let result = Validator::new(schema.clone()).validate(set, ValidationMode::Strict);
    let mut wrong = BTreeSet::new();
    for error in result.validation_errors() {
        let id = error.policy_id();
        add(faults, error, place(id), Some(id));
        wrong.insert(id.clone());
    }
    // That a rule with an error in it applies to nothing goes without saying.
    for warning in result.validation_warnings() {
        let id = warning.policy_id();
        if !wrong.contains(id) {
            add(faults, warning, place(id), Some(id));
        }
    }
}

/// Cedar's own numbering of the rules means nothing to people: the line is shown anyway.
fn without_id(message: &str, id: &PolicyId) -> String {
    let prefix = format!("for policy `{id}`");
    match message.strip_prefix(&prefix) {
        Some(rest) => rest.trim_start_matches([',', ':', ' ']).to_owned(),
        None => message.to_owned(),
    }
}

fn name_rules(set: &PolicySet, faults: &Faults<'_>, place: Place<'_>) -> BTreeMap<PolicyId, Rule> {
    let mut rules = BTreeMap::new();
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut in_order: Vec<_> = set.policies().collect();
    in_order.sort_by_key(|policy| place(policy.id()).start);
    for policy in in_order {
        let span = place(policy.id());
        let line = faults.line(&span);
        let (mut default_landing, mut keeps) = (None, false);
        for (key, value) in policy.annotations() {
            match key {
                "id" | "description" => {}
                "default_landing" => match (Landing::from_str(value), policy.effect()) {
                    (Ok(landing), Effect::Permit) => default_landing = Some(landing),
                    (Ok(_), Effect::Forbid) => {
                        faults.add(span.clone(), "@default_landing belongs to a permit", None);
                    }
                    (Err(error), _) => {
                        faults.add(span.clone(), format!("@default_landing: {error}"), None);
                    }
                },
                "keep" => match (value, policy.effect()) {
                    ("contents", Effect::Permit) => keeps = true,
                    ("contents", Effect::Forbid) => {
                        faults.add(span.clone(), "@keep belongs to a permit", None);
                    }
                    (other, _) => {
                        let message = format!("@keep(\"{}\")", other.escape_debug());
                        let help = "what can be kept is \"contents\"".to_owned();
                        faults.add(span.clone(), message, Some(help));
                    }
                },
                other => faults.add(
                    span.clone(),
                    format!("unknown annotation @{other}"),
                    Some(format!("known: {ANNOTATIONS}")),
                ),
            }
        }
        let id = match policy.annotation("id") {
            Some("") => {
                faults.add(span.clone(), "@id is empty", None);
                continue;
            }
            Some(id) => id.to_owned(),
            None => format!("{}:{line}", faults.file()),
        };
        if let Some(first) = taken.insert(id.clone(), line) {
            let message = format!("@id(\"{}\") is on line {first} already", id.escape_debug());
            faults.add(span, message, None);
            continue;
        }
        let effect = match policy.effect() {
            Effect::Permit => RuleEffect::Permit,
            Effect::Forbid => RuleEffect::Forbid,
        };
        let reference = RuleRef {
            id,
            file: faults.file().to_owned(),
            line,
            effect,
        };
        rules.insert(
            policy.id().clone(),
            Rule {
                reference,
                default_landing,
                keeps,
            },
        );
    }
    rules
}

/// A rule about `LoadBalancer::"web"` or an id in capital letters would never apply and nobody would notice.
fn check_names(set: &PolicySet, text: &str, faults: &Faults<'_>, place: Place<'_>) {
    for policy in set.policies() {
        let statement = place(policy.id());
        for literal in policy.entity_literals() {
            let (kind, id) = (literal.type_name().to_string(), literal.id());
            let id: &str = id.unescaped();
            let wrong = match kind.as_str() {
                "User" => UserName::parse(id).err().map(|e| e.to_string()),
                "Group" => GroupName::parse(id).err().map(|e| e.to_string()),
                "Project" => ProjectId::parse(id).err().map(|e| e.to_string()),
                "Amphora" => unless_written(id, AmphoraId::parse(id)),
                "LoadBalancer" => unless_written(id, LoadBalancerId::parse(id)),
                _ => None,
            };
            if let Some(wrong) = wrong {
                let written = literal.to_string();
                let span = text
                    .get(statement.clone())
                    .and_then(|s| s.find(&written))
                    .map_or(statement.clone(), |at| {
                        let start = statement.start + at;
                        start..start + written.len()
                    });
                let help = (kind == "LoadBalancer").then(|| {
                    "names are no ids: write resource.load_balancer.name == \"…\" in a when clause, and mind that anybody may give a load balancer that name".to_owned()
                });
                faults.add(span, wrong, help);
            }
        }
    }
}

fn unless_written<T: ToString, E: ToString>(id: &str, parsed: Result<T, E>) -> Option<String> {
    match parsed {
        Ok(parsed) if parsed.to_string() == id => None,
        Ok(parsed) => Some(format!(
            "ids are written in lower case: {}",
            parsed.to_string()
        )),
        Err(error) => Some(error.to_string()),
    }
}

/// Where each rule stands. Cedar numbers the rules of a text from 0 in their order; a rule ends at a `;` outside
/// strings and comments.
fn places(text: &str, set: &PolicySet) -> HashMap<PolicyId, Range<usize>> {
    let statements = statements(text);
    let numbered = statements
        .into_iter()
        .enumerate()
        .map(|(n, span)| (PolicyId::new(format!("policy{n}")), span));
    numbered
        .filter(|(id, _)| set.policy(id).is_some() || set.template(id).is_some())
        .collect()
}

/// Every absolute path in quotes. A pattern without its `*` is a path that the pattern fits.
fn paths(text: &str) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '/' && rest.peek() == Some(&'/') {
            while rest.next_if(|c| *c != '\n').is_some() {}
        }
        if c != '"' {
            continue;
        }
        let mut quoted = String::new();
        while let Some(c) = rest.next() {
            match c {
                '"' => break,
                '*' => {}
                '\\' => quoted.extend(rest.next()),
                c => quoted.push(c),
            }
        }
        if quoted.starts_with('/') {
            found.insert(quoted);
        }
    }
    found.into_iter().collect()
}

fn statements(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = None;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'/' if bytes.peek().is_some_and(|(_, next)| *next == b'/') => {
                while bytes.next_if(|(_, b)| *b != b'\n').is_some() {}
            }
            b'"' => {
                start.get_or_insert(at);
                while let Some((_, inside)) = bytes.next() {
                    match inside {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b';' => found.extend(start.take().map(|start| start..at + 1)),
            b if b.is_ascii_whitespace() => {}
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    found
}
