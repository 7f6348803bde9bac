//! The case worker's page in a real browser, and its texts.

use crate::browser::Browser;
use crate::client::LanOffice;
use crate::office::Office;
use referral_gateway::core::mapping::Mapping;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;

fn file(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    std::fs::read_to_string(page.join(name)).unwrap()
}

fn texts() -> Value {
    serde_json::from_str(&file("shell/lan/page/texts.json")).unwrap()
}

/// A text of the page in Khmer.
fn khmer(name: &str) -> String {
    texts()["km"]["page"][name]
        .as_str()
        .unwrap_or_else(|| panic!("{name}"))
        .to_owned()
}

fn section<'a>(texts: &'a Value, language: &str, name: &str) -> &'a Map<String, Value> {
    texts[language][name].as_object().unwrap()
}

/// The words in quotes that begin so.
fn quoted<'a>(source: &'a str, before: &str, end: char) -> Vec<&'a str> {
    source
        .split(before)
        .skip(1)
        .map(|rest| rest.split(end).next().unwrap())
        .collect()
}

#[test]
fn every_text_of_the_page_stands_in_the_catalogue_in_both_languages() {
    let texts = texts();
    for name in ["page", "reasons", "types", "services"] {
        let keys = |language| section(&texts, language, name).keys().collect::<BTreeSet<_>>();
        assert_eq!(keys("en"), keys("km"), "{name}");
        for (key, text) in section(&texts, "km", name) {
            let written = text
                .as_str()
                .unwrap()
                .chars()
                .any(|c| ('\u{1780}'..='\u{17ff}').contains(&c));
            assert!(written || key == "language_en", "{key} has no Khmer");
        }
    }
    let known = section(&texts, "en", "page");
    let (html, script) = (file("shell/lan/page/index.html"), file("shell/lan/page/page.js"));
    for name in quoted(&html, "data-text=\"", '"') {
        assert!(known.contains_key(name), "{name}");
    }
    for name in quoted(&script, "text('", '\'') {
        let known = known
            .keys()
            .any(|key| key == name || (name.ends_with('_') && key.starts_with(name)));
        assert!(known, "{name}");
    }
    // Texts only: nothing a person reads stands in the page or its script.
    let bare = html.split('>').skip(1).filter_map(|part| part.split('<').next());
    assert!(
        bare.into_iter().all(|text| text.trim().is_empty()),
        "a text in index.html"
    );

    let mapping = Mapping::built_in();
    for service in mapping.primero_services() {
        assert!(
            section(&texts, "km", "services").contains_key(service.subtype),
            "{service:?}"
        );
        assert!(
            section(&texts, "km", "types").contains_key(service.kind),
            "{service:?}"
        );
    }
}

