//! The conversations a pass at Primero can hold, behind one face.

use crate::core::ask::{Act, PrimeroCall, PrimeroReply};
use crate::core::child_talk::ChildTalk;
use crate::core::event::ChildRecord;
use crate::core::fields::Site;
use crate::core::follow_up::WithdrawTalk;
use crate::core::link::Link;
use crate::core::outcome::Trouble;
use crate::core::record::{Head, Moment};
use crate::core::referral_talk::ReferralTalk;
use crate::core::write_back::WriteBackTalk;

/// The kinds of conversation, driven alike.
pub(super) enum Talk<'a> {
    Referral(Box<ReferralTalk<'a>>),
    WriteBack(Box<WriteBackTalk<'a>>),
    Withdraw(Box<WithdrawTalk>),
    Child(Box<ChildTalk<'a>>),
}

impl<'a> Talk<'a> {
    pub fn child(head: Head, record: &'a ChildRecord, link: &Link, site: &'a Site, at: Moment) -> Talk<'a> {
        Talk::Child(Box::new(ChildTalk::new(head, record, link, site, at)))
    }

    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        match self {
            Talk::Referral(talk) => talk.next_act(),
            Talk::WriteBack(talk) => talk.next_act(),
            Talk::Withdraw(talk) => talk.next_act(),
            Talk::Child(talk) => talk.next_act(),
        }
    }

    pub fn hear(&mut self, reply: PrimeroReply) {
        match self {
            Talk::Referral(talk) => talk.hear(reply),
            Talk::WriteBack(talk) => talk.hear(reply),
            Talk::Withdraw(talk) => talk.hear(reply),
            Talk::Child(talk) => talk.hear(reply),
        }
    }

    pub fn unsent(&mut self) {
        match self {
            Talk::Referral(talk) => talk.unsent(),
            Talk::WriteBack(talk) => talk.unsent(),
            Talk::Withdraw(talk) => talk.unsent(),
            Talk::Child(talk) => talk.unsent(),
        }
    }

    pub fn failed(&mut self, trouble: Trouble) {
        match self {
            Talk::Referral(talk) => talk.failed(trouble),
            Talk::WriteBack(talk) => talk.failed(trouble),
            Talk::Withdraw(talk) => talk.failed(trouble),
            Talk::Child(talk) => talk.failed(trouble),
        }
    }

    /// Only creating a referral can be in doubt; everything else is as good as unsent.
    pub fn lost(&mut self, trouble: Trouble) {
        match self {
            Talk::Referral(talk) => talk.lost(trouble),
            Talk::WriteBack(talk) => talk.unsent(),
            Talk::Withdraw(talk) => talk.unsent(),
            Talk::Child(talk) => talk.unsent(),
        }
    }

    pub fn head(&self) -> &Head {
        match self {
            Talk::Referral(talk) => &talk.head,
            Talk::WriteBack(talk) => &talk.head,
            Talk::Withdraw(talk) => &talk.head,
            Talk::Child(talk) => &talk.head,
        }
    }
    pub fn head_mut(&mut self) -> &mut Head {
        match self {
            Talk::Referral(talk) => &mut talk.head,
            Talk::WriteBack(talk) => &mut talk.head,
            Talk::Withdraw(talk) => &mut talk.head,
            Talk::Child(talk) => &mut talk.head,
        }
    }
}
