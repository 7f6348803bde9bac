//! Why an event needs somebody: a closed list of codes, each with what happened and what to do about it.
//!
//! Codes appear in listings, logs and telemetry; explanations in `events show`. Neither holds personal data.

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $what:literal, $advice:literal;)*) => {
        /// Why an event is parked or in doubt.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The code shown in listings and telemetry.
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// What happened, in words for somebody who has not read the code.
            pub fn what(self) -> &'static str {
                match self { $(Reason::$name => $what,)* }
            }

            /// What a person can do now.
            pub fn advice(self) -> &'static str {
                match self { $(Reason::$name => $advice,)* }
            }
        }
    };
}

reasons! {
    /// The answer to the OSCaR push was lost (oscar.md §3.6).
    PushAnswerLost = "push_answer_lost",
        "The referral was sent to OSCaR but its answer never came back. It may or may not have arrived, \
         and OSCaR shows nothing until an NGO worker opens it.",
        "Ask the NGO whether a referral with the reference tag shown above is in their OSCaR. Then run \
         `events resolve KEY --arrived` or `events resolve KEY --not-arrived`. If an NGO worker registers \
         the child first, the gateway settles this by itself.";
    /// OSCaR answered 500 to a push (oscar-measured.md fact 1).
    PushServerError = "push_server_error",
        "OSCaR answered the push with a server error. A referral may have been stored all the same.",
        "Tell the OSCaR team. Ask the NGO whether a referral with the reference tag shown above has \
         arrived, then run `events resolve KEY --arrived` or `--not-arrived`.";
    /// A 422 after which a referral may exist (oscar.md §3.4, A2 and A5).
    PushHalfRefused = "push_half_refused",
        "OSCaR refused to update the child but may have stored the referral.",
        "The NGO's record of this child is incomplete (sex, workers or first referral date). Ask the NGO \
         to complete it and whether the referral with the reference tag has arrived, then run `events \
         resolve KEY --arrived` or `--not-arrived`.";
    /// The answer to creating the Primero referral was lost (primero.md §3.4).
    ReferralAnswerLost = "referral_answer_lost",
        "The referral was sent to Primero but its answer never came back.",
        "Nothing: the gateway reads the case's referrals back at the next session and settles this by \
         itself.";
    /// OSCaR refused the referral's content (oscar.md §3.4, A1 and B).
    PushRefused = "push_refused",
        "OSCaR refused the referral and stored nothing.",
        "The refused fields are named in the history. Correct them in a new event, or ask the centre to \
         check the mapping, then `events requeue KEY` or `events discard KEY --note ...`.";
    /// B3 that stays after the pull (oscar.md §3.4, §3.7).
    PushChildKnown = "push_child_known",
        "OSCaR already has this child under its Primero number, but the gateway has not been able to see \
         that record.",
        "Wait for the NGO to complete the child's record (name, sex, birth date), then run `events requeue \
         KEY`.";
    /// The event names an OSCaR child that no pull has shown at that organization (oscar.md §3.7).
    OscarChildNotSeen = "oscar_child_not_seen",
        "The event names a child by OSCaR number, but OSCaR does not show that child at this organization.",
        "Check the OSCaR number and the organization. If the child is new there, send a new event without \
         the OSCaR number and discard this one.";
    /// A lookup in Primero gave several rows or rows that do not equal what was asked (primero.md §9.6).
    AmbiguousCase = "ambiguous_case",
        "Looking for the child's case in Primero gave several cases, or cases other than the one asked for.",
        "Find the right case in Primero, and send the event again with its case number; or let the centre \
         make the identifier field visible to the gateway's role. Then `events discard KEY --note ...`.";
    /// The case named in the event does not exist or is out of scope.
    CaseNotFound = "case_not_found",
        "The Primero case named in the event does not exist, or the gateway's user may not see it.",
        "Check the case number, or have the case shared with the gateway's user group; then `events \
         requeue KEY`.";
    /// Primero answered 403.
    OutOfScope = "out_of_scope",
        "The gateway's Primero user may not do this with the case.",
        "Have the case's owner or the centre give the gateway's user access, then `events requeue KEY`.";
    /// The case does not carry the consent the referral needs (primero.md §3.4).
    ConsentMissing = "consent_missing",
        "The Primero case does not record consent to services and to sharing with other organizations, or \
         it was withdrawn.",
        "If the family agrees, record the consent in the Primero case, then `events requeue KEY`. \
         Otherwise `events discard KEY --note ...`.";
    /// OSCaR needs what the case does not show (primero.md §9.15, oscar.md §3.3).
    CaseIncomplete = "case_incomplete",
        "The Primero case lacks something OSCaR needs, or does not show it to the gateway: the fields are \
         named in the history. A hidden name counts as missing.",
        "Complete the case in Primero, or let the centre make the fields visible to the gateway's role. The \
         gateway goes on by itself when the case is saved.";
    /// The recipient of a Primero referral and its service speak of different things (oscar.md §9.2 row 11).
    RouteUnclear = "route_unclear",
        "A referral in Primero went to this NGO's user, but the service it is for names another agency or is \
         not marked as a referral to OSCaR. Nothing was sent.",
        "Have the worker who referred the child correct the service, or revoke the referral and make it anew: \
         the gateway then goes on by itself. If the referral is right as it is, `events requeue KEY`.";
    /// Found in Primero by a gateway with a new store (design §1.2).
    MaybeSentBefore = "maybe_sent_before",
        "The referral was made in Primero before this gateway's store, and nothing shows whether it was sent \
         to the NGO then.",
        "Ask the NGO whether they have this child's referral. Then run `events resolve KEY --arrived` or \
         `events resolve KEY --not-arrived`. If OSCaR shows the referral first, the gateway settles this by \
         itself.";
    /// A referral revoked, rejected or finished in Primero while it waited.
    EndedUnsent = "ended_unsent",
        "The referral was ended in Primero (revoked, rejected or done) before anything was sent to the NGO. \
         Nothing was sent, and nothing will be.",
        "If that is as it should be, run `events resolve KEY --settled`. If not, have the child referred \
         again in Primero.";
    /// Primero will not let the agency's user receive referrals (primero.md §3.4).
    RecipientRefused = "recipient_refused",
        "Primero does not let the agency's user receive this referral (disabled, or without the right).",
        "Have the centre enable the agency user in Primero, then `events requeue KEY`.";
    /// Fields did not come back as written (primero.md §9.8).
    FieldsNotStored = "fields_not_stored",
        "Primero accepted the case but did not store all fields: the gateway's role may not write them, or \
         the forms differ from the mapping.",
        "The field names are in the history. Have the centre check the role's forms, then `events requeue \
         KEY`.";
    /// 422 or another permanent refusal by Primero.
    PrimeroRefused = "primero_refused",
        "Primero refused the record.",
        "The refused fields are named in the history. Correct them in a new event or have the centre check \
         the mapping; then `events requeue KEY` or `events discard KEY --note ...`.";
    /// Primero's forms or lookups lack what the event would write (primero.md §6).
    SiteGap = "site_gap",
        "This Primero has no room for what the event would write: a field is on no form, the gateway's role \
         may not write it, or an option is missing from its lookup. Primero would drop it without a word.",
        "The history and `status` name it. Have the centre add it in Primero, or correct [primero.fields] or \
         the mapping file here. The gateway looks again every day and at each start, and then sends the event \
         by itself.";
    /// A value has no counterpart on the other side.
    NoMapping = "no_mapping",
        "A value of the event has no counterpart in the mapping tables (agency, province or service).",
        "Have the centre add it to the mapping, then `events requeue KEY`.";
    /// OSCaR has no legal value for a missing risk (mapping/rules.md).
    RiskMissing = "risk_missing",
        "OSCaR needs a risk level and the event has none.",
        "Send a new event with the risk level and discard this one.";
    /// Both systems hold different decisions, or a withdrawn referral got one.
    DecisionConflict = "decision_conflict",
        "The decision from one side cannot be written to the other: there the referral already has another \
         final state.",
        "Compare the referral in both systems and correct one of them by hand; then `events resolve KEY \
         --settled`.";
    /// The case already carries another OSCaR number.
    LinkConflict = "link_conflict",
        "OSCaR knows this child under another number than the one stored in the Primero case.",
        "The child may have two records in OSCaR. Compare them, correct the number in Primero if it is \
         wrong; then `events resolve KEY --settled`.";
    /// More referrals of the same service on the other side than we sent.
    AmbiguousMatch = "ambiguous_match",
        "OSCaR shows several referrals for this child and service, and the gateway cannot tell which is \
         ours.",
        "Compare by the reference tag in the reason; write the decision into Primero by hand; then `events \
         resolve KEY --settled`.";
    /// Whoever received the referral cannot be told by the gateway (OSCaR has no way to take one back).
    TellTheNgo = "tell_the_ngo",
        "The referral was withdrawn here and in Primero's referral list. The people who received it cannot \
         be told by the gateway: OSCaR has no way to withdraw a referral.",
        "Telephone them, then run `events resolve KEY --settled`.";
    /// The case found is that of another child, going by sex, year of birth, names and numbers.
    IdentityMismatch = "identity_mismatch",
        "The Primero case found for this child is of another sex, age, name or OSCaR number.",
        "Check the numbers in the event. If they are right, correct the case in Primero and `events requeue KEY`; \
         otherwise send a new event and discard this one.";
    /// OSCaR shows no consent form with an NGO's referral, and no agreement is configured.
    ConsentNotStated = "consent_not_stated",
        "The NGO has referred this child to the government, and OSCaR shows no consent form with the referral.",
        "Ask the NGO to attach the signed form to the referral in OSCaR: the gateway then goes on by itself. Where a \
         written agreement covers it, set `[flows] oscar_consent` and run `events requeue KEY`. If the family says no, \
         `events discard KEY --note ...`.";
    /// A referral at OSCaR that might be one of ours.
    DirectionUnclear = "direction_unclear",
        "OSCaR shows a referral of this child that looks as if the NGO had made it, but Primero or this gateway shows \
         one to the NGO for the same service.",
        "Ask the NGO who made the referral with the number in the event key. If the NGO did, `events requeue KEY`; if \
         the government did, `events discard KEY --note ...`.";
    /// A value of the child that cannot be carried (mapping/rules.md "Dates", "Location codes").
    ValueUnreadable = "value_unreadable",
        "The child's birth date or place in OSCaR is not a value Primero could take.",
        "Ask the NGO to correct it in OSCaR: the gateway then goes on by itself. `events requeue KEY` sends the child \
         without it.";
    /// An OSCaR service name that stands for several of Primero's (services.json "ambiguity_policy").
    AmbiguousService = "ambiguous_service",
        "The NGO's service has a name that stands for two different services in Primero.",
        "Ask the NGO which is meant, add the service to the case by hand, then `events resolve KEY --settled`.";
    /// The case an NGO's referral belongs to is closed.
    CaseClosed = "case_closed",
        "The child's Primero case is closed, and nobody would see a service added to it.",
        "Have the case reopened in Primero, then `events requeue KEY`.";
    /// A field of a child changed at the NGO and in Primero since both agreed.
    FieldConflict = "field_conflict",
        "The NGO and Primero have both changed the same value of this child since they last agreed, each in its own way.",
        "`events show KEY --reveal` shows both. Ask which is right, then `events resolve KEY --take oscar` or `--take \
         primero`.";
    /// A decision or link that might hit another child's record (oscar.md §4.2).
    SeveralOrganizations = "several_organizations",
        "OSCaR knows this child at several organizations, and what is sent by the child's number may reach another \
         organization's referral.",
        "Tell the NGO the decision by telephone, have it entered in OSCaR, then `events resolve KEY --settled`.";
    /// 422 to a decision (oscar.md §4.2): old data that does not pass OSCaR's checks, or a referral that is gone.
    DecisionRefused = "decision_refused",
        "OSCaR does not take the decision: the referral is gone there, or lacks what OSCaR wants of it (risk, service, \
         consent form).",
        "Ask the NGO to complete the referral in OSCaR, then `events requeue KEY`; or have the decision entered there \
         and run `events resolve KEY --settled`.";
    /// The item failed too often by itself.
    TooManyFailures = "too_many_failures",
        "The other system failed on this record again and again while others went through.",
        "Read the history, tell the centre; `events requeue KEY` tries again.";
    /// The event was in hand each time the program died.
    KilledTheProgram = "killed_the_program",
        "The program stopped several times while working on this record, so it was set aside.",
        "Send a support bundle to the maintainers; `events requeue KEY` tries again.";
    /// The referral that a decision or withdrawal speaks of did not get far enough.
    TargetUnsettled = "target_unsettled",
        "The referral this event speaks of was discarded before it was delivered.",
        "Check the referral's history; then `events discard KEY --note ...`.";
}

impl Reason {
    /// Only a person can do what is left, or see that nothing is: sent round again, it would be taken for done.
    pub fn only_settled(self) -> bool {
        matches!(self, Reason::TellTheNgo | Reason::EndedUnsent)
    }

    /// Not for whoever sends everything round again, but for a person who has found out something the gateway cannot
    /// know: that the route is right as it is, that the NGO made the referral, which of several is ours.
    pub fn wants_judgement(self) -> bool {
        let judged = matches!(
            self,
            Reason::RouteUnclear | Reason::DirectionUnclear | Reason::AmbiguousMatch
        );
        judged || self.only_settled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_say_what_serde_says() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.code()));
            let stored = serde_json::to_string(reason).expect("serializes");
            assert_eq!(stored, format!("\"{}\"", reason.code()));
            assert!(!reason.what().is_empty() && !reason.advice().is_empty());
        }
    }
}
