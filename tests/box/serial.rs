//! The serial line of an emulated machine.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin};
use std::sync::{Arc, Mutex};

/// QEMU's standard input and output, as a terminal on the line.
pub struct Serial {
    heard: Arc<Mutex<String>>,
    keyboard: ChildStdin,
}

impl Serial {
    /// Collects what the line says, also in a file for whoever looks afterwards.
    pub fn of(process: &mut Child, log: &Path) -> Serial {
        let mut line = process.stdout.take().unwrap();
        let keyboard = process.stdin.take().unwrap();
        let heard: Arc<Mutex<String>> = Arc::default();
        let collected = Arc::clone(&heard);
        let mut log = File::create(log).unwrap();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = line.read(&mut chunk) {
                let _ = log.write_all(&chunk[..read]);
                collected
                    .lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Serial { heard, keyboard }
    }

    /// Everything since power on.
    pub fn heard(&self) -> String {
        self.heard.lock().unwrap().clone()
    }

    pub fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// For whoever reads why a test failed.
    pub fn show_its_end(&self) {
        let heard = self.heard();
        let from = heard.len().saturating_sub(6000);
        eprintln!(
            "the end of the serial line:\n{}",
            String::from_utf8_lossy(&heard.as_bytes()[from..])
        );
    }
}
