//! A real Chromium, driven through chromedriver's HTTP interface (W3C WebDriver).

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Key of an element's id in WebDriver's JSON (W3C WebDriver §12.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own, the size of an old telephone.
pub struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

/// A chromedriver and its port. It chooses a free one of IPv4, and gives up if the same one of IPv6 is taken.
fn driver() -> Option<(Child, String)> {
    let mut driver = Command::new("chromedriver")
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed: tests/run does it");
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_suffix('.')?.rsplit_once("on port ")?.1.to_owned()));
    match port {
        Some(port) => Some((driver, port)),
        None => {
            let _ = driver.wait();
            None
        }
    }
}

impl Browser {
    pub fn start() -> Browser {
        let (driver, port) = (0..5).find_map(|_| driver()).expect("chromedriver says its port");
        let profile = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--lang=en-US",
            "--window-size=360,740",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({"capabilities": {"alwaysMatch": {"acceptInsecureCerts": true,
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": "/usr/bin/chromium", "args": args}}}});
        let base = format!("http://127.0.0.1:{port}/session");
        let session = call("POST", &base, Some(&wanted));
        let id = session["sessionId"].as_str().expect("a session").to_owned();
        Browser {
            driver,
            session: format!("{base}/{id}"),
            _profile: profile,
        }
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        call("POST", &format!("{}/{path}", self.session), Some(body))
    }

    pub fn open(&self, url: &str) {
        self.post("url", &json!({ "url": url }));
    }

    fn element(&self, selector: &str) -> String {
        let found = self.post("element", &json!({"using": "css selector", "value": selector}));
        found[ELEMENT]
            .as_str()
            .unwrap_or_else(|| panic!("{selector}: {found}"))
            .to_owned()
    }

    pub fn click(&self, selector: &str) {
        let answer = self.post(&format!("element/{}/click", self.element(selector)), &json!({}));
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    /// Types as a person would.
    pub fn write(&self, selector: &str, text: &str) {
        let answer = self.post(
            &format!("element/{}/value", self.element(selector)),
            &json!({ "text": text }),
        );
        assert!(answer.is_null(), "{selector}: {answer}");
    }

    /// What a script returns.
    pub fn run(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text a person sees there; nothing while it is hidden.
    pub fn text(&self, selector: &str) -> String {
        let script = format!(
            "var place = document.querySelector({selector:?}); return place.offsetParent ? place.innerText : ''"
        );
        let text = self.run(&script);
        text.as_str()
            .unwrap_or_else(|| panic!("{selector}: {text}"))
            .to_owned()
    }

    /// Waits until a person sees this text there.
    pub fn wait_for(&self, selector: &str, text: &str) {
        crate::office::wait_until(&format!("{selector} shows {text}"), || {
            self.text(selector).contains(text)
        });
    }

    /// What the browser complained about so far.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.post("se/log", &json!({"type": "browser"}));
        let entries = log.as_array().expect("a list");
        entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A picture of the whole page.
    pub fn picture(&self, file: &Path) {
        use base64::Engine;
        let whole = json!({"cmd": "Page.captureScreenshot", "params": {"captureBeyondViewport": true}});
        let picture = self.post("goog/cdp/execute", &whole)["data"]
            .as_str()
            .unwrap()
            .to_owned();
        let bytes = base64::engine::general_purpose::STANDARD.decode(picture).unwrap();
        std::fs::write(file, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; chromedriver alone would leave it running.
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn call(method: &str, url: &str, body: Option<&Value>) -> Value {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .into();
    let mut answer = match (method, body) {
        ("POST", Some(body)) => agent
            .post(url)
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap(),
        _ => agent.get(url).call().unwrap(),
    };
    let text = answer.body_mut().read_to_string().unwrap();
    let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{url}: {text}"));
    answer["value"].clone()
}
