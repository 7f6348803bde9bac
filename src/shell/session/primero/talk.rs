//! The conversations a pass at Primero can hold, behind one face.

use crate::core::ask::{Act, PrimeroCall, PrimeroReply};
use crate::core::follow_up::WithdrawTalk;
use crate::core::outcome::Trouble;
use crate::core::record::Head;
use crate::core::referral_talk::ReferralTalk;
use crate::core::write_back::WriteBackTalk;

/// The four kinds of conversation, driven alike.
pub(super) enum Talk<'a> {
    Referral(Box<ReferralTalk<'a>>),
    WriteBack(Box<WriteBackTalk<'a>>),
    Withdraw(Box<WithdrawTalk>),
}

impl Talk<'_> {
    pub fn next_act(&mut self) -> Act<PrimeroCall> {
        match self {
            Talk::Referral(talk) => talk.next_act(),
            Talk::WriteBack(talk) => talk.next_act(),
            Talk::Withdraw(talk) => talk.next_act(),
        }
    }

    pub fn hear(&mut self, reply: PrimeroReply) {
        match self {
            Talk::Referral(talk) => talk.hear(reply),
            Talk::WriteBack(talk) => talk.hear(reply),
            Talk::Withdraw(talk) => talk.hear(reply),
        }
    }

    pub fn unsent(&mut self) {
        match self {
            Talk::Referral(talk) => talk.unsent(),
            Talk::WriteBack(talk) => talk.unsent(),
            Talk::Withdraw(talk) => talk.unsent(),
        }
    }

    pub fn failed(&mut self, trouble: Trouble) {
        match self {
            Talk::Referral(talk) => talk.failed(trouble),
            Talk::WriteBack(talk) => talk.failed(trouble),
            Talk::Withdraw(talk) => talk.failed(trouble),
        }
    }

    /// Only creating a referral can be in doubt; everything else is as good as unsent.
    pub fn lost(&mut self, trouble: Trouble) {
        match self {
            Talk::Referral(talk) => talk.lost(trouble),
            Talk::WriteBack(talk) => talk.unsent(),
            Talk::Withdraw(talk) => talk.unsent(),
        }
    }

    pub fn head(&self) -> &Head {
        match self {
            Talk::Referral(talk) => &talk.head,
            Talk::WriteBack(talk) => &talk.head,
            Talk::Withdraw(talk) => &talk.head,
        }
    }
    pub fn head_mut(&mut self) -> &mut Head {
        match self {
            Talk::Referral(talk) => &mut talk.head,
            Talk::WriteBack(talk) => &mut talk.head,
            Talk::Withdraw(talk) => &mut talk.head,
        }
    }
}
