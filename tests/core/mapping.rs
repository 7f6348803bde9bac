//! The tables and the values, both ways, row by row of mapping/rules.md.

use chrono::NaiveDate;
use referral_gateway::core::event::{Decision, Risk, Sex};
use referral_gateway::core::mapping::*;

#[test]
fn every_subtype_goes_to_oscar_and_comes_back_as_itself_or_as_a_question() {
    let mapping = Mapping::built_in();
    let services: Vec<_> = mapping.primero_services().collect();
    assert_eq!(services.len(), 51);
    let (mut alone, mut shared) = (0, Vec::new());
    for service in services {
        assert_eq!(mapping.primero_type(service.subtype), Some(service.kind));
        let name = mapping
            .oscar_service(service.subtype)
            .expect("a name for each")
            .name;
        match mapping.primero_service(name) {
            Meaning::One(back) if back == service => alone += 1,
            Meaning::One(back) => {
                assert_eq!((service.subtype, back.subtype), ("other", "other_other_service"))
            }
            Meaning::Ambiguous(all) => {
                assert!(all.contains(&service.subtype));
                shared.push(name);
            }
            Meaning::Unknown => panic!("{name} has no way back"),
        }
    }
    assert_eq!(alone, 46);
    shared.sort_unstable();
    shared.dedup();
    assert_eq!(shared, ["Therapeutic interventions", "Therapeutic training"]);
}

#[test]
fn an_oscar_name_is_matched_to_the_letter_and_never_guessed() {
    let mapping = Mapping::built_in();
    // "Family Support" is the category, one letter away from the service.
    for name in [
        "Family Support",
        "family support",
        "Not Specified",
        "Literacy Support",
        "Other",
        "",
        "Kinship",
    ] {
        assert_eq!(mapping.primero_service(name), Meaning::Unknown, "{name}");
    }
    assert!(matches!(
        mapping.primero_service("Family support"),
        Meaning::One(_)
    ));
    assert_eq!(mapping.unknown_service().kind, "other");
    assert_eq!(mapping.unknown_service().subtype, "other_other_service");
    assert_eq!(mapping.oscar_service("made_up"), None);
    assert_eq!(mapping.not_specified(), "Not Specified");
}

#[test]
fn rejection_is_exited_and_referred_is_no_decision() {
    let mapping = Mapping::built_in();
    for (status, decision) in [
        ("Accepted", Some(Decision::Accepted)),
        ("Active", Some(Decision::Accepted)),
        ("Accetped", Some(Decision::Accepted)),
        ("Exited", Some(Decision::Rejected)),
        ("Rejected", Some(Decision::Rejected)),
        ("Referred", None),
        ("exited", None),
        ("", None),
    ] {
        assert_eq!(mapping.decision(status), decision, "{status}");
    }
    for decision in [Decision::Accepted, Decision::Rejected] {
        assert_eq!(
            mapping.option_decision(mapping.service_option(decision)),
            Some(decision)
        );
    }
    assert_eq!(mapping.service_option(Decision::Rejected), "rejected_936484");
    assert_eq!(mapping.option_decision(mapping.pending_option()), None);
    for (status, decision) in [
        ("in_progress", None),
        ("accepted", Some(Decision::Accepted)),
        ("done", Some(Decision::Accepted)),
        ("rejected", Some(Decision::Rejected)),
        ("revoked", None),
        ("inprogress", None),
    ] {
        assert_eq!(referral_decision(status), decision, "{status}");
    }
}

#[test]
fn an_agency_is_known_by_its_organization_its_id_or_its_user_and_by_nothing_else() {
    let mapping = Mapping::built_in();
    let agency = mapping.agency("cif").expect("in the table");
    assert_eq!(mapping.agency_by_id("agency-cif"), Some(agency));
    assert_eq!(mapping.agency_by_user("agency-cif-user"), Some(agency));
    for stranger in ["agency-", "AGENCY-CIF", "agencycif", "unicef", "demo", ""] {
        assert_eq!(mapping.agency(stranger), None);
        assert_eq!(mapping.agency_by_id(stranger), None);
        assert_eq!(mapping.agency_by_user(stranger), None);
    }
}

#[test]
fn a_province_without_a_confirmed_user_has_no_owner() {
    let mapping = Mapping::built_in();
    for (place, user) in [
        ("02040302", Some("mgrbtb")),
        ("0004", Some("mgrkch")),
        ("22", Some("mgromc")),
        ("25", Some("mgrtkm")),
        ("19", None),
        ("99", None),
        ("00", None),
        ("1", None),
        ("", None),
    ] {
        assert_eq!(mapping.province_user(place), user, "{place}");
    }
}

