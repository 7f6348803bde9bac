//! Asks Primero for its forms and lookups, and what the gateway's role may write, and keeps what is missing there.
//!
//! The answers are large (some hundred kilobytes, a tenth of it on the wire), so they are read as they arrive, asked
//! for once a day and at each start, and with the marks of the last answers: an unchanged site costs three answers
//! without body. A check that does not get through stops nothing: what was known before still holds.

use super::Ground;
use crate::core::ask::PrimeroCall;
use crate::core::exchange::{AnswerHead, Request, Wire};
use crate::core::fields::Site;
use crate::core::forms::{Form, Gap, Lack, Lookup, Needs, Reading, gap_for};
use crate::core::outbox;
use crate::core::outcome::{Outcome, Repeat, Trouble, judge_failure, judge_head};
use crate::core::record::Seq;
use crate::core::time::Mono;
use crate::peers::primero::Primero;
use crate::peers::rows::read_rows;
use crate::shell::identity::sha256;
use crate::shell::log;
use crate::store::StoreError;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::time::Duration;

/// Name of the sealed document that keeps the last check.
pub const KEPT: &str = "primero site check";
/// Largest page Primero gives (primero.md §2.1).
const PER: u64 = 1000;
/// Most pages of lookups that are read: far more than any site has.
const PAGES_MAX: u64 = 20;
/// Longest answer about the gateway's own user that is read, in bytes.
const USER_BYTES_MAX: u64 = 1024 * 1024;

/// What the last check found, and how to ask cheaply next time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteCheck {
    pub gaps: Vec<Gap>,
    /// Primero said what the gateway's role may write.
    pub role_known: bool,
    /// Primero's clock at the check, Unix seconds.
    #[serde(default)]
    pub at: Option<i64>,
    /// Digest of what was looked for: another mapping or other field names make the marks worthless.
    #[serde(with = "crate::core::hex")]
    needs: [u8; 32],
    user: Option<i64>,
    marks: [Option<String>; 3],
}

/// How much of a list came.
#[derive(Default)]
struct ListRead {
    rows: u64,
    /// How many rows there are on all pages, where the server pages.
    total: Option<u64>,
}

/// How an answer came.
enum Came<T> {
    Unchanged,
    New(T, Option<String>),
    /// Primero will not say: no right to ask, or an older server.
    Refused,
}

impl<T> Came<T> {
    /// Whether it is the old answer, and the mark to ask with next time; nothing for a refusal.
    fn mark(&self, before: Option<String>) -> Option<(bool, Option<String>)> {
        match self {
            Came::Unchanged => Some((true, before)),
            Came::New(_, mark) => Some((false, mark.clone())),
            Came::Refused => None,
        }
    }
}

/// Looks at the site. `last` is the check before, if any.
pub fn check_site(
    wire: &mut dyn Wire,
    codec: &Primero,
    site: &Site,
    last: Option<SiteCheck>,
) -> Result<SiteCheck, Trouble> {
    let needs = Needs::of(site);
    let digest = sha256(&serde_json::to_vec(&needs).expect("plain words serialize"));
    let mut asker = Asker {
        wire,
        codec,
        site,
        user: None,
        date: None,
    };
    let last = last.unwrap_or_default();
    asker.user = last.user;
    let known = (last.needs == digest).then_some(&last);
    let mut found = match known {
        Some(known) => asker.look(&needs, Some(known))?,
        None => None,
    };
    if found.is_none() {
        found = asker.look(&needs, None)?;
    }
    let mut found = found.ok_or(Trouble::Shape)?;
    found.needs = digest;
    found.user = asker.user;
    found.at = asker.date.or(last.at);
    Ok(found)
}

struct Asker<'a> {
    wire: &'a mut dyn Wire,
    codec: &'a Primero,
    site: &'a Site,
    /// The gateway's own number as a user.
    user: Option<i64>,
    date: Option<i64>,
}

