//! `station add|list|revoke`: the roster of the LAN listener.

use super::ask::{ask_or, refused};
use super::{Line, exit, load};
use crate::shell::lan::certificate::Shown;
use crate::shell::parts;
use crate::shell::stations::{StationOrder, Stations};

/// `station …`
pub fn station(line: &Line, order: &StationOrder) -> u8 {
    let config = match load(line) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let body = serde_json::to_vec(order).expect("an order is plain values and serializes");
    let answer = ask_or(line, &config, ("POST", "/v1/stations"), body, |config| {
        let parts = parts::open(config)?;
        let stations = Stations::open(&parts.store)?;
        Ok(stations.carry_out(&parts.store, order.clone(), parts.clock.now().wall.known()))
    });
    let answer = match answer {
        Ok(answer) if answer.status == 200 => answer.body,
        Ok(answer) => return refused(line, &answer),
        Err(code) => return code,
    };
    if line.json {
        println!("{answer}");
        return exit::OK;
    }
    match order {
        StationOrder::List => {
            for station in answer["stations"].as_array().into_iter().flatten() {
                let text = |key: &str| station[key].as_str().unwrap_or("-").to_owned();
                let standing = if station["revoked"] == true {
                    "revoked"
                } else {
                    "may send"
                };
                println!(
                    "{:>4}  {:<32} {standing:<8} token of {}",
                    station["id"].as_u64().unwrap_or_default(),
                    text("station"),
                    text("added_at")
                );
            }
        }
        StationOrder::Add { name } => {
            println!("station {name} may send events with this token, which is shown only now:\n");
            println!("    {}\n", answer["token"].as_str().unwrap_or_default());
            if let Some(shown) = Shown::of(&config) {
                println!("certificate SHA-256 {}", shown.fingerprint);
            }
            if config.lan.is_none() {
                println!("note: there is no [lan] section in the configuration, so nobody can use it yet");
            }
        }
        StationOrder::Revoke { name } => println!("station {name} is refused from now on"),
    }
    exit::OK
}

/// From the words after `station`.
pub fn order(words: &[&str]) -> Result<StationOrder, String> {
    Ok(match words {
        ["list"] => StationOrder::List,
        ["add", name] => StationOrder::Add {
            name: (*name).to_owned(),
        },
        ["revoke", name] => StationOrder::Revoke {
            name: (*name).to_owned(),
        },
        ["add" | "revoke"] => return Err("name the station".to_owned()),
        _ => return Err("station add|list|revoke".to_owned()),
    })
}