#[test]
fn risk_keeps_its_word_on_each_side_and_is_never_lowered() {
    for risk in [Risk::High, Risk::Medium, Risk::Low, Risk::NoAction] {
        assert!(risk_of(primero_risk(risk)) == Some(risk) && risk_of(oscar_risk(risk)) == Some(risk));
    }
    assert_eq!(
        (primero_risk(Risk::NoAction), oscar_risk(Risk::NoAction)),
        ("no_action", "no action")
    );
    for word in ["", "High", "no  action", "unknown"] {
        assert!(risk_of(word).is_none(), "{word}");
    }
    let (high, low, none) = (Some(Risk::High), Some(Risk::Low), Some(Risk::NoAction));
    assert!(raised_risk(low, high) == high && raised_risk(None, none) == none);
    for (current, seen) in [(high, low), (high, high), (low, none), (high, None), (None, None)] {
        assert!(raised_risk(current, seen).is_none());
    }
}

#[test]
fn six_words_for_sex_become_three_and_nothing_else_does() {
    for (word, sex) in [("female", Sex::Female), ("male", Sex::Male), ("lgbt", Sex::Other)] {
        assert!(sex_of(word) == Some(sex), "{word}");
    }
    for word in ["unknown", "prefer_not_to_say", "other"] {
        assert!(sex_of(word) == Some(Sex::Other), "{word}");
    }
    for word in ["", "Male", "m", "*******"] {
        assert!(sex_of(word).is_none(), "{word}");
    }
}

#[test]
fn a_location_code_is_padded_by_one_zero_and_loses_it_again() {
    for (code, padded, primero) in [
        ("2040302", "02040302", "2040302"),
        ("10060805", "10060805", "10060805"),
        ("204", "0204", "204"),
        ("0204", "0204", "204"),
        ("2", "02", "2"),
        ("12", "12", "12"),
        // A province that was padded twice (mapping/rules.md).
        ("0004", "04", "4"),
        ("004", "04", "4"),
        ("0012", "12", "12"),
        ("000403", "04", "4"),
    ] {
        assert_eq!(padded_location(code).as_deref(), Some(padded), "{code}");
        assert_eq!(primero_location(padded), primero, "{code}");
    }
    for bad in [
        "",
        " ",
        "0",
        "00",
        "0000",
        "12a4",
        "-123",
        "NaN",
        "1.5",
        "123456789",
        "\u{17e1}\u{17e2}",
    ] {
        assert_eq!(padded_location(bad), None, "{bad}");
    }
}

#[test]
fn a_day_is_read_in_two_spellings_and_no_other() {
    let day = NaiveDate::from_ymd_opt(2012, 1, 31);
    assert_eq!(day_of("2012-01-31"), day);
    assert_eq!(day_of("2012/01/31"), day);
    for bad in [
        "",
        "22012-01-01",
        "2012-1-31",
        "2012-01/31",
        "2012-02-30",
        "31/01/2012",
        "2012-01-31T00:00:00Z",
        "2020/08/24 13:17:05 +0000",
        "+012-01-31",
        "20\u{e9}2-1-31",
    ] {
        assert_eq!(day_of(bad), None, "{bad}");
    }
}

#[test]
fn a_name_is_paired_once_and_taken_apart_again() {
    let khmer = "\u{178a}\u{17b6}\u{179a}\u{17c9}\u{17b6}";
    for (local, latin, paired) in [
        (khmer, "Dara", Some(format!("{khmer} (Dara)"))),
        (khmer, "", Some(khmer.to_owned())),
        ("", "Dara", Some("Dara".to_owned())),
        ("", "", None),
    ] {
        assert_eq!(paired_name(local, latin), paired);
        assert_eq!(
            name_scripts(paired.as_deref().unwrap_or_default()),
            (local, latin)
        );
    }
    // OSCaR falls back to the local script in its Latin field (oscar.md §2.5): the pair would say it twice.
    assert_eq!(paired_name(khmer, khmer).as_deref(), Some(khmer));
    assert_eq!(name_scripts("Dara (Tom)"), ("", "Dara (Tom)"));
    let both_khmer = format!("{khmer} ({khmer})");
    assert_eq!(name_scripts(&both_khmer), (both_khmer.as_str(), ""));
}

