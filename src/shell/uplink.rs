//! The box's way out, as far as it can be seen without spending bytes, and the naming of what stands in it.
//!
//! The kernel's routing table costs nothing to read: it tells a pulled cable from a dead server, and its change tells
//! when the line is back. What it cannot tell is who answers. When TLS fails, or nobody answers, one plain question to
//! port 80 of the same host is asked, without any secret in it: a network's login page answers it, the peer does not.

use super::http::connect;
use super::session::SessionReport;
use crate::config::Config;
use crate::core::line::portal_answers;
use crate::core::outcome::Trouble;
use crate::core::schedule::Orders;
use crate::core::time::Trust;
use std::io::{self, Read, Write};
use std::net::ToSocketAddrs;
use std::path::Path;
use std::time::Duration;

/// Longest wait for port 80, once for the connection and once for the answer.
const WHO_WITHIN: Duration = Duration::from_secs(4);
/// As much of the answer as its head may take.
const HEAD_BYTES: u64 = 2048;
/// The kernel's flags of a route that leads somewhere: up, and not one that refuses.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

/// How the box gets out.
#[derive(Clone, Debug)]
pub struct Uplink {
    /// The only interface to use, if one is prescribed.
    interface: Option<String>,
    /// Hosts of Primero and OSCaR.
    hosts: [String; 2],
}

impl Uplink {
    pub fn new(config: &Config) -> Uplink {
        Uplink {
            interface: config.uplink.interface.clone(),
            hosts: [host(&config.primero.url), host(&config.oscar.url)],
        }
    }

    pub fn interface(&self) -> Option<&str> {
        self.interface.as_deref()
    }

    /// Whether the kernel knows a way to anywhere, by an interface whose cable is in.
    pub fn route(&self) -> bool {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        let by = defaults(&read("/proc/net/route"), &read("/proc/net/ipv6_route"));
        let mut by = by
            .iter()
            .filter(|name| self.interface.as_ref().is_none_or(|only| only == *name));
        by.any(|name| plugged(name))
    }

    /// Calls each trouble of a session by its right name.
    pub fn named(&self, report: SessionReport, trust: Trust) -> SessionReport {
        let mut report = blamed(report, trust);
        let unclear = |trouble: Option<Trouble>| {
            matches!(
                trouble,
                Some(Trouble::Tls | Trouble::Timeout | Trouble::Route | Trouble::Server)
            )
        };
        let passes = [&report.primero, &report.oscar];
        let route = self.route();
        let asked = passes
            .iter()
            .position(|pass| !pass.reached && unclear(pass.trouble));
        let portal = route
            && !passes.iter().any(|pass| pass.reached)
            && asked.is_some_and(|at| self.somebody_else(&self.hosts[at]));
        for pass in [&mut report.primero, &mut report.oscar] {
            if portal && !pass.reached && unclear(pass.trouble) {
                pass.trouble = Some(Trouble::Portal);
            } else if !route && !pass.reached && pass.trouble.is_some_and(Trouble::of_the_line) {
                pass.trouble = Some(Trouble::Route);
            }
        }
        report
    }

    /// Whether something that is not the peer answers in its name on port 80.
    fn somebody_else(&self, host: &str) -> bool {
        self.ask_who(host).is_ok_and(|head| portal_answers(&head, host))
    }

    fn ask_who(&self, host: &str) -> io::Result<String> {
        let address = (host, 80)
            .to_socket_addrs()?
            .next()
            .ok_or(io::ErrorKind::NotFound)?;
        let mut stream = connect(address, self.interface.as_deref(), WHO_WITHIN)?;
        stream.set_read_timeout(Some(WHO_WITHIN))?;
        stream.write_all(format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())?;
        let mut head = Vec::new();
        // An answer cut off is judged by what came.
        let _ = stream.take(HEAD_BYTES).read_to_end(&mut head);
        Ok(String::from_utf8_lossy(&head).into_owned())
    }
}

