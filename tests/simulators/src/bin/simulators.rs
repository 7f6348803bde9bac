//! Both peers, and a broker if asked for, in one process for a person:
//! `simulators [--primero ADDR] [--oscar ADDR] [--broker ADDR] [--ca FILE] [--user NAME] [--email ADDRESS]
//! [--password WORD]`.
//!
//! Prints the URLs and where the CA certificate is (a fresh one at each start), runs until it is stopped.
//! `--user` is Primero's account, `--email` OSCaR's, the password is for both; the broker asks for none.
//! Test hooks are under `/sim/`, e.g. `curl --cacert ca.pem https://localhost:8443/sim/ledger`.

use std::process::ExitCode;

use simulators::{broker::Broker, oscar, primero, wire::TestCa};

struct Arguments {
    primero: String,
    oscar: String,
    broker: Option<String>,
    ca: String,
    user: String,
    email: String,
    password: String,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        primero: "127.0.0.1:8443".to_string(),
        oscar: "127.0.0.1:8444".to_string(),
        broker: None,
        ca: "ca.pem".to_string(),
        user: "gateway-test".to_string(),
        email: "gateway@example.org".to_string(),
        password: "secret-password".to_string(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let place = match name.as_str() {
            "--primero" => &mut arguments.primero,
            "--oscar" => &mut arguments.oscar,
            "--broker" => arguments.broker.insert(String::new()),
            "--ca" => &mut arguments.ca,
            "--user" => &mut arguments.user,
            "--email" => &mut arguments.email,
            "--password" => &mut arguments.password,
            _ => return Err(format!("unknown argument {name}")),
        };
        *place = given.next().ok_or_else(|| format!("{name} needs a value"))?;
    }
    Ok(arguments)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let ca = TestCa::new();
    let written = std::fs::write(&arguments.ca, ca.pem()).and_then(|()| std::fs::canonicalize(&arguments.ca));
    let ca_file = match written {
        Ok(path) => path,
        Err(problem) => {
            eprintln!("{}: {problem}", arguments.ca);
            return ExitCode::FAILURE;
        }
    };
    let config = primero::Config::cambodia(&arguments.user, &arguments.password);
    let primero = primero::Primero::start(&ca, &arguments.primero, config);
    println!("Primero {} (user {})", primero.url(), arguments.user);
    let config = oscar::Config::default_for(&arguments.email, &arguments.password);
    let oscar = oscar::Oscar::start(&ca, &arguments.oscar, config);
    println!("OSCaR   {} (user {})", oscar.url(), arguments.email);
    let broker = arguments.broker.map(|address| Broker::start(&ca, &address));
    if let Some(broker) = &broker {
        println!("Broker  {}", broker.url());
    }
    println!("CA      {}", ca_file.display());
    loop {
        std::thread::park();
    }
}
