//! Which ways events travel on this gateway (design §2), as configured.

/// What stands for a family's consent where OSCaR does not state one (`[flows] oscar_consent`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OscarConsent {
    /// Nothing: the referral is parked until a person has asked.
    #[default]
    Park,
    /// A written agreement between the NGO and the government, kept outside the gateway, covers it.
    Agreement,
}

impl OscarConsent {
    /// As written in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            OscarConsent::Park => "park",
            OscarConsent::Agreement => "agreement",
        }
    }
}

/// What becomes of Primero referrals that were there before this store was made, and that nothing proves unsent
/// (`[flows] earlier`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Earlier {
    /// In doubt: another box, or this one before it lost its store, may have sent them.
    #[default]
    Doubt,
    /// Sent: somebody knows that nothing ever carried them.
    Send,
}

impl Earlier {
    /// As written in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Earlier::Doubt => "doubt",
            Earlier::Send => "send",
        }
    }
}

/// The switches of `[flows]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flows {
    pub local_to_oscar: bool,
    pub local_to_primero: bool,
    pub primero_to_oscar: bool,
    pub oscar_to_primero: bool,
    pub decisions: bool,
    pub links: bool,
    /// Children an NGO shares without referring them become Primero cases, so that nobody registers them twice. Only
    /// with [`OscarConsent::Agreement`]: OSCaR states no consent for them.
    pub shared_cases: bool,
    pub oscar_consent: OscarConsent,
    pub earlier: Earlier,
    /// What a first run with an empty store looks back to, Unix seconds of the peers' clocks; `None` for "now".
    pub start: Option<i64>,
}

impl Default for Flows {
    fn default() -> Flows {
        Flows {
            local_to_oscar: true,
            local_to_primero: true,
            primero_to_oscar: true,
            oscar_to_primero: true,
            decisions: true,
            links: true,
            shared_cases: false,
            oscar_consent: OscarConsent::default(),
            earlier: Earlier::default(),
            start: None,
        }
    }
}

impl Flows {
    /// The names of what is switched on, separated by blanks.
    pub fn words(&self) -> String {
        let switches = [
            (self.local_to_oscar, "local-to-oscar"),
            (self.local_to_primero, "local-to-primero"),
            (self.primero_to_oscar, "primero-to-oscar"),
            (self.oscar_to_primero, "oscar-to-primero"),
            (self.decisions, "decisions"),
            (self.links, "links"),
            (self.shared_cases, "shared-cases"),
        ];
        let on: Vec<&str> = switches
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| *name)
            .collect();
        on.join(" ")
    }

    /// Anything that has to be learned from Primero's cases.
    pub fn pull_primero(&self) -> bool {
        self.primero_to_oscar || self.decisions
    }

    /// Children an NGO only shares become cases too.
    pub fn shares_cases(&self) -> bool {
        self.shared_cases && self.oscar_consent == OscarConsent::Agreement
    }

    /// Anything that has to be learned from OSCaR's children.
    pub fn pull_oscar(&self) -> bool {
        self.oscar_to_primero || self.decisions || self.links || self.shares_cases()
    }
}
