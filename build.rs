//! Linker settings of the shipped binary. Debug builds and tests keep the compiler's defaults.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| std::env::var(name).as_deref() == Ok(value);
    let release = is("PROFILE", "release");
    // rustc 1.90 and later link this target with their own lld, which knows these switches (checked with 1.95).
    if release && is("TARGET", "x86_64-unknown-linux-gnu") {
        // Functions with the same machine code are kept once, unless their addresses are compared.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=safe");
        // Relocations in the packed form, which glibc reads since 2.36.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
        // The index into the unwind tables: nothing unwinds in a binary that aborts on panic.
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
    }
}