fn laid_over(rows: &str) -> Result<Mapping, String> {
    let text = format!(r#"{{"version": 1, "about": "test desk, 2026-11-20", {rows}}}"#);
    Mapping::overridden(&text).map_err(|error| error.to_string())
}

#[test]
fn a_sites_own_rows_are_laid_over_the_built_in_ones() {
    let rows = r#""provinces": [{"code": "19", "name": "Stung Treng", "user": "mgrstg"}],
        "agencies": [{"organization": "cif", "agency": "agency-cif", "user": "cif-desk"},
                     {"organization": "hfj", "agency": "agency-hfj", "user": "agency-hfj-user"}],
        "services": [{"oscar": "Literacy Support", "uuid": null, "primero": [["training_education", "literacy"]]}]"#;
    let mapping = laid_over(rows).expect("consistent");
    assert_eq!(mapping.about(), Some("test desk, 2026-11-20"));
    assert_eq!(mapping.province_user("1901"), Some("mgrstg"));
    assert_eq!(mapping.province_user("02"), Some("mgrbtb"));
    assert_eq!(
        mapping.agency("cif").map(|row| row.user.as_str()),
        Some("cif-desk")
    );
    assert_eq!(mapping.agency_by_user("agency-cif-user"), None);
    assert!(mapping.agency("hfj").is_some() && mapping.agency("gpc").is_some());
    let literacy = mapping.oscar_service("literacy").map(|service| service.name);
    assert_eq!(literacy, Some("Literacy Support"));

    let alone = laid_over(
        r#""replace": ["agencies"], "agencies": [{"organization": "gpc", "agency": "a", "user": "u"}],
           "options": {"pending": "p", "accepted": "a", "rejected": "r"}"#,
    );
    let alone = alone.expect("consistent");
    assert!(alone.agency("cif").is_none() && alone.agency("gpc").is_some());
    assert_eq!(alone.pending_option(), "p");
    assert_eq!(alone.responses().to_oscar, "referral_to_oscar");
}

/// One row for each way a file can be wrong, and the word that tells the technician which.
#[test]
fn tables_that_contradict_themselves_are_refused() {
    for (rows, word) in [
        // The cloud job's duplicated province (oscar.md §9.2 row 24).
        (
            r#""provinces": [{"code":"22","name":"x","user":"a"},{"code":"22","name":"y","user":"b"}]"#,
            "\"22\"",
        ),
        (
            r#""provinces": [{"code":"4","name":"x","user":"a"}]"#,
            "two digits",
        ),
        (
            r#""provinces": [{"code":"04","name":"x","user":" "}]"#,
            "null for nobody",
        ),
        (
            r#""agencies": [{"organization":"hfj","agency":"agency-hfj","user":""}]"#,
            "has no user",
        ),
        (
            r#""agencies": [{"organization":"hfj","agency":"agency-hfj","user":"agency-cif-user"}]"#,
            "share a user",
        ),
        (
            r#""agencies": [{"organization":"hfj","agency":"agency-cif","user":"x"}]"#,
            "share an agency",
        ),
        (
            r#""agencies": [{"organization":"HFJ","agency":"agency-hfj","user":"x"}]"#,
            "small letters",
        ),
        (
            r#""agencies": [{"organization":"hfj","agency":"agency-hfj"}]"#,
            "missing field `user`",
        ),
        (
            r#""services": [{"oscar":"New","uuid":null,"primero":[["counselling","counselling_trauma"]]}]"#,
            "two OSCaR",
        ),
        (
            r#""services": [{"oscar":"New","uuid":null,"primero":[["","new"]]}]"#,
            "both type and subtype",
        ),
        (
            r#""services": [{"oscar":"Other Service","uuid":null,"primero":[]}]"#,
            "other_other_service",
        ),
        (
            r#""canonical": [["Therapeutic training","counselling_trauma"]]"#,
            "not a subtype",
        ),
        (r#""unknown": "made_up""#, "made_up"),
        (
            r#""options": {"pending":"p","accepted":"p","rejected":"r"}"#,
            "share one option",
        ),
        (r#""replace": ["services"]"#, "Not Specified"),
        (r#""provinzen": []"#, "provinzen"),
    ] {
        let error = laid_over(rows).expect_err(rows);
        assert!(error.contains(word), "{rows}: {error}");
    }
}

#[test]
fn a_file_of_another_version_or_without_an_author_is_refused() {
    for (text, word) in [
        (r#"{"version": 2, "about": "x", "whatever": 1}"#, "version 2"),
        (r#"{"about": "x"}"#, "version"),
        (r#"{"version": 1, "about": " "}"#, "about"),
        ("[]", "expected"),
        ("", "EOF"),
    ] {
        let error = Mapping::overridden(text).expect_err(text).to_string();
        assert!(error.contains(word), "{text}: {error}");
    }
}
