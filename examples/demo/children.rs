//! Twelve referrals as offices in Cambodia write them. Every child and every worker here is invented.

use chrono::NaiveDate;
use serde_json::{Value, json};
use std::time::SystemTime;

/// One referral, as the office knows it.
pub struct Case {
    pub key: &'static str,
    pub given: &'static str,
    pub family: &'static str,
    pub local_given: &'static str,
    pub local_family: &'static str,
    pub sex: &'static str,
    pub born: &'static str,
    pub place: &'static str,
    pub to: &'static str,
    pub organization: &'static str,
    pub services: &'static [&'static str],
    pub risk: &'static str,
    pub reason: &'static str,
}

impl Case {
    /// Name in Latin letters.
    pub fn name(&self) -> String {
        format!("{} {}", self.given, self.family)
    }

    /// Where it is to go, in words.
    pub fn aim(&self) -> String {
        match self.to {
            "oscar" => self.organization.to_owned(),
            _ => "government".to_owned(),
        }
    }

    /// The event of design §3.
    pub fn event(&self) -> Value {
        let services: Vec<Value> = self
            .services
            .iter()
            .map(|subtype| json!({ "subtype": subtype }))
            .collect();
        json!({
            "event_key": self.key, "kind": "referral", "to": self.to, "organization": self.organization,
            "child": {
                "given_name": self.given, "family_name": self.family,
                "local_given_name": self.local_given, "local_family_name": self.local_family,
                "sex": self.sex, "date_of_birth": self.born, "location_code": self.place,
            },
            "services": services, "reason": self.reason, "risk_level": self.risk,
            "referred_on": today().to_string(),
            "consent": { "services": true, "disclosure_other_organizations": true },
            "case_worker": { "name": WORKER, "phone": PHONE, "email": null },
        })
    }
}

pub const WORKER: &str = "Officer Chanraksmey";
pub const PHONE: &str = "012 555 0147";

/// Today in UTC: never later than today at the office.
fn today() -> NaiveDate {
    chrono::DateTime::<chrono::Utc>::from(SystemTime::now()).date_naive()
}

/// What must be found nowhere outside the sealed store: each long enough not to turn up by chance.
pub fn secrets() -> Vec<&'static str> {
    let mut words = vec!["Chanraksmey", PHONE];
    for case in all() {
        words.extend([case.given, case.family, case.local_given, case.local_family]);
        words.push(case.reason);
    }
    for stranger in crate::relay::BOTH {
        words.extend([stranger.given, stranger.family, stranger.reason]);
    }
    words.sort_unstable();
    words.dedup();
    words
}

/// How many children these are: one comes twice.
pub fn children() -> usize {
    let mut names: Vec<String> = all().map(Case::name).collect();
    names.sort();
    names.dedup();
    names.len()
}

pub fn all() -> impl Iterator<Item = &'static Case> {
    SOCKET.iter().chain(FILE).chain(FOLDER)
}

pub fn find(key: &str) -> &'static Case {
    all()
        .find(|case| case.key == key)
        .expect("the demo made every key")
}

/// Handed to the control socket by the office's own software.
pub const SOCKET: &[Case] = &[
    Case {
        key: "office-01",
        given: "Bopha",
        family: "Chheang",
        local_given: "បុប្ផា",
        local_family: "ឈាង",
        sex: "female",
        born: "2016-04-12",
        place: "10060805",
        to: "oscar",
        organization: "cif",
        services: &["family_based_care_kinship"],
        risk: "medium",
        reason: "ជីដូនមិនអាចមើលថែបានទៀត (her grandmother can no longer care for her)",
    },
    Case {
        key: "office-02",
        given: "Rithy",
        family: "Khiev",
        local_given: "រិទ្ធី",
        local_family: "ខៀវ",
        sex: "male",
        born: "2012-09-30",
        place: "07030201",
        to: "oscar",
        organization: "cif",
        services: &["training_education_school_support"],
        risk: "low",
        reason: "Left school in March to work at the market",
    },
    Case {
        key: "office-03",
        given: "Sreymom",
        family: "Heang",
        local_given: "ស្រីមុំ",
        local_family: "ហ៊ាង",
        sex: "female",
        born: "2019-01-22",
        place: "07040105",
        to: "oscar",
        organization: "gpc",
        services: &["counselling_abuse_survivors"],
        risk: "high",
        reason: "ត្រូវការជួយជាបន្ទាន់ (urgent: not safe at home tonight)",
    },
    Case {
        key: "office-04",
        given: "Vannak",
        family: "Touch",
        local_given: "វណ្ណៈ",
        local_family: "ទូច",
        sex: "male",
        born: "2014-06-03",
        place: "10020304",
        to: "oscar",
        organization: "cif",
        services: &[
            "medical_support_access_care",
            "financial_development_material_assistance",
        ],
        risk: "medium",
        reason: "Broken arm not treated; the family has no money for the hospital",
    },
];