/// Whether connections may be bound to this interface; what is wrong, in words, if not.
///
/// One that is not there now is no error: a modem may be plugged in later.
pub fn check_interface(interface: Option<&str>) -> Result<Option<String>, String> {
    let Some(name) = interface else { return Ok(None) };
    let probe = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    match connect(probe, Some(name), Duration::from_millis(1)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(format!(
            "uplink.interface: this user may not bind connections to \"{name}\"; give the service CAP_NET_RAW \
             (AmbientCapabilities= in its unit), which kernels before 5.7 ask for"
        )),
        _ if Path::new("/sys/class/net").join(name).exists() => Ok(None),
        _ => Ok(Some(format!(
            "uplink.interface: there is no \"{name}\" now, only {}",
            interfaces().join(", ")
        ))),
    }
}

fn interfaces() -> Vec<String> {
    let folder = std::fs::read_dir("/sys/class/net")
        .into_iter()
        .flatten()
        .flatten();
    let mut names: Vec<String> = folder
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "lo")
        .collect();
    names.sort();
    names
}

/// Without a plausible clock no certificate can be judged: nothing is asked of anybody.
pub fn clock_unset(orders: Orders) -> SessionReport {
    let mut report = SessionReport::default();
    report.primero.trouble = orders.primero.then_some(Trouble::Clock);
    report.oscar.trouble = orders.oscar.then_some(Trouble::Clock);
    report
}

/// A certificate outside its dates is the clock's fault, unless the clock is known to be right: confirmed by the
/// system, or good enough for the other peer's certificate.
fn blamed(mut report: SessionReport, trust: Trust) -> SessionReport {
    let (primero, oscar) = (report.primero.reached, report.oscar.reached);
    for (pass, other_reached) in [(&mut report.primero, oscar), (&mut report.oscar, primero)] {
        if pass.trouble == Some(Trouble::Clock) && (trust == Trust::Synced || other_reached) {
            pass.trouble = Some(Trouble::Tls);
        }
    }
    report
}

pub(super) fn host(url: &str) -> String {
    let uri: Option<ureq::http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    host.trim_matches(['[', ']']).to_owned()
}

/// The interfaces of all default routes.
fn defaults(ipv4: &str, ipv6: &str) -> Vec<String> {
    let flags = |text: &str| u32::from_str_radix(text, 16).unwrap_or(0);
    let mut found = Vec::new();
    for line in ipv4.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, "00000000", _, routed, _, _, _, "00000000", ..] = words[..]
            && flags(routed) & (UP | REJECT) == UP
        {
            found.push(name.to_owned());
        }
    }
    for line in ipv6.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [to, "00", _, _, _, _, _, _, routed, name] = words[..]
            && to.bytes().all(|digit| digit == b'0')
            && flags(routed) & (UP | REJECT) == UP
            && name != "lo"
        {
            found.push(name.to_owned());
        }
    }
    found
}

/// Whether the interface has its cable in, or is of a kind that has none.
fn plugged(name: &str) -> bool {
    let read = |what: &str| std::fs::read_to_string(Path::new("/sys/class/net").join(name).join(what));
    match read("carrier") {
        Ok(carrier) => carrier.trim() != "0",
        // The kernel does not tell while the interface is switched off.
        Err(_) => read("operstate").is_ok_and(|state| state.trim() != "down"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_default_routes_that_lead_somewhere_count() {
        let ipv4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth0\t0000A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
            wwan0\t00000000\t0100000A\t0201\t0\t0\t700\t00000000\t0\t0\t0\n";
        assert_eq!(defaults(ipv4, ""), ["eth0"]);
        let zeros = "0".repeat(32);
        let ipv6 = format!(
            "{zeros} 00 {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003 wlan0\n\
             {zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n\
             fe80{} 40 {zeros} 00 {zeros} 00000100 00000001 00000000 00000001 wlan0\n",
            "0".repeat(28)
        );
        assert_eq!(defaults("", &ipv6), ["wlan0"]);
        assert!(defaults("", "").is_empty());
    }

    #[test]
    fn a_host_is_taken_from_any_address() {
        assert_eq!(host("https://primero.example.org:8443/x"), "primero.example.org");
        assert_eq!(host("https://[::1]:8443"), "::1");
    }
}
