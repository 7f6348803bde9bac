//! What the kernel says of a running process.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Clock ticks of /proc/PID/stat: 100 a second on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);

/// One running process, seen from outside.
#[derive(Clone, Copy)]
pub struct Process(pub u32);

impl Process {
    fn read(self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0)).expect("the service runs")
    }

    fn number(self, file: &str, label: &str) -> u64 {
        let text = self.read(file);
        let line = text.lines().find_map(|line| line.strip_prefix(label));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("{label} in /proc/PID/{file}"))
    }

    /// Resident memory now, in bytes.
    pub fn resident(self) -> u64 {
        self.number("status", "VmRSS:") * 1024
    }

    /// The most that ever was resident, in bytes.
    pub fn resident_peak(self) -> u64 {
        self.number("status", "VmHWM:") * 1024
    }

    /// The part of the resident memory that is the process's own and no file's, in bytes.
    pub fn anonymous(self) -> u64 {
        self.number("status", "RssAnon:") * 1024
    }

    /// Bytes it caused to be written to a disk, in whole pages; zero for ever where the folder is in memory.
    pub fn written(self) -> u64 {
        self.number("io", "write_bytes:")
    }

    /// Processor time so far, its own and the kernel's for it.
    pub fn busy(self) -> Duration {
        let text = self.read("stat");
        // The name in parentheses may hold anything; the fields behind it are numbers.
        let (_, rest) = text.rsplit_once(')').expect("the name is in parentheses");
        let ticks: u32 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|word| word.parse::<u32>().expect("a number of ticks"))
            .sum();
        TICK * ticks
    }

    /// Syncs during `work`, counted by strace; nothing where it is missing or may not trace.
    pub fn syncs_during(self, work: impl FnOnce()) -> Option<u64> {
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let mut tracer = Command::new("strace")
            .args(["-f", "-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"])
            .arg(log.path())
            .args(["-p", &self.0.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        if !self.traced(&mut tracer) {
            let _ = tracer.wait();
            return None;
        }
        work();
        let told = Command::new("kill")
            .args(["-INT", &tracer.id().to_string()])
            .status();
        assert!(told.is_ok_and(|status| status.success()), "strace is still there");
        tracer.wait().expect("strace ends");
        let text = std::fs::read_to_string(log.path()).expect("strace wrote its log");
        // A call another thread cut in on takes two lines, one of them with the name resumed.
        let begun = |line: &&str| line.contains("sync") && line.contains('(');
        Some(text.lines().filter(begun).count() as u64)
    }

    /// Waits until every thread is traced; false if strace gave up.
    fn traced(self, tracer: &mut Child) -> bool {
        let threads = || std::fs::read_dir(format!("/proc/{}/task", self.0)).expect("the service runs");
        let all = || {
            threads().flatten().all(|thread| {
                let status = std::fs::read_to_string(thread.path().join("status")).unwrap_or_default();
                !status.contains("TracerPid:\t0\n")
            })
        };
        for _ in 0..100 {
            if tracer.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            if all() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = tracer.kill();
        false
    }
}
