//! Packs the case worker's page (`src/shell/lan/page/`) for the binary.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

fn main() {
    let from = Path::new("src/shell/lan/page");
    let to = std::env::var_os("OUT_DIR").expect("cargo sets it");
    println!("cargo::rerun-if-changed={}", from.display());
    for name in ["index.html", "page.css", "page.js", "texts.json"] {
        let text = std::fs::read(from.join(name)).expect("a file of this repository");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&text).expect("memory takes everything");
        let packed = packed.finish().expect("memory takes everything");
        std::fs::write(Path::new(&to).join(format!("{name}.gz")), packed).expect("OUT_DIR is writable");
    }
}