impl Asker<'_> {
    /// Asks for all three. With a check before, nothing comes back if only a part of it has changed: half an answer
    /// cannot be told from a gap, so all is asked for again.
    fn look(&mut self, needs: &Needs, known: Option<&SiteCheck>) -> Result<Option<SiteCheck>, Trouble> {
        let mark = |index: usize| known.and_then(|known| known.marks[index].clone());
        let mut reading = Reading::new(needs, &self.site.module_id);
        // Lookups first: a password that is refused is refused once, before anything is tried that logs in.
        let lookups = self.lookups(mark(0), &mut reading)?;
        let rights = self.rights(mark(1))?;
        let role_known = !matches!(rights, Came::Refused);
        if let Came::New(rights, _) = &rights {
            reading.rights(rights);
        }
        let target = "/api/v2/forms?record_type=case".to_owned();
        let forms = self.list::<Form>(target, mark(2), &mut |form| reading.form(form))?;
        let answers = [lookups.mark(mark(0)), rights.mark(mark(1)), forms.mark(mark(2))];
        if matches!(answers, [None, ..] | [.., None]) {
            return Err(Trouble::Shape);
        }
        let old = answers.iter().flatten().filter(|(old, _)| *old).count();
        let gaps = match known {
            Some(known) if old == answers.iter().flatten().count() && known.role_known == role_known => {
                known.gaps.clone()
            }
            Some(_) if old > 0 => return Ok(None),
            _ => reading.gaps().ok_or(Trouble::Shape)?,
        };
        Ok(Some(SiteCheck {
            gaps,
            role_known,
            marks: answers.map(|answer| answer.and_then(|(_, mark)| mark)),
            ..SiteCheck::default()
        }))
    }

    /// The number of the gateway's own user. Asked once: it never changes.
    fn user(&mut self) -> Result<Option<i64>, Trouble> {
        if self.user.is_some() {
            return Ok(self.user);
        }
        let request = self.codec.log_in();
        let mut number = None;
        let came = self.ask(&request, &mut |body| {
            let answer: Option<Value> = about_the_user(body);
            number = answer.as_ref().and_then(|answer| answer.get("id")?.as_i64());
            true
        })?;
        if let Came::New((), _) = came {
            self.user = number;
        }
        Ok(self.user)
    }

    fn rights(&mut self, mark: Option<String>) -> Result<Came<BTreeMap<String, String>>, Trouble> {
        #[derive(Deserialize)]
        struct Answer {
            data: User,
        }
        #[derive(Deserialize)]
        struct User {
            permitted_form: Option<BTreeMap<String, String>>,
        }
        let Some(user) = self.user()? else {
            return Ok(Came::Refused);
        };
        let target = format!("/api/v2/users/{user}?extended=true");
        let request = self.codec.get(target, mark.as_deref());
        let mut rights = None;
        let came = self.ask(&request, &mut |body| {
            rights = about_the_user(body).and_then(|answer: Answer| answer.data.permitted_form);
            true
        })?;
        Ok(match (came, rights) {
            (Came::New((), etag), Some(rights)) => Came::New(rights, etag),
            (Came::Unchanged, _) => Came::Unchanged,
            (Came::New(..) | Came::Refused, _) => Came::Refused,
        })
    }

    fn lookups(&mut self, mark: Option<String>, reading: &mut Reading<'_>) -> Result<Came<()>, Trouble> {
        let mut read = 0;
        let mut first = None;
        for page in 1..=PAGES_MAX {
            let target = format!("/api/v2/lookups?per={PER}&page={page}");
            // Only the first page is marked: a site with more than one is not known yet.
            let mark = mark.clone().filter(|_| page == 1);
            match self.list::<Lookup>(target, mark, &mut |lookup| reading.lookup(&lookup))? {
                Came::New(list, etag) => {
                    read += list.rows;
                    if page == 1 {
                        first = etag;
                    }
                    if list.rows == 0 || read >= list.total.unwrap_or(read) {
                        // A later page may change while the first does not.
                        return Ok(Came::New((), first.filter(|_| page == 1)));
                    }
                }
                Came::Unchanged => return Ok(Came::Unchanged),
                Came::Refused => return Ok(Came::Refused),
            }
        }
        Err(Trouble::Shape)
    }

    fn list<T: serde::de::DeserializeOwned>(
        &mut self,
        target: String,
        mark: Option<String>,
        each: &mut dyn FnMut(T),
    ) -> Result<Came<ListRead>, Trouble> {
        let request = self.codec.get(target, mark.as_deref());
        let mut read = ListRead::default();
        let came = self.ask(&request, &mut |body| {
            // A row of another shape is not the end of the list, but the list is then not to be trusted.
            let mut readable = true;
            let metadata = read_rows(body, &mut |row| {
                read.rows += 1;
                // Through its text: reading these types out of a `Value` as well would be a second parser for each.
                match serde_json::from_slice(row.to_string().as_bytes()) {
                    Ok(row) => each(row),
                    Err(_) => readable = false,
                }
            });
            read.total = metadata
                .as_ref()
                .and_then(|metadata| metadata.get("total")?.as_u64());
            metadata.is_some() && readable
        })?;
        Ok(match came {
            Came::New((), etag) => Came::New(read, etag),
            Came::Unchanged => Came::Unchanged,
            Came::Refused => Came::Refused,
        })
    }

    /// One request; `take` reads a good answer's body and says whether it was whole.
    fn ask(
        &mut self,
        request: &Request,
        take: &mut dyn FnMut(&mut dyn Read) -> bool,
    ) -> Result<Came<()>, Trouble> {
        let mut whole = true;
        let result = self.wire.stream(request, &mut |head: &AnswerHead, body| {
            if head.status == 200 && head.json {
                whole = take(body);
            }
        });
        let head = match result {
            Ok(head) => head,
            Err(failure) => return Err(trouble_of(judge_failure(&failure, Repeat::Harmless))),
        };
        self.date = head.date.or(self.date);
        match head.status {
            304 => Ok(Came::Unchanged),
            200 if head.json && whole => Ok(Came::New((), head.etag)),
            200 if head.json => Err(Trouble::Shape),
            403 | 404 | 422 | 429 if head.json || head.status == 429 => Ok(Came::Refused),
            _ => Err(trouble_of(judge_head(&head, Repeat::Harmless))),
        }
    }
}

