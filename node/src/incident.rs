//! Reading what was preserved, without the node: bundles, reports of them, and where two of them differ.
//!
//! A bundle may come from somebody else's machine: files are read up to a limit, their texts are cleaned of control
//! characters before they are shown, and the store in it is opened as a copy ([`holdfast_storage::Storage::open_copy`]).

pub mod diff;
#[cfg(test)]
pub(crate) mod fixture;
pub mod report;
mod state_names;
mod timeline;

use crate::durable_file;
use crate::forensics::content::{FileRecord, HaltRecord, ManifestRecord};
use crate::forensics::{list, names};
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Largest file that is read as a whole: the recorder in its longest form, and room.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why something cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncidentError {
    #[error("no bundle in {} has an id that begins with {text:?}", .folder.display())]
    Unknown { folder: PathBuf, text: String },
    #[error("{count} bundles in {} have an id that begins with {text:?}: give more of it", .folder.display())]
    Ambiguous {
        folder: PathBuf,
        text: String,
        count: usize,
    },
    #[error("{}: {reason}", .path.display())]
    Unreadable { path: PathBuf, reason: String },
}

/// How whole a bundle is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Soundness {
    /// Every file is as the manifest says.
    Complete,
    /// There is no manifest: writing was interrupted, or goes on.
    Incomplete,
    /// These files are missing, new or not as they were written.
    Changed { files: Vec<String> },
}

/// One bundle.
#[derive(Clone, Debug)]
pub struct Bundle {
    path: PathBuf,
}

impl Bundle {
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of its folder: the id of the halt.
    #[must_use]
    pub fn id(&self) -> String {
        let name = self.path.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The store in it; none if no checkpoint was made.
    #[must_use]
    pub fn checkpoint(&self) -> Option<PathBuf> {
        let path = self.path.join(names::CHECKPOINT);
        path.join("CURRENT").is_file().then_some(path)
    }

    /// Whether a person wants it to stay.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.path.join(names::KEEP).exists()
    }

    /// Compares every file with the manifest.
    ///
    /// # Errors
    /// When the bundle cannot be read.
    pub fn soundness(&self) -> Result<Soundness, IncidentError> {
        let Some(manifest) = self.json::<ManifestRecord>(names::MANIFEST)? else {
            return Ok(Soundness::Incomplete);
        };
        let mut items = Vec::new();
        list(&self.path, "", &mut items)
            .map_err(|error| self.unreadable("", &error.to_string()))?;
        let mut found = Vec::new();
        let mut files = Vec::new();
        for item in items {
            let hashed = item.hash();
            match hashed.map_err(|error| self.unreadable(&item.name, &error.to_string()))? {
                Some(file) => found.push(file),
                None => files.push(item.name),
            }
        }
        let changed = |one: &[FileRecord], other: &[FileRecord]| -> Vec<String> {
            let missing = one.iter().filter(|file| !other.contains(file));
            missing.map(|file| file.path.clone()).collect()
        };
        files.extend(changed(&manifest.files, &found));
        files.extend(changed(&found, &manifest.files));
        files.sort();
        files.dedup();
        Ok(if files.is_empty() {
            Soundness::Complete
        } else {
            Soundness::Changed { files }
        })
    }

    /// A file of it, decoded; none if it is not there.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, IncidentError> {
        let Some(content) = self.content(name)? else {
            return Ok(None);
        };
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| self.unreadable(name, &error.to_string()))
    }

    fn content(&self, name: &str) -> Result<Option<Vec<u8>>, IncidentError> {
        let path = self.path.join(name);
        let unreadable = |error: io::Error| self.unreadable(name, &error.to_string());
        // A link may lead anywhere, and a pipe may never end.
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(self.unreadable(name, "it is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        }
        let mut file = File::open(path).map_err(unreadable)?;
        durable_file::read_bounded(&mut file, FILE_BYTES_MAX)
            .map(Some)
            .map_err(unreadable)
    }

    fn unreadable(&self, name: &str, reason: &str) -> IncidentError {
        IncidentError::Unreadable {
            path: self.path.join(name),
            reason: reason.to_owned(),
        }
    }
}

/// The bundles of a folder, the newest first. A folder that is not there holds none.
///
/// # Errors
/// When it cannot be read.
pub fn bundles(folder: &Path) -> Result<Vec<Bundle>, IncidentError> {
    let unreadable = |error: &io::Error| IncidentError::Unreadable {
        path: folder.to_owned(),
        reason: error.to_string(),
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&error))?.path();
        if path.is_dir() {
            let bundle = Bundle::at(path);
            let halt = bundle.json::<HaltRecord>(names::HALT).ok().flatten();
            found.push((halt.map_or(u64::MAX, |halt| halt.began_ms), bundle));
        }
    }
    found.sort_by(|(one, _), (other, _)| other.cmp(one));
    Ok(found.into_iter().map(|(_, bundle)| bundle).collect())
}

/// The one bundle whose id begins with `text`.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(folder: &Path, text: &str) -> Result<Bundle, IncidentError> {
    let mut matching = bundles(folder)?;
    matching.retain(|bundle| bundle.id().starts_with(text));
    if matching.len() > 1 {
        return Err(IncidentError::Ambiguous {
            folder: folder.to_owned(),
            text: text.to_owned(),
            count: matching.len(),
        });
    }
    matching.pop().ok_or_else(|| IncidentError::Unknown {
        folder: folder.to_owned(),
        text: text.to_owned(),
    })
}

/// A text of somebody else's, for one line of a terminal.
#[must_use]
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}
