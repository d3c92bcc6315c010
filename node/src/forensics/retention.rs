//! How many bundles there are (rule F5).

use super::names;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Bundles without a `keep` marker, the oldest first. A folder that is not there holds none.
fn disposable(folder: &Path) -> io::Result<Vec<(SystemTime, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut bundles = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && !path.join(names::KEEP).exists() {
            bundles.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    bundles.sort();
    Ok(bundles)
}

/// Deletes the oldest bundles until one more besides `coming` makes no more than `bundles_max`. Those of halts in force
/// stay, even if they are too many.
pub(super) fn make_room(
    folder: &Path,
    coming: &Path,
    in_force: &[PathBuf],
    bundles_max: usize,
) -> io::Result<()> {
    let mut bundles = disposable(folder)?;
    bundles.retain(|(_, path)| path != coming);
    let superfluous = (bundles.len() + 1).saturating_sub(bundles_max);
    bundles.retain(|(_, path)| !in_force.contains(path));
    for (_, path) in bundles.iter().take(superfluous) {
        tracing::warn!(path = %path.display(), "the oldest bundle goes; a file `keep` in it would have kept it");
        fs::remove_dir_all(path)?;
    }
    Ok(())
}