fn trouble_of(outcome: Outcome) -> Trouble {
    match outcome {
        Outcome::Down(trouble, _) | Outcome::Failed(trouble) | Outcome::Doubt(trouble) => trouble,
        Outcome::Unauthorized => Trouble::Auth,
        Outcome::Answered => Trouble::Shape,
    }
}

/// Time between two checks that got through, and after one that did not.
const EVERY: Duration = Duration::from_secs(24 * 3600);
const AGAIN: Duration = Duration::from_secs(3600);

/// The check as a pass keeps it: what is missing, and when to look again.
#[derive(Default)]
pub(super) struct SiteWatch {
    /// Nothing before the store was asked.
    last: Option<SiteCheck>,
    next: Option<Mono>,
}

impl SiteWatch {
    /// Looks if it is time. Only a refused password stands in the way of the session: a second try brings the lock
    /// nearer (primero.md §1.4).
    pub(super) fn look(
        &mut self,
        ground: &Ground,
        codec: &Primero,
        wire: &mut dyn Wire,
    ) -> Result<Option<Trouble>, StoreError> {
        let now = (ground.clock)().mono;
        if self.last.is_none() {
            let kept = ground.store.read(|view| view.meta_get::<SiteCheck>(KEPT))?;
            self.last = Some(kept.unwrap_or_default());
        }
        if self.next.is_some_and(|next| now < next) {
            return Ok(None);
        }
        self.next = Some(now.plus(AGAIN));
        let found = match check_site(wire, codec, &ground.site, self.last.clone()) {
            Ok(found) => found,
            Err(Trouble::Auth) => {
                self.next = None;
                return Ok(Some(Trouble::Auth));
            }
            Err(trouble) => {
                log::warn(format_args!(
                    "primero: forms and lookups could not be checked: {}",
                    trouble.word()
                ));
                return Ok(None);
            }
        };
        self.next = Some(now.plus(EVERY));
        let before = self.last.replace(found.clone()).unwrap_or_default();
        let news = before.gaps != found.gaps;
        if news || before.at.is_none() {
            for gap in &found.gaps {
                log::warn(format_args!("primero: {gap}: what needs it is parked"));
            }
        }
        // A day older is no reason to write to the card.
        if (&found.gaps, &found.marks, &found.needs) == (&before.gaps, &before.marks, &before.needs) {
            return Ok(None);
        }
        let at = ground.moment();
        ground.store.write(move |tx| {
            tx.meta_put(KEPT, &found);
            if !news {
                return Ok(None);
            }
            let waiting = tx.queue().iter().filter(|entry| !entry.closed);
            let waiting: Vec<Seq> = waiting.map(|entry| entry.seq).collect();
            for seq in waiting {
                if let Some(mut head) = tx.head(seq)?
                    && outbox::site_changed(&mut head, at)
                {
                    tx.update(&head)?;
                }
            }
            Ok(None)
        })
    }

    /// Something suggests that Primero has been changed: look at the next session.
    pub(super) fn doubt(&mut self) {
        self.next = None;
    }

    /// Fields that are missing altogether, or closed to the gateway's role.
    pub(super) fn lacking(&self) -> Vec<String> {
        let gaps = self.last.iter().flat_map(|last| &last.gaps);
        let whole = gaps.filter(|gap| !matches!(gap.lack, Lack::Option { .. }));
        whole.map(|gap| gap.field.clone()).collect()
    }

    /// What is missing for this call, if anything.
    pub(super) fn gap(&self, call: &PrimeroCall) -> Option<&Gap> {
        let gaps = &self.last.as_ref()?.gaps;
        match call {
            PrimeroCall::CreateCase { fields, .. } | PrimeroCall::PatchCase { fields, .. } => {
                gap_for(gaps, &fields.0)
            }
            _ => None,
        }
    }
}

/// An answer about the gateway's own user, as it arrives. The reader is of the type `peers` reads with: another one would
/// be another parser in the binary.
fn about_the_user<T: DeserializeOwned>(body: &mut dyn Read) -> Option<T> {
    let bounded: &mut dyn Read = &mut Read::take(body, USER_BYTES_MAX);
    serde_json::from_reader(BufReader::new(bounded)).ok()
}
