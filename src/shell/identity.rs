//! Names the gateway makes: digests keyed with the device key, so that the same child or event gets the same name
//! after a lost store, and nobody without the key can guess one.

use crate::core::event::{Child, Payload};
use crate::core::link::ChildId;
use crate::core::mapping::sex_word;
use crate::core::record::Subject;
use ring::{digest, hmac};

/// SHA-256, for canonical bodies and pulled elements.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// Makes the gateway's own ids.
pub struct Identity {
    key: hmac::Key,
}

/// Letters of a tag: no vowels, no look-alikes, readable over a bad telephone line.
pub const TAG_LETTERS: &[u8; 30] = b"0123456789BCDFGHJKMNPQRSTVWXYZ";

impl Identity {
    /// From the secret that [`crate::store::DeviceKey::derive`] gives for this purpose.
    pub fn new(secret: &[u8; 32]) -> Identity {
        Identity {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
        }
    }

    fn digest(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose.as_bytes());
        for part in parts {
            context.update(&[0]);
            context.update(part.as_bytes());
        }
        context
            .sign()
            .as_ref()
            .try_into()
            .expect("HMAC-SHA256 has 32 bytes")
    }

    /// The ids by which an event's child may be known already, strongest first.
    pub fn child_ids(&self, child: &Child) -> Vec<ChildId> {
        let mut ids = Vec::new();
        if let Some(case) = &child.primero_case_id {
            let short = case.len() == 7;
            ids.push(if short {
                ChildId::ShortId(case.clone())
            } else {
                ChildId::CaseId(case.clone())
            });
        }
        ids.extend(child.oscar_global_id.clone().map(ChildId::GlobalId));
        if let Some(number) = child.ministry_number() {
            // With each name: the same number under wholly other names is a mistake of somebody's, not the same child.
            let names = child.folded_names().into_iter().filter(|name| !name.is_empty());
            ids.extend(names.map(|name| ChildId::Mosvy(format!("{number}\0{name}"))));
        }
        if ids.is_empty() {
            ids.extend(self.fingerprint(child).map(ChildId::Fingerprint));
        }
        ids
    }

    /// A child nobody has numbered is the same child only if everything typed about it is the same. Without a birth
    /// date that is too little to go by.
    fn fingerprint(&self, child: &Child) -> Option<[u8; 32]> {
        let born = child.date_of_birth.0?.to_string();
        let place = child.location_code.0.as_deref().unwrap_or_default();
        let folded = child.folded_names();
        let mut parts: Vec<&str> = folded.iter().map(String::as_str).collect();
        parts.extend([sex_word(child.sex.0), born.as_str(), place]);
        Some(self.digest("child", &parts))
    }

    /// The subject of a child first met in this event.
    pub fn new_subject(&self, ids: &[ChildId], event_key: &str) -> Subject {
        let name = match ids.first() {
            Some(ChildId::CaseId(id) | ChildId::ShortId(id) | ChildId::GlobalId(id) | ChildId::Mosvy(id)) => {
                self.digest("subject", &[id])
            }
            Some(ChildId::Fingerprint(print)) => *print,
            Some(ChildId::Transition(_) | ChildId::OscarReferral(..)) | None => {
                self.digest("subject of event", &[event_key])
            }
        };
        Subject(first16(&name))
    }

    /// Our own id of a service in Primero: the same event and service always give the same id.
    pub fn service_id(&self, event_key: &str, subtype: &str) -> String {
        let name = self.digest("service", &[event_key, subtype]);
        uuid::Builder::from_custom_bytes(first16(&name))
            .into_uuid()
            .to_string()
    }

    /// The subject of a child that the two systems have numbered, the same on every box and after the loss of store and
    /// device key: the Primero case made for it gets its id from this.
    pub fn relayed_subject(id: &str) -> Subject {
        Subject(first16(&sha256(
            format!("referral-gateway child\0{id}").as_bytes(),
        )))
    }

    /// The id of a service that stands for an OSCaR referral, derived from what OSCaR calls it alone, for the same
    /// reason.
    pub fn relayed_service_id(organization: &str, referral: i64, service: &str) -> String {
        let name = format!("referral-gateway service\0{organization}\0{referral}\0{service}");
        uuid::Builder::from_custom_bytes(first16(&sha256(name.as_bytes())))
            .into_uuid()
            .to_string()
    }

    /// The readable tag of an event, e.g. `GW-7F3K2`: 24 million of them, enough to tell one child's referrals apart.
    pub fn tag(&self, event_key: &str) -> String {
        let name = self.digest("tag", &[event_key]);
        let letters = name
            .iter()
            .take(5)
            .map(|byte| char::from(TAG_LETTERS[usize::from(byte % 30)]));
        format!("GW-{}", letters.collect::<String>())
    }

    /// An event key for a sender that made none: two identical bodies without a key are two events.
    pub fn event_key(random: &[u8; 16]) -> String {
        uuid::Builder::from_random_bytes(*random).into_uuid().to_string()
    }

    /// What "the same body" means: equal after validation.
    pub fn body_hash(payload: &Payload) -> [u8; 32] {
        sha256(&serde_json::to_vec(payload).expect("a payload is plain values and serializes"))
    }
}

fn first16(bytes: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    out.copy_from_slice(&bytes[..16]);
    out
}