/// Written to a file, one referral a line.
pub const FILE: &[Case] = &[
    Case {
        key: "office-05",
        given: "Sovannara",
        family: "Phann",
        local_given: "សុវណ្ណារ៉ា",
        local_family: "ផាន់",
        sex: "male",
        born: "2010-11-17",
        place: "07010402",
        to: "oscar",
        organization: "gpc",
        services: &["training_education_vocational"],
        risk: "low",
        reason: "Wants to learn a trade; his village has no school above grade six",
    },
    Case {
        key: "office-06",
        given: "Chanthou",
        family: "Nhean",
        local_given: "ចន្ធូ",
        local_family: "ញាណ",
        sex: "female",
        born: "2013-02-08",
        place: "10050601",
        to: "oscar",
        organization: "cif",
        services: &["counselling_trauma"],
        risk: "medium",
        reason: "ឃើញគ្រោះថ្នាក់ចរាចរណ៍ (saw the road accident in which her father died)",
    },
    Case {
        key: "office-07",
        given: "Kosal",
        family: "Thach",
        local_given: "កុសល",
        local_family: "ថាច់",
        sex: "male",
        born: "2017-07-25",
        place: "07060302",
        to: "primero",
        organization: "gpc",
        services: &["family_based_care_family_reunification"],
        risk: "medium",
        reason: "Found at the bus station; says his mother lives in Kampot",
    },
    Case {
        key: "office-08",
        given: "Makara",
        family: "Sareth",
        local_given: "មករា",
        local_family: "សារ៉េត",
        sex: "female",
        born: "2015-01-14",
        place: "10010203",
        to: "oscar",
        organization: "gpc",
        services: &["disability_support_aid_provision"],
        risk: "low",
        reason: "Needs a wheelchair to go to school",
    },
];

/// Put into the drop folder by a scanner or a shared drive.
pub const FOLDER: &[Case] = &[
    Case {
        key: "office-09",
        given: "Sophea",
        family: "Samoeun",
        local_given: "សុភា",
        local_family: "សាមឿន",
        sex: "female",
        born: "2011-05-19",
        place: "10030502",
        to: "oscar",
        organization: "cif",
        services: &["legal_support_representation"],
        risk: "medium",
        reason: "No birth certificate; cannot register for the examination",
    },
    Case {
        key: "office-10",
        given: "Piseth",
        family: "Chhay",
        local_given: "ពិសិដ្ឋ",
        local_family: "ឆាយ",
        sex: "male",
        born: "2018-10-02",
        place: "07080103",
        to: "oscar",
        organization: "cif",
        services: &["family_support_family_support"],
        risk: "medium",
        reason: "ឪពុកម្ដាយទៅធ្វើការនៅថៃ (both parents work in Thailand)",
    },
    Case {
        key: "office-11",
        given: "Kunthea",
        family: "Bunthoeun",
        local_given: "គន្ធា",
        local_family: "ប៊ុនធឿន",
        sex: "female",
        born: "2009-03-27",
        place: "10040701",
        to: "oscar",
        organization: "gpc",
        services: &["anti_trafficking_post_trafficking"],
        risk: "high",
        reason: "Came back from a factory abroad; does not sleep",
    },
    // The first child again, to another organization: one case in Primero, two referrals.
    Case {
        key: "office-12",
        given: "Bopha",
        family: "Chheang",
        local_given: "បុប្ផា",
        local_family: "ឈាង",
        sex: "female",
        born: "2016-04-12",
        place: "10060805",
        to: "oscar",
        organization: "gpc",
        services: &["training_education_material_support"],
        risk: "low",
        reason: "Needs a school uniform and books",
    },
];
