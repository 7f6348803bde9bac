//! The images, in emulated boxes: QEMU's `virt` machine with the card `boards/image qemu` made, an office and the two
//! systems around it; and the Pis' card in QEMU's Raspberry Pi 3. `tests/run --boards` runs it; every start takes a minute
//! or two, because nothing here is fast.

mod card;
mod far;
#[path = "../boards/files.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the data files, which use more of it"
)]
mod files;
mod host;
mod life;
mod machine;
#[path = "../support/mosquitto.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the MQTT link, which use more of it"
)]
mod mosquitto;
mod pi;
#[path = "../support/pki.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the adapters, which use more of it"
)]
mod pki;
#[path = "../support/planted.rs"]
#[allow(
    dead_code,
    reason = "shared with the office of the end-to-end tests, which uses more of it"
)]
mod planted;
mod ready;
mod serial;
mod slots;
mod stick;
mod usb;
mod watchdog;
