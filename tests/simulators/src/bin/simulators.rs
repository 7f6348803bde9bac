//! Both simulators for a person: `simulators [--primero ADDR] [--oscar ADDR] [--ca FILE] [--user NAME]
//! [--password WORD]`. Prints the URLs, writes the CA certificate, runs until it is stopped. Test hooks are
//! under `/sim/`, e.g. `curl --cacert ca.pem https://localhost:8443/sim/ledger`.

use std::process::ExitCode;

use simulators::{primero, wire::TestCa};

struct Arguments {
    primero: String,
    oscar: String,
    ca: String,
    user: String,
    password: String,
}

fn arguments() -> Result<Arguments, String> {
    let mut arguments = Arguments {
        primero: "127.0.0.1:8443".to_string(),
        oscar: "127.0.0.1:8444".to_string(),
        ca: "ca.pem".to_string(),
        user: "gateway-test".to_string(),
        password: "secret-password".to_string(),
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let place = match name.as_str() {
            "--primero" => &mut arguments.primero,
            "--oscar" => &mut arguments.oscar,
            "--ca" => &mut arguments.ca,
            "--user" => &mut arguments.user,
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
    if let Err(problem) = std::fs::write(&arguments.ca, ca.pem()) {
        eprintln!("{}: {problem}", arguments.ca);
        return ExitCode::FAILURE;
    }
    let config = primero::Config::cambodia(&arguments.user, &arguments.password);
    let primero = primero::Primero::start(&ca, &arguments.primero, config);
    println!("Primero {} (user {})", primero.url(), arguments.user);
    // OSCaR joins here, kept alive:
    // oscar::Oscar::start(&ca, &arguments.oscar, oscar::Config::default_for("gateway@example.org", password))
    println!("OSCaR   not built in yet, would be {}", arguments.oscar);
    println!("CA      {}", arguments.ca);
    loop {
        std::thread::park();
    }
}