#[test]
fn every_reason_the_door_gives_can_be_read_in_khmer() {
    let texts = texts();
    let reasons = section(&texts, "km", "reasons");
    let mut seen = 0;
    for name in ["core/intake.rs", "core/form.rs", "shell/office/accept.rs"] {
        let source = file(name);
        let source = source.split("#[cfg(test)]").next().unwrap();
        // Reasons are sentences or the one word; keys and codes have no spaces.
        for text in source
            .split('"')
            .skip(1)
            .step_by(2)
            .filter(|text| text.contains(' ') || *text == "required")
        {
            let reason = ![
                "Creating cases",
                "made once, in the wiring",
                "the system gives no random numbers",
                "no door takes a child's record: only a pull makes one",
            ]
            .contains(&text);
            if reason && text.starts_with(|c: char| c.is_ascii_lowercase()) {
                assert!(reasons.contains_key(text), "{name}: {text}");
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "the reasons were not found");
}

/// A code without a text would be shown as a number.
#[test]
fn every_refusal_a_case_worker_can_meet_can_be_read_in_khmer() {
    let texts = texts();
    let known = section(&texts, "km", "page");
    // What only a program can send, or the page never asks.
    let never = [
        "not_json",
        "empty",
        "key_taken",
        "not_found",
        "not_now",
        "note_required",
    ];
    let (refusals, door, answers) = (
        file("shell/office/refusal.rs"),
        file("shell/lan/door.rs"),
        file("shell/office/answer.rs"),
    );
    let mut codes = quoted(&refusals, "\"error\": \"", '"');
    for source in [&door, &answers] {
        let said = quoted(source, "Answer::refusal(", ')');
        codes.extend(said.iter().filter_map(|said| said.split('"').nth(1)));
    }
    codes.retain(|code| !never.contains(code));
    for code in ["locked", "store", "too_many", "busy", "validation"] {
        assert!(codes.contains(&code), "{code} is said elsewhere now");
    }
    for code in codes {
        assert!(known.contains_key(&format!("error_{code}")), "{code}");
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere_and_nobody_may_frame_it() {
    let lan = LanOffice::start();
    for (path, kind) in [
        ("/", "text/html"),
        ("/page.js", "text/javascript"),
        ("/page.css", "text/css"),
        ("/texts.json", "application/json"),
    ] {
        let answer = lan.ask(None, "GET", path, b"");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.headers["content-type"].starts_with(kind), "{path}");
        let policy = &answer.headers["content-security-policy"];
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("http"),
            "{policy}"
        );
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    }
    for name in ["index.html", "page.js", "page.css"] {
        let text = file(&format!("shell/lan/page/{name}"));
        assert!(
            !text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"),
            "{name}"
        );
        assert!(
            !text.contains("style=") && !text.contains("onclick=\""),
            "{name}: the policy forbids it"
        );
    }
}

const FAMILY_NAME: &str = "សុខភារម្យ";
const REASON: &str = "កុមារត្រូវការផ្ទះ និងការថែទាំ";

/// Fills in a referral in Khmer, with what every referral needs.
fn fill_in(browser: &Browser, given_name: &str) {
    let choose =
        |name: &str, value: &str| browser.click(&format!("[name=\"{name}\"] option[value=\"{value}\"]"));
    choose("organization", "cif");
    choose("risk_level", "high");
    choose("child.sex", "female");
    browser.write("[name=\"reason\"]", REASON);
    browser.write("[name=\"child.local_family_name\"]", FAMILY_NAME);
    browser.write("[name=\"child.local_given_name\"]", given_name);
    browser.write("[name=\"child.location_code\"]", "10060805");
    browser.click("#services input[value=\"family_based_care_kinship\"]");
    browser.click("[name=\"consent.services\"]");
    browser.click("[name=\"consent.disclosure_other_organizations\"]");
    // A date field is typed by the browser's own rules of the language; here only its value counts.
    browser.run(
        "document.querySelector('[name=\"child.date_of_birth\"]').value = '2015-01-01';
         document.querySelector('[name=\"referred_on\"]').value = '2026-11-20'",
    );
}

/// Who sends it; the page keeps this for the next one.
fn name_the_worker(browser: &Browser) {
    browser.write("[name=\"case_worker.name\"]", "ចាន់ មករា");
    browser.write("[name=\"case_worker.phone\"]", "012 345 678");
}

/// Signs in in Khmer, after a token nobody has.
fn sign_in(browser: &Browser, lan: &LanOffice, token: &str) {
    browser.open(&format!("https://{}/", lan.address));
    browser.wait_for("h1", "Referrals");
    browser.click("[data-language=\"km\"]");
    browser.wait_for("h1", &khmer("title"));
    browser.write("#token", "7F3K2-7F3K2-7F3K2-7F3K2-7F3K2");
    browser.click("#sign-in [type=\"submit\"]");
    browser.wait_for("#sign-in-error", &khmer("error_unauthorized"));
    browser.run("document.querySelector('#token').value = ''");
    browser.write("#token", &token.to_lowercase());
    browser.click("#sign-in [type=\"submit\"]");
    browser.wait_for("#new", &khmer("about_child"));
}

/// What the browser complained about besides refusals the page expects and lines that broke while the box was away.
fn complaints(browser: &Browser) -> Vec<String> {
    let expected = ["status of 4", "ERR_CONNECTION", "ERR_EMPTY", "ERR_SOCKET"];
    let mut complaints = browser.complaints();
    complaints.retain(|line| !expected.iter().any(|word| line.contains(word)));
    complaints
}

#[test]
fn a_case_worker_sends_a_referral_in_khmer_and_sees_it_accepted() {
    let lan = LanOffice::start();
    lan.office.primero.server().set_down(true);
    let token = lan.station("front-desk");
    let browser = Browser::start();
    sign_in(&browser, &lan, &token);

    browser.click("#send");
    browser.wait_for("#send-error", &khmer("error_validation"));
    let marked = browser.text("[data-path=\"/services\"]");
    let reasons = &texts()["km"]["reasons"];
    assert!(
        marked.contains(reasons["between 1 and 12 services"].as_str().unwrap()),
        "{marked}"
    );
    assert_eq!(lan.office.states().len(), 0);

    fill_in(&browser, "ដារ៉ា");
    name_the_worker(&browser);
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR"));
    browser.picture(&pictures.join("page-filled-in.png"));
    browser.click("#send");
    browser.wait_for("#accepted h2", &khmer("accepted"));
    browser.wait_for("#number", " 1");
    browser.picture(&pictures.join("page-accepted.png"));
    let states = lan.office.states();
    let (key, state) = states.first_key_value().unwrap();
    assert_eq!((states.len(), state.as_str()), (1, "pending"));
    let content = lan.office.json(&["events", "show", key, "--reveal"])["content"].clone();
    assert_eq!(content["child"]["local_family_name"], FAMILY_NAME);
    assert_eq!(
        (&content["reason"], &content["case_worker"]["name"]),
        (&REASON.into(), &"ចាន់ មករា".into())
    );

    browser.click("[data-tab=\"list\"]");
    browser.wait_for("#events", &khmer("state_pending"));
    lan.office.primero.server().set_down(false);
    assert_eq!(lan.office.sync(), 0);
    browser.click("#refresh");
    browser.wait_for("#events", &khmer("state_delivered"));
    browser.picture(&pictures.join("page-list.png"));
    let held = browser
        .run("return JSON.stringify([localStorage, sessionStorage])")
        .to_string();
    assert!(!held.contains(FAMILY_NAME) && !held.contains("012 345"), "{held}");
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn a_form_sent_again_after_the_box_went_away_counts_once_and_a_revoked_token_ends_the_page() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut lan = LanOffice::of(Office::with(&format!("[lan]\nlisten = \"{free}\"\n")));
    let token = lan.station("front-desk");
    let browser = Browser::start();
    sign_in(&browser, &lan, &token);
    fill_in(&browser, "វណ្ណា");
    name_the_worker(&browser);
    lose_one_answer(&browser);
    browser.click("#send");
    browser.wait_for("#send-error", &khmer("error_no_answer"));
    assert_eq!(lan.office.states().len(), 1);
    lan.office.kill();
    browser.click("#send");
    browser.wait_for("#send-error", &khmer("error_no_answer"));
    let lan = LanOffice::of(lan.office);
    browser.click("#send");
    browser.wait_for("#accepted h2", &khmer("accepted"));
    browser.wait_for("#number", " 1");
    assert_eq!(browser.text("#accepted-earlier"), "");
    assert_eq!(
        lan.office.states().len(),
        1,
        "one referral, however often it was sent"
    );

    lan.office.run(&["station", "revoke", "front-desk"]);
    browser.click("[data-tab=\"list\"]");
    browser.wait_for("#sign-in-error", &khmer("error_revoked"));
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

/// The next answer is lost on its way: what it answers has happened, and the page cannot know.
fn lose_one_answer(browser: &Browser) {
    browser.run(
        "var send = XMLHttpRequest.prototype.send;
         XMLHttpRequest.prototype.send = function (body) {
             XMLHttpRequest.prototype.send = send;
             var lost = this.onloadend;
             this.onloadend = function () {
                 Object.defineProperty(this, 'responseText', { value: '' });
                 lost.call(this);
             };
             send.call(this, body);
         }",
    );
}

#[test]
fn a_form_corrected_after_a_lost_answer_is_the_referral_that_was_accepted_first_and_no_second_one() {
    let lan = LanOffice::start();
    let token = lan.station("front-desk");
    let browser = Browser::start();
    sign_in(&browser, &lan, &token);
    fill_in(&browser, "វណ្ណា");
    name_the_worker(&browser);
    lose_one_answer(&browser);
    browser.click("#send");
    browser.wait_for("#send-error", &khmer("error_no_answer"));
    browser.write("[name=\"reason\"]", "២");
    browser.click("#send");
    browser.wait_for("#accepted h2", &khmer("accepted"));
    browser.wait_for("#number", " 1");
    browser.wait_for("#accepted-earlier", &khmer("accepted_earlier"));
    assert_eq!(lan.office.states().len(), 1, "the correction made no second one");

    // The next one is another.
    browser.click("#another");
    fill_in(&browser, "ដារ៉ា");
    browser.click("#send");
    browser.wait_for("#number", " 2");
    assert_eq!(browser.text("#accepted-earlier"), "");
    assert_eq!(lan.office.states().len(), 2);
    assert_eq!(complaints(&browser), Vec::<String>::new());
}

#[test]
fn a_box_that_does_not_answer_says_so_where_nothing_was_sent() {
    let mut lan = LanOffice::start();
    let token = lan.station("front-desk");
    let browser = Browser::start();
    sign_in(&browser, &lan, &token);
    lan.office.stop();
    browser.click("[data-tab=\"list\"]");
    browser.wait_for("#list-error", &khmer("error_unreachable"));
    assert_eq!(complaints(&browser), Vec::<String>::new());
}
