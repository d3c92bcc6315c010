//! Writes well-formed inputs for every target as the first corpus of libFuzzer: `seed_corpus DIRECTORY`.

use holdfast_fuzz::TARGETS;
use std::path::PathBuf;
use std::{env, fs, io};

/// Inputs for each target.
const CASES: u64 = 64;

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("usage: seed_corpus DIRECTORY"));
    };
    for target in TARGETS {
        let directory = directory.join(target.name);
        fs::create_dir_all(&directory)?;
        for case in 0..CASES {
            fs::write(directory.join(format!("seed-{case}")), (target.seed)(case))?;
        }
    }
    Ok(())
}
