//! One box between two peers, and everybody who acts on it: the office, the ministry's workers in Primero, the NGOs'
//! workers in OSCaR, the telephone, the power company. Every act is drawn from the seed.

use crate::disk::Dice;
use crate::office::{KINSHIP, SCHOOL, but, decision, referral, withdrawal};
use crate::promises::{self, Verdict};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::record::{Head, OneShot, State};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Invented children of the office, of the ministry and of each NGO.
pub const CHILDREN: u64 = 4;
/// The organizations of the box, and one that is none of its business.
pub const ORGANIZATIONS: [&str; 3] = ["cif", "gpc", "tpo"];
const ROUNDS: u64 = 12;

/// A referral somebody made at a peer, and that the box has to carry.
#[derive(Clone, Debug)]
pub enum Made {
    /// In Primero, to this organization; the transition's id.
    InPrimero {
        organization: String,
        transition: String,
    },
    /// In OSCaR; the number is the organization's own.
    InOscar { organization: String, number: i64 },
}

impl Made {
    /// The key of the event it becomes.
    pub fn key(&self) -> String {
        match self {
            Made::InPrimero { transition, .. } => format!("p-{transition}"),
            Made::InOscar { organization, number } => format!("o-{organization}-{number}"),
        }
    }

    pub fn in_scope(&self) -> bool {
        let (Made::InPrimero { organization, .. } | Made::InOscar { organization, .. }) = self;
        organization != "tpo"
    }
}

pub struct World {
    pub stage: Stage,
    pub dice: Dice,
    /// Keys of the events the office was told are accepted.
    pub accepted: BTreeSet<String>,
    /// What the peers' own people have made.
    pub made: Vec<Made>,
    next: u64,
}

impl World {
    /// A world in which so many of a hundred requests go wrong.
    pub fn new(seed: u64, faults: u64) -> World {
        let mut dice = Dice(seed);
        let mut stage = Stage::default();
        // What was there before the first look is not this box's to carry (`[flows] start = "now"`).
        stage.run();
        if faults > 0 {
            stage.primero.chaos(dice.roll(), faults);
            stage.oscar.chaos(dice.roll(), faults);
        }
        World {
            stage,
            dice,
            accepted: BTreeSet::new(),
            made: Vec::new(),
            next: 0,
        }
    }

    pub fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// One of several, evenly.
    pub fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let at = usize::try_from(self.dice.below(from.len() as u64)).expect("small");
        Some(from[at].clone())
    }

    fn office_event(&mut self) -> Value {
        let key = format!("key-{}", self.number());
        let known: Vec<String> = self
            .accepted
            .iter()
            .filter(|key| !key.contains("-d") && !key.contains("-w"))
            .cloned()
            .collect();
        match (self.dice.below(10), self.pick(&known)) {
            (0, Some(target)) => return decision(&target, Decision::Accepted),
            (1, Some(target)) => return withdrawal(&target),
            _ => {}
        }
        let event = but(referral(self.dice.below(CHILDREN)), "/event_key", json!(key));
        let organization = if self.dice.below(4) == 0 { "gpc" } else { "cif" };
        let event = but(event, "/organization", json!(organization));
        let event = match self.dice.below(8) {
            // By the ministry's number, which two cases may carry.
            0 => but(event, "/child/mosvy_number", json!("MOSVY-1001")),
            1 => but(event, "/to", json!("primero")),
            _ => event,
        };
        let services = match self.dice.below(3) {
            0 => json!([{"subtype": KINSHIP}]),
            1 => json!([{"subtype": SCHOOL}]),
            _ => json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]),
        };
        but(event, "/services", services)
    }

    fn office(&mut self) {
        for _ in 0..self.dice.below(3) {
            let event = self.office_event();
            if let Ok(told) = self.stage.offer(&event) {
                self.accepted.insert(told.event_key);
            }
            // The power goes just after "accepted".
            if self.dice.below(40) == 0 {
                let seed = self.dice.roll();
                self.stage.cut(seed);
            }
        }
    }

    fn power(&mut self) {
        match self.dice.below(8) {
            0 => self.stage.restart(),
            1 => {
                let (ahead, seed) = (1 + self.dice.below(12), self.dice.roll());
                self.stage.disk.cut_at(self.stage.disk.syncs() + ahead);
                let _ = self.stage.run_if_on();
                self.stage.cut(seed);
            }
            _ => {}
        }
    }

    /// Somebody asks the NGO about a push in doubt, and is told the truth.
    pub fn somebody_telephones(&mut self) {
        let doubted = self.heads().into_iter().find(|head| {
            let pushed = head.work.services.iter().any(|work| work.push == OneShot::Unsure);
            head.state == State::InDoubt && head.work.primero_done && pushed
        });
        let Some(head) = doubted else { return };
        self.stage.telephone(&head);
    }

    /// Every event in the box.
    pub fn heads(&self) -> Vec<Head> {
        let read = self.stage.store().read(|view| {
            let mut heads = Vec::new();
            for entry in view.queue().iter() {
                heads.extend(view.head(entry.seq)?);
            }
            Ok(heads)
        });
        read.expect("the store reads")
    }

    fn round(&mut self) -> Verdict {
        self.office();
        self.power();
        let (reach_back, by_hand) = (self.dice.below(3) == 0, self.dice.below(9) == 0);
        self.stage
            .run_as(reach_back, by_hand)
            .map_err(|error| error.to_string())?;
        for _ in 0..self.dice.below(4) {
            self.somebody_acts();
        }
        promises::always(self)
    }

    /// A stretch of life with everything that can go wrong, then peace, then everything has drained.
    pub fn live(&mut self) -> Verdict {
        for round in 0..ROUNDS {
            self.round().map_err(|what| format!("round {round}: {what}"))?;
        }
        self.peace();
        promises::always(self)?;
        promises::at_rest(self)
    }

    /// No more faults, and time for everybody.
    pub fn peace(&mut self) {
        self.stage.primero.mend();
        self.stage.oscar.mend();
        // Longer than pushes are ever held.
        self.stage.wait(Duration::from_secs(13 * 3600));
        for _ in 0..3 {
            self.stage.settle();
            self.stage.ngo_registers("cif");
            self.stage.ngo_registers("gpc");
        }
        self.stage.settle();
    }
}
