//! Anything at any moment: faults on both lines, people who act, restarts and power cuts, from one seed.
//!
//! A failing seed says how to play it again.

use crate::audit::{self, Verdict};
use crate::disk::Dice;
use crate::office::{KINSHIP, SCHOOL, but, decision, referral, withdrawal};
use crate::stage::Stage;
use referral_gateway::core::event::Decision;
use referral_gateway::core::record::State;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const SEEDS: u64 = 200;
const ROUNDS: u64 = 14;
const CHILDREN: u64 = 4;
/// Of a hundred requests, so many go wrong.
const FAULTS: u64 = 15;

struct Run {
    stage: Stage,
    dice: Dice,
    accepted: BTreeSet<String>,
    next: u64,
}

impl Run {
    fn event(&mut self) -> Value {
        self.next += 1;
        let key = format!("key-{}", self.next);
        let known: Vec<&String> = self
            .accepted
            .iter()
            .filter(|key| key.starts_with("key-") && !key.contains("-d"))
            .collect();
        let referral_events: Vec<String> = known
            .into_iter()
            .filter(|key| !key.contains("w"))
            .cloned()
            .collect();
        let pick = self.dice.below(10);
        if pick < 2 && !referral_events.is_empty() {
            let at = usize::try_from(self.dice.below(referral_events.len() as u64)).expect("small");
            let target = &referral_events[at];
            return match pick {
                0 => decision(target, Decision::Accepted),
                _ => withdrawal(target),
            };
        }
        let event = but(referral(self.dice.below(CHILDREN)), "/event_key", json!(key));
        let organization = if self.dice.below(4) == 0 { "gpc" } else { "cif" };
        let event = but(event, "/organization", json!(organization));
        let services = match self.dice.below(3) {
            0 => json!([{"subtype": KINSHIP}]),
            1 => json!([{"subtype": SCHOOL}]),
            _ => json!([{"subtype": KINSHIP}, {"subtype": SCHOOL}]),
        };
        but(event, "/services", services)
    }

    fn somebody_acts(&mut self) {
        let tenant = if self.dice.below(3) == 0 { "gpc" } else { "cif" };
        match self.dice.below(5) {
            0 | 1 => self.stage.ngo_registers(tenant),
            2 => self.stage.ngo_decides(tenant, "Accepted"),
            3 => self.somebody_telephones(),
            _ => {
                let cases = self.stage.primero.peer(|sim| sim.cases());
                if let Some(id) = cases.first().and_then(|case| case["id"].as_str()) {
                    let edit = json!({"name_nickname": "edited"});
                    let edited = self
                        .stage
                        .primero
                        .peer(|sim| sim.edit_case_as("gateway-kpt-03", id, &edit));
                    edited.expect("an edit");
                }
            }
        }
    }

    /// Somebody asks the NGO about the first push in doubt, and is told the truth.
    fn somebody_telephones(&mut self) {
        let heads = self.accepted.iter().map(|key| self.stage.head(key));
        let doubted = heads.filter(|head| head.state == State::InDoubt && head.work.primero_done);
        let Some(head) = doubted.into_iter().next() else {
            return;
        };
        self.stage.telephone(&head);
    }

    fn round(&mut self) -> Verdict {
        for _ in 0..self.dice.below(3) {
            let event = self.event();
            if let Ok(told) = self.stage.offer(&event) {
                self.accepted.insert(told.event_key);
            }
        }
        match self.dice.below(8) {
            0 => self.stage.restart(),
            1 => {
                let (syncs, seed) = (
                    self.stage.disk.syncs() + 1 + self.dice.below(12),
                    self.dice.roll(),
                );
                self.stage.disk.cut_at(syncs);
                let _ = self.stage.run_if_on();
                self.stage.cut(seed);
            }
            _ => {}
        }
        let reach_back = self.dice.below(3) == 0;
        self.stage
            .run_as(reach_back, self.dice.below(9) == 0)
            .map_err(|error| error.to_string())?;
        for _ in 0..self.dice.below(3) {
            self.somebody_acts();
        }
        audit::always(
            &self.stage,
            &self.accepted,
            usize::try_from(CHILDREN).expect("small"),
        )
    }

    fn whole(&mut self) -> Verdict {
        for round in 0..ROUNDS {
            self.round().map_err(|what| format!("round {round}: {what}"))?;
        }
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
        audit::always(
            &self.stage,
            &self.accepted,
            usize::try_from(CHILDREN).expect("small"),
        )?;
        audit::at_rest(&self.stage, &self.accepted)?;
        audit::decisions_written(&self.stage, &self.accepted)
    }
}

fn play(seed: u64) -> (Verdict, Run) {
    let mut dice = Dice(seed);
    let stage = Stage::default();
    stage.primero.chaos(dice.roll(), FAULTS);
    stage.oscar.chaos(dice.roll(), FAULTS);
    let mut run = Run {
        stage,
        dice,
        accepted: BTreeSet::new(),
        next: 0,
    };
    (run.whole(), run)
}

/// Plays every second seed from `first`, or the one that was asked for.
fn play_from(first: u64) {
    let asked = |name| std::env::var(name).ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds: Vec<u64> = match asked("SESSION_SEED") {
        Some(seed) => (seed..=seed).filter(|seed| seed % 2 == first).collect(),
        None => (first..asked("SESSION_SEEDS").unwrap_or(SEEDS))
            .step_by(2)
            .collect(),
    };
    let mut ends = std::collections::BTreeMap::<String, u32>::new();
    for seed in seeds {
        let replay = format!("SESSION_SEED={seed} cargo test -p referral-gateway --test session chaos");
        let played = std::panic::catch_unwind(|| play(seed));
        let (verdict, run) = played.unwrap_or_else(|_| panic!("replay: {replay}"));
        if let Err(what) = verdict {
            panic!("{what}\nreplay: {replay}");
        }
        for key in &run.accepted {
            let (state, reason) = run.stage.state(key);
            let word = reason.filter(|_| state.open()).map_or("", |reason| reason.code());
            *ends.entry(format!("{} {word}", state.word())).or_default() += 1;
        }
    }
    println!("{ends:?}");
}

#[test]
fn whatever_happens_nothing_is_lost_or_doubled() {
    play_from(0);
}

/// The same with the other half of the seeds, on the other core.
#[test]
fn whatever_else_happens_nothing_is_lost_or_doubled() {
    play_from(1);
}
