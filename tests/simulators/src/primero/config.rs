//! What an installation configures: users, roles, agencies, forms and lookups (primero.md 4 and 6).

use std::collections::{BTreeMap, BTreeSet};

/// The module every case of these installations belongs to.
pub const MODULE: &str = "primeromodule-cp";

/// Modules the application has built in, whether or not the site uses them (primero-measured.md, fact 11).
pub const BUILT_IN_MODULES: [&str; 3] = [MODULE, "primeromodule-gbv", "primeromodule-mrm"];

/// Everything a simulated installation starts from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ids, tokens and the order of ties come from this.
    pub seed: u64,
    pub users: Vec<User>,
    pub roles: Vec<Role>,
    /// Agency unique ids.
    pub agencies: Vec<String>,
    pub fields: Vec<Field>,
    /// Option ids per lookup.
    pub lookups: BTreeMap<String, Vec<String>>,
    /// Further forms and lookups, of fifteen fields and twenty options, that mean nothing to a gateway.
    pub bulk: u32,
}

/// Somebody who can log in.
#[derive(Clone, Debug)]
pub struct User {
    pub id: u64,
    /// Matched exactly: capitals are refused (primero-measured.md, "Logging in").
    pub user_name: String,
    pub full_name: String,
    pub password: String,
    pub agency: String,
    pub groups: Vec<String>,
    pub role: String,
    pub disabled: bool,
}

/// How far a role sees (primero.md 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Own,
    Group,
    Agency,
    All,
}

impl Scope {
    /// As `group_permission` in the login answer.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Own => "self",
            Scope::Group => "group",
            Scope::Agency => "agency",
            Scope::All => "all",
        }
    }
}

/// A role: permissions, scope and forms (primero.md 6).
#[derive(Clone, Debug)]
pub struct Role {
    pub name: String,
    pub scope: Scope,
    /// On cases: `read`, `write`, `create`, `referral`, `receive_referral`, `flag`, ...
    pub permissions: BTreeSet<String>,
    /// `None` for every form.
    pub forms: Option<BTreeSet<String>>,
    /// Forms among them that it may only read.
    pub read_only: BTreeSet<String>,
    /// `system` and `maintenance` cannot be referred to.
    pub system: bool,
    /// Also reads the dashboard fields (`referred_users`, `flagged`, ...), as the recorded case worker did.
    pub dashboard: bool,
}

/// What a field accepts (primero.md 2.7).
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Text,
    Numeric,
    Tick,
    Date,
    DateTime,
    /// One option of this lookup.
    Select(&'static str),
    /// Any string: agencies, locations and users are not checked.
    Open,
    /// Several options of this lookup.
    Multi(&'static str),
    Subform(Vec<Field>),
    /// Kept by the server; a client's value is dropped silently.
    Derived,
}

/// A field of a case or of a subform.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The form it is on; empty if it belongs to every role.
    pub form: &'static str,
    /// Still readable when the case names a module the site does not have (primero-measured.md, fact 11).
    pub any_module: bool,
    /// An exact text, never coerced in a filter (primero.md 2.1).
    pub identifier: bool,
    /// Can be written whatever the module; the rest needs the case's module (primero.md 2.6).
    pub core: bool,
}

impl Field {
    /// An ordinary field of a form.
    pub fn on(form: &'static str, name: &'static str, kind: Kind) -> Field {
        Field {
            name,
            kind,
            form,
            any_module: false,
            identifier: false,
            core: false,
        }
    }

    /// The same field, readable under any module.
    pub fn any_module(mut self) -> Field {
        self.any_module = true;
        self
    }

    /// The same field as an identifier.
    pub fn identifier(mut self) -> Field {
        self.identifier = true;
        self
    }

    /// The same field, part of the core schema.
    pub fn core(mut self) -> Field {
        self.core = true;
        self.any_module = true;
        self
    }
}

impl Config {
    /// The role of a user; a user without one may do nothing.
    pub fn role_of(&self, user: &User) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == user.role)
    }

    /// A user by exact name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.user_name == name)
    }

    /// A top-level case field by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Role {
    /// Whether the role holds this permission on cases; `manage` is everything.
    pub fn can(&self, permission: &str) -> bool {
        self.permissions.contains(permission) || self.permissions.contains("manage")
    }

    /// Whether the role sees the form a field is on.
    pub fn sees(&self, field: &Field) -> bool {
        field.form.is_empty() || self.forms.as_ref().is_none_or(|forms| forms.contains(field.form))
    }

    /// Whether the role may write the fields of the form a field is on.
    pub fn writes(&self, field: &Field) -> bool {
        self.sees(field) && !self.read_only.contains(field.form)
    }

    /// Holds one of the permissions without which a group or agency role sees only referrals to itself
    /// (primero.md 3.5).
    pub fn handles_referrals(&self) -> bool {
        [
            "referral",
            "referral_from_service",
            "receive_referral",
            "receive_referral_different_module",
            "remove_assigned_users",
        ]
        .iter()
        .any(|permission| self.can(permission))
    }
}
