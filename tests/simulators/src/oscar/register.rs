//! How a child comes into being at an NGO: from a pending referral, or found by the NGO itself.

use super::Sim;
use super::validate::client_faults;
use super::workers::{Refused, WORKER};
use super::world::Client;

/// What a worker types when registering a child the NGO found itself; local names left empty are ''.
#[derive(Clone, Debug)]
pub struct Child {
    pub given_name: String,
    pub family_name: String,
    pub local_given_name: String,
    pub local_family_name: String,
    pub gender: String,
    pub date_of_birth: Option<String>,
    pub village_code: String,
    pub reason_for_referral: String,
    pub relevant_referral_information: String,
}

impl Child {
    /// A complete girl born 2015-05-05, without local names, address or reason.
    pub fn named(given_name: &str, family_name: &str) -> Self {
        Self {
            given_name: given_name.to_owned(),
            family_name: family_name.to_owned(),
            local_given_name: String::new(),
            local_family_name: String::new(),
            gender: "female".to_owned(),
            date_of_birth: Some("2015-05-05".to_owned()),
            village_code: String::new(),
            reason_for_referral: String::new(),
            relevant_referral_information: String::new(),
        }
    }
}

/// What a worker corrects in the form prefilled from a referral; `None` keeps the prefilled value.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pub gender: Option<String>,
    pub date_of_birth: Option<String>,
}

impl Sim {
    fn blank_client(&self) -> Client {
        let now = self.now();
        Client {
            id: 0,
            slug: String::new(),
            global_id: String::new(),
            given_name: None,
            family_name: None,
            local_given_name: None,
            local_family_name: None,
            gender: None,
            date_of_birth: None,
            status: "Referred".to_owned(),
            external_id: None,
            external_id_display: None,
            mosvy_number: None,
            reason_for_referral: None,
            relevant_referral_information: None,
            address: Default::default(),
            external_case_worker_name: None,
            external_case_worker_id: None,
            synced_date: None,
            referred_external: false,
            from_referral_id: None,
            workers: vec![WORKER],
            referee_id: Some(WORKER),
            received_by_id: Some(WORKER),
            initial_referral_date: Some(now.date_naive()),
            referral_source_category_id: Some(1),
            enrolments: Vec::new(),
            archived: false,
            created_at: now,
            updated_at: now,
            place: 0,
        }
    }

    /// Registers the child of a pending referral from the prefilled form; returns the child's id.
    pub fn register_child(&mut self, tenant: &str, referral_id: i64) -> Result<i64, Refused> {
        self.register_child_with(tenant, referral_id, &Form::default())
    }

    /// As [`Sim::register_child`], with corrections: a push without a legal gender cannot be registered as it
    /// is. All unsaved referrals with the same global id become saved and linked (`oscar.md` 6.3, step 2).
    pub fn register_child_with(
        &mut self,
        tenant: &str,
        referral_id: i64,
        form: &Form,
    ) -> Result<i64, Refused> {
        let (t, at) = self.referral_at(tenant, referral_id)?;
        let referral = self.world.tenants[t].referrals[at].clone();
        if referral.client_id.is_some()
            || self.world.tenants[t]
                .live_client(&referral.client_global_id)
                .is_some()
        {
            return Err(Refused(format!(
                "the child of referral {referral_id} is already known at {tenant}"
            )));
        }
        let (given, family) = referral
            .client_name
            .split_once(' ')
            .unwrap_or((&referral.client_name, ""));
        let named = |name: &str| Some(name.to_owned()).filter(|n| !n.is_empty());
        let mut client = Client {
            global_id: referral.client_global_id.clone(),
            given_name: named(given),
            family_name: named(family),
            gender: form.gender.clone().or(referral.client_gender),
            date_of_birth: form.date_of_birth.clone().or(referral.client_date_of_birth),
            external_id: referral.external_id,
            external_id_display: referral.external_id_display,
            mosvy_number: referral.mosvy_number,
            reason_for_referral: Some(referral.referral_reason),
            from_referral_id: Some(referral_id),
            ..self.blank_client()
        };
        self.locate(&mut client.address, &referral.village_code.unwrap_or_default());
        if let Some((attribute, _)) = client_faults(&client).first() {
            return Err(Refused(format!("the form is not complete: {attribute}")));
        }
        let id = self.world.insert_client(t, client);
        self.link(t, id, true);
        Ok(id)
    }

    /// Registers a child the NGO found itself, under a fresh global id; returns the child's id.
    pub fn register_ngo_child(&mut self, tenant: &str, child: &Child) -> Result<i64, Refused> {
        let now = self.now();
        let global_id = self.world.new_identity(now);
        self.register_ngo_child_as(tenant, child, &global_id)
    }

    /// As [`Sim::register_ngo_child`], for a child another NGO already knows by this global id.
    pub fn register_ngo_child_as(
        &mut self,
        tenant: &str,
        child: &Child,
        global_id: &str,
    ) -> Result<i64, Refused> {
        let t = self.at(tenant)?;
        let mut client = Client {
            global_id: global_id.to_owned(),
            given_name: Some(child.given_name.clone()),
            family_name: Some(child.family_name.clone()),
            local_given_name: Some(child.local_given_name.clone()),
            local_family_name: Some(child.local_family_name.clone()),
            gender: Some(child.gender.clone()),
            date_of_birth: child.date_of_birth.clone(),
            reason_for_referral: Some(child.reason_for_referral.clone()),
            relevant_referral_information: Some(child.relevant_referral_information.clone()),
            ..self.blank_client()
        };
        self.locate(&mut client.address, &child.village_code);
        Ok(self.world.insert_client(t, client))
    }
}
