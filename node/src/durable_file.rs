//! Files that are whole or absent: written beside their place, synced, then moved there, then the folder is synced.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Mode of files that only their owner may read.
pub const PRIVATE: u32 = 0o600;
/// Mode of files that everybody may read.
pub const PUBLIC: u32 = 0o644;

/// What to do with a file that is already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Put the new content in its place, in one step.
    Replace,
}

/// Writes `content` to `path` so that a crash at any moment leaves the old state or the new one, never a part.
///
/// # Errors
/// `AlreadyExists` when `existing` is [`Existing::Keep`] and the file is there; otherwise what the disk said.
pub fn write(path: &Path, content: &[u8], mode: u32, existing: Existing) -> io::Result<()> {
    write_with(path, mode, existing, |file| file.write_all(content))
}

/// The same for content that `fill` writes.
///
/// # Errors
/// Those of [`write()`], and those of `fill`: then nothing is there.
pub fn write_with<T, E: From<io::Error>>(
    path: &Path,
    mode: u32,
    existing: Existing,
    fill: impl FnOnce(&mut File) -> Result<T, E>,
) -> Result<T, E> {
    let folder = parent(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(".holdfast-")
        .suffix(".tmp")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    let filled = fill(temporary.as_file_mut())?;
    // The mode given at creation is reduced by the umask: a key file stays private, a public one becomes readable.
    temporary
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    match existing {
        Existing::Keep => temporary.persist_noclobber(path),
        Existing::Replace => temporary.persist(path),
    }
    .map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(filled)
}

/// Reads a file of at most `bytes_max` bytes. Small limits are read into one allocation: the content may be secret,
/// and a growing buffer leaves copies behind.
///
/// # Errors
/// `FileTooLarge` beyond the limit; otherwise what the disk said.
pub fn read_bounded(file: &mut File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(bytes_max.min(64 * 1024) as usize + 1);
    file.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {bytes_max} bytes"),
        ));
    }
    Ok(content)
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn keeps_what_is_there_unless_told_to_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"first", PRIVATE, Existing::Keep).unwrap();
        let error = write(&path, b"second", PRIVATE, Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        write(&path, b"third", PUBLIC, Existing::Replace).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"third");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, PUBLIC);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file stays behind");
    }

    #[test]
    fn reads_up_to_the_limit_and_not_beyond() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        let read = |limit| read_bounded(&mut File::open(&path).unwrap(), limit);
        assert_eq!(read(5).unwrap(), b"12345");
        assert_eq!(read(4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
