//! Packs the case worker's page (`src/shell/lan/page/`) for the binary, and sets how the shipped binary is linked; debug
//! builds and tests keep the compiler's defaults.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

/// A linker script; `boards/build` uses it too.
const NO_UNWIND_TABLES: &str = "boards/common/no-unwind-tables.ld";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    pack_page();
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    let release = is("PROFILE", "release");
    // rustc 1.90 and later link this target with their own lld, which knows these switches (checked with 1.95).
    if release && is("TARGET", "x86_64-unknown-linux-gnu") {
        // Functions with the same machine code are kept once, and so are constants with the same bytes. Nothing here tells
        // two functions or constants apart by their addresses.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all,--ignore-data-address-equality");
        // Relocations in the packed form, which glibc reads since 2.36.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // The unwind tables and their index, half a megabyte: nothing unwinds in a binary that aborts on panic.
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rerun-if-changed={NO_UNWIND_TABLES}");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{NO_UNWIND_TABLES}");
    }
}

fn pack_page() {
    let from = Path::new("src/shell/lan/page");
    let to = std::env::var_os("OUT_DIR").expect("cargo sets it");
    println!("cargo:rerun-if-changed={}", from.display());
    for name in ["index.html", "page.css", "page.js", "texts.json"] {
        let text = std::fs::read(from.join(name)).expect("a file of this repository");
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(&text).expect("memory takes everything");
        let packed = packed.finish().expect("memory takes everything");
        std::fs::write(Path::new(&to).join(format!("{name}.gz")), packed).expect("OUT_DIR is writable");
    }
}
