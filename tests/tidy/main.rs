//! The rules of the house, as tests: who may import whom, who may read a clock, how long a file may be, what may be
//! depended on. They read the sources as text and ask cargo; nothing is built twice for them.

mod dependencies;
mod papers;
mod sources;
mod traps;
